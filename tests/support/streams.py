"""Fuzzed streams through the whole gateway: nothing of a model reaches a client before its row says release.

Streams are made well-formed and then cut anywhere, torn, shuffled, doubled, broken and poisoned; clients go away,
certificates come and go. Every message is looked at when it is sent: one that holds a token needs, at that moment, a
committed row that releases this very request. What a client gets whole must be what the row's hash is of.
"""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.inside import BREAK, call, service_of, started
from tests.support.service_fakes import Upstream, certificate, pieces_of
from tolerate.llm.openai_format import CHAT, TEXT, answer_text
from tolerate.llm.stream import EventReader, StreamAssembler
from tolerate.service import app as app_module
from tolerate.service.decide import binding
from tolerate.service.openai_format import DONE, ApiError, event_bytes
from tolerate.service.server import RunningService
from tolerate.store import certificates, connect
from tolerate.store.verify import verify

PERIOD, GAP = 60, 10  # streams from one withdrawal to the next, and without a certificate
JUNK: list[Any] = [None, True, -1, 2**70, 0.5, "x", [], {}, [None], {"a": 1}, "\ud800", "\0"]


class Committed:
    """Stands before the writer's connection and knows what is on the disk: the rows of each label."""

    def __init__(self, real: Any) -> None:
        self._real, self._waiting, self._mark = real, [], 0
        self.rows: dict[str, list[dict[str, Any]]] = {}

    def many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        self._real.many(sql, rows)
        self._waiting += [body for _, body, _ in rows]

    def run(self, sql: str, *values: Any) -> int:
        result = self._real.run(sql, *values)
        if sql.startswith("SAVEPOINT"):
            self._mark = len(self._waiting)
        elif sql.startswith("ROLLBACK TO"):
            del self._waiting[self._mark :]
        elif sql in ("COMMIT", "ROLLBACK"):
            for body in self._waiting if sql == "COMMIT" else ():
                entry = json.loads(body)
                if entry["kind"] == "decision":
                    self.rows.setdefault(entry.get("slice", ""), []).append(entry)
            self._waiting = []
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def releases(self, label: str) -> bool:
        """Whether exactly one row is there, and releases."""
        return [row["decision"] for row in self.rows.get(label, ())] == ["release"]


# Streams


def answer(rng: random.Random, label: str, text: bool, n: int) -> dict[str, Any]:
    """A whole answer that carries its label in every part."""
    mark = f"<{label}>"
    says = [" ".join([mark] * rng.randrange(1, 4)) for _ in range(n)]
    instructions: dict[str, Any] = {"says": says, "scores": [rng.choice([0.9, 0.6, 0.2]) for _ in range(n)]}
    if not text and rng.random() < 0.25:
        name = {"name": f"do_{mark}", "arguments": json.dumps({"a": mark})}
        instructions["calls"] = [
            {"id": f"c{i}", "type": "function", "function": name} for i in range(rng.randrange(1, 3))
        ]
    body = {"prompt": ""} if text else {"messages": []}
    return Upstream().answer({**body, "n": n}, instructions)


def fuzzed(rng: random.Random, pieces: list[str]) -> list[bytes]:
    """A stream after none, one or several accidents."""
    events = [piece.encode() for piece in pieces]
    for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3])):
        events = rng.choice(ACCIDENTS)(rng, events)
    if rng.random() < 0.5:
        whole = b"".join(event for event in events if event != BREAK)
        cuts = sorted(rng.sample(range(len(whole) + 1), min(len(whole), rng.randrange(1, 8))))
        broken = [BREAK] if BREAK in events else []
        events = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)] + broken
    return events


def _poison(rng: random.Random, events: list[bytes]) -> list[bytes]:
    """Something of another kind somewhere in an event's JSON."""
    place = rng.randrange(len(events))
    with contextlib.suppress(ValueError, TypeError):
        body = json.loads(events[place][6:])
        node: Any = body
        while isinstance(node, dict | list) and node:
            name = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
            if rng.random() < 0.4 or not isinstance(node[name], dict | list) or not node[name]:
                node[name] = rng.choice(JUNK)
                break
            node = node[name]
        return [*events[:place], b"data: " + json.dumps(body).encode() + b"\n\n", *events[place + 1 :]]
    return events


