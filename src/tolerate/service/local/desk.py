"""The pages of a local desk: those of a review, with a link in place of passwords, and an end."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tolerate.base.json_types import JsonObject
from tolerate.service.desk import account, admin, review
from tolerate.service.desk.app import ReviewDesk
from tolerate.service.desk.pages import PageTable, Response, Visit, redirect_to
from tolerate.service.host import ReviewHost
from tolerate.service.http.requests import Request
from tolerate.service.local.link_login import LinkLogin, cookie_name, sentence_page
from tolerate.service.local.links import LoginLinks
from tolerate.service.local.options import SECOND, check_name
from tolerate.service.local.serving import finish_soon
from tolerate.service.local.work import ReviewWork
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, people, queue

FIRST_PAGE = "/desk/review"


class LocalDeskHost(ReviewHost, Protocol):
    """The program of a local desk, as its pages need it. several: whether several reviewers have names."""

    work: ReviewWork
    files: Path | None
    first: str
    has_second: bool
    several: bool
    links: LoginLinks
    finished: asyncio.Event

    async def add_reviewer(self, name: str) -> None:
        """Add one more reviewer, unless there is one of this name."""
        ...


class LocalDesk(ReviewDesk):
    """A desk for an audit or for the items of a run."""

    def __init__(self, local: LocalDeskHost) -> None:
        super().__init__(local, cookie_name(local.service.database))
        self.local, self.work = local, local.work
        self.no_guide = local.work.guide
        self.login = LinkLogin(self, local.links, FIRST_PAGE, self._open_session)
        self.register(review.PAGES)
        self.register(account.PAGES)
        self.register(admin.EXPORT_PAGES)
        self.register(PAGES)

    async def login_page(self, name: str, request: Request, form: dict[str, str]) -> Response | None:
        """The response of a login link; None for any other route."""
        return await self.login.page(name, request)

    def refuse(self, request: Request) -> Response:
        """Say that a link is needed."""
        return self.login.refuse()

    async def _open_session(self, name: str) -> str:
        """A stored session, which outlives the process: an open page goes on after a restart."""
        return await self.writer.do(people.open_session, name, time.time())

    @property
    def media_folder(self) -> Path | None:
        """The folder of the batch."""
        return self.local.files

    def review_kinds(self, user: people.User) -> tuple[str, ...]:
        """The second reviewer gets second reviews; each of several named reviewers gets both kinds."""
        if user.name == SECOND:
            return ("second",)
        return ("review", "second") if self.work.second and self.local.several else ("review",)

    def progress_line(self, visit: Visit, kind: str) -> str:
        """The progress of the work; to the second reviewer without anything about the first verdicts."""
        progress = self.work.progress
        line = progress.second_line if kind == "second" else progress.line
        return "" if kind == "adjudicate" else line.pick(visit.user.lang)

    async def empty_page(self, visit: Visit, back: str, notice: str, only: str) -> Response:
        """The end if the work is done; else who is waited for, or a disagreement for whoever may adjudicate."""
        await self.after_verdict([], [])
        progress = self.work.progress
        if back == "review" and visit.user.may("adjudicate") and await self.reader.query(_has_disagreements):
            return redirect_to("/desk/adjudicate")
        swap = not progress.done and self.other_reviewer(visit.user.name) is not None
        return self.page(
            "end.html",
            visit,
            progress=progress,
            closing=progress.closing.pick(visit.user.lang),
            swap=swap and (progress.waiting > 0 or visit.user.name == SECOND),
            to_second=visit.user.name != SECOND,
            back=back,
            notice=notice,
            only=only,
        )

    async def after_verdict(self, settled: Sequence[queue.SettledItem], alarms: Sequence[JsonObject]) -> None:
        """Pass the new verdicts to the audit or the run."""
        await self.writer.do(self.work.update, time.time())

    def other_reviewer(self, name: str) -> str | None:
        """The reviewer who takes turns with this one at the same browser; None if there is none."""
        if not self.local.has_second:
            return None
        return {self.local.first: SECOND, SECOND: self.local.first}.get(name)


def _has_disagreements(db: Database) -> bool:
    """Whether an item waits for adjudication."""
    return db.first("SELECT 1 FROM slots WHERE state = 'open' AND kind = 'adjudicate' LIMIT 1") is not None


def _settle_all(db: Database, now: float) -> None:
    """Make every verdict final."""
    for (name,) in db.all("SELECT DISTINCT last_by FROM items WHERE due IS NOT NULL"):
        queue.settle_due(db, now, None, reviewer=name)


async def home(desk: LocalDesk, visit: Visit) -> Response:
    """Go to the next item."""
    return redirect_to(FIRST_PAGE)


async def change_seats(desk: LocalDesk, visit: Visit) -> Response:
    """Sign in the other reviewer at this browser."""
    other = desk.other_reviewer(visit.user.name)
    if other is None:
        raise ApiError(400, "there is no other reviewer at this desk")
    await desk.writer.do(people.close_session, visit.session.hash)
    await desk.writer.do(people.set_language, other, visit.user.lang)
    desk.forget_sessions()
    return redirect_to(FIRST_PAGE, [await desk.login.session_cookie(other)])


async def finish(desk: LocalDesk, visit: Visit) -> Response:
    """Make every verdict final and end the desk; the command goes on."""
    await desk.writer.do(_settle_all, time.time())
    await desk.after_verdict([], [])
    if not desk.work.progress.done:
        return redirect_to(FIRST_PAGE)
    await desk.writer.do(desk.work.finish)
    finish_soon(desk.local.finished)
    return sentence_page("finished", visit.user.lang)


async def reviewers_page(desk: LocalDesk, visit: Visit, shown: str = "") -> Response:
    """The reviewers of this desk. shown: a new link, shown this once."""
    users = await desk.reader.query(people.users)
    return desk.page("reviewers.html", visit, users=[user for user, _ in users], shown=shown)


async def reviewers_get(desk: LocalDesk, visit: Visit) -> Response:
    """The reviewers of this desk."""
    return await reviewers_page(desk, visit)


async def invite(desk: LocalDesk, visit: Visit) -> Response:
    """A link for one more reviewer, or a new one for a reviewer of this desk."""
    name = visit.form.get("name", "").strip()
    check_name(name, reserved=not desk.local.has_second)
    await desk.local.add_reviewer(name)
    return await reviewers_page(desk, visit, shown=f"{name}: {desk.local.links.new(name)}")


PAGES: PageTable[LocalDesk] = {
    ("GET", ""): ("", home),
    ("POST", "seat"): ("", change_seats),
    ("POST", "finish"): ("review", finish),
    ("GET", "people"): ("people", reviewers_get),
    ("POST", "invite"): ("people", invite),
}
