"""What narrows a certificate that stands: DEGRADED, and slices that are held. It may only hold what would be released.

A release needs the certificate's own rule *and* every tightening to let it through: a conjunction, so that nothing
goes out that the certified rule alone would have held. It promises nothing more than the certificate did.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from tolerate.messages.catalogue import message
from tolerate.store.database import Database
from tolerate.store.ledger import append, restore_messages, with_messages

Band = tuple[float | None, float | None]  # scores above the first, up to and with the second; None is no end

HELD_SLICE = message("held.slice")
HELD_BAND = message("held.degraded")
OVER = message("held.ended_state")


@dataclass(frozen=True)
class Tightening:
    """What is held beside what the certificate holds: of one slice everything, of the whole ("") bands of scores.

    missing: whether items without a score are held. share: of the items that go to review at least, so long.
    """

    slice: str
    bands: tuple[Band, ...] = ()
    missing: bool = False
    share: float = 0.0
    why: str = ""
    at: float = 0.0

    def holds(self, slice: str, score: float | None) -> bool:
        """Whether an item that the certificate releases is held all the same.

        >>> narrow = Tightening("", ((None, 0.5), (0.9, None)))
        >>> [narrow.holds("en", score) for score in (0.5, 0.7, 0.95, None)]
        [True, False, True, False]
        >>> Tightening("zh").holds("en", 0.1), Tightening("zh").holds("zh", 0.7)
        (False, True)
        """
        if self.slice:
            return self.slice == slice
        if score is None:
            return self.missing
        return any(
            (low is None or score > low) and (high is None or score <= high) for low, high in self.bands
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        bands = [list(band) for band in self.bands]
        return with_messages(
            {
                "slice": self.slice,
                "bands": bands,
                "missing": self.missing,
                "share": self.share,
                "why": self.why,
            }
        )

    @classmethod
    def from_json(cls, record: dict[str, Any], at: float = 0.0) -> Self:
        """What `to_json` wrote."""
        record = restore_messages(record)
        bands = tuple((low, high) for low, high in record["bands"])
        return cls(record["slice"], bands, record["missing"], record["share"], record["why"], at)


def held(tightenings: Iterable[Tightening], slice: str, score: float | None) -> str:
    """Why an item that the certificate releases is held; "" if it is not."""
    found = {bool(each.slice) for each in tightenings if each.holds(slice, score)}
    return HELD_SLICE if True in found else HELD_BAND if found else ""


def state(status: str, tightenings: Iterable[Tightening]) -> str:
    """The state of a promise as it is shown: VALID, DEGRADED, VOID, WITHDRAWN, REPLACED or NONE.

    >>> state("active", [Tightening("zh")]), state("active", [Tightening("")]), state("void", [])
    ('VALID', 'DEGRADED', 'VOID')
    """
    if status != "active":
        return status.upper()
    return "DEGRADED" if any(not each.slice for each in tightenings) else "VALID"


def tighten(db: Database, id: str, job: str, tier: str, what: Tightening, by: str, at: float) -> None:
    """Narrow a certificate that stands; in place of what narrowed this slice, or the whole, before."""
    db.run(
        "INSERT INTO tightenings (id, job, tier, slice, body, at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id, job, tier, slice) DO UPDATE SET body = excluded.body",
        id,
        job,
        tier,
        what.slice,
        json.dumps(what.to_json()),
        at,
    )
    append(db, "tightened", at, job=job, tier=tier, certificate=id, by=by, **what.to_json())


def ease(db: Database, id: str, job: str, tier: str, slice: str, by: str, why: str, at: float) -> bool:
    """A person lets go of a tightening; whether there was one."""
    gone = db.run(
        "DELETE FROM tightenings WHERE id = ? AND job = ? AND tier = ? AND slice = ?", id, job, tier, slice
    )
    if gone:
        append(db, "eased", at, job=job, tier=tier, certificate=id, slice=slice, by=by, why=why)
    return bool(gone)


def forget(db: Database, job: str, tier: str) -> None:
    """A certificate of this tier came or went: what narrowed the one before is over."""
    db.run("DELETE FROM tightenings WHERE job = ? AND tier = ?", job, tier)


def all_of(db: Database) -> dict[tuple[str, str], tuple[Tightening, ...]]:
    """What narrows the certificates in force, by job and tier."""
    found: dict[tuple[str, str], tuple[Tightening, ...]] = {}
    rows = db.all(
        "SELECT t.job, t.tier, t.body, t.at FROM tightenings t JOIN certificates c ON c.id = t.id AND c.job = t.job "
        "AND c.tier = t.tier WHERE c.status = 'active' ORDER BY t.slice"
    )
    for job, tier, body, at in rows:
        found[job, tier] = (*found.get((job, tier), ()), Tightening.from_json(json.loads(body), float(at)))
    return found
