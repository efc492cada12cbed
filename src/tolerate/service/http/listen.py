"""The HTTP server under a service and under a desk on one machine: uvicorn without logs and signal handlers."""

import contextlib
import socket
from asyncio import Protocol
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048
AsgiApp = Callable[..., Awaitable[None]]


class HttpServer(uvicorn.Server):
    """A server that leaves signals to the caller and calls `on_started` when it listens."""

    on_started: Callable[[], None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then call `on_started`."""
        await super().startup(sockets)
        if self.started and self.on_started is not None:
            self.on_started()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.servers[0].sockets[0].getsockname()[1])


def http_server(
    app: AsgiApp, host: str, port: int, *, protocol: type[Protocol] | None = None, drain: float = 2.0
) -> HttpServer:
    """A server of an ASGI application.

    protocol: of its connections; by default what is installed. drain: seconds that a stop gives to requests that
    have begun.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol or "auto",
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(drain),
        backlog=BACKLOG,
    )
    return HttpServer(config)
