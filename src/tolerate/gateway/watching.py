"""Reviews become evidence: the watch of each certificate, its alarm, and the certificate that could come next.

Only the recorded random share of what was released is evidence about what is released. It enters the watch in the
transaction that settles the review, so a certificate is withdrawn in the very commit that proves it wrong.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from tolerate.records import Certificate, Decision
from tolerate.stats.watch import Watch
from tolerate.store import Database, promises
from tolerate.store.queue import Settled, drawn

Alarm = dict[str, Any]


def watcher(now: Callable[[], float], told: list[Alarm]) -> Callable[[Database, Settled], None]:
    """What to do with a settled item, inside the writer; alarms are also put into `told`."""

    def settled(db: Database, done: Settled) -> None:
        item = done.item
        if not item.drawn or item.decision != Decision.RELEASE or item.certificate is None:
            return
        promise = promises.find(db, item.certificate, item.job, item.tier)
        if promise is None or promise.status != "active":
            return
        watch = watch_of(db, promise)
        watch.update(done.loss)
        promises.save_watch(db, promise.id, item.job, item.tier, watch.to_json())
        if watch.alarm is not None:
            at = now()
            promises.withdraw(db, item.job, None, "watch", str(watch.alarm), at)
            body = {"job": item.job, "tier": item.tier, "certificate": promise.id, "why": str(watch.alarm)}
            promises.alarm(db, item.job, "risk", at, {**body, "since": watch.alarm.since})
            told.append({"kind": "risk", "at": at, **body})

    return settled


def watch_of(db: Database, promise: promises.Promise) -> Watch:
    """The watch of a certificate with all it has seen."""
    kept = promises.load_watch(db, promise.id, promise.job, promise.tier)
    return Watch(promise.certificate) if kept is None else Watch.from_json(kept)


def evidence(db: Database, job: str, tier: str, since: float) -> dict[str, list[Any]]:
    """The drawn items of a tier as columns, oldest first, up to the newest that was reviewed.

    One that should have been reviewed by then and was not counts as wrong: leaving it out would let the choice of
    what to review first flatter the result.
    """
    rows = [row for row in drawn(db, job) if row["tier"] == tier and row["at"] >= since]
    while rows and rows[-1]["loss"] is None:
        rows.pop()
    return {
        "losses": [1.0 if row["loss"] is None else row["loss"] for row in rows],
        "missing": [row["loss"] is None for row in rows],
        "scores": [row["score"] for row in rows],
        "clusters": [row["cluster"] or row["ticket"] for row in rows],
        "weights": [1 / row["chance"] for row in rows],
    }


async def next_certificates(
    columns: dict[str, list[Any]], tolerances: list[float], confidence: float
) -> list[Certificate]:
    """The certificates that this evidence gives at several tolerances, made in a process of its own."""
    if not columns["losses"]:
        return []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tolerate.gateway.watching",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    asked = {"columns": columns, "tolerances": tolerances, "confidence": confidence}
    out, _ = await process.communicate(json.dumps(asked).encode())
    return [Certificate.from_json(each) for each in json.loads(out or b"[]")]


def certify_columns(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """One certificate a tolerance, as JSON."""
    from tolerate.stats import certify

    columns, count = asked["columns"], len(asked["tolerances"])
    alone = len(set(columns["clusters"])) == len(columns["clusters"])
    scored = any(score is not None for score in columns["scores"])
    return [
        certify(
            losses=columns["losses"],
            scores=[float("nan") if s is None else s for s in columns["scores"]] if scored else None,
            clusters=None if alone else columns["clusters"],
            weights=None if len(set(columns["weights"])) == 1 else columns["weights"],
            tolerance=tolerance,
            confidence=asked["confidence"],
            comparisons=count,
            losses_by="reviewers of the service",
        ).to_json()
        for tolerance in asked["tolerances"]
    ]


if __name__ == "__main__":
    json.dump(certify_columns(json.load(sys.stdin)), sys.stdout)
