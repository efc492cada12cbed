"""The review desk: server-rendered pages, usable by keyboard alone, in English and Chinese, without the network.

Every page comes with a policy that lets it load its own style, script and pictures and nothing else. Every form
carries the session's token, and its Origin must be ours. What a model wrote is shown as text.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from tolerate.base.json_types import JsonObject
from tolerate.errors import TolerateError
from tolerate.service.config import ServiceSettings
from tolerate.service.desk.render import STATIC, page
from tolerate.service.host import ReviewHost, ServiceHost
from tolerate.service.http.limits import TokenBuckets
from tolerate.service.http.requests import Headers, Request, Send, respond
from tolerate.service.openai_format import ApiError
from tolerate.store import people
from tolerate.store.queue import SettledItem

COOKIE = "tolerate_session"
POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; media-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE: Headers = [
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
CHANGES_PEOPLE = {("POST", name) for name in ("disable-user", "password", "lang")}
REMEMBER = 30.0  # seconds for which a session need not be looked up; every change of people clears it
RAW = {"upload"}  # pages whose body is no form; the session's token is in a header
LOGINS = (0.1, 8.0)  # a second, and at once; by address and by name


@dataclass(frozen=True)
class Response:
    """What a page answers."""

    body: bytes = b""
    status: int = 200
    kind: bytes = b"text/html; charset=utf-8"
    headers: Headers = field(default_factory=list)
    cache: bytes = b"no-store"


@dataclass(frozen=True)
class Visit:
    """One request of someone who has logged in."""

    request: Request
    session: people.Session
    form: dict[str, str]

    @property
    def user(self) -> people.User:
        """Who asks."""
        return self.session.user

    @property
    def rest(self) -> list[str]:
        """The parts of the path after the page's name."""
        return self.request.path.split("/")[3:]


Page = Callable[["Desk", Visit], Awaitable[Response]]


def go(where: str, headers: Headers | None = None) -> Response:
    """Go to another page."""
    return Response(b"", 303, b"text/plain", [(b"location", where.encode()), *(headers or [])])