def _corrupt(rng: random.Random, events: list[bytes]) -> list[bytes]:
    place = rng.randrange(len(events))
    event = bytearray(events[place] or b" ")
    event[rng.randrange(len(event))] = rng.randrange(256)
    return [*events[:place], bytes(event), *events[place + 1 :]]


def _inserted(*insertions: bytes) -> Any:
    def insert(rng: random.Random, events: list[bytes]) -> list[bytes]:
        place = rng.randrange(len(events) + 1)
        return [*events[:place], rng.choice(insertions), *events[place:]]

    return insert


def _dropped(rng: random.Random, events: list[bytes]) -> list[bytes]:
    place = rng.randrange(len(events))
    return [*events[:place], *events[place + 1 :]] or [b"\n"]


def _shuffled(rng: random.Random, events: list[bytes]) -> list[bytes]:
    return rng.sample(events, len(events))


ACCIDENTS: list[Any] = [
    _poison, _poison, _poison, _corrupt, _dropped, _shuffled,
    _inserted(b"data: [DONE]\n\n"), _inserted(BREAK),
    _inserted(b": a comment\n\n", b"event: x\nid: 7\n", b"\r\n\r\n", b"data:\n\n", b"retry: 1\n"),
    _inserted(b"data: {\n\n", b"data: 7\n\n", b"data: []\n\n", b"data: \xff\n\n", b"junk\n\n"),
    _inserted(b'data: {"error": {"message": "no"}}\n\n'),
    lambda rng, events: events[: rng.randrange(len(events) + 1)] or [b""],
    lambda rng, events: [event for copied in events for event in [copied] * rng.choice([1, 1, 1, 2])],
    lambda rng, events: [event.replace(b"\n", b"\r\n") for event in events],
]  # fmt: skip


# What is sent, as it is sent


class Client:
    """Looks at each message of one stream at the moment it is sent."""

    def __init__(self, label: str, disk: Committed, marked: bool = False) -> None:
        self.label, self.disk, self.marked = label, disk, marked
        self.wrong: list[str] = []
        self.bytes = b""

    def on_send(self, message: dict[str, Any]) -> None:
        piece = message.get("body", b"")
        self.bytes += piece
        if self.marked:
            self.wrong += [f"{self.label}: a chunk without its mark"] * _unmarked(piece)
        elif _has_token(piece, self.label) and not self.disk.releases(self.label):
            self.wrong.append(f"{self.label}: a token left before its row said release")

    def at_the_end(self, kind: str, gone: bool) -> list[str]:
        """What is wrong with the stream as a whole."""
        if self.marked or gone or not self.bytes.startswith((b"data:", b":")):
            return self.wrong
        if not self.bytes.endswith(DONE) and b'"error"' not in self.bytes:
            self.wrong.append(f"{self.label}: neither an end nor an error")
        if self.disk.releases(self.label):
            assembler = StreamAssembler(kind)
            for event in EventReader(2**30).feed(self.bytes):
                assembler.add(event)
            if binding.sha256(answer_text(assembler.answer())) != self.disk.rows[self.label][0]["content"]:
                self.wrong.append(f"{self.label}: the client got something else than the row says")
        return self.wrong


def _has_token(piece: bytes, label: str) -> bool:
    return f"<{label}>".encode() in piece or b'"arguments"' in piece


def _unmarked(piece: bytes) -> int:
    lines = [line[6:] for line in piece.split(b"\n") if line.startswith(b"data: ") and line[6:] != b"[DONE]"]
    return sum(json.loads(line).get("tolerate") != "not certified" for line in lines)


