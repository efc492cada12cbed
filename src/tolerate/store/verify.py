"""Is a service's ledger whole, and did every decision follow from the certificate that stood at that moment?

The ledger is replayed from its first row: the hashes must chain, and each release must come from a certificate that
an earlier row put in force and none withdrew, by a score that this certificate releases and that nothing which narrows
it (DEGRADED, a held slice) holds. Nothing but the ledger is read, and of other tables only what must have a row in it.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from tolerate.errors import TolerateError
from tolerate.records import Certificate, Decision
from tolerate.store.database import Database
from tolerate.store.ledger import START, chain, rows
from tolerate.store.restrictions import HELD_BAND, HELD_SLICE, Tightening, all_of, held

SHOWN = 20


@dataclass
class Replay:
    """What has been found so far."""

    rows: int = 0
    decisions: int = 0
    released: int = 0
    by_people: int = 0
    faults: list[str] = field(default_factory=list)
    standing: dict[tuple[str, str], tuple[str, Certificate]] = field(default_factory=dict)
    narrow: dict[tuple[str, str], dict[str, Tightening]] = field(default_factory=dict)  # by slice
    narrowed: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    head: bytes = START

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "holds": self.holds,
            "rows": self.rows,
            "decisions": self.decisions,
            "released": self.released,
            "released_by_people": self.by_people,
            "held_by_tightening": self.narrowed,
            "head": self.head.hex(),
            "faults": self.faults,
        }

    def __str__(self) -> str:
        counts = (
            f"{self.rows:,} rows, {self.decisions:,} decisions, {self.released:,} released by certificate, "
            f"{self.by_people:,} by people; head {self.head.hex()[:16]}"
        )
        if self.narrowed:
            counts += f"; {self.narrowed:,} held because the certificate was narrowed"
        if self.holds:
            return f"the ledger holds: every hash chains and every decision was recomputed ({counts})"
        more = f"\n  and {len(self.faults) - SHOWN} more" if len(self.faults) > SHOWN else ""
        return f"the ledger does not hold ({counts}):\n  " + "\n  ".join(self.faults[:SHOWN]) + more


def verify(db: Database) -> Replay:
    """Replay the whole ledger."""
    replay = Replay()
    for seq, body, digest in rows(db):
        replay.rows += 1
        if seq != replay.rows:
            replay.faults.append(f"row {replay.rows} is missing (the next is {seq})")
            replay.rows = seq
        if chain(replay.head, body) != digest:
            replay.faults.append(f"row {seq} was changed, or a row before it: its hash does not follow")
        replay.head = digest
        _replay(replay, seq, body)
    _compare(db, replay)
    return replay


def _replay(replay: Replay, seq: int, body: bytes) -> None:
    try:
        entry = json.loads(body)
        if entry["seq"] != seq:
            replay.faults.append(f"row {seq} says it is row {entry['seq']}")
        step = _STEPS.get(entry["kind"])
        if step is not None:
            step(replay, entry)
    except (ValueError, KeyError, TypeError) as error:
        replay.faults.append(f"row {seq} cannot be read: {error!r}")


def _certificate(replay: Replay, entry: dict[str, Any]) -> None:
    from tolerate.store.certificates import certificate_id

    certificate = Certificate.from_json(entry["body"])
    if certificate_id(certificate) != entry["certificate"]:
        replay.faults.append(f"row {entry['seq']}: the certificate is not the one its id names")
    replay.standing[entry["job"], entry["tier"]] = (entry["certificate"], certificate)
    replay.narrow.pop((entry["job"], entry["tier"]), None)


def _withdrawn(replay: Replay, entry: dict[str, Any]) -> None:
    replay.standing.pop((entry["job"], entry["tier"]), None)
    replay.narrow.pop((entry["job"], entry["tier"]), None)


def _tightened(replay: Replay, entry: dict[str, Any]) -> None:
    place = entry["job"], entry["tier"]
    if replay.standing.get(place, ("",))[0] != entry["certificate"]:
        replay.faults.append(f"row {entry['seq']} narrows a certificate that does not stand")
    replay.narrow.setdefault(place, {})[entry["slice"]] = Tightening.from_json(entry)


def _eased(replay: Replay, entry: dict[str, Any]) -> None:
    if replay.narrow.get((entry["job"], entry["tier"]), {}).pop(entry["slice"], None) is None:
        replay.faults.append(f"row {entry['seq']} eases what nothing narrowed")


def _decision(replay: Replay, entry: dict[str, Any]) -> None:
    replay.decisions += 1
    place = entry["job"], entry["tier"]
    narrow = held(replay.narrow.get(place, {}).values(), entry.get("slice", ""), entry["score"])
    if entry["decision"] != Decision.RELEASE:
        _held(replay, entry, narrow)
        return
    replay.released += 1
    id, certificate = replay.standing.get(place, (None, None))
    if certificate is None or id != entry["certificate"]:
        replay.faults.append(f"row {entry['seq']} released {entry['ticket']} under no standing certificate")
    elif certificate.decide(entry["score"]) != Decision.RELEASE:
        replay.faults.append(
            f"row {entry['seq']} released {entry['ticket']} at score {entry['score']}, which the "
            "certificate does not"
        )
    elif narrow:
        replay.faults.append(f"row {entry['seq']} released {entry['ticket']} although {narrow}")


def _held(replay: Replay, entry: dict[str, Any], narrow: str) -> None:
    """What was held because something narrowed the certificate must follow from it."""
    if entry.get("reason") in (HELD_BAND, HELD_SLICE):
        replay.narrowed += 1
        if narrow != entry["reason"]:
            replay.faults.append(f"row {entry['seq']} held {entry['ticket']} by a state that was not there")


def _verdict(replay: Replay, entry: dict[str, Any]) -> None:
    change = -1 if entry.get("undo") else 1
    replay.verdicts[entry["ticket"]] = replay.verdicts.get(entry["ticket"], 0) + change


def _settled(replay: Replay, entry: dict[str, Any]) -> None:
    if replay.verdicts.get(entry["ticket"], 0) < 1:
        replay.faults.append(f"row {entry['seq']} settled {entry['ticket']} without a verdict")
    replay.by_people += entry["outcome"] == "released"


_STEPS = {
    "certificate": _certificate,
    "withdrawn": _withdrawn,
    "tightened": _tightened,
    "eased": _eased,
    "decision": _decision,
    "verdict": _verdict,
    "settled": _settled,
}


def _compare(db: Database, replay: Replay) -> None:
    """The tables beside the ledger say nothing that it does not."""
    standing = {(job, tier): id for (job, tier), (id, _) in replay.standing.items()}
    try:
        found = db.all("SELECT job, tier, id FROM certificates WHERE status = 'active'")
        kept = db.all("SELECT ticket, count(*) FROM verdicts WHERE taken_back IS NULL GROUP BY ticket")
        tight = _tight(db)
    except Exception as error:  # the driver's own: sqlite3 or psycopg
        raise TolerateError(f"the tables cannot be read: {error}") from None
    if {(job, tier): id for job, tier, id in found} != standing:
        replay.faults.append("the certificates in force are not those of the ledger")
    narrow = {place: frozenset(found.values()) for place, found in replay.narrow.items() if found}
    if tight is not None and tight != narrow:
        replay.faults.append("what narrows the certificates is not what the ledger says")
    counted = {ticket: count for ticket, count in replay.verdicts.items() if count}
    if {ticket: int(count) for ticket, count in kept} != counted:
        replay.faults.append("the verdicts are not those of the ledger")


def _tight(db: Database) -> dict[tuple[str, str], frozenset[Tightening]] | None:
    """What narrows the certificates in force; None in a database from before there was such a thing."""
    if not _has(db, "tightenings"):
        return None
    return {place: frozenset(replace(each, at=0.0) for each in found) for place, found in all_of(db).items()}


def _has(db: Database, table: str) -> bool:
    try:
        db.one(f"SELECT 1 FROM {table} LIMIT 1")
    except Exception:  # the driver's own: sqlite3 or psycopg
        return False
    return True
