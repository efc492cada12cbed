"""Connections to servers that stay open between requests, each used by one thread at a time.

An idle connection that its server has closed meanwhile is noticed before it is used and replaced, so that nothing is
sent twice unasked: a request that breaks on the way fails, and its caller decides whether to send it again.
"""

import http.client
import select
import threading
import urllib.request
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import SplitResult, urlsplit

END_SECONDS = 0.2  # for the end of a response whose last event was read


class ConnectionFailed(OSError):
    """Raised when no connection to the server can be made."""


def host_of(url: str) -> str:
    """The server's name in an address.

    >>> host_of("https://models.example:8443/v1")
    'models.example:8443'
    """
    return urlsplit(url).netloc


class ConnectionPool:
    """Open connections by server. direct: use no proxy; else the one that the environment names."""

    def __init__(self, *, direct: bool = False) -> None:
        self.direct = direct
        self.opened = 0  # connections so far
        self._idle: dict[str, list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def close(self) -> None:
        """Close the connections that are open and not in use."""
        with self._lock:
            _close_all(self._idle)

    @contextmanager
    def post(
        self, url: str, data: bytes, headers: Mapping[str, str], timeout: float
    ) -> Iterator[http.client.HTTPResponse]:
        """The response to one request, while its body may be read; then the connection is kept if it can be."""
        connection = self._acquire(url, timeout)
        reusable = False
        try:
            _connect(connection)
            connection.request("POST", self._target(url), data, dict(headers))
            response = connection.getresponse()
            try:
                yield response
                reusable = _has_ended(response, connection)
            finally:
                complete = response.isclosed() or response.length == 0  # the body of an error, too
                reusable = (reusable or complete) and not response.will_close
                response.close()
        finally:
            self._release(url, connection) if reusable else connection.close()

    def _acquire(self, url: str, timeout: float) -> http.client.HTTPConnection:
        """An idle connection that is still open, or a new one."""
        while True:
            with self._lock:
                idle = self._idle.get(_origin(url), [])
                connection = idle.pop() if idle else None
            if connection is None:
                return self._new(url, timeout)
            if _is_open(connection):
                connection.timeout = timeout
                connection.sock.settimeout(timeout)
                return connection
            connection.close()

    def _release(self, url: str, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.setdefault(_origin(url), []).append(connection)

    def _new(self, url: str, timeout: float) -> http.client.HTTPConnection:
        """A connection to the server, or to the proxy that leads there."""
        self.opened += 1
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        proxy = self._proxy(url)
        if proxy is None:
            return kind(parts.hostname or "", parts.port, timeout=timeout)
        connection = kind(proxy.hostname or "", proxy.port, timeout=timeout)
        if parts.scheme == "https":
            connection.set_tunnel(parts.hostname or "", parts.port)
        return connection

    def _proxy(self, url: str) -> SplitResult | None:
        parts = urlsplit(url)
        if self.direct or urllib.request.proxy_bypass(parts.hostname or ""):
            return None
        proxy = urllib.request.getproxies().get(parts.scheme)
        return urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None

    def _target(self, url: str) -> str:
        """The target of the request line: a path, or of a proxy for plain HTTP the whole address."""
        parts = urlsplit(url)
        if parts.scheme == "http" and self._proxy(url) is not None:
            return url
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Whether an idle connection is still open: bytes, or an end, that nobody asked for mean that it is not."""
    if connection.sock is None:
        return False
    try:
        return not select.select([connection.sock], [], [], 0)[0]
    except (OSError, ValueError):
        return False


def _connect(connection: http.client.HTTPConnection) -> None:
    if connection.sock is None:
        try:
            connection.connect()
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionFailed(error.strerror or str(error)) from None


def _has_ended(response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> bool:
    """Whether all of a response was read; of a stream, whose last event was, its end is waited for."""
    if response.isclosed() or connection.sock is None:
        return response.isclosed()
    connection.sock.settimeout(END_SECONDS)
    try:
        return not response.read1(1)
    except (OSError, http.client.HTTPException):
        return False


def _close_all(idle: dict[str, list[http.client.HTTPConnection]]) -> None:
    for connections in idle.values():
        while connections:
            connections.pop().close()
