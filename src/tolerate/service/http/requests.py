"""The little of HTTP that the service needs on top of ASGI: a request with limits, and plain responses."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

import orjson

from tolerate.service.openai_format import Refused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

NOSNIFF = (b"x-content-type-options", b"nosniff")


class Gone(Exception):
    """The client went away before it had sent its request."""


class Request:
    """One request; its body is read on demand, within the limits."""

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
        """Where the request comes from."""
        client = self.scope.get("client")
        return client[0] if client else "?"

    @property
    def query(self) -> dict[str, str]:
        """The query's fields."""
        return dict(parse_qsl(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies."""
        try:
            return {name: morsel.value for name, morsel in SimpleCookie(self.header(b"cookie")).items()}
        except CookieError:
            return {}

    async def body(self, most: int, seconds: float) -> bytes:
        """The body; refused with 413 if it is too long and with 408 if it comes too slowly."""
        length = self.header(b"content-length")
        async with asyncio.timeout(seconds):
            if length.isdigit() and int(length) > most:
                await self._discard(4 * most)
                raise Refused(413, f"the body has {length} bytes; at most {most} are read", "too_large")
            return await self._read(most)

    async def _discard(self, most: int) -> None:
        """Read on for a while, so that the client is still there to hear the refusal."""
        size = 0
        while size < most:
            message = await self._receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                return

    async def _read(self, most: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            piece = message.get("body", b"")
            size += len(piece)
            if size > most:
                raise Refused(413, f"at most {most} bytes are read", "too_large")
            if not message.get("more_body"):
                return piece if not pieces else b"".join([*pieces, piece])
            pieces.append(piece)

    async def form(self, most: int, seconds: float) -> dict[str, str]:
        """The fields of a form."""
        raw = await self.body(most, seconds)
        try:
            return dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=200))
        except (UnicodeDecodeError, ValueError):
            raise Refused(400, "the form cannot be read", "invalid_form") from None

    async def gone(self) -> None:
        """Return when the client goes away."""
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
    """A whole response."""
    head = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        NOSNIFF,
        (b"cache-control", cache),
        *(headers or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, body: Any, status: int = 200, headers: Headers | None = None) -> None:
    """A response of JSON."""
    await respond(send, status, orjson.dumps(body), headers)


async def refuse(send: Send, error: Refused) -> None:
    """An error, in OpenAI's shape; where the rest of the body is not read, the connection ends with it."""
    headers = [(name.encode(), value.encode()) for name, value in error.headers]
    if error.status in (408, 413):
        headers.append((b"connection", b"close"))
    await respond(send, error.status, error.body, headers)


async def redirect(send: Send, where: str, headers: Headers | None = None) -> None:
    """Go elsewhere."""
    await respond(send, 303, b"", [(b"location", where.encode()), *(headers or ())], b"text/plain")
