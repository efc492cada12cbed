"""Desks: the request of a browser from its checks to the response of a page.

Every page comes with a content security policy that allows only the desk's own style, script and media. Every form
carries the session's token, and its Origin must be the desk's. Texts of models are escaped.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tolerate.base.json_types import JsonObject
from tolerate.errors import TolerateError
from tolerate.service.config import ServiceSettings
from tolerate.service.desk.pages import BoundPage, PageTable, Response, Route, Visit, redirect_to
from tolerate.service.desk.render import STATIC, page
from tolerate.service.host import ReviewHost, ServiceHost
from tolerate.service.http.limits import TokenBuckets
from tolerate.service.http.requests import Headers, Request, Send, respond
from tolerate.service.openai_format import ApiError
from tolerate.store import people
from tolerate.store.queue import SettledItem

SESSION_COOKIE = "tolerate_session"
POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; media-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Headers = [
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
CHANGES_USERS = {("POST", name) for name in ("disable-user", "password", "lang")}
SESSION_CACHE_SECONDS = 30.0  # every change of users clears the cache
RAW_BODIES = {"upload"}  # pages whose body is not a form; the session's token is in a header
LOGIN_RATE, LOGIN_BURST = 0.1, 8.0  # attempts a second, and at once; by address and by name


class Desk(ABC):
    """Pages for people who have logged in. A subclass says how they do, and registers its pages."""

    def __init__(self, service: ServiceSettings, cookie: str) -> None:
        self.service, self.cookie = service, cookie
        self._pages: dict[Route, tuple[str, BoundPage]] = {}

    def register(self, pages: PageTable[Self]) -> None:
        """Add pages, each with the permission that a user needs for it."""
        for route, (permission, respond_to) in pages.items():
            self._pages[route] = (permission, partial(respond_to, self))

    @abstractmethod
    async def login_page(self, name: str, request: Request, form: dict[str, str]) -> Response | None:
        """The response of the route by which users log in; None for any other route."""

    @abstractmethod
    def refuse(self, request: Request) -> Response:
        """The response to a request without a session."""

    @abstractmethod
    async def session(self, request: Request) -> people.Session | None:
        """The session that a request's cookie names; None if there is none."""

    async def close_session(self, visit: Visit) -> None:
        """Log a user out; a desk without that keeps the session."""
        raise ApiError(404, "there is no such page")

    async def answer(self, request: Request, send: Send) -> None:
        """Answer a request of a browser."""
        try:
            response = await self._answer(request)
        except ApiError as error:
            response = self._error_page(error.status, error.message)
        except TolerateError as error:
            response = self._error_page(400, str(error))
        headers = [*SECURITY_HEADERS, *response.headers]
        await respond(send, response.status, response.body, headers, response.kind, response.cache)

    def _error_page(self, status: int, message: str) -> Response:
        return Response(page("message.html", self.service.lang, None, message=message), status)

    async def _answer(self, request: Request) -> Response:
        self._check_host(request)
        name = request.path.removeprefix("/desk").strip("/").split("/")[0]
        if name == "static":
            return _static_file(request)
        form: dict[str, str] = {}
        if request.method == "POST":
            self._check_origin(request)
            if name in RAW_BODIES:
                form = {"csrf": request.header(b"x-csrf")}
            else:
                form = await request.form(self.service.body, self.service.receive)
        elif request.method not in ("GET", "HEAD"):
            raise ApiError(405, "this takes GET and POST", headers=(("allow", "GET, POST"),))
        response = await self.login_page(name, request, form)
        if response is not None:
            return response
        session = await self.session(request)
        if session is None:
            return self.refuse(request)
        return await self.respond(name, Visit(request, session, form))

    async def respond(self, name: str, visit: Visit) -> Response:
        """The response of a page, after the checks of the form's token and of the user's permission."""
        if visit.request.method == "POST" and visit.form.get("csrf") != visit.session.csrf:
            raise ApiError(403, "the form is not from this desk, or is too old; open the page again")
        method = "GET" if visit.request.method == "HEAD" else visit.request.method
        if (method, name) == ("POST", "logout"):
            await self.close_session(visit)
            return redirect_to("/desk/login", [self.set_cookie("", 0)])
        entry = self._pages.get((method, name))
        if entry is None:
            raise ApiError(404, "there is no such page")
        permission, respond_to = entry
        if permission and not visit.user.may(permission):
            raise ApiError(403, f"the role {visit.user.role} does not include the permission {permission}")
        return await respond_to(visit)

    def page(self, template: str, visit: Visit, status: int = 200, **values: object) -> Response:
        """A template as a page for a user who has logged in."""
        names = {name for _, name in self._pages}
        values = {"jobs": self.service.jobs, **values}
        return Response(page(template, visit.user.lang, visit.session, names, **values), status)

    def set_cookie(self, token: str, seconds: int) -> tuple[bytes, bytes]:
        """The header that gives a browser its session."""
        value = f"{self.cookie}={token}; Path=/desk; HttpOnly; SameSite=Strict; Max-Age={seconds}"
        secure = any(origin.startswith("https:") for origin in self.service.origins)
        return (b"set-cookie", (value + ("; Secure" if secure else "")).encode())

    # Host and Origin checks

    def _check_host(self, request: Request) -> None:
        """Refuse a host name that is not the desk's: another site may have led the browser here (DNS rebinding)."""
        host = request.header(b"host")
        if (urlsplit(f"//{host}").hostname or "") not in self._hosts:
            raise ApiError(421, "unknown host name; list the address of this desk under origins")

    @property
    def _hosts(self) -> set[str]:
        listed = {urlsplit(origin).hostname or "" for origin in self.service.origins}
        return {self.service.host, "127.0.0.1", "localhost", "::1", *listed}

    def _check_origin(self, request: Request) -> None:
        """Refuse a form of another site."""
        origin = request.header(b"origin")
        allowed = {f"http://{request.header(b'host')}", *self.service.origins}
        if origin not in allowed or request.header(b"sec-fetch-site") not in ("", "same-origin", "none"):
            raise ApiError(403, "the form comes from another site")


