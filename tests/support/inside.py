"""The whole service inside one process: the real app, engine, writer and assembly of streams; only sockets are left out.

A fake transport stands in place of `upstream.transport`: it answers what the last message says (see
`service_fakes.Upstream`), and whatever is cut, torn or broken in a stream goes through the code that reads real ones.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.service_fakes import Upstream, certificate, pieces_of
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
from tolerate.service.server import RunningService
from tolerate.service.upstream.client import UpstreamClient
from tolerate.service.upstream.transport import ConnectionBroken

MODEL = "http://127.0.0.1:9/v1"  # never called
BREAK = b"\0break"  # a piece that is a broken connection


def service_of(url: str, folder: Path, *, threshold: float | None = 0.5, **more: Any) -> ServiceSettings:
    """One job with one tier and a certificate that releases from a threshold on."""
    path = folder / "certificate.json"
    path.write_text(certificate(threshold=threshold).dumps())
    about = {"judge": "given", "certificate": str(path), "retries": 0, "model": "tiny"}
    tier = TierSettings("main", MODEL, **{**about, **more.pop("tier", {})})
    return ServiceSettings((JobSettings("support", (tier,), **{"share": 0.0, **more}),), database=url, port=0)


class FakeResponse:
    """A response as `upstream.transport` would give it."""

    def __init__(self, status: int, pieces: Iterable[bytes], kind: str) -> None:
        self.status, self._pieces, self._kind = status, list(pieces), kind

    def header(self, name: bytes) -> str:
        return self._kind if name == b"content-type" else ""

    async def pieces(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(0)
            if piece == BREAK:
                raise ConnectionBroken("broken")
            yield piece

    async def read(self, max_bytes: int) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def read_start(self, max_bytes: int) -> bytes:
        return (await self.read(max_bytes))[:max_bytes]


class FakeTransport:
    """UpstreamPool to models end here. between: called while an answer is on its way."""

    def __init__(self) -> None:
        self.model = Upstream()
        self.between: Callable[[dict[str, Any]], Any] | None = None

    @asynccontextmanager
    async def post(self, url: str, data: bytes, headers: Any, timeout: float) -> AsyncIterator[FakeResponse]:
        body = json.loads(data)
        text = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        instructions = json.loads(text)
        if self.between is not None:
            waiting = self.between(instructions)
            if waiting is not None:
                await waiting
        if "fail" in instructions:
            yield FakeResponse(instructions["fail"], [b"{}"], "application/json")
        elif "pieces" in instructions:
            kind = instructions.get("kind", "text/event-stream")
            yield FakeResponse(200, [piece.encode("latin-1") for piece in instructions["pieces"]], kind)
        else:
            whole = self.model.answer(body, instructions)
            if body.get("stream"):
                pieces = [piece.encode() for piece in pieces_of(whole, "prompt" in body)]
                yield FakeResponse(200, pieces, "text/event-stream")
            else:
                yield FakeResponse(200, [json.dumps(whole).encode()], "application/json")

    @asynccontextmanager
    async def get(self, url: str, headers: Any, timeout: float) -> AsyncIterator[FakeResponse]:
        yield FakeResponse(404, [], "application/json")

    async def close(self) -> None:
        pass


async def started(service: ServiceSettings) -> tuple[RunningService, FakeTransport]:
    """A running service without sockets."""
    transport = FakeTransport()
    running = RunningService(service, UpstreamClient(service.private, transport))
    try:
        await running.start()
    except BaseException:
        await running.stop()
        raise
    return running, transport


@dataclass
class Heard:
    """What a client got, piece by piece."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Any,
    method: str,
    path: str,
    body: Any = None,
    key: str = "",
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    on_send: Callable[[dict[str, Any]], None] | None = None,
    gone: asyncio.Event | None = None,
) -> Heard:
    """One request to the ASGI application. on_send: sees each message before the client would."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    all_headers = [
        (b"authorization", f"Bearer {key}".encode()),
        (b"content-type", b"application/json"),
        *headers,
    ]
    scope = {"type": "http", "method": method, "path": path, "headers": all_headers, "query_string": b"",
             "client": ("127.0.0.1", 1)}  # fmt: skip
    heard, sent = Heard(), False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": raw}
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if on_send is not None:
            on_send(message)
        if message["type"] == "http.response.start":
            heard.status = message["status"]
            heard.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            heard.pieces.append(message.get("body", b""))

    await app(scope, receive, send)
    return heard


def chat(instructions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chat request whose last message tells the fake model what to answer."""
    return {"model": "support", "messages": [{"role": "user", "content": json.dumps(instructions)}], **more}
