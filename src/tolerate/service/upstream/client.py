"""HTTP/1.1 to models: kept-alive connections, one exchange at a time on each, and addresses looked at before a call.

A general client spends more on a call than the rest of the gateway on a request; this is the little of it that is
needed (RFC 9112), on the parser that reads our own requests too. Bodies come by length, in chunks or until the end
of the connection. A connection goes back to its pool only when its answer was read to its end.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httptools

from tolerate.service.upstream.guard import refuse

HEAD = 64 * 2**10  # bytes of a response's head, at most
AHEAD = 2**20  # bytes that may wait unread before the other side must pause
IDLE = 15.0  # seconds for which an unused connection is kept
NAMES = 10.0  # seconds for which an address is remembered
CONNECT = 5.0  # seconds for a connection to come about


class Broken(OSError):
    """The other side closed the connection, or said something that is no HTTP."""


class TooLong(Exception):
    """A body is longer than the caller reads."""


class Place(NamedTuple):
    """Where a connection leads."""

    secure: bool
    host: str
    port: int


class Line(asyncio.Protocol):
    """One connection; the parser calls the `on_` methods as an answer comes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.idle_since = 0.0
        self.begin()

    def begin(self) -> None:
        """Be ready for the next answer."""
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.headers = 0, {}
        self.pieces: list[bytes] = []
        self.waiting_bytes = self._head_bytes = 0
        self.headed = self.whole = self.alive = self.to_the_end = self.paused = False
        self.error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    headers: dict[bytes, bytes]

    async def more(self) -> None:
        """Return when something new has come; raises what went wrong."""
        if self.error is not None:
            raise self.error
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if self.error is not None:
            waiter.set_exception(self.error)
        else:
            waiter.set_result(None)

    def _fail(self, why: str) -> None:
        if not self.whole and self.error is None:
            self.error = Broken(why)
            self.close()
            self._wake()

    def close(self) -> None:
        """Not to be used again."""
        if self.transport is not None:
            self.transport.abort()

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self.whole:  # nobody asked for anything
            self.close()
            return
        if not self.headed:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except Exception as error:
            self._fail(f"the answer is no HTTP: {error}")
            return
        if not self.headed and self._head_bytes > HEAD:
            self._fail("the answer's head has no end")
        elif self.headed or self.whole:
            self._wake()
        if self.waiting_bytes > AHEAD and not self.paused and self.transport is not None:
            self.paused = True
            self.transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """The other side went away: an answer without a length is whole now, another one is broken."""
        if self.headed and self.to_the_end and error is None:
            self.whole = True
            self._wake()
        self._fail("the connection was closed")

    # The parser calls these

    def on_message_begin(self) -> None:
        """A second answer in the same bytes: nobody asked for it, so the connection is not used again."""
        self.to_the_end = self.to_the_end or self.whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self.whole:
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is there."""
        if self.whole:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        chunked = b"chunked" in self.headers.get(b"transfer-encoding", b"").lower()
        self.to_the_end = not chunked and b"content-length" not in self.headers
        self.headed = True

    def on_body(self, piece: bytes) -> None:
        """A part of the body."""
        if self.whole:
            return
        self.pieces.append(piece)
        self.waiting_bytes += len(piece)

    def on_message_complete(self) -> None:
        """The end; after a word in between (1xx) the answer is still to come."""
        if self.status < 200:
            self.headers = {}
            return
        if not self.whole:
            self.whole, self.alive = True, self._parser.should_keep_alive()

    # The reader

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow."""
        stands = self.transport is not None and not self.transport.is_closing()
        return stands and self.whole and self.alive and not self.to_the_end

    def take(self) -> bytes:
        """What has come and was not taken yet."""
        data = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces, self.waiting_bytes = [], 0
        if self.paused and self.transport is not None:
            self.paused = False
            self.transport.resume_reading()
        return data


class Response:
    """An answer whose head has come."""

    __slots__ = ("_line", "status")

    def __init__(self, line: Line) -> None:
        self._line, self.status = line, line.status

    def header(self, name: bytes) -> str:
        """A header's text, "" if it is absent."""
        return self._line.headers.get(name, b"").decode("latin-1")

    async def read(self, most: int) -> bytes:
        """The whole body; raises TooLong."""
        line = self._line
        if line.whole and line.waiting_bytes <= most:
            return line.take()
        pieces, size = [], 0
        async for piece in self.pieces():
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise TooLong
        return b"".join(pieces)

    async def start(self, most: int) -> bytes:
        """The body's first bytes."""
        found = b""
        async for piece in self.pieces():
            found += piece
            if len(found) >= most:
                break
        return found[:most]

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        line = self._line
        while True:
            if line.pieces:
                yield line.take()
            elif line.whole:
                return
            else:
                await line.more()


