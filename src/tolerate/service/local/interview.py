"""Questions that are answered in words, one by one, at a desk on this machine: for `tolerate career ask --page`.

Nothing is judged here and nothing queued: whoever asks keeps the answers. The way in, the pages' policy and their look
are the review desk's.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tolerate.base.json_types import JsonObject
from tolerate.errors import TolerateError
from tolerate.messages.terminal import terminal_text
from tolerate.service.config import ServiceSettings
from tolerate.service.desk import Desk, Page, Response, Visit, go
from tolerate.service.desk.render import page
from tolerate.service.http.requests import Request
from tolerate.service.local.link_login import LinkDesk
from tolerate.service.local.links import Links
from tolerate.service.local.serving import HOST, address, end_soon, listen, port_of
from tolerate.store import people
from tolerate.store.queue import OnSettled, SettledItem


class Talk(Protocol):
    """What is asked, in the person's language."""

    lang: str

    @property
    def asks(self) -> str | None:
        """The next question; None when there is none."""
        ...

    @property
    def place(self) -> tuple[int, int]:
        """How many answers there are, and how many questions."""
        ...

    @property
    def following(self) -> str:
        """What comes after the last answer."""
        ...

    def answer(self, text: str) -> None:
        """Take an answer, which is on the disk then; an error says what is wrong with it."""
        ...

    def undo(self) -> None:
        """Take the last answer back."""
        ...


def talk_at_desk(talk: Talk, name: str, ready: Callable[[str], None] = print, port: int = 0) -> None:
    """Ask until nothing is left or the person has enough. name: of what is asked, to tell its cookie from others'."""
    asyncio.run(_Host(talk, ready).serve(name, port))


class _Host:
    """What the desk stands on: no database."""

    writer: Any = None
    reader: Any = None

    def __init__(self, talk: Talk, ready: Callable[[str], None]) -> None:
        self.talk, self.ready = talk, ready
        self.service = ServiceSettings((), host=HOST, lang=talk.lang)
        self.finished = asyncio.Event()

    def accepted_losses(self) -> dict[str, float]:
        """Nothing is judged here."""
        return {}

    def settlement_watcher(self, alarms: list[JsonObject]) -> OnSettled:
        """Nothing is settled here."""
        return lambda db, each: None

    def after_settlement(self, items: Sequence[SettledItem], alarms: Sequence[JsonObject]) -> None:
        """Nothing follows."""

    async def serve(self, name: str, port: int) -> None:
        """From the link to the end."""
        links = Links(lambda who, link: self.ready(terminal_text("open", link=link).pick(self.talk.lang)))
        with port_of(port) as listening:
            links.base = address(listening)
            desk = TalkDesk(self, links, name)
            await listen(desk, listening, lambda: links.say("first"), self.finished)


class TalkDesk(LinkDesk):
    """One page with one question."""

    first_page = "/desk/talk"

    def __init__(self, host: _Host, links: Links, name: str) -> None:
        super().__init__(host, links, name)
        self.talk, self.finished = host.talk, host.finished
        self._opened: dict[str, people.Session] = {}

    def pages(self) -> dict[tuple[str, str], tuple[str, Page]]:
        """What stands below."""
        return PAGES

    async def open_session(self, name: str) -> str:
        """A session as long as the command runs."""
        token = secrets.token_urlsafe(32)
        user = people.User(name, "reviewer", self.talk.lang)
        self._opened[people.digest(token)] = people.Session(user, secrets.token_urlsafe(18), "")
        return token

    async def session(self, request: Request) -> people.Session | None:
        """The session that a request's cookie names."""
        return self._opened.get(people.digest(request.cookies.get(self.cookie, "")))

    def shown(self, visit: Visit, fault: str = "", status: int = 200) -> Response:
        """The question, or that there is none."""
        done, of = self.talk.place
        return self.page(
            "talk.html",
            visit,
            status,
            asks=self.talk.asks,
            done=done,
            of=of,
            following=self.talk.following,
            fault=fault,
            given=visit.form.get("text", "") if fault else "",
        )


async def _talk(desk: Desk, visit: Visit) -> Response:
    assert isinstance(desk, TalkDesk)
    return desk.shown(visit)


async def _answer(desk: Desk, visit: Visit) -> Response:
    assert isinstance(desk, TalkDesk)
    try:
        desk.talk.answer(visit.form.get("text", "")[:4000])
    except TolerateError as error:
        return desk.shown(visit, str(error), 400)
    return go("/desk/talk")


async def _undo(desk: Desk, visit: Visit) -> Response:
    assert isinstance(desk, TalkDesk)
    desk.talk.undo()
    return go("/desk/talk")


async def _enough(desk: Desk, visit: Visit) -> Response:
    assert isinstance(desk, TalkDesk)
    end_soon(desk.finished)
    done = desk.talk.asks is None
    word, more = ("answers done", desk.talk.following) if done else ("answers kept", "")
    return Response(page("local.html", desk.talk.lang, None, word=word, more=more, title="about work"))


PAGES: dict[tuple[str, str], tuple[str, Page]] = {
    ("GET", ""): ("", _talk),
    ("GET", "talk"): ("", _talk),
    ("POST", "answer"): ("", _answer),
    ("POST", "undo"): ("", _undo),
    ("POST", "enough"): ("", _enough),
}