class ReviewDesk(Desk):
    """A desk with a database: its queue is reviewed, and sessions are stored."""

    no_guide = "no guide"  # key of the text for a job without a label guide

    def __init__(self, host: ReviewHost, cookie: str) -> None:
        super().__init__(host.service, cookie)
        self.host = host
        self.writer, self.reader = host.writer, host.reader
        self._sessions: dict[str, tuple[people.Session, float]] = {}  # token -> session, end of caching

    def review_kinds(self, user: people.User) -> tuple[str, ...]:
        """Kinds of review slots that a user may be assigned."""
        return ("review",)

    def progress_line(self, visit: Visit, kind: str) -> str:
        """The progress of the review, for the page of an item; "" to show nothing."""
        return ""

    async def empty_page(self, visit: Visit, back: str, notice: str, only: str) -> Response:
        """The page that is shown when nothing waits for the user."""
        return self.page("empty.html", visit, back=back, notice=notice, only=only)

    async def after_verdict(self, settled: Sequence[SettledItem], alarms: Sequence[JsonObject]) -> None:
        """Called after a verdict is stored, with the items that it settled and the alarms that followed."""
        self.host.after_settlement(settled, alarms)

    @property
    def media_folder(self) -> Path | None:
        """Folder of the files that items refer to; None if no item may refer to a file."""
        return None

    async def session(self, request: Request) -> people.Session | None:
        """The stored session that a request's cookie names."""
        token = request.cookies.get(self.cookie)
        if not token:
            return None
        cached = self._sessions.get(token)
        if cached is not None and time.monotonic() < cached[1]:
            return cached[0]
        session = await self.reader.query(people.session, token, time.time())
        if session is not None:
            self._sessions[token] = (session, time.monotonic() + SESSION_CACHE_SECONDS)
        return session

    async def close_session(self, visit: Visit) -> None:
        """Delete the user's session."""
        await self.writer.do(people.close_session, visit.session.hash)
        self.forget_sessions()

    def forget_sessions(self) -> None:
        """Clear the cache of sessions, because users or sessions have changed."""
        self._sessions.clear()

    async def respond(self, name: str, visit: Visit) -> Response:
        """The response of a page; a page that changes users clears the cache of sessions."""
        response = await super().respond(name, visit)
        if (visit.request.method, name) in CHANGES_USERS:
            self.forget_sessions()
        return response


class ServiceDesk(ReviewDesk):
    """The desk of a running service: users log in with a password."""

    def __init__(self, running: ServiceHost) -> None:
        super().__init__(running, SESSION_COOKIE)
        self.running = running
        self._attempts = TokenBuckets(LOGIN_RATE, LOGIN_BURST)

    async def login_page(self, name: str, request: Request, form: dict[str, str]) -> Response | None:
        """The page of the password, and the check of a password that was sent."""
        if name != "login":
            return None
        lang = _language(request, self.service.lang)
        if request.method != "POST":
            return Response(page("login.html", lang, None, wrong=False))
        return await self._check_password(request, form, lang)

    async def _check_password(self, request: Request, form: dict[str, str], lang: str) -> Response:
        name, password = form.get("name", "")[:80], form.get("password", "")[:1000]
        buckets = (f"at {request.address}", f"as {name}")
        waits = [self._attempts.take(bucket) for bucket in buckets]
        if any(waits):
            raise ApiError(429, "too many attempts; wait a minute", headers=(("retry-after", "60"),))
        user = await self.reader.query(people.check_password, name, password)
        if user is None:
            return Response(page("login.html", lang, None, wrong=True), 401)
        for bucket in buckets:  # only failures count
            self._attempts.give_back(bucket)
        token = await self.writer.do(people.open_session, user.name, time.time())
        return redirect_to("/desk", [self.set_cookie(token, int(people.SESSION_SECONDS))])

    def refuse(self, request: Request) -> Response:
        """Send a visitor to the login page."""
        return redirect_to("/desk/login")


def _static_file(request: Request) -> Response:
    name = request.path.rpartition("/")[2]
    if name not in STATIC:
        raise ApiError(404, "there is no such file")
    body, kind = STATIC[name]
    return Response(body, 200, kind, cache=b"private, max-age=300")


def _language(request: Request, default: str) -> str:
    """The language that a visitor chose or the browser prefers, if it is one of ours."""
    lang = request.query.get("lang") or request.header(b"accept-language")[:2].lower()
    return lang if lang in ("en", "zh") else default
