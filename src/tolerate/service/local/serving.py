"""The server of a local desk, on the loopback address alone."""

import asyncio
import socket
from collections.abc import Callable

from tolerate.service.desk.app import Desk
from tolerate.service.http.listen import AsgiApp, http_server
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
END_DELAY_SECONDS = 0.5  # in which the last page loads its style


def listening_socket(port: int) -> socket.socket:
    """A socket on the loopback address; on a free port if this one is in use."""
    try:
        return socket.create_server((HOST, port))
    except OSError:
        return socket.create_server((HOST, 0))


def address(listening: socket.socket) -> str:
    """The address of a socket for a browser."""
    return f"http://{HOST}:{listening.getsockname()[1]}"


async def serve_until(
    desk: Desk, listening: socket.socket, on_started: Callable[[], None], finished: asyncio.Event
) -> None:
    """Serve a desk until `finished` is set; `on_started` is called as soon as requests are answered."""
    server = http_server(_asgi_app(desk), HOST, listening.getsockname()[1])
    server.on_started = on_started
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    ending = asyncio.ensure_future(finished.wait())
    try:
        await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
        server.should_exit = True
        await serving


def finish_soon(finished: asyncio.Event) -> None:
    """Set an event after a delay in which the last page still loads its style."""
    asyncio.get_running_loop().call_later(END_DELAY_SECONDS, finished.set)


def _asgi_app(desk: Desk) -> AsgiApp:
    """The desk as an ASGI application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            if scope["path"].startswith("/desk"):
                await desk.answer(Request(scope, receive), send_noting_start)
            else:
                await redirect(send_noting_start, "/desk")
        except ClientDisconnected:
            pass
        except Exception as error:
            path = scope["path"].partition("enter")[0]  # without the token of a login link
            log("fault", path=path, kind=type(error).__name__, what=str(error))
            if not started:
                body = b"the desk failed; verdicts that were given before are stored"
                await respond(send_noting_start, 500, body, kind=b"text/plain")

    return app