class Calls:
    """A pool of connections to models. private: whether private addresses may be called."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._idle: dict[Place, list[Line]] = {}
        self._open: set[Line] = set()
        self._names: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._heads: dict[tuple[str, str, Any], tuple[Place, bytes]] = {}
        self._tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        """Let every connection go."""
        for line in list(self._open):
            line.close()
        self._open.clear()
        self._idle.clear()

    def post(self, url: str, data: bytes, headers: Mapping[str, str], timeout: float) -> "Exchange":
        """Send a body; `async with` gives the response."""
        return Exchange(self, "POST", url, data, headers, timeout)

    def get(self, url: str, headers: Mapping[str, str], timeout: float) -> "Exchange":
        """Ask for something; `async with` gives the response."""
        return Exchange(self, "GET", url, b"", headers, timeout)

    def head(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[Place, bytes]:
        """Where a request goes, and its head up to the length of its body; remembered."""
        name = (method, url, tuple(headers.items()))
        found = self._heads.get(name)
        if found is None:
            if len(self._heads) > 256:
                self._heads.clear()
            found = self._heads[name] = _head(method, url, headers)
        return found

    def idle(self, place: Place) -> Line | None:
        """A connection that stands already."""
        waiting = self._idle.get(place)
        while waiting:
            line = waiting.pop()
            if line.reusable and time.monotonic() - line.idle_since < IDLE:
                line.begin()
                return line
            self.drop(line)
        return None

    def keep(self, place: Place, line: Line) -> None:
        """An exchange is over: keep its connection if it can be used again."""
        if line.reusable:
            line.idle_since = time.monotonic()
            self._idle.setdefault(place, []).append(line)
        else:
            self.drop(line)

    def drop(self, line: Line) -> None:
        """Not to be used again."""
        line.close()
        self._open.discard(line)

    async def connect(self, place: Place) -> Line:
        """A new connection, to an address that may be called."""
        loop, failure = asyncio.get_running_loop(), OSError(f"{place.host} has no address")
        for address in await self._addresses(place.host, place.port):
            tls: dict[str, Any] = (
                {"ssl": self._secure(), "server_hostname": place.host} if place.secure else {}
            )
            try:
                _, line = await loop.create_connection(Line, address, place.port, **tls)
            except OSError as error:
                failure = error
                continue
            self._open.add(line)
            return line
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Looked up at each connection, so that a name that changes its address is caught."""
        at, found = self._names.get((host, port), (0.0, []))
        if time.monotonic() - at > NAMES or not found:
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
            self._names[host, port] = (time.monotonic(), found)
        allowed = [each for each in found if refuse(each.split("%")[0], private=self._private) is None]
        if not allowed:
            raise OSError(f"{host} leads to no address that may be called")
        return allowed

    def _secure(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def _head(method: str, url: str, headers: Mapping[str, str]) -> tuple[Place, bytes]:
    """A request's head without its length and end.

    >>> _head("GET", "http://localhost:8000/v1/models", {"accept": "text/plain"})[1]
    b'GET /v1/models HTTP/1.1\\r\\nhost: localhost:8000\\r\\naccept: text/plain\\r\\n'
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    place = Place(secure, parts.hostname or "", parts.port or (443 if secure else 80))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"host: {parts.netloc}",
        *(f"{n}: {v}" for n, v in headers.items()),
    ]
    if any(sign in line for line in lines for sign in "\r\n\0"):
        raise ValueError("a line of a request must not break")
    return place, "".join(f"{line}\r\n" for line in lines).encode("latin-1")


class Exchange:
    """One request and its answer, within a time."""

    __slots__ = ("_at_most", "_calls", "_head", "_line", "_message", "_place")

    def __init__(
        self, calls: Calls, method: str, url: str, data: bytes, headers: Mapping[str, str], timeout: float
    ) -> None:
        self._calls, self._line = calls, None
        self._place, head = calls.head(method, url, headers)
        self._message = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(data), data)
        self._at_most = asyncio.timeout(timeout)

    _line: Line | None

    async def __aenter__(self) -> Response:
        """Send, and wait for the head of the answer."""
        await self._at_most.__aenter__()
        try:
            line = self._line = self._calls.idle(self._place)
            if line is None:
                async with asyncio.timeout(CONNECT):
                    line = self._line = await self._calls.connect(self._place)
            assert line.transport is not None
            line.transport.write(self._message)
            while not line.headed:
                await line.more()
            return Response(line)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep the connection, if the answer was read to its end."""
        line, self._line = self._line, None
        if line is not None:
            if error is None and line.whole and not line.pieces:
                self._calls.keep(self._place, line)
            else:
                self._calls.drop(line)
        await self._at_most.__aexit__(kind, error, trace)
