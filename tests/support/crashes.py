"""Ends without warning: power losses played back from a log of writes (kills of a process: `kills.py`).

Applications ask for answers and reviewers give verdicts at the same time, and what they were told is kept here.
Afterwards the database must know all of it: each answer's row, each verdict once, an unbroken chain. Every
request carries a label of its own (`metadata.slice`), which its row carries too.
"""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.inside import call, chat, service_of, started
from tests.support.lossy import Disk, Log, watched
from tolerate.service.server import RunningService
from tolerate.store import Database, DatabaseWriter, connect, queue
from tolerate.store.ledger import rows
from tolerate.store.verify import verify

WORDS = "a word or two "


@dataclass
class Outside:
    """What the outside world knows: answers by label, verdicts by reviewer and nonce."""

    answers: dict[str, str] = field(default_factory=dict)
    verdicts: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.answers) + len(self.verdicts)


def chat_request(label: str, rng: random.Random) -> dict[str, Any]:
    """A request: whole or streamed; about half are released."""
    say = {"say": WORDS * rng.randrange(1, 9), "score": rng.random()}
    return chat(say, stream=rng.random() < 0.3, metadata={"slice": label})


def heard(body: bytes) -> str | None:
    """What an answer tells, or a part of one: released content, held, or nothing yet."""
    if b"a word" in body:
        return "release"
    return "review" if b"content_filter" in body else None


def judge(db: Database, press: dict[str, str]) -> bool:
    """A reviewer's verdict, inside the writer."""
    loss = float(press["loss"])
    return queue.record_verdict(
        db, queue.NewVerdict(int(press["slot"]), press["who"], loss, press["nonce"]), time.time()
    )


# What the database must know


def faults(db: Database, outside: Outside) -> list[str]:
    """What is wrong with a database after its end; nothing, if every promise was kept."""
    wrong = list(verify(db).faults)
    decided: dict[str, list[str]] = {}
    for _, body, _ in rows(db):
        entry = json.loads(body)
        if entry["kind"] == "decision":
            decided.setdefault(entry["slice"], []).append(entry["decision"])
    for label, decision in outside.answers.items():
        if decided.get(label) != [decision]:
            wrong.append(f"{label} was answered as {decision}, its rows say {decided.get(label)}")
    return (
        wrong + [f"{t} was decided twice" for t, all_ in decided.items() if len(all_) > 1] + lost(db, outside)
    )


def lost(db: Database, outside: Outside) -> list[str]:
    """Verdicts that were accepted and are not there once; slots with two."""
    verdicts = db.all("SELECT reviewer, nonce, slot FROM verdicts")
    slots_by_press = {(who, nonce): slot for who, nonce, slot in verdicts}
    wrong = [
        f"verdict {press} is lost"
        for press, slot in outside.verdicts.items()
        if slots_by_press.get(press) != slot
    ]
    slots = [slot for _, _, slot in verdicts]
    return wrong + ["a slot has two verdicts"] * (len(set(slots)) < len(slots))


# Power losses


async def _ask(
    running: RunningService, key: str, log: Log, name: str, rng: random.Random, count: int
) -> None:
    """One application."""
    for number in range(count):
        label = f"{name}{number}"

        def on_send(message: dict[str, Any], label: str = label) -> None:
            if (decision := heard(message.get("body", b""))) is not None:
                log.note(("answer", label, decision))

        await call(
            running.app, "POST", "/v1/chat/completions", chat_request(label, rng), key, on_send=on_send
        )


async def _review(
    running: RunningService,
    log: Log,
    who: str,
    name: str,
    rng: random.Random,
    asks: "asyncio.Future[Any]",
    count: int,
) -> None:
    """One reviewer, at the store: so many verdicts, or fewer if all is asked and nothing waits any more."""
    for number in range(count):
        task = await running.writer.do(lambda db: queue.lease(db, who, time.time()))
        while task is None:
            if asks.done():
                return
            await asyncio.sleep(0.005)
            task = await running.writer.do(lambda db: queue.lease(db, who, time.time()))
        press = {
            "who": who,
            "slot": str(task.slot),
            "nonce": f"{name}{number}",
            "loss": str(rng.randrange(2)),
        }
        await running.writer.do(judge, press)
        log.note(("verdict", who, press["nonce"], task.slot))


async def _work(folder: Path, log: Log, seed: int, count: int, synchronous: str) -> None:
    """Twice a service with load, so that a stop and a start are among what is interrupted."""
    key = ""
    for turn in range(2):
        running, _ = await started(service_of(str(folder / "t.db"), folder.parent, share=0.3))
        if synchronous != "FULL":  # the broken twin
            running.writer._db.run(f"PRAGMA synchronous={synchronous}")
        running.writer._db.run("PRAGMA wal_autocheckpoint=60")  # so that checkpoints are interrupted too
        key = running.initial_secrets.key or key
        rng = random.Random(seed + turn)
        asks = asyncio.gather(*(_ask(running, key, log, f"{turn}{name}", rng, count // 8) for name in "pqrs"))
        await asyncio.gather(*(_review(running, log, who, f"{turn}", rng, asks, count // 8) for who in "ab"))
        await asks
        await running.stop()


def power_losses(
    folder: Path, losses: int, seed: int, *, count: int = 240, synchronous: str = "FULL"
) -> list[str]:
    """Run a service, lose power at many places of its log, and look at each disk; what is wrong."""
    live = folder / "live"
    live.mkdir()
    with watched(live) as log:
        asyncio.run(_work(live, log, seed, count, synchronous))
    rng = np.random.default_rng(seed)
    cuts = set(rng.choice(len(log.events), losses, replace=False).tolist())
    disk, wrong = Disk(), []
    for index, event in enumerate(log.events):
        disk.play(event)
        if index in cuts:
            wrong += [f"power lost at {index}: {fault}" for fault in _look(disk, folder / f"at{index}", rng)]
    outside = outside_of(disk.notes)
    assert min(len(outside.answers) / count, 10 * len(outside.verdicts) / count) > 0.5, "the load did not run"
    return wrong


def outside_of(notes: list[Any]) -> Outside:
    """What had been told by then."""
    answers = {note[1]: note[2] for note in notes if note[0] == "answer"}
    return Outside(answers, {(note[1], note[2]): note[3] for note in notes if note[0] == "verdict"})


def _look(disk: Disk, folder: Path, rng: np.random.Generator) -> list[str]:
    """Start again on what is left, and compare."""
    folder.mkdir()
    disk.after_power_loss(folder, rng)
    try:
        DatabaseWriter(str(folder / "t.db")).close()
        db = connect(str(folder / "t.db"), read_only=True)
        try:
            return faults(db, outside_of(disk.notes))
        finally:
            db.close()
    except Exception as error:
        return [f"the database cannot be read: {error}"]
