"""HTTP/1.1 to model servers: connections that are kept alive, one exchange at a time on each, checked addresses.

A general client spends more on a call than the rest of the gateway on a request; this is the little of it that is
needed (RFC 9112), on the parser that reads our own requests too. Bodies come by length, in chunks or until the end
of the connection. A connection goes back to its pool only when its response was read to its end.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

from tolerate.service.upstream.guard import forbidden_reason

MAX_HEAD_BYTES = 64 * 2**10  # of a response
MAX_UNREAD_BYTES = 2**20  # then the server must pause
IDLE_SECONDS = 15.0  # for which an unused connection is kept
ADDRESS_SECONDS = 10.0  # for which the addresses of a name are remembered
CONNECT_SECONDS = 5.0
MAX_CACHED_HEADS = 256


class ConnectionBroken(OSError):
    """The server closed the connection, or sent something that is not HTTP."""


class BodyTooLong(Exception):
    """A body is longer than the caller reads."""


class Origin(NamedTuple):
    """The server that a connection leads to."""

    secure: bool
    host: str
    port: int


class UpstreamConnection(asyncio.Protocol):
    """One connection to a server; the parser calls the `on_` methods while a response comes."""

    headers: dict[bytes, bytes]

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.idle_since = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget the last response, so that another exchange may begin."""
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.headers = 0, {}
        self.pieces: list[bytes] = []
        self.unread_bytes = self._head_bytes = 0
        self.head_complete = self.complete = self._keep_alive = False
        self._ends_with_connection = self._paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Return when more of the response has come; raises what went wrong."""
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if self._error is not None:
            waiter.set_exception(self._error)
        else:
            waiter.set_result(None)

    def _fail(self, message: str) -> None:
        if not self.complete and self._error is None:
            self._error = ConnectionBroken(message)
            self.close()
            self._wake()

    def close(self) -> None:
        """Abort the transport; the connection must not return to the pool."""
        if self.transport is not None:
            self.transport.abort()

    # Callbacks of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the new connection."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Feed received bytes to the HTTP parser."""
        if self.complete:  # a response that nobody asked for
            self.close()
            return
        if not self.head_complete:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except Exception as error:
            self._fail(f"the answer is not HTTP: {error}")
            return
        if not self.head_complete and self._head_bytes > MAX_HEAD_BYTES:
            self._fail("the answer's head has no end")
        elif self.head_complete or self.complete:
            self._wake()
        if self.unread_bytes > MAX_UNREAD_BYTES and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """End the response: one without a length is complete now, another one is broken."""
        if self.head_complete and self._ends_with_connection and error is None:
            self.complete = True
            self._wake()
        self._fail("the connection was closed")

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """A second response in the same bytes: nobody asked for it, so the connection is not used again."""
        self._ends_with_connection = self._ends_with_connection or self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store one header."""
        if not self.complete:
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Deliver the response's start: all headers have been read."""
        if self.complete:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        chunked = b"chunked" in self.headers.get(b"transfer-encoding", b"").lower()
        self._ends_with_connection = not chunked and b"content-length" not in self.headers
        self.head_complete = True

    def on_body(self, piece: bytes) -> None:
        """Store a part of the body."""
        if self.complete:
            return
        self.pieces.append(piece)
        self.unread_bytes += len(piece)

    def on_message_complete(self) -> None:
        """The response has ended; after an informational one (1xx) the final one is still to come."""
        if self.status < 200:
            self.headers = {}
            return
        if not self.complete:
            self.complete, self._keep_alive = True, self._parser.should_keep_alive()

    # What the reader of a response calls

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another exchange."""
        is_open = self.transport is not None and not self.transport.is_closing()
        return is_open and self.complete and self._keep_alive and not self._ends_with_connection

    def take(self) -> bytes:
        """The part of the body that has come and was not taken yet."""
        data = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces, self.unread_bytes = [], 0
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return data


class UpstreamResponse:
    """A response whose headers have been read."""

    __slots__ = ("_connection", "status")

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection, self.status = connection, connection.status

    def header(self, name: bytes) -> str:
        """A header's text, "" if it is absent."""
        return self._connection.headers.get(name, b"").decode("latin-1")

    async def read(self, max_bytes: int) -> bytes:
        """The whole body; raises BodyTooLong."""
        connection = self._connection
        if connection.complete and connection.unread_bytes <= max_bytes:
            return connection.take()
        pieces, size = [], 0
        async for piece in self.pieces():
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise BodyTooLong
        return b"".join(pieces)

    async def read_start(self, max_bytes: int) -> bytes:
        """The body's first bytes."""
        start = b""
        async for piece in self.pieces():
            start += piece
            if len(start) >= max_bytes:
                break
        return start[:max_bytes]

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        connection = self._connection
        while True:
            if connection.pieces:
                yield connection.take()
            elif connection.complete:
                return
            else:
                await connection.wait()


