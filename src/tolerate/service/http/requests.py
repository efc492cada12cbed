"""HTTP on top of ASGI, as far as the service needs it: a request with limits, and plain responses."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

import orjson

from tolerate.service.openai_format import ApiError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

NOSNIFF = (b"x-content-type-options", b"nosniff")


class ClientDisconnected(Exception):
    """The client disconnected before it had sent its request."""


class Request:
    """One request of a client; its body is read on demand, within the limits."""

    __slots__ = ("_headers", "_receive", "method", "path", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope, self._receive = scope, receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._headers: dict[bytes, bytes] | None = None

    def header(self, name: bytes) -> str:
        """A header's text, "" if it is absent."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        return self._headers.get(name, b"").decode("latin-1")

    @property
    def address(self) -> str:
        """The network address of the client."""
        client = self.scope.get("client")
        return client[0] if client else "?"

    @property
    def query(self) -> dict[str, str]:
        """The fields of the query string."""
        return dict(parse_qsl(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        try:
            return {name: morsel.value for name, morsel in SimpleCookie(self.header(b"cookie")).items()}
        except CookieError:
            return {}

    async def body(self, max_bytes: int, seconds: float) -> bytes:
        """The body; raises ApiError (413) if it is too long and TimeoutError if it does not come in time."""
        length = self.header(b"content-length")
        async with asyncio.timeout(seconds):
            if length.isdigit() and int(length) > max_bytes:
                await self._discard(4 * max_bytes)
                raise ApiError(413, f"the body has {length} bytes; at most {max_bytes} are read", "too_large")
            return await self._read(max_bytes)

    async def _discard(self, max_bytes: int) -> None:
        """Read on for a while, so that the client is still connected when the error is sent."""
        size = 0
        while size < max_bytes:
            message = await self._receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                return

    async def _read(self, max_bytes: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            piece = message.get("body", b"")
            size += len(piece)
            if size > max_bytes:
                raise ApiError(413, f"at most {max_bytes} bytes are read", "too_large")
            if not message.get("more_body"):
                return piece if not pieces else b"".join([*pieces, piece])
            pieces.append(piece)

    async def form(self, max_bytes: int, seconds: float) -> dict[str, str]:
        """The fields of a form."""
        raw = await self.body(max_bytes, seconds)
        try:
            return dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=200))
        except (UnicodeDecodeError, ValueError):
            raise ApiError(400, "the form cannot be read", "invalid_form") from None

    async def wait_disconnect(self) -> None:
        """Return when the client disconnects."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Headers | None = None,
    kind: bytes = b"application/json",
    cache: bytes = b"no-store",
) -> None:
    """Send a complete response."""
    head = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        NOSNIFF,
        (b"cache-control", cache),
        *(headers or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, body: object, status: int = 200, headers: Headers | None = None) -> None:
    """Send a response of JSON."""
    await respond(send, status, orjson.dumps(body), headers)


async def respond_error(send: Send, error: ApiError) -> None:
    """Send an error in OpenAI's shape; the connection is closed where the rest of the body was not read."""
    headers = [(name.encode(), value.encode()) for name, value in error.headers]
    if error.status in (408, 413):
        headers.append((b"connection", b"close"))
    await respond(send, error.status, error.body, headers)


async def redirect(send: Send, location: str, headers: Headers | None = None) -> None:
    """Redirect to another page (303)."""
    await respond(send, 303, b"", [(b"location", location.encode()), *(headers or ())], b"text/plain")
