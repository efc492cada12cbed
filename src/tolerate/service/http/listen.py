"""The HTTP server under a service and under a desk at one's own machine: uvicorn, silent, signals left to us."""

import contextlib
from collections.abc import Callable
from typing import Any

import uvicorn


class Quiet(uvicorn.Server):
    """A server that leaves signals to us and says when it listens."""

    on_started: Callable[[], None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Signals are ours."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started and self.on_started is not None:
            self.on_started()


def quiet(
    app: Any,
    host: str,
    port: int,
    *,
    http: Any = "auto",
    drain: float = 2.0,
) -> Quiet:
    """A server of an ASGI application.

    http: the protocol; "auto" takes what is installed. drain: seconds that a stop gives to what was taken.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=http,
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(drain),
        backlog=2048,
    )
    return Quiet(config)
