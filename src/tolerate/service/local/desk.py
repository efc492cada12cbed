"""The pages of a desk at one's own machine: those of a service's, with a link in place of passwords, and an end."""

import time
from typing import TYPE_CHECKING

from tolerate.base.json_types import JsonObject
from tolerate.errors import OptionError
from tolerate.service.desk import Desk, Page, Response, Visit, admin, go, review
from tolerate.service.local import SECOND
from tolerate.service.local.link_login import LinkDesk
from tolerate.service.local.serving import end_soon
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, people, queue

if TYPE_CHECKING:
    from pathlib import Path

    from tolerate.service.local.host import Local


class LocalDesk(LinkDesk):
    """A desk for an audit or for the questions of a run."""

    def __init__(self, local: "Local") -> None:
        super().__init__(local, local.links, local.service.database)
        self.local, self.work = local, local.work
        self.no_guide = local.work.guide

    def pages(self) -> dict[tuple[str, str], tuple[str, Page]]:
        """The review, and what stands below."""
        return {**review.PAGES, **PAGES}

    async def open_session(self, name: str) -> str:
        """A session that outlives the command, so that a page that stands open goes on after a kill."""
        return await self.writer.do(people.open_session, name, time.time())

    @property
    def files(self) -> "Path | None":
        """The folder of the batch."""
        return self.local.files

    def kinds(self, user: people.User) -> tuple[str, ...]:
        """The second person reads again; of several people each reads again what the others read."""
        if user.name == SECOND:
            return ("second",)
        return ("review", "second") if self.work.second and self.local.several else ("review",)

    def place(self, visit: Visit, kind: str) -> str:
        """How far it is; to the second person without a word on what the first said."""
        progress = self.work.progress
        both = progress.second_place if kind == "second" else progress.place
        return "" if kind == "adjudicate" else both[visit.user.lang == "zh"]

    async def nothing(self, visit: Visit, back: str, told: str, only: str) -> Response:
        """The end, if it is; else who is waited for."""
        await self.follow([], [])
        progress = self.work.progress
        if back == "review" and visit.user.may("adjudicate") and await self.reader.query(_disagreements):
            return go("/desk/adjudicate")
        seats = {self.local.first: SECOND, SECOND: self.local.first}
        swap = not progress.done and self.local.has_second and visit.user.name in seats
        return self.page(
            "end.html",
            visit,
            progress=progress,
            closing=progress.closing[visit.user.lang == "zh"],
            swap=swap and (progress.waiting > 0 or visit.user.name == SECOND),
            to_second=visit.user.name != SECOND,
            back=back,
            told=told,
            only=only,
        )

    async def follow(self, done: list[queue.SettledItem], told: list[JsonObject]) -> None:
        """The audit or the run takes the verdict in."""
        await self.writer.do(self.work.follow, time.time())


def _disagreements(db: Database) -> bool:
    """Whether something waits for one who adjudicates."""
    return db.first("SELECT 1 FROM slots WHERE state = 'open' AND kind = 'adjudicate' LIMIT 1") is not None


def _settle_all(db: Database, at: float) -> None:
    """Nothing is taken back any more."""
    for (name,) in db.all("SELECT DISTINCT last_by FROM items WHERE due IS NOT NULL"):
        queue.settle_due(db, at, None, reviewer=name)


async def home(desk: Desk, visit: Visit) -> Response:
    """One goes straight to work."""
    return go("/desk/review")


async def seat(desk: Desk, visit: Visit) -> Response:
    """The other person sits down at this browser."""
    assert isinstance(desk, LocalDesk)
    other = {desk.local.first: SECOND, SECOND: desk.local.first}.get(visit.user.name)
    if other is None or not desk.local.has_second:
        raise ApiError(400, "there is no other seat at this desk")
    await desk.writer.do(people.close_session, visit.session.hash)
    await desk.writer.do(people.set_language, other, visit.user.lang)
    desk.forget_sessions()
    return go("/desk/review", [await desk.given(other)])


async def finish(desk: Desk, visit: Visit) -> Response:
    """The person is done: everything is final, and the command goes on."""
    assert isinstance(desk, LocalDesk)
    await desk.writer.do(_settle_all, time.time())
    await desk.follow([], [])
    if not desk.work.progress.done:
        return go("/desk/review")
    await desk.writer.do(desk.work.end)
    end_soon(desk.local.finished)
    return desk.says("finished", lang=visit.user.lang)


async def sitters(desk: Desk, visit: Visit, shown: str = "") -> Response:
    """Who sits at this desk, and links for more of them."""
    users = await desk.reader.query(people.users)
    return desk.page("sitters.html", visit, users=[user for user, _ in users], shown=shown)


async def sitters_get(desk: Desk, visit: Visit) -> Response:
    """Who sits at this desk."""
    return await sitters(desk, visit)


async def invite(desk: Desk, visit: Visit) -> Response:
    """A link for one more person, or a new one for somebody who sits here."""
    assert isinstance(desk, LocalDesk)
    name = visit.form.get("name", "").strip()
    if not name or len(name) > 80 or (name == SECOND and not desk.local.has_second):
        raise OptionError(f'"{name[:80]}" is no name for a person; choose one of 1 to 80 characters')
    await desk.local.seat(name)
    return await sitters(desk, visit, shown=f"{name}: {desk.local.links.new(name)}")


PAGES: dict[tuple[str, str], tuple[str, Page]] = {
    ("GET", ""): ("", home),
    ("POST", "seat"): ("", seat),
    ("POST", "finish"): ("review", finish),
    ("GET", "people"): ("people", sitters_get),
    ("POST", "invite"): ("people", invite),
    ("GET", "labels.csv"): ("export", admin.export),
}
