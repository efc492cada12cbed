"""Responses of the desk, visits of users who have logged in, and tables of pages."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from tolerate.service.http.requests import Headers, Request
from tolerate.store import people

DeskT = TypeVar("DeskT")
Route: TypeAlias = tuple[str, str]  # method, and name: the first part of the path below /desk


@dataclass(frozen=True)
class Response:
    """The response of a page. kind: its MIME type."""

    body: bytes = b""
    status: int = 200
    kind: bytes = b"text/html; charset=utf-8"
    headers: Headers = field(default_factory=list)
    cache: bytes = b"no-store"


@dataclass(frozen=True)
class Visit:
    """A request of a user who has logged in, with the fields of its form."""

    request: Request
    session: people.Session
    form: dict[str, str]

    @property
    def user(self) -> people.User:
        """The user."""
        return self.session.user

    @property
    def rest(self) -> list[str]:
        """The parts of the path after the page's name."""
        return self.request.path.split("/")[3:]


BoundPage: TypeAlias = Callable[[Visit], Awaitable[Response]]
# route -> the permission that a user needs ("" for none), and the page
PageTable: TypeAlias = Mapping[Route, tuple[str, Callable[[DeskT, Visit], Awaitable[Response]]]]


def redirect_to(path: str, headers: Headers | None = None) -> Response:
    """A response that sends the browser to another page."""
    return Response(b"", 303, b"text/plain", [(b"location", path.encode()), *(headers or [])])
