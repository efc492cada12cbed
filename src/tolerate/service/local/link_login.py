"""A desk that one enters by a link: it opens once, leaves a session behind, and needs no account."""

import hashlib
from abc import abstractmethod

from tolerate.service.desk import Desk, Response, go
from tolerate.service.desk.render import page
from tolerate.service.host import ReviewHost
from tolerate.service.http.requests import Request
from tolerate.service.local.links import Links
from tolerate.store import people


class LinkDesk(Desk):
    """A desk at one's own machine. first_page: where a link leads."""

    first_page = "/desk/review"

    def __init__(self, host: ReviewHost, links: Links, name: str) -> None:
        super().__init__(host)
        self.links = links
        # browsers do not tell ports apart: desks that are open at once are known by their cookie's name alone
        self.cookie = f"tolerate_desk_{hashlib.sha256(name.encode()).hexdigest()[:10]}"

    @abstractmethod
    async def open_session(self, name: str) -> str:
        """A new session for a person; its token."""

    async def door(self, name: str, request: Request, form: dict[str, str]) -> Response | None:
        """A link that opens once."""
        if name != "enter" or request.method != "GET":
            return None
        token = request.path.rpartition("/")[2]
        who = self.links.use(token)
        return await self._used(token, request) if who is None else await self._welcome(who)

    async def _welcome(self, name: str) -> Response:
        """By a page of our own: a redirect from elsewhere would leave the cookie behind, which is kept from whatever
        another site begins."""
        body = page("enter.html", self.service.lang, None, to=self.first_page)
        return Response(body, 200, headers=[await self.given(name)])

    async def _used(self, token: str, request: Request) -> Response:
        """A link again: whoever came in by it goes on, anybody else is shown to the terminal."""
        who = self.links.used(token)
        if who is None:
            return self.outside(request)
        session = await self.session(request)
        if session is not None and session.user.name == who:
            return go(self.first_page)
        self.links.say(who)
        return self.says("link used", 403)

    def outside(self, request: Request) -> Response:
        """Somebody without a link."""
        return self.says("link needed", 403)

    def says(self, word: str, status: int = 200, lang: str = "") -> Response:
        """A page with one sentence."""
        return Response(page("local.html", lang or self.service.lang, None, word=word), status)

    async def given(self, name: str) -> tuple[bytes, bytes]:
        """The header with which a person comes in."""
        return self.set_cookie(await self.open_session(name), int(people.SESSION_SECONDS))
