"""Reviews become evidence: the watch of each certificate, its alarm, and the certificate that could come next.

Only the recorded random share of what was released is evidence about what is released. It enters the watch in the
transaction that settles the review, so a certificate is withdrawn in the very commit that proves it wrong.

**Slices.** Each named slice has a test of its own. The level is split (`stats.watch.Watch`): half of 1 - confidence
for the whole, the other half in equal parts for the slices. Each line is an e-process, so by Ville's inequality it
ever alarms falsely with at most its part of the level, and by the union bound the chance that *any* line of a job
whose risk keeps the tolerance ever alarms is at most 1 - confidence, whatever depends on what.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tolerate.records import Certificate, Decision
from tolerate.service.config import JobSettings
from tolerate.stats.monitor.watch import Alarm as Found
from tolerate.stats.monitor.watch import Watch
from tolerate.store import Database, promises
from tolerate.store import degraded as tightened
from tolerate.store import second_reviews as seconds
from tolerate.store.degraded import Tightening
from tolerate.store.queue import Settled, drawn

Alarm = dict[str, Any]


def watcher(
    now: Callable[[], float], told: list[Alarm], jobs: Iterable[JobSettings] = ()
) -> Callable[[Database, Settled], None]:
    """What to do with a settled item, inside the writer; alarms are also put into `told`.

    jobs: name the slices that are watched too, and what an alarm in one does.
    """
    known = {job.name: job for job in jobs}

    def settled(db: Database, done: Settled) -> None:
        item = done.item
        if not item.drawn or item.decision != Decision.RELEASE or item.certificate is None:
            return
        promise = promises.find(db, item.certificate, item.job, item.tier)
        if promise is None or promise.status != "active":
            return
        job = known.get(item.job)
        watch = watch_of(db, promise, () if job is None else job.slices)
        before = watch.alarms
        watch.update(done.loss, slice=item.slice if item.slice in watch.slices else None)
        promises.save_watch(db, promise.id, item.job, item.tier, watch.to_json())
        for alarm in watch.alarms:
            if alarm not in before and promises.find(db, promise.id, item.job, item.tier) == promise:
                told.append(_alarmed(db, promise, job, alarm, now()))

    return settled


def _alarmed(
    db: Database, promise: promises.Promise, job: JobSettings | None, alarm: Found, at: float
) -> Alarm:
    """What an alarm of the whole, or of a slice, does: withdraw, hold the slice, or tell."""
    why, name = str(alarm), promise.job
    then = "withdraw"
    if alarm.slice and not promises_slice(promise.certificate, alarm.slice):
        then = "tell" if job is None else job.on_slice_alarm
        why = f"{why}; the certificate does not promise this slice by itself"
    if then == "withdraw":
        promises.withdraw(db, name, None, "watch", why, at)
    elif then == "hold":
        what = Tightening(alarm.slice, why=why, at=at)
        tightened.tighten(db, promise.id, name, promise.tier, what, "watch", at)
    seen = {name: getattr(alarm, name) for name in ("since", "labels", "seen", "tolerance", "evidence")}
    about: dict[str, Any] = {"tier": promise.tier, "certificate": promise.id, "why": why, **seen}
    about |= {"slice": alarm.slice, "then": then} if alarm.slice else {}
    promises.alarm(db, name, "risk", at, about)
    return {"kind": "risk", "at": at, "job": name, **about}


def promises_slice(certificate: Certificate, slice: str) -> bool:
    """Whether a certificate was made for each slice, and something was proven of this one."""
    lines = {line["name"]: line for line in certificate.slices}
    each = bool(certificate.options.get("each_slice"))
    return each and lines.get(slice, {}).get("scope", "nothing") != "nothing"


def watch_of(db: Database, promise: promises.Promise, slices: tuple[str, ...] = ()) -> Watch:
    """The watch of a certificate with all it has seen. slices: named when it is opened; it keeps those."""
    kept = promises.load_watch(db, promise.id, promise.job, promise.tier)
    return Watch(promise.certificate, slices=slices) if kept is None else Watch.from_json(kept)


def restart(db: Database, promise: promises.Promise, slice: str) -> None:
    """Watch a slice anew after a person's decision; its level is spent again."""
    watch = watch_of(db, promise)
    if slice in watch.slices:
        watch.restart(slice)
        promises.save_watch(db, promise.id, promise.job, promise.tier, watch.to_json())


