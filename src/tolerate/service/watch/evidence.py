"""Reviews become evidence: the watch of each certificate, its alarm, and the certificate that could come next.

Only the recorded random share of what was released is evidence about what is released. It enters the watch in the
transaction that settles the review, so a certificate is withdrawn in the very commit that proves it wrong.

**Slices.** Each named slice has a test of its own. The level is split (`stats.monitor.watch.Watch`): half of
1 - confidence for the whole, the other half in equal parts for the slices. Each line is an e-process, so by Ville's
inequality it ever alarms falsely with at most its part of the level, and by the union bound the chance that *any* line
of a job whose risk keeps the tolerance ever alarms is at most 1 - confidence, whatever depends on what.
"""

import asyncio
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.messages.catalogue import joined, message
from tolerate.records import Certificate, Decision
from tolerate.service.config import JobSettings
from tolerate.stats.monitor.watch import Alarm, Watch
from tolerate.store import Database, certificates, restrictions, second_reviews
from tolerate.store.queue import SettledItem
from tolerate.store.restrictions import Restriction
from tolerate.store.review_data import drawn_items


def settlement_watcher(
    clock: Callable[[], float], alarms: list[JsonObject], jobs: Iterable[JobSettings] = ()
) -> Callable[[Database, SettledItem], None]:
    """The function that takes a settled item into its watch, inside the writer; alarms are also appended to `alarms`.

    jobs: name the slices that are watched too, and what an alarm in one does.
    """
    settings = {job.name: job for job in jobs}

    def on_settled(db: Database, settled: SettledItem) -> None:
        item = settled.item
        if not item.drawn or item.decision != Decision.RELEASE or item.certificate is None:
            return
        promise = certificates.find(db, item.certificate, item.job, item.tier)
        if promise is None or promise.status != "active":
            return
        job = settings.get(item.job)
        watch = certificate_watch(db, promise, () if job is None else job.slices)
        before = watch.alarms
        watch.update(settled.loss, slice=item.slice if item.slice in watch.slices else None)
        certificates.save_watch(db, promise.id, item.job, item.tier, watch.to_json())
        for alarm in watch.alarms:
            if alarm not in before and certificates.find(db, promise.id, item.job, item.tier) == promise:
                alarms.append(_raise_alarm(db, promise, job, alarm, clock()))

    return on_settled


def _raise_alarm(
    db: Database, promise: certificates.StoredCertificate, job: JobSettings | None, alarm: Alarm, now: float
) -> JsonObject:
    """Withdraw the certificate, hold the slice, or only tell of the alarm; returns the alarm's record."""
    name = promise.job
    why: str = alarm.sentence
    consequence = "withdraw"
    if alarm.slice and not promises_slice(promise.certificate, alarm.slice):
        consequence = "tell" if job is None else job.on_slice_alarm
        why = joined([why, message("alarm.not_promised")])
    if consequence == "withdraw":
        certificates.withdraw(db, name, None, "watch", why, now)
    elif consequence == "hold":
        restriction = Restriction(alarm.slice, why=why, at=now)
        restrictions.restrict(db, promise.id, name, promise.tier, restriction, "watch", now)
    body: dict[str, JsonValue] = {
        "tier": promise.tier,
        "certificate": promise.id,
        "why": why,
        "since": alarm.since,
        "labels": alarm.labels,
        "seen": alarm.seen,
        "tolerance": alarm.tolerance,
        "evidence": alarm.evidence,
        **({"slice": alarm.slice, "then": consequence} if alarm.slice else {}),
    }
    certificates.add_alarm(db, name, "risk", now, body)
    return {"kind": "risk", "at": now, "job": name, **body}


def promises_slice(certificate: Certificate, slice: str) -> bool:
    """Whether a certificate was made for each slice, and something was proven of this one."""
    lines = {line["name"]: line for line in certificate.slices}
    each_slice = bool(certificate.options.get("each_slice"))
    return each_slice and lines.get(slice, {}).get("scope", "nothing") != "nothing"


def certificate_watch(
    db: Database, promise: certificates.StoredCertificate, slices: tuple[str, ...] = ()
) -> Watch:
    """The watch of a certificate, with all reviews it has taken in. slices: used when it is opened; it keeps those."""
    state = certificates.load_watch(db, promise.id, promise.job, promise.tier)
    return Watch(promise.certificate, slices=slices) if state is None else Watch.from_json(state)


def restart_slice(db: Database, promise: certificates.StoredCertificate, slice: str) -> None:
    """Watch a slice anew after a person's decision; its level is spent again."""
    watch = certificate_watch(db, promise)
    if slice in watch.slices:
        watch.restart(slice)
        certificates.save_watch(db, promise.id, promise.job, promise.tier, watch.to_json())


