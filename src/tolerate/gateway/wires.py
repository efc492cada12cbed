"""A small HTTP client for the hot path: kept-alive connections, whole answers, nothing else.

A full client (aiohttp) spends three times the CPU on what a call to a model needs: one POST, one answer. The parser is
httptools'. Redirects, cookies, compression and proxies are left out on purpose.
"""

import asyncio
import socket
import ssl
from functools import lru_cache
from urllib.parse import urlsplit

import httptools

from tolerate.gateway.guard import refuse

LARGEST = 32 * 2**20
CONNECT = 5.0  # seconds
Place = tuple[str, str, int]  # scheme, host, port


class Answered:
    """An answer as it came."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


class TooLong(OSError):
    """The answer is longer than anything a model would write."""


class Stale(OSError):
    """The other side closed a kept connection before it read our request."""


class Wire(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = self.used = False
        self._parser: httptools.HttpResponseParser | None = None
        self._waiting: asyncio.Future[Answered] | None = None
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._size = 0
        self._heard = self._open_ended = False
        self.keep = False

    def ask(self, request: bytes) -> "asyncio.Future[Answered]":
        """Send a request; the future is the whole answer."""
        self._begin()
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        assert self.transport is not None
        self.transport.write(request)
        return self._waiting

    def fail(self, error: Exception) -> None:
        """End this connection; whoever waits is told."""
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        if self.transport is not None:
            self.transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        """Closed; that ends an answer of unknown length, and breaks any other."""
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            if self._open_ended:
                self._finish()
            elif self.used and not self._heard:
                self._waiting.set_exception(Stale("a kept connection was closed"))
            else:
                self._waiting.set_exception(OSError("the connection broke"))

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        self._heard = True
        if self._parser is None or self._waiting is None or self._waiting.done():
            self.fail(OSError("an answer that nobody asked for"))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(OSError(f"the answer is no HTTP: {error}"))

    # The parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The body follows."""
        assert self._parser is not None
        known = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        self._open_ended = not known and self._parser.get_status_code() >= 200

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._size += len(data)
        if self._size > LARGEST:
            self.fail(TooLong("the answer is too long"))
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole; what precedes it (100 Continue) is left out."""
        assert self._parser is not None
        if self._parser.get_status_code() < 200:
            self._headers = {}
            return
        self.keep = bool(self._parser.should_keep_alive()) and not self._open_ended
        self._finish()

    def _finish(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            assert self._parser is not None
            pieces = self._pieces
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._waiting.set_result(Answered(self._parser.get_status_code(), self._headers, body))


class Wires:
    """The pool: idle connections by place."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._idle: dict[Place, list[Wire]] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, body: bytes, headers: bytes, seconds: float) -> Answered:
        """POST a body and read the whole answer; OSError or TimeoutError if that cannot be."""
        place, path, host = _parts(url)
        request = b"POST %b HTTP/1.1\r\nhost: %b\r\n%bcontent-length: %d\r\n\r\n%b" % (
            path,
            host,
            headers,
            len(body),
            body,
        )
        loop = asyncio.get_running_loop()
        while True:
            wire = self._take(place) or await self._connect(place, min(seconds, CONNECT))
            timer = loop.call_later(seconds, wire.fail, TimeoutError("no answer in time"))
            try:
                answer = await wire.ask(request)
            except Stale:
                continue
            except asyncio.CancelledError:
                wire.fail(OSError("given up"))
                raise
            finally:
                timer.cancel()
            wire.used = True
            if wire.keep and not wire.closed:
                self._idle.setdefault(place, []).append(wire)
            else:
                wire.fail(OSError("done"))
            return answer

    def close(self) -> None:
        """Let every idle connection go."""
        for wires in self._idle.values():
            for wire in wires:
                wire.fail(OSError("the service stops"))
        self._idle.clear()

    def _take(self, place: Place) -> Wire | None:
        idle = self._idle.get(place)
        while idle:
            wire = idle.pop()
            if not wire.closed:
                return wire
        return None

    async def _connect(self, place: Place, seconds: float) -> Wire:
        """A new connection, to an address that may be called."""
        scheme, host, port = place
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            allowed = [f for f in found if refuse(str(f[4][0]).split("%")[0], private=self._private) is None]
            if not allowed:
                raise OSError(f"{host} leads to no address that may be called")
            tls = self._context() if scheme == "https" else None
            failure: OSError = OSError(f"{host} cannot be reached")
            for each in allowed:
                try:
                    _, wire = await loop.create_connection(
                        Wire, str(each[4][0]), port, ssl=tls, server_hostname=host if tls else None
                    )
                    return wire
                except OSError as error:
                    failure = error
            raise failure

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


@lru_cache(maxsize=256)
def _parts(url: str) -> tuple[Place, bytes, bytes]:
    """Where a URL leads, and the path and host to ask for there."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return (parts.scheme, parts.hostname or "", port), path.encode() or b"/", parts.netloc.encode()
