"""Scores without labels: when they no longer look like the certified ones, the certificate is DEGRADED and holds more.

DEGRADED may only tighten: the bands of scores that come more often than the certificate's evidence covers are held,
and a larger random share goes to review. It ends with another certificate, or by a person's decision that stands in
the ledger; after that decision the traffic of that moment is what scores are compared with, and the level is spent
anew.
"""

from collections.abc import Sequence
from dataclasses import replace

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.messages.catalogue import message
from tolerate.records import Certificate
from tolerate.service.config import JobSettings
from tolerate.service.watch.evidence import restart_slice
from tolerate.stats.monitor.drift import Drift, Reference
from tolerate.store import Database, certificates, restrictions
from tolerate.store.certificates import StoredCertificate
from tolerate.store.restrictions import Band, Restriction

MAX_SCORES = 50  # in one transaction: a millisecond, for other writes wait behind it
Scores = Sequence[tuple[float | None, float]]  # each with a random number that breaks ties


def update_drift(db: Database, job: JobSettings, tier: str, scores: Scores, now: float) -> list[JsonObject]:
    """Take some scores of a tier into the test of drift, inside the writer; the alarms that follow."""
    promise = _active_certificate(db, job.name, tier)
    if promise is None or job.drift >= 1:
        return []
    alarms: list[JsonObject] = []
    drift = certificate_drift(db, job, promise)
    if drift.update([score for score, _ in scores], [tie for _, tie in scores]):
        alarms.append(_degrade(db, job, promise, drift, now))
    elif drift.detected and (growth := drift.next_bands()) is not None:
        bands, missing = growth
        _hold_more(db, job, promise, bands, missing, now)
    certificates.save_drift(db, promise.id, job.name, tier, drift.to_json())
    return alarms


def _active_certificate(db: Database, job: str, tier: str) -> StoredCertificate | None:
    return next((promise for promise in certificates.active(db, job) if promise.tier == tier), None)


def certificate_drift(db: Database, job: JobSettings, promise: StoredCertificate) -> Drift:
    """The test of drift of a certificate, with all scores it has taken in."""
    state = certificates.load_drift(db, promise.id, promise.job, promise.tier)
    if state is None:
        return Drift(certified_scores(promise.certificate), 1 - promise.certificate.confidence, job.drift)
    drift = Drift.from_json(state)
    drift.gap = job.drift
    return drift


def certified_scores(certificate: Certificate) -> Reference | None:
    """The scores of the certificate's own sample; None if it does not hold them."""
    scores = certificate.options.get("scores")
    return None if scores is None else Reference.from_json(scores)


def _degrade(
    db: Database, job: JobSettings, promise: StoredCertificate, drift: Drift, now: float
) -> JsonObject:
    bands, missing = drift.bands()
    why = message("alarm.degraded", gap=drift.recent_gap, items=drift.items, evidence=drift.evidence)
    restriction = Restriction("", tuple(bands), missing, job.degraded_share, why, now)
    restrictions.restrict(db, promise.id, job.name, promise.tier, restriction, "watch", now)
    figures = {"gap": round(drift.recent_gap, 4), "items": drift.items, "evidence": drift.evidence}
    body: dict[str, JsonValue] = {"tier": promise.tier, "certificate": promise.id, "why": why, **figures}
    certificates.add_alarm(db, job.name, "degraded", now, body)
    return {"kind": "degraded", "job": job.name, "at": now, **body}


def _hold_more(
    db: Database, job: JobSettings, promise: StoredCertificate, bands: list[Band], missing: bool, now: float
) -> None:
    """Hold further bands while the state stands; bands that are held stay held."""
    in_force = restrictions.in_force(db).get((job.name, promise.tier), ())
    current = next((restriction for restriction in in_force if not restriction.slice), None)
    if current is None:
        return
    fresh = tuple(band for band in bands if not _is_within(band, current.bands))
    if fresh or (missing and not current.missing):
        wider = replace(current, bands=(*current.bands, *fresh), missing=current.missing or missing)
        restrictions.restrict(db, promise.id, job.name, promise.tier, wider, "watch", now)


def _is_within(band: Band, bands: tuple[Band, ...]) -> bool:
    """Whether another band holds all of this one.

    >>> _is_within((0.2, 0.3), ((None, 0.5),)), _is_within((0.2, None), ((None, 0.5),))
    (True, False)
    """
    low, high = band
    return any(
        (a is None or (low is not None and low >= a)) and (b is None or (high is not None and high <= b))
        for a, b in bands
    )


def end_restriction(db: Database, job: str, tier: str, slice: str, by: str, why: str, now: float) -> bool:
    """End a state by a person's decision: the test behind it begins anew. Returns whether there was such a state."""
    promise = _active_certificate(db, job, tier)
    if promise is None or not restrictions.end(db, promise.id, job, tier, slice, by, why, now):
        return False
    if slice:
        restart_slice(db, promise, slice)
    else:
        fresh = Drift(None, 1 - promise.certificate.confidence)
        certificates.save_drift(db, promise.id, job, tier, fresh.to_json())
    certificates.add_alarm(db, job, "eased", now, {"tier": tier, "slice": slice, "by": by, "why": why})
    return True
