"""Scores without labels: when they no longer look like the certified ones, the certificate is DEGRADED, and holds more.

DEGRADED may only tighten: the bands of scores that come more often than the certificate's evidence covers are held,
and a larger random share goes to review. It ends with another certificate, or by a person's decision that stands in
the ledger; after that decision the traffic of that moment is what scores are compared with, and the level is spent
anew.
"""

from dataclasses import replace
from typing import Any

from tolerate.records import Certificate
from tolerate.service.config import JobSettings
from tolerate.stats.monitor.drift import Drift, Reference
from tolerate.store import Database, promises
from tolerate.store import degraded as tightened
from tolerate.store.degraded import Band, Tightening
from tolerate.store.promises import Promise

MOST = 50  # scores looked at in one transaction: a millisecond, for others wait behind it
Scores = list[tuple[float | None, float]]


def look(db: Database, job: JobSettings, tier: str, scores: Scores, at: float) -> list[dict[str, Any]]:
    """Take some scores of a tier in, inside the writer; the alarms that follow."""
    promise = next((each for each in promises.active(db, job.name) if each.tier == tier), None)
    if promise is None or job.drift >= 1:
        return []
    drift, told = drift_of(db, job, promise), []
    if drift.update([score for score, _ in scores], [tie for _, tie in scores]):
        told.append(_degrade(db, job, promise, drift, at))
    elif drift.found and (more := drift.more()) is not None:
        _grow(db, job, promise, *more, at)
    promises.save_drift(db, promise.id, job.name, tier, drift.to_json())
    return told


def drift_of(db: Database, job: JobSettings, promise: Promise) -> Drift:
    """The evidence about a certificate's scores with all it has seen."""
    kept = promises.load_drift(db, promise.id, promise.job, promise.tier)
    if kept is None:
        return Drift(certified(promise.certificate), 1 - promise.certificate.confidence, job.drift)
    drift = Drift.from_json(kept)
    drift.gap = job.drift
    return drift


def certified(certificate: Certificate) -> Reference | None:
    """What the certificate's own sample looked like, if it says so."""
    given = certificate.options.get("scores")
    return None if given is None else Reference.from_json(given)


def _degrade(db: Database, job: JobSettings, promise: Promise, drift: Drift, at: float) -> dict[str, Any]:
    bands, missing = drift.bands()
    why = (
        f"scores no longer look like the certified ones: the distributions differ by {drift.seen:.0%} "
        f"after {drift.items:,} scores (evidence {drift.evidence:,.0f} to 1)"
    )
    what = Tightening("", tuple(bands), missing, job.degraded_share, why, at)
    tightened.tighten(db, promise.id, job.name, promise.tier, what, "watch", at)
    seen = {"gap": round(drift.seen, 4), "items": drift.items, "evidence": drift.evidence}
    about = {"tier": promise.tier, "certificate": promise.id, "why": why, **seen}
    promises.alarm(db, job.name, "degraded", at, about)
    return {"kind": "degraded", "job": job.name, "at": at, **about}


def _grow(
    db: Database, job: JobSettings, promise: Promise, bands: list[Band], missing: bool, at: float
) -> None:
    """While the state stands it may hold more bands, never fewer."""
    narrow = tightened.all_of(db).get((job.name, promise.tier), ())
    known = next((each for each in narrow if not each.slice), None)
    fresh = () if known is None else tuple(band for band in bands if not _within(band, known.bands))
    if known is not None and (fresh or (missing and not known.missing)):
        what = replace(known, bands=(*known.bands, *fresh), missing=known.missing or missing)
        tightened.tighten(db, promise.id, job.name, promise.tier, what, "watch", at)


def _within(band: Band, bands: tuple[Band, ...]) -> bool:
    """Whether one of the bands holds all of this one.

    >>> _within((0.2, 0.3), ((None, 0.5),)), _within((0.2, None), ((None, 0.5),))
    (True, False)
    """
    low, high = band
    return any(
        (a is None or (low is not None and low >= a)) and (b is None or (high is not None and high <= b))
        for a, b in bands
    )


def ease(db: Database, job: str, tier: str, slice: str, by: str, why: str, at: float) -> bool:
    """A person decides that a state is over: the test behind it begins anew; whether there was one."""
    from tolerate.service.watch.evidence import restart

    promise = next((each for each in promises.active(db, job) if each.tier == tier), None)
    if promise is None or not tightened.ease(db, promise.id, job, tier, slice, by, why, at):
        return False
    if slice:
        restart(db, promise, slice)
    else:
        fresh = Drift(None, 1 - promise.certificate.confidence)
        promises.save_drift(db, promise.id, job, tier, fresh.to_json())
    promises.alarm(db, job, "eased", at, {"tier": tier, "slice": slice, "by": by, "why": why})
    return True
