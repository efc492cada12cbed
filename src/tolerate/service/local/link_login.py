"""Login by a link that opens once, without an account."""

import hashlib
from collections.abc import Awaitable, Callable

from tolerate.service.desk.app import Desk
from tolerate.service.desk.pages import Response, redirect_to
from tolerate.service.desk.render import page
from tolerate.service.http.requests import Request
from tolerate.service.local.links import LoginLinks
from tolerate.store import people


def cookie_name(desk: str) -> str:
    """The name of a local desk's cookie.

    Browsers send cookies to every port of a host: desks that are open at once need cookies of different names.
    """
    return f"tolerate_desk_{hashlib.sha256(desk.encode()).hexdigest()[:10]}"


class LinkLogin:
    """Login to a local desk. first_page: where a link leads; open_session: opens one for a name, returns its token."""

    def __init__(
        self,
        desk: Desk,
        links: LoginLinks,
        first_page: str,
        open_session: Callable[[str], Awaitable[str]],
    ) -> None:
        self._desk, self._links = desk, links
        self._first_page, self._open_session = first_page, open_session

    async def page(self, name: str, request: Request) -> Response | None:
        """The response of a login link; None for any other route."""
        if name != "enter" or request.method != "GET":
            return None
        token = request.path.rpartition("/")[2]
        user = self._links.use(token)
        return await self._used_link(token, request) if user is None else await self._welcome(user)

    async def _welcome(self, name: str) -> Response:
        """A page that leads to the first page.

        A redirect would not do: the cookie is SameSite=Strict, and a request that another site began does not carry it.
        """
        body = page("enter.html", self._desk.service.lang, None, first_page=self._first_page)
        return Response(body, 200, headers=[await self.session_cookie(name)])

    async def _used_link(self, token: str, request: Request) -> Response:
        """The first page for whom the link signed in; for anybody else a new link is printed at the terminal."""
        name = self._links.used_by(token)
        if name is None:
            return self.refuse()
        session = await self._desk.session(request)
        if session is not None and session.user.name == name:
            return redirect_to(self._first_page)
        self._links.announce(name)
        return sentence_page("link used", self._desk.service.lang, 403)

    def refuse(self) -> Response:
        """The response to a request without a session."""
        return sentence_page("link needed", self._desk.service.lang, 403)

    async def session_cookie(self, name: str) -> tuple[bytes, bytes]:
        """The header that signs a person in."""
        return self._desk.set_cookie(await self._open_session(name), int(people.SESSION_SECONDS))


def sentence_page(
    key: str, lang: str, status: int = 200, *, title: str = "desk", next_step: str = ""
) -> Response:
    """A page with a sentence of the desk's messages, and what to do next. title: key of its heading."""
    body = page("local.html", lang, None, key=key, title=title, next_step=next_step)
    return Response(body, status)
