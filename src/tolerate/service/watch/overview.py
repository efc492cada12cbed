"""The state of a job, for the page of the watch and the API: certificates, evidence, counts, alarms, the queue.

The records are plain JSON; their keys are those of the API (`GET /v1/watch/JOB`).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NotRequired, TypedDict

from tolerate.base.json_types import JsonObject
from tolerate.service.config import JobSettings
from tolerate.service.watch.drift import certificate_drift
from tolerate.service.watch.evidence import certificate_watch, promises_slice
from tolerate.stats.monitor.watch import Watch
from tolerate.store import Database, certificates, restrictions, review_data, second_reviews, traffic
from tolerate.store.certificates import StoredCertificate
from tolerate.store.restrictions import Restriction
from tolerate.store.traffic import MinuteCounts

HOURS = 24
MIN_SCORES = 50  # on either side of the comparison with the last hour


class CountTotals(TypedDict):
    """Sums over minutes, with coverage and the cost of an item."""

    released: int
    held: int
    escalated: int
    failed: int
    coverage: float | None
    cost_per_item: float | None
    tokens: int


class SliceEvidence(TypedDict):
    """The evidence of a named slice against the tolerance; limit: the odds at which its alarm sounds."""

    slice: str
    watched: bool
    labels: int
    seen: float | None
    bound: float | None
    evidence: float | None
    limit: float | None
    alarm: str | None
    promised: bool
    held: bool


class ScoreDrift(TypedDict):
    """The scores beside the certified ones; learning: no scores to compare with are known yet."""

    watched: bool
    learning: bool
    items: int
    seen: float
    evidence: float
    limit: float
    smallest: float
    found: bool


class ReviewedRisk(TypedDict):
    """The risk of what was released as reviewed, and with what reviewers miss.

    by: "second" if a share was read twice, "seeded" if only seeded errors say how many are found, "" if nothing does.
    """

    by: str
    bound: float | None
    again: int
    missed: float
    items: int
    seeded: JsonObject
    reviewed: NotRequired[float]
    missed_at_most: NotRequired[float]


class CertificateRecord(TypedDict):
    """A certificate with what became of it."""

    id: str
    tier: str
    status: str
    bound: dict[str, str]
    made_by: str
    at: float
    ended: float | None
    ended_by: str | None
    why: str | None
    body: dict[str, Any]


class TierOverview(TypedDict):
    """A tier's certificate and the evidence against it; without one only tier, state and certificate."""

    tier: str
    state: str
    certificate: CertificateRecord | None
    narrowed: NotRequired[list[JsonObject]]
    labels: NotRequired[int]
    evidence: NotRequired[float]
    limit: NotRequired[float]
    bound: NotRequired[float]
    reviewers: NotRequired[ReviewedRisk]
    history: NotRequired[list[tuple[int, float]]]
    alarm: NotRequired[str | None]
    slices: NotRequired[list[SliceEvidence]]
    drift: NotRequired[ScoreDrift]


class SliceRisk(TypedDict):
    """The reviewed released items of a slice, with an anytime-valid bound on its risk."""

    slice: str
    labels: int
    seen: float
    bound: float


class JobOverview(TypedDict):
    """Everything about a job."""

    job: str
    at: float
    tiers: list[TierOverview]
    queue: JsonObject
    counts: CountTotals
    slices: dict[str, CountTotals]
    minutes: list[JsonObject]
    mended: float
    waits: list[tuple[int, int, float]]
    drift: float | None
    alarms: Sequence[JsonObject]
    history: list[CertificateRecord]
    risk: list[SliceRisk]


