"""Kills (-9) of a service under load: a process that has loaded everything forks a service each time.

The service listens on a real port; its model is in its own process, or behind a socket (`desk_kills.py`). Applications
and reviewers are in this process: they store what they were answered, and send a verdict without an answer again after
the restart (it carries the nonce of its key press).
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.crashes import Outside, chat_request, faults, heard, judge
from tests.support.inside import service_of, started
from tests.support.waiting import DEADLINE_SECONDS
from tolerate.errors import DataError
from tolerate.service.app import App
from tolerate.service.http.requests import Request, Send, respond_json
from tolerate.service.server import RunningService, create_server
from tolerate.store import connect, queue
from tolerate.store.ledger import START_HASH, chain_hash, rows

PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.support.kills"])


# In the process that is killed


def service(url: str, folder: str, early: bool, pipe: Connection) -> None:
    """Serve until killed. early: the broken twin, which answers before the commit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    asyncio.run(_serve(url, Path(folder), pipe, early))


async def _serve(url: str, folder: Path, pipe: Connection, early: bool) -> None:
    running, _ = await started(service_of(url, folder, share=0.3))
    running.app = App(running.engine, running.reader, desk=review_route(running))
    if early:
        answer_before_commit(running)
    await create_server(
        running, lambda text: pipe.send((running.engine.base_url, running.initial_secrets.key))
    ).serve()


def review_route(running: RunningService) -> Any:
    """GET /desk is a look with its lease, POST a verdict; answered when it is on the disk."""

    async def route(request: Request, send: Send) -> None:
        query = request.query
        try:
            if request.method == "GET":
                task = await running.writer.do(lambda db: queue.lease(db, query["who"], time.time()))
                await respond_json(send, {"slot": task.slot if task else None})
            else:
                await respond_json(send, {"taken": await running.writer.do(judge, query)})
        except DataError as error:
            await respond_json(send, {"error": str(error)}, 409)

    return route


def answer_before_commit(running: RunningService) -> None:
    """What a background flush would do."""
    record = running.writer.record

    async def early(entry: dict[str, Any], also: Any = None) -> dict[str, Any]:
        asyncio.get_running_loop().call_later(DEADLINE_SECONDS, lambda: record(entry, also))
        return {"seq": 0, "at": time.time(), **entry}

    running.writer.record = early  # type: ignore[method-assign, assignment]


# In the process that watches


class World:
    """Applications and reviewers, and what they were told."""

    reviewers: tuple[str, ...] = ("ann", "bob", "cat")

    def __init__(self, seed: int) -> None:
        self.outside, self.key, self.rng = Outside(), "", random.Random(seed)
        self._asked = 0
        self._presses: dict[str, dict[str, str]] = {}  # of reviewers who have no answer yet

    def port_of(self, pipe: Connection) -> int:
        """The port that a service announces when it listens; its first announcement has a key, too."""
        base, key = pipe.recv()
        self.key = key or self.key
        return int(base.rpartition(":")[2])

    def request(self, label: str) -> dict[str, Any]:
        """The next request of an application."""
        return chat_request(label, self.rng)

    def progressed(self) -> bool:
        """Whether enough has happened in this round for a kill to be worth it."""
        return True

    async def load(self, port: int) -> None:
        """Everybody at once, until the connections break."""
        people = [self._review(port, who) for who in self.reviewers]
        await asyncio.gather(*(self._ask(port) for _ in range(6)), *people)

    async def _ask(self, port: int) -> None:
        line = await _open(port)
        while line is not None:
            self._asked += 1
            label = f"r{self._asked}"
            body = json.dumps(self.request(label)).encode()
            try:
                async for piece in _send(line, "POST", "/v1/chat/completions", self.key, body):
                    if (decision := heard(piece)) is not None:
                        self.outside.answers[label] = decision
            except (OSError, EOFError):
                line[1].close()
                return

    async def _review(self, port: int, who: str) -> None:
        line = await _open(port)
        while line is not None:
            try:
                press = self._presses.get(who)
                if press is None:
                    reply = await _json(line, "GET", f"/desk?who={who}", self.key)
                    if reply["slot"] is None:
                        await asyncio.sleep(0.005)
                        continue
                    nonce, loss = str(self.rng.getrandbits(40)), str(self.rng.randrange(2))
                    press = {"who": who, "slot": str(reply["slot"]), "nonce": nonce, "loss": loss}
                    self._presses[who] = press
                reply = await _json(line, "POST", f"/desk?{urlencode(press)}", self.key)
                assert "taken" in reply, reply
                self.outside.verdicts[who, press["nonce"]] = int(press["slot"])
                del self._presses[who]
            except (OSError, EOFError):
                line[1].close()
                return


Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _open(port: int) -> Line | None:
    try:
        return await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None


