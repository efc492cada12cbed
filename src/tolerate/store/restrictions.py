"""Restrictions of a certificate in force: the state DEGRADED, and slices that are held.

An item is released only if the certificate's rule *and* every restriction allow it: a conjunction, so that nothing
is released that the certified rule alone would have held. A restriction adds nothing to the certificate's promise.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from tolerate.base.json_types import JsonObject
from tolerate.messages.catalogue import message
from tolerate.store.database import Database
from tolerate.store.ledger import Entry, append, restore_messages, with_messages

Band = tuple[
    float | None, float | None
]  # scores above the first, up to and including the second; None is no limit

HELD_SLICE = message("held.slice")
HELD_BAND = message("held.degraded")
STATE_ENDED = message("held.ended_state")


@dataclass(frozen=True)
class Restriction:
    """What is held beside what the certificate holds: all items of a slice, or (slice "") bands of scores.

    missing: whether items without a score are held. share: the least share of items that is drawn for review while
    the restriction lasts. at: when it began, in seconds since 1970.
    """

    slice: str
    bands: tuple[Band, ...] = ()
    missing: bool = False
    share: float = 0.0
    why: str = ""
    at: float = 0.0

    def holds(self, slice: str, score: float | None) -> bool:
        """Whether this holds an item that the certificate releases.

        >>> degraded = Restriction("", ((None, 0.5), (0.9, None)))
        >>> [degraded.holds("en", score) for score in (0.5, 0.7, 0.95, None)]
        [True, False, True, False]
        >>> Restriction("zh").holds("en", 0.1), Restriction("zh").holds("zh", 0.7)
        (False, True)
        """
        if self.slice:
            return self.slice == slice
        if score is None:
            return self.missing
        return any(
            (low is None or score > low) and (high is None or score <= high) for low, high in self.bands
        )

    def to_json(self) -> Entry:
        """The restriction without its time, as JSON values."""
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
    def from_json(cls, record: JsonObject, since: float = 0.0) -> Self:
        """A restriction that `to_json` wrote."""
        record = restore_messages(record)
        bands = tuple((low, high) for low, high in record["bands"])
        return cls(record["slice"], bands, record["missing"], record["share"], record["why"], since)


def hold_reason(tightenings: Iterable[Restriction], slice: str, score: float | None) -> str:
    """The reason why restrictions hold an item that the certificate releases; "" if none does."""
    of_a_slice = {bool(restriction.slice) for restriction in tightenings if restriction.holds(slice, score)}
    return HELD_SLICE if True in of_a_slice else HELD_BAND if of_a_slice else ""


def state_name(status: str, tightenings: Iterable[Restriction]) -> str:
    """The state of a certificate as it is shown: VALID, DEGRADED, VOID, WITHDRAWN or REPLACED.

    >>> state_name("active", [Restriction("zh")]), state_name("active", [Restriction("")]), state_name("void", [])
    ('VALID', 'DEGRADED', 'VOID')
    """
    if status != "active":
        return status.upper()
    return "DEGRADED" if any(not restriction.slice for restriction in tightenings) else "VALID"


def restrict(
    db: Database, id: str, job: str, tier: str, restriction: Restriction, by: str, now: float
) -> None:
    """Restrict a certificate in force; replaces its restriction of the same slice, if any."""
    db.run(
        "INSERT INTO tightenings (id, job, tier, slice, body, at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id, job, tier, slice) DO UPDATE SET body = excluded.body",
        id,
        job,
        tier,
        restriction.slice,
        json.dumps(restriction.to_json()),
        now,
    )
    append(db, "tightened", now, job=job, tier=tier, certificate=id, by=by, **restriction.to_json())


def end(db: Database, id: str, job: str, tier: str, slice: str, by: str, why: str, now: float) -> bool:
    """End a restriction by a person's decision; return whether there was one."""
    count = db.run(
        "DELETE FROM tightenings WHERE id = ? AND job = ? AND tier = ? AND slice = ?", id, job, tier, slice
    )
    if count:
        append(db, "eased", now, job=job, tier=tier, certificate=id, slice=slice, by=by, why=why)
    return bool(count)


def clear(db: Database, job: str, tier: str) -> None:
    """Delete the restrictions of a tier, because its certificate was replaced or withdrawn."""
    db.run("DELETE FROM tightenings WHERE job = ? AND tier = ?", job, tier)


def in_force(db: Database) -> dict[tuple[str, str], tuple[Restriction, ...]]:
    """Restrictions of the certificates in force, by job and tier."""
    in_force_by_tier: dict[tuple[str, str], tuple[Restriction, ...]] = {}
    rows = db.all(
        "SELECT t.job, t.tier, t.body, t.at FROM tightenings t JOIN certificates c ON c.id = t.id AND c.job = t.job "
        "AND c.tier = t.tier WHERE c.status = 'active' ORDER BY t.slice"
    )
    for job, tier, body, since in rows:
        in_force_by_tier[job, tier] = (
            *in_force_by_tier.get((job, tier), ()),
            Restriction.from_json(json.loads(body), float(since)),
        )
    return in_force_by_tier
