"""Connections to a server that stay open between requests, each used by one thread at a time.

A kept connection that its server has closed meanwhile is seen before it is used and replaced, so that nothing is
sent twice unasked: a request that breaks on the way fails, and whoever asked decides whether to ask again.
"""

import http.client
import select
import threading
import urllib.request
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

Connection = http.client.HTTPConnection
SOON = 0.2  # seconds for the end of a reply whose last word was read


class NotReached(OSError):
    """There is no connection to the server."""


def host_of(url: str) -> str:
    """The server's name in an address.

    >>> host_of("https://models.example:8443/v1")
    'models.example:8443'
    """
    return urlsplit(url).netloc


class Line:
    """Open connections by server. direct: ask no proxy; else the one that the environment names."""

    def __init__(self, *, direct: bool = False) -> None:
        self.direct = direct
        self.made = 0  # connections so far
        self._free: dict[str, list[Connection]] = {}
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, self._free)

    def close(self) -> None:
        """Close what is open and not in use."""
        with self._lock:
            _close_all(self._free)

    @contextmanager
    def asked(self, url: str, data: bytes, headers: Mapping[str, str], timeout: float) -> Iterator[Any]:
        """The reply to one request, while its body may be read; then the connection is kept if it can be."""
        connection = self._taken(url, timeout)
        kept = False
        try:
            _connect(connection)
            connection.request("POST", self._target(url), data, dict(headers))
            reply = connection.getresponse()
            try:
                yield reply
                kept = _ended(reply, connection)
            finally:
                read = reply.isclosed() or reply.length == 0  # the body of an error, too
                kept = (kept or read) and not reply.will_close
                reply.close()
        finally:
            self._give_back(url, connection) if kept else connection.close()

    def _taken(self, url: str, timeout: float) -> Connection:
        """A free connection that still stands, or a new one."""
        while True:
            with self._lock:
                waiting = self._free.get(_base(url), [])
                connection = waiting.pop() if waiting else None
            if connection is None:
                return self._made(url, timeout)
            if _stands(connection):
                connection.timeout = timeout
                connection.sock.settimeout(timeout)
                return connection
            connection.close()

    def _give_back(self, url: str, connection: Connection) -> None:
        with self._lock:
            self._free.setdefault(_base(url), []).append(connection)

    def _made(self, url: str, timeout: float) -> Connection:
        """A connection to the server, or to the proxy that leads there."""
        self.made += 1
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        proxy = self._proxy(url)
        if proxy is None:
            return kind(parts.hostname or "", parts.port, timeout=timeout)
        made = kind(proxy.hostname or "", proxy.port, timeout=timeout)
        if parts.scheme == "https":
            made.set_tunnel(parts.hostname or "", parts.port)
        return made

    def _proxy(self, url: str) -> Any:
        parts = urlsplit(url)
        if self.direct or urllib.request.proxy_bypass(parts.hostname or ""):
            return None
        found = urllib.request.getproxies().get(parts.scheme)
        return urlsplit(found if "://" in found else f"http://{found}") if found else None

    def _target(self, url: str) -> str:
        """What is asked for: a path, or of a proxy for plain HTTP the whole address."""
        parts = urlsplit(url)
        if parts.scheme == "http" and self._proxy(url) is not None:
            return url
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _base(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _stands(connection: Connection) -> bool:
    """Whether a kept connection is still open: one that has something to say unasked was closed."""
    if connection.sock is None:
        return False
    try:
        return not select.select([connection.sock], [], [], 0)[0]
    except (OSError, ValueError):
        return False


def _connect(connection: Connection) -> None:
    if connection.sock is None:
        try:
            connection.connect()
        except TimeoutError:
            raise
        except OSError as error:
            raise NotReached(error.strerror or str(error)) from None


def _ended(reply: Any, connection: Connection) -> bool:
    """Whether all of a reply was read; of a stream, whose last event was, the sign that ends it is waited for."""
    if reply.isclosed() or connection.sock is None:
        return bool(reply.isclosed())
    connection.sock.settimeout(SOON)
    try:
        return not reply.read1(1)
    except (OSError, http.client.HTTPException):
        return False


def _close_all(free: dict[str, list[Connection]]) -> None:
    for waiting in free.values():
        while waiting:
            waiting.pop().close()