def overview(db: Database, job: JobSettings, now: float) -> JobOverview:
    """Everything about a job as JSON values, for the page and the API."""
    since = int(now // 60) - HOURS * 60
    counts = traffic.minutes(db, job.name, since)
    history = certificates.history(db, job.name)
    of_all = [minute for minute in counts if minute.slice == ""]
    return {
        "job": job.name,
        "at": now,
        "tiers": [_tier(db, job, tier.name) for tier in job.tiers],
        "queue": asdict(review_data.backlog(db, job.name, now)),
        "counts": totals(of_all),
        "slices": {
            name: totals([minute for minute in counts if minute.slice == name])
            for name in sorted({minute.slice for minute in counts} - {""})
        },
        "minutes": [asdict(minute) for minute in of_all],
        "mended": certificates.mended_at(db, job.name),
        "waits": traffic.waits(db, job.name, since),
        "drift": score_shift(of_all),
        "alarms": certificates.alarms(db, job.name),
        "history": [_record(promise) for promise in history],
        "risk": risk_by_slice(db, job.name),
    }


def _tier(db: Database, job: JobSettings, tier: str) -> TierOverview:
    """A tier's certificate and the evidence against it; of the last one, if none is in force."""
    history = [
        promise
        for promise in certificates.history(db, job.name)
        if promise.tier == tier and promise.status != "proposed"
    ]
    active = (promise for promise in history if promise.status == "active")
    promise = next(active, history[0] if history else None)
    if promise is None:
        return {"tier": tier, "state": "NONE", "certificate": None}
    watch = certificate_watch(db, promise, job.slices)
    in_force = restrictions.in_force(db).get((job.name, tier), ()) if promise.status == "active" else ()
    return {
        "tier": tier,
        "state": restrictions.state_name(promise.status, in_force),
        "narrowed": [{**restriction.to_json(), "at": restriction.at} for restriction in in_force],
        "certificate": _record(promise),
        "labels": watch.labels,
        "evidence": watch.evidence,
        "limit": (2 if watch.slices else 1) / (1 - watch.confidence),
        "bound": watch.bound,
        "reviewers": reviewed_risk(db, job, promise),
        "history": watch.history,
        "alarm": str(watch.alarm) if watch.alarm else None,
        "slices": slice_evidence(watch, promise, job, in_force),
        "drift": _score_drift(db, job, promise),
    }


def slice_evidence(
    watch: Watch, promise: StoredCertificate, job: JobSettings, restrictions: Sequence[Restriction]
) -> list[SliceEvidence]:
    """The evidence of each named slice.

    A slice that was named after the certificate came into force is watched from the next one on: watched is False.
    """
    held = {restriction.slice for restriction in restrictions}
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


def _score_drift(db: Database, job: JobSettings, promise: StoredCertificate) -> ScoreDrift:
    """What the test of drift knows of the scores."""
    drift = certificate_drift(db, job, promise)
    return {
        "watched": job.drift < 1,
        "learning": drift.reference is None,
        "items": drift.items + len(drift.learning),
        "seen": drift.recent_gap,
        "evidence": drift.evidence,
        "limit": 1 / drift.level,
        "smallest": job.drift,
        "found": drift.detected,
    }


def reviewed_risk(db: Database, job: JobSettings, promise: StoredCertificate) -> ReviewedRisk:
    """The risk of what was released under a certificate as reviewed, and with what reviewers miss."""
    from tolerate.stats.monitor.missed import with_missed, with_seeded

    losses = {
        row["ticket"]: row["loss"]
        for row in review_data.drawn_items(db, job.name, promise.id)
        if row["tier"] == promise.tier and row["decision"] == "release" and row["loss"] is not None
    }
    confidence, seeds = promise.certificate.confidence, second_reviews.seeded_errors(db, job.name)
    draws = second_reviews.draws(db, job.name)
    twice = [(loss, *draws[ticket]) for ticket, loss in losses.items() if ticket in draws]
    risk: ReviewedRisk = {
        "by": "",
        "bound": None,
        "again": 0,
        "missed": 0.0,
        "items": len(losses),
        "seeded": seeds,
    }
    if any(first is not None for _, _, first in twice):
        firsts = [loss if first is None else first for loss, _, first in twice]
        finals = [math.nan if first is None else loss for loss, _, first in twice]
        corrected = with_missed(firsts, finals, [chance for _, chance, _ in twice], confidence)
        return {
            **risk,
            "by": "second",
            "items": len(twice),
            "again": corrected.again,
            "missed": corrected.missed,
            "reviewed": corrected.reviewed,
            "missed_at_most": corrected.missed_at_most,
            "bound": corrected.bound,
        }
    if losses and seeds["errors"] and set(losses.values()) <= {0.0, 1.0}:
        total = sum(losses.values())
        bound = with_seeded(total, len(losses), seeds["found"], seeds["errors"], confidence)
        return {**risk, "by": "seeded", "bound": bound}
    return risk


def _record(promise: StoredCertificate) -> CertificateRecord:
    return {
        "id": promise.id,
        "tier": promise.tier,
        "status": promise.status,
        "bound": promise.bound,
        "made_by": promise.made_by,
        "at": promise.at,
        "ended": promise.ended,
        "ended_by": promise.ended_by,
        "why": promise.why,
        "body": promise.certificate.to_json(),
    }


def totals(counts: Sequence[MinuteCounts]) -> CountTotals:
    """Sums over minutes, with coverage and the cost of an item."""
    released, held = sum(minute.released for minute in counts), sum(minute.held for minute in counts)
    cost, items = sum(minute.cost for minute in counts), released + held
    return {
        "released": released,
        "held": held,
        "escalated": sum(minute.escalated for minute in counts),
        "failed": sum(minute.failed for minute in counts),
        "coverage": released / items if items else None,
        "cost_per_item": cost / items if items else None,
        "tokens": sum(minute.tokens for minute in counts),
    }


def score_shift(counts: Sequence[MinuteCounts]) -> float | None:
    """The largest difference between the distribution functions of the last hour's scores and those before, 0 to 1.

    The Kolmogorov-Smirnov distance on ten bins; it shows a change, and proves nothing about risk.
    """
    if not counts:
        return None
    edge = counts[-1].minute - 60
    before, after = [0] * 10, [0] * 10
    for minute in counts:
        histogram = after if minute.minute > edge else before
        for index, count in enumerate(minute.scores):
            histogram[index] += count
    if min(sum(before), sum(after)) < MIN_SCORES:
        return None
    gap = share_before = share_after = 0.0
    for b, a in zip(before, after, strict=True):
        share_before, share_after = share_before + b / sum(before), share_after + a / sum(after)
        gap = max(gap, abs(share_before - share_after))
    return gap


def risk_by_slice(db: Database, job: str) -> list[SliceRisk]:
    """Reviewed released items by slice, with an anytime-valid bound on the risk of each."""
    from tolerate.stats.monitor.watch import anytime_upper

    sums: dict[str, tuple[int, float]] = {}  # slice -> number of labels, sum of losses
    for row in review_data.drawn_items(db, job):
        if row["decision"] == "release" and row["loss"] is not None:
            for name in {"", row["slice"]}:
                labels, total = sums.get(name, (0, 0.0))
                sums[name] = labels + 1, total + row["loss"]
    return [
        {
            "slice": name,
            "labels": labels,
            "seen": total / labels,
            "bound": anytime_upper(total, labels, 0.95),
        }
        for name, (labels, total) in sorted(sums.items())
    ]
