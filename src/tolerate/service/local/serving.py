"""A desk on this machine alone, from its first link to its end."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from tolerate.service.desk import Desk
from tolerate.service.http.listen import http_server
from tolerate.service.http.logging import log
from tolerate.service.http.requests import (
    ClientDisconnected,
    Message,
    Receive,
    Request,
    Scope,
    Send,
    redirect,
    respond,
)

HOST = "127.0.0.1"


def port_of(port: int) -> socket.socket:
    """A socket on this machine alone; on a free port if this one is taken."""
    try:
        return socket.create_server((HOST, port))
    except OSError:
        return socket.create_server((HOST, 0))


def address(listening: socket.socket) -> str:
    """Where a browser finds it."""
    return f"http://{HOST}:{listening.getsockname()[1]}"


async def listen(
    desk: Desk, listening: socket.socket, announce: Callable[[], None], finished: asyncio.Event
) -> None:
    """Answer browsers until it is finished; `announce` is called as soon as they are answered."""
    server = http_server(_app(desk), HOST, listening.getsockname()[1])
    server.on_started = announce
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    ending = asyncio.ensure_future(finished.wait())
    try:
        await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
        server.should_exit = True
        await serving


def end_soon(finished: asyncio.Event) -> None:
    """The last page still loads its style."""
    asyncio.get_running_loop().call_later(0.5, finished.set)


def _app(desk: Desk) -> Any:
    """The desk as an ASGI application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            if scope["path"].startswith("/desk"):
                await desk.answer(Request(scope, receive), noted)
            else:
                await redirect(noted, "/desk")
        except ClientDisconnected:
            pass
        except Exception as error:
            log("fault", path=scope["path"].partition("enter")[0], kind=type(error).__name__, what=str(error))
            if not started:
                await respond(noted, 500, b"the desk failed; what it had taken is kept", kind=b"text/plain")

    return app
