"""What the watch shows of a job: the promises and the evidence against them, counts over time, alarms, the queue."""

import json
from dataclasses import asdict
from typing import Any

from tolerate.gateway.settings import JobSettings
from tolerate.gateway.watching import watch_of
from tolerate.store import Database, promises, queue

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
        return {"tier": tier, "certificate": None}
    watch = watch_of(db, promise)
    return {
        "tier": tier,
        "certificate": _life(promise),
        "labels": watch.labels,
        "evidence": watch.evidence,
        "limit": 1 / (1 - watch.confidence),
        "bound": watch.bound,
        "history": watch.history,
        "alarm": str(watch.alarm) if watch.alarm else None,
    }


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
    from tolerate.stats.watch import anytime_upper

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
