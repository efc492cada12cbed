"""A trivial model server and a load generator over raw sockets, so that measuring adds little CPU time."""

import asyncio
import json
import sys
import time
from collections.abc import Callable

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Fine, thank you. How may I help you today?"},
                "finish_reason": "stop",
                "score": 0.9,
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30},
    }
).encode()
BODY = json.dumps(
    {
        "model": "fake",
        "messages": [
            {"role": "system", "content": "You are the assistant of a small shop that sells bicycles."},
            {"role": "user", "content": "Hello! I have a question about my order of last week: where is it?"},
        ],
        "temperature": 0.2,
    }
).encode()


class Wire(asyncio.Protocol):
    """Parse HTTP messages with a content-length, or in chunks; `on_message` gets the status and the body of each."""

    def __init__(self, on_message: Callable[["Wire", int, bytes], None]) -> None:
        self._on_message, self._rest = on_message, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end].lower()
            position = head.find(b"content-length:")
            if position >= 0:
                size = int(head[position + 15 :].split(b"\r\n", 1)[0])
                length = end + 4 + size
            elif b"transfer-encoding: chunked" in head:
                last = self._rest.find(b"0\r\n\r\n", end)
                if last < 0:
                    return
                length = last + 5
            else:
                length = end + 4
            if len(self._rest) < length:
                return
            body, self._rest = self._rest[end + 4 : length], self._rest[length:]
            status = int(head[9:12]) if head.startswith(b"http/") else 0
            self._on_message(self, status, body)


def _answer(wire: Wire, status: int, body: bytes) -> None:
    wire.transport.write(HEAD + ANSWER)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Wire(_answer), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def request(path: str, key: str) -> bytes:
    """The bytes of a chat request with a body of 250 bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


async def closed_loop(
    port: int, message: bytes, connections: int, seconds: float, max_requests: int = 10**9
) -> list[float]:
    """Latencies in seconds, if each connection sends its next request as soon as the last one is answered."""
    took: list[float] = []
    began: dict[Wire, float] = {}
    end, idle = time.perf_counter() + seconds, asyncio.Event()
    open_ = connections

    def ask(wire: Wire) -> None:
        began[wire] = time.perf_counter()
        wire.transport.write(message)

    def on_answer(wire: Wire, status: int, body: bytes) -> None:
        nonlocal open_
        now = time.perf_counter()
        assert status == 200, (status, body[:300])
        took.append(now - began[wire])
        if now < end and len(took) < max_requests:
            ask(wire)
            return
        wire.transport.close()
        open_ -= 1
        if open_ == 0:
            idle.set()

    loop = asyncio.get_running_loop()
    for _ in range(connections):
        _, wire = await loop.create_connection(lambda: Wire(on_answer), "127.0.0.1", port)
        ask(wire)
    await asyncio.wait_for(idle.wait(), seconds + 120)
    return took


async def open_loop(port: int, message: bytes, rate: float, seconds: float) -> list[float]:
    """Latencies in seconds of requests that start at fixed times; each counts from its scheduled start."""
    took: list[float] = []
    due: dict[Wire, float] = {}
    count, finished = int(rate * seconds), asyncio.Event()

    def on_answer(wire: Wire, status: int, body: bytes) -> None:
        assert status == 200, (status, body[:300])
        took.append(time.perf_counter() - due[wire])
        idle.append(wire)
        if len(took) == count:
            finished.set()

    loop = asyncio.get_running_loop()
    idle = [(await loop.create_connection(lambda: Wire(on_answer), "127.0.0.1", port))[1] for _ in range(64)]
    lines = list(idle)
    began = time.perf_counter() + 0.05
    for number in range(count):
        start = began + number / rate
        while (pause := start - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        if not idle:
            idle.append((await loop.create_connection(lambda: Wire(on_answer), "127.0.0.1", port))[1])
            lines.append(idle[-1])
        wire = idle.pop()
        due[wire] = start
        wire.transport.write(message)
    await asyncio.wait_for(finished.wait(), 60)
    for wire in lines:
        wire.transport.close()
    return took


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