@dataclass(frozen=True)
class EvidenceColumns:
    """The drawn items of a tier, oldest first, one entry an item in every column.

    finals, chances: only where items had a chance of a second reading: the final loss of those read twice (else
    None), and that chance; `losses` are the first reader's then.
    """

    losses: list[float]
    missing: list[bool]  # not reviewed, though a later one was
    scores: list[float | None]
    clusters: list[str]
    weights: list[float]
    finals: list[float | None] | None = None
    chances: list[float] | None = None


def evidence_columns(db: Database, job: str, tier: str, since: float) -> EvidenceColumns:
    """The drawn items of a tier as columns, oldest first, up to the newest that was reviewed.

    One that should have been reviewed by then and was not counts as wrong: leaving it out would let the choice of
    what to review first flatter the result. Where items had a chance of a second reading, only those count.
    """
    rows = [row for row in drawn_items(db, job) if row["tier"] == tier and row["at"] >= since]
    while rows and rows[-1]["loss"] is None:
        rows.pop()
    lots = second_reviews.draws(db, job)
    twice = [row for row in rows if row["ticket"] in lots]
    rows = twice or rows
    columns = EvidenceColumns(
        losses=[1.0 if row["loss"] is None else row["loss"] for row in rows],
        missing=[row["loss"] is None for row in rows],
        scores=[row["score"] for row in rows],
        clusters=[row["cluster"] or row["ticket"] for row in rows],
        weights=[1 / row["chance"] for row in rows],
    )
    if not twice:
        return columns
    firsts = [lots[row["ticket"]][1] for row in rows]
    return replace(
        columns,
        losses=[loss if first is None else first for loss, first in zip(columns.losses, firsts, strict=True)],
        finals=[None if first is None else row["loss"] for row, first in zip(rows, firsts, strict=True)],
        chances=[lots[row["ticket"]][0] for row in rows],
    )


async def next_certificates(
    columns: EvidenceColumns, tolerances: Sequence[float], confidence: float
) -> list[Certificate]:
    """The certificates that this evidence gives at several tolerances, made in a process of its own."""
    if not columns.losses:
        return []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tolerate.service.watch.evidence",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    task = {"columns": asdict(columns), "tolerances": tolerances, "confidence": confidence}
    output, _ = await process.communicate(json.dumps(task).encode())
    return [Certificate.from_json(record) for record in json.loads(output or b"[]")]


def certify_columns(
    columns: EvidenceColumns, tolerances: Sequence[float], confidence: float
) -> list[Certificate]:
    """One certificate a tolerance; what reviewers miss is counted where a share was read twice."""
    from tolerate.stats.certify.threshold import certify
    from tolerate.stats.monitor.drift import with_scores

    losses, scale, losses_by = _losses(columns)
    scored = any(score is not None for score in columns.scores)
    scores = [math.nan if score is None else score for score in columns.scores] if scored else None
    alone = len(set(columns.clusters)) == len(columns.clusters)
    clusters = None if alone else columns.clusters
    weights = None if len(set(columns.weights)) == 1 else columns.weights
    certificates = []
    for tolerance in tolerances:
        certificate = certify(
            losses=losses,
            scores=scores,
            clusters=clusters,
            weights=weights,
            tolerance=tolerance / scale,
            confidence=confidence,
            comparisons=len(tolerances),
            losses_by=losses_by,
        )
        rescaled = _rescale(certificate, tolerance, scale)
        certificates.append(with_scores(rescaled, scores, clusters, weights))
    return certificates


def _losses(columns: EvidenceColumns) -> tuple[list[float], float, str]:
    """The losses to certify, what they were divided by, and who gave them."""
    from tolerate.stats.monitor.missed import losses_with_missed

    if columns.finals is None or columns.chances is None:
        return columns.losses, 1.0, "reviewers of the service"
    finals = [math.nan if final is None else final for final in columns.finals]
    losses, scale = losses_with_missed(columns.losses, finals, columns.chances)
    twice = sum(final is not None for final in columns.finals)
    losses_by = (
        f"reviewers of the service; what they miss is counted, by a second blind reading of {twice:,} items"
    )
    return losses.tolist(), scale, losses_by


def _rescale(certificate: Certificate, tolerance: float, scale: float) -> Certificate:
    """A certificate of losses that were divided, in the losses' own unit."""
    if scale == 1:
        return certificate
    bound = None if certificate.risk_bound is None else certificate.risk_bound * scale
    observed = None if certificate.risk_seen is None else certificate.risk_seen * scale
    return replace(certificate, tolerance=tolerance, risk_bound=bound, risk_seen=observed, advice=())


def main() -> None:
    """Certify the evidence on standard input; write the certificates to standard output."""
    task = json.load(sys.stdin)
    columns = EvidenceColumns(**task["columns"])
    certificates = certify_columns(columns, task["tolerances"], task["confidence"])
    json.dump([certificate.to_json() for certificate in certificates], sys.stdout)


if __name__ == "__main__":
    main()
