"""Whole deployments, simulated: a certificate from labels, traffic through the service, reviews, a watch, a drift.

Scores are uniform on [0, 1]; an answer is wrong with chance `STEEP * (1 - score)`, so the true risk of what a threshold
releases is known. After a drift every answer is wrong with twice the tolerance, whatever its score. Everything between
the score and the withdrawal is the real service: rule, ledger, draw, queue, verdicts, settling, watch.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.inside import MODEL, started
from tests.support.service_fakes import certificate
from tolerate.records import Certificate
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
from tolerate.service.watch.evidence import settlement_watcher
from tolerate.stats.certify.threshold import certify
from tolerate.stats.monitor.watch import RISK_MULTIPLES, weight_left
from tolerate.store import certificates, connect, people, queue
from tolerate.store.people import Key
from tolerate.store.verify import verify

TOLERANCE, CONFIDENCE, STEEP = 0.05, 0.95, 0.3
BATCH = 50


@dataclass
class Outcome:
    """What became of a deployment. alarm: reviews of released items until the withdrawal, or None."""

    certificate: Certificate
    risk: float  # the true risk of what it releases
    released: int
    reviews: int
    alarm: int | None
    faults: list[str]


def true_risk(promise: Certificate) -> float:
    """Of what is released; 0 if nothing is."""
    if promise.scope == "nothing":
        return 0.0
    return STEEP * (1 - (promise.threshold or 0.0)) / 2


def certified(rng: np.random.Generator, labels: int) -> Certificate:
    """A certificate from fresh labels."""
    scores = rng.random(labels)
    losses = (rng.random(labels) < STEEP * (1 - scores)).astype(float)
    return certify(losses=losses, scores=scores, tolerance=TOLERANCE, confidence=CONFIDENCE)


def at_the_tolerance() -> Certificate:
    """A promise that is only just true: the hardest case for false alarms."""
    return certificate(TOLERANCE, threshold=1 - 2 * TOLERANCE / STEEP)


def deploy(
    url: str | None, folder: Path, seed: int, promise: Certificate, items: int, drift: int | None = None
) -> Outcome:
    """Serve so many releasable items, all of them drawn for review; from item `drift` on all is twice as bad.

    url: the database; None for a new file of SQLite.
    """
    rng = np.random.default_rng(seed)
    return asyncio.run(_deploy(url, folder / f"d{seed}", rng, promise, items, drift))


async def _deploy(
    url: str | None,
    folder: Path,
    rng: np.random.Generator,
    promise: Certificate,
    items: int,
    drift: int | None,
) -> Outcome:
    folder.mkdir()
    (folder / "c.json").write_text(promise.dumps())
    tier = TierSettings("main", MODEL, "tiny", "given", certificate=str(folder / "c.json"))
    where = url or str(folder / "t.db")
    running, _ = await started(
        ServiceSettings((JobSettings("support", (tier,), share=1.0),), database=where, port=0)
    )
    if where.endswith(".db"):
        running.writer._db.run("PRAGMA synchronous=OFF")  # durability has laws of its own
    await running.stop_tasks()
    key, job = Key("k", "k", people.SCOPES, (), 0.0, None), running.service.jobs[0]
    clock, alarms, outcome = _clock(), [], Outcome(promise, true_risk(promise), 0, 0, None, [])
    low = promise.threshold or 0.0
    for start in range(0, items, BATCH):
        scores = low + (1 - low) * rng.random(BATCH)
        chances = STEEP * (1 - scores) if drift is None or start < drift else np.full(BATCH, 2 * TOLERANCE)
        says = ["wrong" if wrong else "fine" for wrong in rng.random(BATCH) < chances]
        bodies = [{"content": say, "score": float(s)} for say, s in zip(says, scores, strict=True)]
        rows = await asyncio.gather(*(running.engine.decide(job, body, key) for body in bodies))
        outcome.released += sum(row["decision"] == "release" for row in rows)
        alarm = await running.writer.do(_review, clock, alarms)
        history = await running.writer.do(certificates.history, "support")
        watch = await running.writer.do(certificates.load_watch, history[0].id, "support", "main")
        outcome.reviews = 0 if watch is None else watch["lines"][0]["labels"]
        if alarm:
            outcome.alarm = outcome.reviews
            break
    await running.stop()
    with closing(connect(where, read_only=True)) as db:
        outcome.faults = verify(db).faults
    return outcome


def _clock() -> Iterator[float]:
    now = 2e9
    while True:
        now += 1.0
        yield now


def _review(db: Any, clock: Iterator[float], alarms: list[Any]) -> bool:
    """One reviewer goes through the queue, until the watch withdraws; whether it did."""
    note = settlement_watcher(lambda: 0.0, alarms)
    while not alarms and (task := queue.lease(db, "ann", now := next(clock))) is not None:
        loss = float(task.item.content == "wrong")
        queue.record_verdict(db, queue.NewVerdict(task.slot, "ann", loss, str(now)), now, settled=note)
    queue.settle_due(db, next(clock) + queue.UNDO_SECONDS, note)
    return bool(alarms)


def expected_delay(change: int) -> float:
    """Reviews after a change to twice the tolerance within which the watch alarms on average, by Wald's identity.

    The bet on twice the tolerance is the likelihood ratio; started with the change it grows by KL(2t, t) a review, and
    it counts as much as its share and the weight of its starting time: E[delay] <= (ln of what it needs + the largest
    step) / KL. Every other bet and start can only make it sooner.
    """
    t = TOLERANCE
    share = dict(RISK_MULTIPLES)[2.0]
    left = weight_left(np.array([change, change + 1.0]), t)
    needed = -math.log(1 - CONFIDENCE) - math.log(share) - math.log(left[0] - left[1])
    growth = 2 * t * math.log(2) + (1 - 2 * t) * math.log((1 - 2 * t) / (1 - t))
    return (needed + math.log(2)) / growth


def naive(rng: np.random.Generator, labels: int) -> Certificate:
    """The broken twin: the lowest threshold whose seen risk keeps the tolerance, without any confidence."""
    scores = rng.random(labels)
    losses = rng.random(labels) < STEEP * (1 - scores)
    order = np.argsort(-scores)
    risks = np.cumsum(losses[order]) / np.arange(1, labels + 1)
    return certificate(TOLERANCE, threshold=float(scores[order][np.flatnonzero(risks <= TOLERANCE)[-1]]))


def allowed(runs: int, chance: float) -> float:
    """So many of the runs may fail, if each may with this chance, and three standard errors."""
    return runs * chance + 3 * math.sqrt(runs * chance * (1 - chance))