async def run_stream(running: RunningService, disk: Committed, rng: random.Random, number: int) -> list[str]:
    """One fuzzed stream from the request to its end."""
    label, text, n = f"s{number}", rng.random() < 0.3, rng.choice([1, 1, 1, 2, 3])
    whole = answer(rng, label, text, n)
    pieces = [piece.decode("latin-1") for piece in fuzzed(rng, pieces_of(whole, text))]
    instructions = json.dumps({"pieces": pieces, "slow": rng.random() < 0.1})
    body: dict[str, Any] = {"model": "support", "n": n, "stream": True, "metadata": {"slice": label}}
    body |= {"prompt": instructions} if text else {"messages": [{"role": "user", "content": instructions}]}
    if rng.random() < 0.3:
        body["stream_options"] = {"include_usage": True}
    gone = asyncio.Event() if rng.random() < 0.05 else None
    if gone is not None:
        asyncio.get_running_loop().call_later(rng.random() * 0.004, gone.set)
    client = Client(label, disk, running.service.jobs[0].stream != "held")
    path = "/v1/completions" if text else "/v1/chat/completions"
    client_side = {"on_send": client.on_send, "gone": gone}
    heard = await call(running.app, "POST", path, body, running.initial_secrets.key or "", **client_side)
    if b'"code":"internal"' in heard.body:
        client.wrong.append(f"{label}: the gateway itself failed on {pieces}")
    return client.at_the_end(TEXT if text else CHAT, gone is not None)


async def _slow(instructions: dict[str, Any]) -> None:
    if instructions.get("slow"):
        await asyncio.sleep(0.004)


async def _come_and_go(running: RunningService, finished: int) -> None:
    """Withdraw the certificate after some streams, and put one in force again a few streams later, all the time."""
    if finished % PERIOD == PERIOD - GAP:
        await running.writer.do(certificates.withdraw, "support", None, "ann", "a try", 1.0)
    if finished % PERIOD == 0:
        job = running.service.jobs[0]
        bound = binding.current_binding(job, job.tiers[0], certificate())
        await running.writer.do(certificates.install, "support", "main", certificate(), bound, "ann", 1.0)
        await running.reload_certificates()


@contextlib.contextmanager
def _quick_comments() -> Iterator[None]:
    before, app_module.KEEP_ALIVE_SECONDS = app_module.KEEP_ALIVE_SECONDS, 0.001
    try:
        yield
    finally:
        app_module.KEEP_ALIVE_SECONDS = before


async def _fuzz(
    url: str, folder: Path, count: int, seed: int, broken: Any, more: dict[str, Any]
) -> tuple[list[str], Committed]:
    running, models = await started(service_of(url, folder, **more))
    models.between = lambda instructions: _slow(instructions)
    disk = running.writer._db = Committed(running.writer._db)  # type: ignore[assignment]
    if broken is not None:
        broken(running)
    numbers, finished, wrong = iter(range(count)), itertools.count(1), []

    async def work(rng: random.Random) -> None:
        for number in numbers:
            wrong.extend(await run_stream(running, disk, rng, number))  # type: ignore[arg-type]
            await _come_and_go(running, next(finished))

    with _quick_comments():
        await asyncio.gather(*(work(random.Random(f"{seed} {worker}")) for worker in range(48)))
    await running.stop()
    return wrong, disk  # type: ignore[return-value]


def fuzz(
    url: str, folder: Path, count: int, seed: int, *, broken: Any = None, **more: Any
) -> tuple[list[str], dict[str, int]]:
    """Many fuzzed streams, 48 at a time; what is wrong, and how many rows said what."""
    wrong, disk = asyncio.run(_fuzz(url, folder, count, seed, broken, more))
    if broken is None:
        with contextlib.closing(connect(url, read_only=True)) as db:
            wrong += verify(db).faults
    decisions = [row["decision"] for rows in disk.rows.values() for row in rows]
    return wrong, {decision: decisions.count(decision) for decision in sorted(set(decisions))}


# Broken twins


def pass_on(running: RunningService) -> None:
    """A gateway that forwards chunks and judges at the end, as many do."""

    async def stream(job: Any, ask: Any, key: Any, request: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(ApiError):
            async for chunk in running.upstreams.stream(job.tiers[0], ask, ask.body):
                await send({"type": "http.response.body", "body": event_bytes(chunk), "more_body": True})
        await send({"type": "http.response.body", "body": DONE})

    running.app._held_stream = stream  # type: ignore[method-assign]
