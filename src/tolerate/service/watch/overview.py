"""What the watch shows of a job: the promises and the evidence against them, counts over time, alarms, the queue."""

import json
import math
from dataclasses import asdict
from typing import Any

from tolerate.service.config import JobSettings
from tolerate.service.watch.drift import drift_of
from tolerate.service.watch.evidence import promises_slice, watch_of
from tolerate.stats.monitor.watch import Watch
from tolerate.store import Database, promises, queue
from tolerate.store import degraded as tightened
from tolerate.store import second_reviews as seconds

HOURS = 24


def overview(db: Database, job: JobSettings, now: float) -> dict[str, Any]:
    """Everything about a job as plain values, for the page and the API."""
    since = int(now // 60) - HOURS * 60
    counts = promises.minutes(db, job.name, since)
    history = promises.history(db, job.name)
    return {
        "job": job.name,
        "at": now,
        "tiers": [_tier(db, job, tier.name) for tier in job.tiers],
        "queue": asdict(queue.backlog(db, job.name, now)),
        "counts": totals([each for each in counts if each.slice == ""]),
        "slices": {
            name: totals([each for each in counts if each.slice == name])
            for name in sorted({each.slice for each in counts} - {""})
        },
        "minutes": [asdict(each) for each in counts if each.slice == ""],
        "mended": promises.mended(db, job.name),
        "waits": promises.waits(db, job.name, since),
        "drift": drift([each for each in counts if each.slice == ""]),
        "alarms": promises.alarms(db, job.name),
        "history": [_life(each) for each in history],
        "risk": risk_by_slice(db, job.name),
    }


def _tier(db: Database, job: JobSettings, tier: str) -> dict[str, Any]:
    """A tier's promise and the evidence against it; of the last one, if none stands."""
    found = [
        each for each in promises.history(db, job.name) if each.tier == tier and each.status != "proposed"
    ]
    promise = next((each for each in found if each.status == "active"), found[0] if found else None)
    if promise is None:
        return {"tier": tier, "state": "NONE", "certificate": None}
    watch = watch_of(db, promise, job.slices)
    narrow = tightened.all_of(db).get((job.name, tier), ()) if promise.status == "active" else ()
    return {
        "tier": tier,
        "state": tightened.state(promise.status, narrow),
        "narrowed": [{**each.to_json(), "at": each.at} for each in narrow],
        "certificate": _life(promise),
        "labels": watch.labels,
        "evidence": watch.evidence,
        "limit": (2 if watch.slices else 1) / (1 - watch.confidence),
        "bound": watch.bound,
        "reviewers": reviewers(db, job, promise),
        "history": watch.history,
        "alarm": str(watch.alarm) if watch.alarm else None,
        "slices": slices(watch, promise, job, narrow),
        "drift": _drift(db, job, promise),
    }


def slices(
    watch: Watch, promise: promises.Promise, job: JobSettings, narrow: tuple[tightened.Tightening, ...]
) -> list[dict[str, Any]]:
    """The evidence of each named slice against the tolerance, with the odds at which its alarm sounds.

    A slice that was named after the certificate came into force is watched from the next one on: watched is False.
    """
    held = {each.slice for each in narrow}
    limit = 2 * len(watch.slices) / (1 - watch.confidence)
    return [
        {
            "slice": name,
            "watched": (line := watch.lines.get(name)) is not None,
            "labels": line.labels if line else 0,
            "seen": line.total / line.labels if line and line.labels else None,
            "bound": min(1.0, line.bound(watch.confidence)) if line and line.labels else None,
            "evidence": math.exp(min(line.log_evidence, 700.0)) if line else None,
            "limit": limit if line else None,
            "alarm": str(line.alarm) if line and line.alarm else None,
            "promised": promises_slice(promise.certificate, name),
            "held": name in held,
        }
        for name in dict.fromkeys((*watch.slices, *job.slices))
    ]


def _drift(db: Database, job: JobSettings, promise: promises.Promise) -> dict[str, Any]:
    """What is known of the scores beside the certified ones; learning: none are known yet."""
    drift = drift_of(db, job, promise)
    return {
        "watched": job.drift < 1,
        "learning": drift.reference is None,
        "items": drift.items + len(drift.learning),
        "seen": drift.seen,
        "evidence": drift.evidence,
        "limit": 1 / drift.level,
        "smallest": job.drift,
        "found": drift.found,
    }


def reviewers(db: Database, job: JobSettings, promise: promises.Promise) -> dict[str, Any]:
    """The risk of what was released under a certificate as reviewed, and with what reviewers miss.

    by: "second" if a share was read twice, "seeded" if only seeded errors say how many are found, "" if nothing does.
    """
    from tolerate.stats.monitor.missed import with_missed, with_seeded

    rows = [
        row
        for row in queue.drawn(db, job.name, promise.id)
        if row["tier"] == promise.tier and row["decision"] == "release" and row["loss"] is not None
    ]
    confidence, seeds = promise.certificate.confidence, seconds.seeded(db, job.name)
    lots = seconds.lots(db, job.name)
    twice = [(row["loss"], *lots[row["ticket"]]) for row in rows if row["ticket"] in lots]
    about = {"by": "", "bound": None, "again": 0, "missed": 0.0, "items": len(rows), "seeded": seeds}
    if any(first is not None for _, _, first in twice):
        ones = [loss if first is None else first for loss, _, first in twice]
        finals = [math.nan if first is None else loss for loss, _, first in twice]
        found = with_missed(ones, finals, [chance for _, chance, _ in twice], confidence)
        given = {"reviewed": found.reviewed, "missed_at_most": found.missed_at_most, "bound": found.bound}
        about |= {"by": "second", "items": len(twice), "again": found.again, "missed": found.missed, **given}
    elif rows and seeds["errors"] and {row["loss"] for row in rows} <= {0.0, 1.0}:
        total = sum(row["loss"] for row in rows)
        bound = with_seeded(total, len(rows), seeds["found"], seeds["errors"], confidence)
        about |= {"by": "seeded", "bound": bound}
    return about


def _life(promise: promises.Promise) -> dict[str, Any]:
    values = {name: getattr(promise, name) for name in ("id", "tier", "status", "bound", "made_by", "at")}
    ended = {name: getattr(promise, name) for name in ("ended", "ended_by", "why")}
    return {**values, **ended, "body": promise.certificate.to_json()}


def totals(counts: list[promises.Minute]) -> dict[str, Any]:
    """Sums over minutes, with coverage and the cost of an item."""
    released, held = sum(each.released for each in counts), sum(each.held for each in counts)
    cost, items = sum(each.cost for each in counts), released + held
    return {
        "released": released,
        "held": held,
        "escalated": sum(each.escalated for each in counts),
        "failed": sum(each.failed for each in counts),
        "coverage": released / items if items else None,
        "cost_per_item": cost / items if items else None,
        "tokens": sum(each.tokens for each in counts),
    }


def drift(counts: list[promises.Minute]) -> float | None:
    """How far the last hour's scores stand from those before: the largest gap of the two distributions, 0 to 1.

    The Kolmogorov-Smirnov distance on ten places; it shows a change, and proves nothing about risk.
    """
    if not counts:
        return None
    edge = counts[-1].minute - 60
    before, after = [0] * 10, [0] * 10
    for each in counts:
        into = after if each.minute > edge else before
        for place, count in enumerate(each.scores):
            into[place] += count
    if min(sum(before), sum(after)) < 50:
        return None
    gap = run_before = run_after = 0.0
    for b, a in zip(before, after, strict=True):
        run_before, run_after = run_before + b / sum(before), run_after + a / sum(after)
        gap = max(gap, abs(run_before - run_after))
    return gap


def risk_by_slice(db: Database, job: str) -> list[dict[str, Any]]:
    """Reviewed released items by slice, with an anytime-valid bound on each one's risk."""
    from tolerate.stats.monitor.watch import anytime_upper

    sums: dict[str, list[float]] = {}
    for row in queue.drawn(db, job):
        if row["decision"] == "release" and row["loss"] is not None:
            for name in {"", row["slice"]}:
                into = sums.setdefault(name, [0.0, 0.0])
                into[0], into[1] = into[0] + 1, into[1] + row["loss"]
    return [
        {"slice": name, "labels": int(n), "seen": total / n, "bound": anytime_upper(total, int(n), 0.95)}
        for name, (n, total) in sorted(sums.items())
    ]


def dump(body: dict[str, Any]) -> str:
    """As JSON text."""
    return json.dumps(body, ensure_ascii=False)
