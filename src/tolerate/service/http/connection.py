"""Connections of clients: uvicorn's protocol, with limits on the size and the time of a request's head.

uvicorn bounds neither, so that somebody who sends a byte a minute, or headers without end, would hold a connection
and its memory for ever. Bodies have limits of their own (`requests.Request.body`).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 2**10  # of a request
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def limited_protocol(seconds: float) -> type[HttpToolsProtocol]:
    """A protocol that closes a connection whose next head does not come within so many seconds.

    They count from the start of the connection, and from the first byte of each later head.
    """

    class LimitedProtocol(HttpToolsProtocol):
        _deadline: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: Any) -> None:  # of uvloop or asyncio
            super().connection_made(transport)
            self._start_timer()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._start_timer()

        def on_headers_complete(self) -> None:
            self._stop_timer()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            if self._deadline is not None:
                self._head_bytes += len(data)
            super().data_received(data)
            if self._deadline is not None and self._head_bytes > MAX_HEAD_BYTES:
                self.transport.write(TOO_LONG)
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _start_timer(self) -> None:
            if self._deadline is None:
                self._deadline, self._head_bytes = self.loop.call_later(seconds, self._abort), 0

        def _stop_timer(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _abort(self) -> None:
            self.transport.abort()

    return LimitedProtocol