async def _send(line: Line, method: str, path: str, key: str, body: bytes = b""):
    """One request; yields the body as it comes. EOFError or OSError if the other side is gone."""
    reader, writer = line
    writer.write(
        f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith((b"http/1.1 200", b"http/1.1 409")), head
    if b"content-length:" in head:
        yield await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


async def _json(line: Line, method: str, path: str, key: str) -> Any:
    return json.loads(b"".join([piece async for piece in _send(line, method, path, key)]))


class Follower:
    """Reads what the ledger gained since the last look; what is there may never change or vanish."""

    def __init__(self, url: str) -> None:
        self.url, self.seq, self.hash, self.decided = url, 0, START_HASH, {}

    def look(self, outside: Outside) -> list[str]:
        """What is wrong with the new rows, and with what was told since."""
        wrong: list[str] = []
        with closing(connect(self.url, read_only=True)) as db:
            for seq, body, digest in rows(db, self.seq):
                if seq != self.seq + 1 or chain_hash(self.hash, body) != digest:
                    wrong.append(f"the chain breaks at row {seq}")
                self.seq, self.hash, entry = seq, digest, json.loads(body)
                if entry["kind"] == "decision":
                    self.decided[entry["slice"]] = entry["decision"]
        gone = [label for label in outside.answers if self.decided.get(label) != outside.answers[label]]
        return wrong + [f"{label} was answered and has no such row" for label in gone]


def kills(url: str, folder: Path, times: int, seed: int, *, early: bool = False) -> tuple[list[str], Outside]:
    """Kill a service with its model inside; returns what is wrong, and what was told. early: the broken twin."""
    world = World(seed)
    return kill_repeatedly(url, world, partial(service, url, str(folder), early), times), world.outside


def kill_repeatedly(url: str, world: World, target: Callable[[Connection], None], times: int) -> list[str]:
    """Start, load, kill; again and again on one database. What is wrong.

    target: serves in a process of its own, and announces its port to the pipe.
    """
    follower, wrong = Follower(url), []
    for number in range(times):
        ours, theirs = PROCESSES.Pipe()
        process = PROCESSES.Process(target=target, args=(theirs,))
        process.start()
        theirs.close()
        try:
            if number and world.rng.random() < 0.1:  # while it starts
                time.sleep(world.rng.random() * 0.1)
            else:
                asyncio.run(_until_killed(process, world, world.port_of(ours)))
        finally:
            process.kill()
            process.join()
            process.close()
            ours.close()
        if number % 10 == 9 or number == times - 1:
            wrong += follower.look(world.outside)
    with closing(connect(url, read_only=True)) as db:
        wrong += faults(db, world.outside)
    return wrong


async def _until_killed(process: Any, world: World, port: int) -> None:
    """Kill in the middle of the load: after some answers and verdicts, and at no particular instant."""
    load = asyncio.ensure_future(world.load(port))
    threshold, deadline = (
        world.outside.count + world.rng.randrange(1, 40),
        time.monotonic() + DEADLINE_SECONDS,
    )
    while world.outside.count < threshold or not world.progressed():
        assert time.monotonic() < deadline and not load.done(), "the service stopped answering"
        await asyncio.sleep(0.002)
    await asyncio.sleep(world.rng.random() * 0.01)
    process.kill()
    await load
