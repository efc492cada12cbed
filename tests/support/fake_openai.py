"""A small OpenAI-compatible server: a function answers prompts, a script says what goes wrong and when.

with serving(lambda prompt, seed: "4") as fake:
    ServedModel(fake.name())
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Say = Callable[[str, int], str]  # (prompt, seed) -> answer
Fault = Callable[[BaseHTTPRequestHandler], bool]  # True if it has answered, so that nothing else is sent


@dataclass
class Fake:
    """What the server was asked, and how it misbehaves: faults are used up one a request."""

    say: Say
    faults: list[Fault | None] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    refused: Sequence[str] = ()  # fields that it answers 400 to
    logprobs: bool = True
    many: bool = True  # knows `n`
    usage: bool = True
    keeps: bool = False  # HTTP/1.1: connections stay open
    streams: str = ""  # "always": answers in streams, asked or not; "only": refuses what asks for none
    cuts: int = 0  # streams that are cut in the middle
    connections: int = 0
    port: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def name(self, settings: str = "") -> str:
        """How a user names this model."""
        return f"openai:fake@http://127.0.0.1:{self.port}/v1" + (f"#{settings}" if settings else "")

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """A reply as OpenAI's reference shows it."""
        prompt, seed = body["messages"][-1]["content"], body.get("seed") or 0
        texts = [self.say(prompt, seed + index) for index in range(body.get("n", 1) if self.many else 1)]
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": 5 * len(texts),
            "total_tokens": 10 + 5 * len(texts),
        }
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [self.choice(index, text, body) for index, text in enumerate(texts)],
            **({"usage": usage} if self.usage else {}),
        }

    def choice(self, index: int, text: str, body: dict[str, Any]) -> dict[str, Any]:
        tokens: list[dict[str, Any]] = [
            {"token": t, "logprob": -0.1 * (1 + i), "bytes": None, "top_logprobs": []}
            for i, t in enumerate(text.split())
        ]
        logprobs = {"content": tokens, "refusal": None} if self.logprobs and body.get("logprobs") else None
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": "stop"}

    def events(self, body: dict[str, Any]) -> Iterator[bytes]:
        """The same reply, a word an event."""
        whole = self.answer(body)
        usage = whole.pop("usage", None)
        for choice in whole["choices"]:
            words = choice["message"]["content"].split(" ")
            logprobs = (choice["logprobs"] or {}).get("content", [])
            for index, word in enumerate(words):
                delta = {"content": word + (" " if index < len(words) - 1 else "")}
                part = {"content": logprobs[index : index + 1]} if logprobs else None
                yield _event(
                    {**whole, "choices": [{"index": choice["index"], "delta": delta, "logprobs": part}]}
                )
            last = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
            yield _event({**whole, "choices": [last]})
        if usage and (body.get("stream_options") or {}).get("include_usage"):
            yield _event({**whole, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def stream(to: BaseHTTPRequestHandler, events: Iterator[bytes], cut: bool) -> None:
    """Send events in chunks; a cut one hangs up after the first."""
    to.send_response(200)
    to.send_header("Content-Type", "text/event-stream")
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    for event in events:
        to.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        if cut:
            to.close_connection = True
            return
    to.wfile.write(b"0\r\n\r\n")


def status(code: int, body: Any = None, **headers: str) -> Fault:
    """Answer with a status, an error and headers (a_b becomes a-b)."""

    def act(to: BaseHTTPRequestHandler) -> bool:
        send(to, code, json.dumps(body or {"error": {"message": f"it is {code}"}}).encode(), headers)
        return True

    return act


def text(data: bytes) -> Fault:
    """Answer with these bytes."""
    return lambda to: send(to, 200, data, {}) or True


def cut(to: BaseHTTPRequestHandler) -> bool:
    """Promise more than is sent, and hang up."""
    to.send_response(200)
    to.send_header("Content-Length", "1000")
    to.end_headers()
    to.wfile.write(b'{"choices": [{"mess')
    to.close_connection = True
    return True


def cut_chunks(to: BaseHTTPRequestHandler) -> bool:
    """Send one chunk of a stream, and hang up."""
    to.send_response(200)
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    to.wfile.write(b'8\r\n{"choice\r\n')
    to.close_connection = True
    return True


def hang_up(to: BaseHTTPRequestHandler) -> bool:
    """Close the connection without a word."""
    to.close_connection = True
    return True


def silent(client: BaseHTTPRequestHandler) -> bool:
    """Answer nothing until the client hangs up."""
    client.connection.settimeout(None)
    client.connection.recv(1)
    return True


def dripping(client: BaseHTTPRequestHandler) -> bool:
    """Answer with a blank now and then, until the client hangs up."""
    client.send_response(200)
    client.end_headers()
    try:
        while True:
            client.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        return True


def send(to: BaseHTTPRequestHandler, code: int, data: bytes, headers: dict[str, str]) -> None:
    to.send_response(code)
    for name, value in headers.items():
        to.send_header(name.replace("_", "-"), value)
    to.send_header("Content-Type", "application/json")
    to.send_header("Content-Length", str(len(data)))
    to.end_headers()
    to.wfile.write(data)


@contextmanager
def serving(say: Say = lambda prompt, seed: "4", kind: type[Fake] = Fake, **how: Any) -> Iterator[Fake]:
    """Serve on a free port of this machine while the block runs."""
    fake = kind(say, **how)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with fake.lock:
                fake.bodies.append(body)
                fake.headers.append({**dict(self.headers), "path": self.path})
                fault = fake.faults.pop(0) if fake.faults else None
            if fault and fault(self):
                return
            for name in fake.refused:
                if name in body:
                    error = {
                        "message": f"Unsupported parameter: '{name}'",
                        "param": name,
                        "code": "unsupported",
                    }
                    send(self, 400, json.dumps({"error": error}).encode(), {})
                    return
            if fake.streams == "only" and not body.get("stream"):
                error = {
                    "message": "this model supports streaming only: set stream to true",
                    "param": "stream",
                }
                send(self, 400, json.dumps({"error": error}).encode(), {})
                return
            if fake.streams or body.get("stream"):
                with fake.lock:
                    cut, fake.cuts = fake.cuts > 0, fake.cuts - 1
                stream(self, fake.events(body), cut)
                return
            send(self, 200, json.dumps(fake.answer(body)).encode(), {})

        def setup(self) -> None:
            self.protocol_version = "HTTP/1.1" if fake.keeps else "HTTP/1.0"
            with fake.lock:
                fake.connections += 1
            super().setup()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.port = server.server_address[1]
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