class Desk:
    """All pages of a service's desk. Another kind of desk says what is different: who comes in, what comes next."""

    cookie = COOKIE
    no_guide = "no guide"  # what is said where a job has none

    def __init__(self, host: ReviewHost) -> None:
        self.host = host
        self.writer, self.reader = host.writer, host.reader
        self._tries = TokenBuckets(*LOGINS)
        self._sessions: dict[str, tuple[people.Session, float]] = {}
        self._pages = self.pages()

    def pages(self) -> dict[tuple[str, str], tuple[str, Page]]:
        """Every page by method and name, with what one must be allowed to do."""
        from tolerate.service.desk import admin, review, watching

        return {**review.PAGES, **review.ACCOUNT, **watching.PAGES, **admin.PAGES}

    @property
    def running(self) -> ServiceHost:
        """The running service; a desk without one has no page that asks for it."""
        return cast("ServiceHost", self.host)

    @property
    def service(self) -> ServiceSettings:
        """What is served."""
        return self.host.service

    # What another kind of desk does in its own way

    async def door(self, name: str, request: Request, form: dict[str, str]) -> Response | None:
        """How one comes in; None if this is another page."""
        return await self._login(request, form) if name == "login" else None

    def outside(self, request: Request) -> Response:
        """What is said to somebody who has not come in."""
        return go("/desk/login")

    def kinds(self, user: people.User) -> tuple[str, ...]:
        """Which looks this person is given."""
        return ("review",)

    def place(self, visit: Visit, kind: str) -> str:
        """How far it is, for the page of an item."""
        return ""

    async def nothing(self, visit: Visit, back: str, told: str, only: str) -> Response:
        """What is shown when nothing waits."""
        return self.page("empty.html", visit, back=back, told=told, only=only)

    async def follow(self, done: list[SettledItem], told: list[JsonObject]) -> None:
        """What follows from a verdict, before the page moves on."""
        self.host.after_settlement(done, told)

    @property
    def files(self) -> Path | None:
        """Where files lie that items name; None if no item may name one."""
        return None

    async def answer(self, request: Request, send: Send) -> None:
        """Answer one request of a browser."""
        try:
            response = await self._answer(request)
        except ApiError as error:
            response = self._told(error.status, error.message)
        except TolerateError as error:
            response = self._told(400, str(error))
        headers = [*SAFE, *response.headers]
        await respond(send, response.status, response.body, headers, response.kind, response.cache)

    def _told(self, status: int, message: str) -> Response:
        body = page("message.html", self.service.lang, None, message=message)
        return Response(body, status)

    async def _answer(self, request: Request) -> Response:
        self._check_host(request)
        name = request.path.removeprefix("/desk").strip("/").split("/")[0]
        if name == "static":
            return self._static(request)
        form: dict[str, str] = {}
        if request.method == "POST":
            self._check_origin(request)
            if name in RAW:
                form = {"csrf": request.header(b"x-csrf")}
            else:
                form = await request.form(self.service.body, self.service.receive)
        elif request.method not in ("GET", "HEAD"):
            raise ApiError(405, "this takes GET and POST", headers=(("allow", "GET, POST"),))
        opened = await self.door(name, request, form)
        if opened is not None:
            return opened
        session = await self.session(request)
        if session is None:
            return self.outside(request)
        return await self._visit(name, Visit(request, session, form))

    async def _visit(self, name: str, visit: Visit) -> Response:
        if visit.request.method == "POST" and visit.form.get("csrf") != visit.session.csrf:
            raise ApiError(403, "the form is not from this desk, or is too old; open the page again")
        method = "GET" if visit.request.method == "HEAD" else visit.request.method
        if (method, name) == ("POST", "logout"):
            await self.writer.do(people.close_session, visit.session.hash)
            self.forget_sessions()
            return go("/desk/login", [self.set_cookie("", 0)])
        found = self._pages.get((method, name))
        if found is None:
            raise ApiError(404, "there is no such page")
        needed, made = found
        if needed and not visit.user.may(needed):
            raise ApiError(403, f"the role {visit.user.role} may not do this ({needed})")
        response = await made(self, visit)
        if (method, name) in CHANGES_PEOPLE:
            self.forget_sessions()
        return response

    def page(self, template: str, visit: Visit, status: int = 200, **values: Any) -> Response:
        """A page for someone who has logged in."""
        given = {"jobs": self.service.jobs, "has": {name for method, name in self._pages}, **values}
        return Response(page(template, visit.user.lang, visit.session, **given), status)

    # Who asks

    async def session(self, request: Request) -> people.Session | None:
        """The session that a request's cookie names."""
        token = request.cookies.get(self.cookie)
        if not token:
            return None
        known = self._sessions.get(token)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        found = await self.reader.query(people.session, token, time.time())
        if found is not None:
            self._sessions[token] = (found, time.monotonic() + REMEMBER)
        return found

    def forget_sessions(self) -> None:
        """Someone logged out, was locked out or changed: look every session up again."""
        self._sessions.clear()

    async def _login(self, request: Request, form: dict[str, str]) -> Response:
        lang = _language(request, self.service.lang)
        if request.method != "POST":
            return Response(page("login.html", lang, None, wrong=False))
        name, password = form.get("name", "")[:80], form.get("password", "")[:1000]
        places = (f"at {request.address}", f"as {name}")
        waits = [self._tries.take(place) for place in places]
        if any(waits):
            raise ApiError(429, "too many tries; wait a minute", headers=(("retry-after", "60"),))
        user = await self.reader.query(people.check_password, name, password)
        if user is None:
            return Response(page("login.html", lang, None, wrong=True), 401)
        for place in places:  # only failures count
            self._tries.give_back(place)
        token = await self.writer.do(people.open_session, user.name, time.time())
        return go("/desk", [self.set_cookie(token, int(people.SESSION_SECONDS))])

    def set_cookie(self, token: str, seconds: int) -> tuple[bytes, bytes]:
        """The header that gives a browser its session."""
        value = f"{self.cookie}={token}; Path=/desk; HttpOnly; SameSite=Strict; Max-Age={seconds}"
        secure = any(origin.startswith("https:") for origin in self.service.origins)
        return (b"set-cookie", (value + ("; Secure" if secure else "")).encode())

    # Whence

    def _check_host(self, request: Request) -> None:
        """The name that a browser believes it talks to must be ours, or another site leads it here."""
        host = request.header(b"host")
        if (urlsplit(f"//{host}").hostname or "") not in self._hosts:
            raise ApiError(421, "this name is not ours; list its address under origins")

    @property
    def _hosts(self) -> set[str]:
        listed = {urlsplit(origin).hostname or "" for origin in self.service.origins}
        return {self.service.host, "127.0.0.1", "localhost", "::1", *listed}

    def _check_origin(self, request: Request) -> None:
        """A form must come from one of our own pages."""
        origin = request.header(b"origin")
        ours = {f"http://{request.header(b'host')}", *self.service.origins}
        if origin not in ours or request.header(b"sec-fetch-site") not in ("", "same-origin", "none"):
            raise ApiError(403, "the form comes from another site")

    def _static(self, request: Request) -> Response:
        found = STATIC.get(request.path.rpartition("/")[2])
        if found is None:
            raise ApiError(404, "there is no such file")
        body, kind = found
        return Response(body, 200, kind, cache=b"private, max-age=300")


def _language(request: Request, otherwise: str) -> str:
    asked = request.query.get("lang") or request.header(b"accept-language")[:2].lower()
    return asked if asked in ("en", "zh") else otherwise
