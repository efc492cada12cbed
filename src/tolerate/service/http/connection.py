"""One connection of a client: uvicorn's protocol, with a limit on the size and the time of a request's head.

uvicorn bounds neither, so that somebody who sends a byte a minute, or headers without end, would hold a connection
and its memory for ever. Bodies have limits of their own (`http.Request.body`).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 64 * 2**10  # bytes of a request's head, at most
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def connections(seconds: float) -> type[HttpToolsProtocol]:
    """The protocol whose heads must come within some seconds of the connection, or of their first byte."""

    class Connection(HttpToolsProtocol):
        _late: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._expect()

        def on_headers_complete(self) -> None:
            self._came()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            if self._late is not None:
                self._head_bytes += len(data)
            super().data_received(data)
            if self._late is not None and self._head_bytes > HEAD:
                self.transport.write(TOO_LONG)
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._came()
            super().connection_lost(exc)

        def _expect(self) -> None:
            if self._late is None:
                self._late, self._head_bytes = self.loop.call_later(seconds, self._close), 0

        def _came(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _close(self) -> None:
            self.transport.abort()

    return Connection