def evidence(db: Database, job: str, tier: str, since: float) -> dict[str, Any]:
    """The drawn items of a tier as columns, oldest first, up to the newest that was reviewed.

    One that should have been reviewed by then and was not counts as wrong: leaving it out would let the choice of
    what to review first flatter the result. Where items had a chance of a second reading, only those speak, with the
    first reader's loss, the final one of those read twice (else None), and the chance.
    """
    rows = [row for row in drawn(db, job) if row["tier"] == tier and row["at"] >= since]
    while rows and rows[-1]["loss"] is None:
        rows.pop()
    lots = seconds.lots(db, job)
    twice = [row for row in rows if row["ticket"] in lots]
    columns = _columns(twice or rows)
    if twice:
        found = [lots[row["ticket"]] for row in twice]
        columns["chances"] = [chance for chance, _ in found]
        columns["finals"] = [
            row["loss"] if first is not None else None for row, (_, first) in zip(twice, found, strict=True)
        ]
        firsts = zip(columns["losses"], found, strict=True)
        columns["losses"] = [loss if first is None else first for loss, (_, first) in firsts]
    return columns


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
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
        "tolerate.service.watch.evidence",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    asked = {"columns": columns, "tolerances": tolerances, "confidence": confidence}
    out, _ = await process.communicate(json.dumps(asked).encode())
    return [Certificate.from_json(each) for each in json.loads(out or b"[]")]


def certify_columns(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """One certificate a tolerance, as JSON; what reviewers miss is counted where a share was read twice."""
    from tolerate.stats.certify.threshold import certify
    from tolerate.stats.monitor.drift import with_scores

    columns, count = asked["columns"], len(asked["tolerances"])
    alone = len(set(columns["clusters"])) == len(columns["clusters"])
    scored = any(score is not None for score in columns["scores"])
    losses, scale, by = _losses(columns)
    scores = [float("nan") if s is None else s for s in columns["scores"]] if scored else None
    clusters = None if alone else columns["clusters"]
    weights = None if len(set(columns["weights"])) == 1 else columns["weights"]
    made = [
        _rescaled(
            certify(
                losses=losses,
                scores=scores,
                clusters=clusters,
                weights=weights,
                tolerance=tolerance / scale,
                confidence=asked["confidence"],
                comparisons=count,
                losses_by=by,
            ),
            tolerance,
            scale,
        )
        for tolerance in asked["tolerances"]
    ]
    return [with_scores(each, scores, clusters, weights).to_json() for each in made]


def _losses(columns: dict[str, Any]) -> tuple[list[float], float, str]:
    """The losses to certify, what they were divided by, and who gave them."""
    from tolerate.stats.monitor.missed import losses_with_missed

    if "finals" not in columns:
        return columns["losses"], 1.0, "reviewers of the service"
    finals = [float("nan") if final is None else final for final in columns["finals"]]
    losses, scale = losses_with_missed(columns["losses"], finals, columns["chances"])
    again = sum(final is not None for final in columns["finals"])
    by = f"reviewers of the service; what they miss is counted, by a second blind reading of {again:,} items"
    return losses.tolist(), scale, by


def _rescaled(made: Certificate, tolerance: float, scale: float) -> Certificate:
    """A certificate of losses that were divided, in the losses' own unit."""
    if scale == 1:
        return made
    bound = None if made.risk_bound is None else made.risk_bound * scale
    seen = None if made.risk_seen is None else made.risk_seen * scale
    return replace(made, tolerance=tolerance, risk_bound=bound, risk_seen=seen, advice=())


if __name__ == "__main__":
    json.dump(certify_columns(json.load(sys.stdin)), sys.stdout)