class UpstreamPool:
    """Connections to model servers. private: whether private addresses may be called."""

    def __init__(self, private: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._private, self._clock = private, clock
        self._idle: dict[Origin, list[UpstreamConnection]] = {}
        self._open: set[UpstreamConnection] = set()
        self._addresses_by_name: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._heads: dict[tuple[str, str, tuple[tuple[str, str], ...]], tuple[Origin, bytes]] = {}
        self._tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.close()
        self._open.clear()
        self._idle.clear()

    def post(self, url: str, data: bytes, headers: Mapping[str, str], timeout: float) -> "Exchange":
        """Send a body; `async with` gives the response. timeout: seconds for all of it."""
        return Exchange(self, ("POST", url, headers), data, timeout)

    def get(self, url: str, headers: Mapping[str, str], timeout: float) -> "Exchange":
        """Request a resource; `async with` gives the response."""
        return Exchange(self, ("GET", url, headers), b"", timeout)

    def request_head(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[Origin, bytes]:
        """The server of a request, and the request's head up to the length of its body; cached."""
        key = (method, url, tuple(headers.items()))
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) > MAX_CACHED_HEADS:
                self._heads.clear()
            head = self._heads[key] = _request_head(method, url, headers)
        return head

    def idle_connection(self, origin: Origin) -> UpstreamConnection | None:
        """An idle connection to the server, ready for a request; None if there is none."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.reusable and self._clock() - connection.idle_since < IDLE_SECONDS:
                connection.reset()
                return connection
            self.discard(connection)
        return None

    def release(self, origin: Origin, connection: UpstreamConnection) -> None:
        """Keep the connection of an exchange that is over, if it can be used again."""
        if connection.reusable:
            connection.idle_since = self._clock()
            self._idle.setdefault(origin, []).append(connection)
        else:
            self.discard(connection)

    def discard(self, connection: UpstreamConnection) -> None:
        """Close a connection that must not be used again."""
        connection.close()
        self._open.discard(connection)

    async def connect(self, origin: Origin) -> UpstreamConnection:
        """A new connection, to an address that may be called; raises OSError."""
        loop, failure = asyncio.get_running_loop(), OSError(f"{origin.host} has no address")
        for address in await self._addresses(origin.host, origin.port):
            tls, name = (self._tls_context(), origin.host) if origin.secure else (None, None)
            try:
                _, connection = await loop.create_connection(
                    UpstreamConnection, address, origin.port, ssl=tls, server_hostname=name
                )
            except OSError as error:
                failure = error
                continue
            self._open.add(connection)
            return connection
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        """The allowed addresses of a name, looked up at each connection, so that a changed address is noticed."""
        looked_up, addresses = self._addresses_by_name.get((host, port), (0.0, []))
        if self._clock() - looked_up > ADDRESS_SECONDS or not addresses:
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
            self._addresses_by_name[host, port] = (self._clock(), addresses)
        allowed = [
            address
            for address in addresses
            if forbidden_reason(address.split("%")[0], private=self._private) is None
        ]
        if not allowed:
            raise OSError(f"{host} leads to no address that may be called")
        return allowed

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def _request_head(method: str, url: str, headers: Mapping[str, str]) -> tuple[Origin, bytes]:
    """A request's head without its length and end.

    >>> _request_head("GET", "http://localhost:8000/v1/models", {"accept": "text/plain"})[1]
    b'GET /v1/models HTTP/1.1\\r\\nhost: localhost:8000\\r\\naccept: text/plain\\r\\n'
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    origin = Origin(secure, parts.hostname or "", parts.port or (443 if secure else 80))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"host: {parts.netloc}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if any(sign in line for line in lines for sign in "\r\n\0"):
        raise ValueError("a line of a request must not break")
    return origin, "".join(f"{line}\r\n" for line in lines).encode("latin-1")


class Exchange:
    """One request and its response, within a time."""

    __slots__ = ("_connection", "_message", "_origin", "_pool", "_timeout")

    _connection: UpstreamConnection | None

    def __init__(
        self, pool: UpstreamPool, head: tuple[str, str, Mapping[str, str]], data: bytes, timeout: float
    ) -> None:
        """head: method, URL and headers. timeout: seconds from the start to the end of the response."""
        self._pool, self._connection = pool, None
        self._origin, start = pool.request_head(*head)
        self._message = b"%bcontent-length: %d\r\n\r\n%b" % (start, len(data), data)
        self._timeout = asyncio.timeout(timeout)

    async def __aenter__(self) -> UpstreamResponse:
        """Send, and wait for the headers of the response."""
        await self._timeout.__aenter__()
        try:
            connection = self._connection = self._pool.idle_connection(self._origin)
            if connection is None:
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = self._connection = await self._pool.connect(self._origin)
            assert connection.transport is not None
            connection.transport.write(self._message)
            while not connection.head_complete:
                await connection.wait()
            return UpstreamResponse(connection)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep the connection, if the response was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if error is None and connection.complete and not connection.pieces:
                self._pool.release(self._origin, connection)
            else:
                self._pool.discard(connection)
        await self._timeout.__aexit__(kind, error, trace)
