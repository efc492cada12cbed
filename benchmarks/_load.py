"""A trivial model server and load over raw sockets, so that the measuring costs little beside what is measured."""

import asyncio
import json
import time

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
            {"role": "system", "content": "You are a helpful assistant of a small shop that sells bicycles."},
            {
                "role": "user",
                "content": "Hello! How are you today? I have a question about my order of last week.",
            },
        ],
        "temperature": 0.2,
    }
).encode()


class Model(asyncio.Protocol):
    """Answers every request with the same completion."""

    HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.rest, self.need = transport, b"", None

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while True:
            end = self.rest.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.rest[:end].lower()
            at = head.find(b"content-length:")
            need = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.rest) < end + 4 + need:
                return
            self.rest = self.rest[end + 4 + need :]
            self.transport.write(self.HEAD + ANSWER)  # type: ignore[attr-defined]


class Connection:
    """One kept-alive connection of a client."""

    def __init__(self, port: int, path: str, key: str, body: bytes = BODY) -> None:
        self.port = port
        self.request = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def open(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self) -> tuple[int, bytes]:
        self.writer.write(self.request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        low = head.lower()
        at = low.find(b"content-length:")
        if at >= 0:
            body = await self.reader.readexactly(int(low[at + 15 :].split(b"\r\n", 1)[0]))
        else:
            body = b""
            while not body.endswith(b"0\r\n\r\n"):
                body += await self.reader.readuntil(b"\r\n")
        return int(head[9:12]), body

    def close(self) -> None:
        self.writer.close()


async def closed(port: int, path: str, key: str, connections: int, seconds: float) -> list[float]:
    """Each connection asks again as soon as it is answered; the latencies in seconds."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        connection = await Connection(port, path, key).open()
        while (began := time.perf_counter()) < end:
            status, body = await connection.ask()
            assert status == 200, (status, body[:300])
            took.append(time.perf_counter() - began)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return took


async def opened(port: int, path: str, key: str, rate: float, seconds: float) -> list[float]:
    """Requests start by the clock, whatever becomes of those before; latencies count from when they should start."""
    took: list[float] = []
    idle = [await Connection(port, path, key).open() for _ in range(32)]
    tasks = set()

    async def one(due: float) -> None:
        connection = idle.pop() if idle else await Connection(port, path, key).open()
        status, _ = await connection.ask()
        took.append(time.perf_counter() - due)
        assert status == 200, status
        idle.append(connection)

    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.ensure_future(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return took
