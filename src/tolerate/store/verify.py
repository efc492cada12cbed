"""Verification of a service's ledger: hashes, and every decision against the certificate in force at that moment.

The ledger is replayed from its first row: the hashes must chain, and each release must come from a certificate that
an earlier row put in force and none withdrew, by a score that this certificate releases and that no restriction of it
(DEGRADED, a held slice) holds. Of other tables only that is read which must have a row in the ledger.
"""

import json
from dataclasses import dataclass, field, replace

from tolerate.base.json_types import JsonValue
from tolerate.errors import TolerateError
from tolerate.records import Certificate, Decision
from tolerate.store.certificates import certificate_id
from tolerate.store.database import Database
from tolerate.store.ledger import START_HASH, Entry, chain_hash, rows
from tolerate.store.restrictions import HELD_BAND, HELD_SLICE, Restriction, hold_reason, in_force

MAX_SHOWN_FAULTS = 20


@dataclass
class Replay:
    """State of the replay so far, and the faults found. standing: certificates in force by (job, tier)."""

    rows: int = 0
    decisions: int = 0
    released: int = 0
    by_people: int = 0
    faults: list[str] = field(default_factory=list)
    standing: dict[tuple[str, str], tuple[str, Certificate]] = field(default_factory=dict)
    restrictions: dict[tuple[str, str], dict[str, Restriction]] = field(default_factory=dict)  # by slice
    held_by_restriction: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    head: bytes = START_HASH

    @property
    def holds(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    def to_json(self) -> dict[str, JsonValue]:
        """The result as JSON values."""
        return {
            "holds": self.holds,
            "rows": self.rows,
            "decisions": self.decisions,
            "released": self.released,
            "released_by_people": self.by_people,
            "held_by_tightening": self.held_by_restriction,
            "head": self.head.hex(),
            "faults": self.faults,
        }

    def __str__(self) -> str:
        counts = (
            f"{self.rows:,} rows, {self.decisions:,} decisions, {self.released:,} released by certificate, "
            f"{self.by_people:,} by people; head {self.head.hex()[:16]}"
        )
        if self.held_by_restriction:
            counts += f"; {self.held_by_restriction:,} held because the certificate was narrowed"
        if self.holds:
            return f"the ledger holds: every hash chains and every decision was recomputed ({counts})"
        rest = (
            f"\n  and {len(self.faults) - MAX_SHOWN_FAULTS} more"
            if len(self.faults) > MAX_SHOWN_FAULTS
            else ""
        )
        return (
            f"the ledger does not hold ({counts}):\n  " + "\n  ".join(self.faults[:MAX_SHOWN_FAULTS]) + rest
        )


def verify(db: Database) -> Replay:
    """Replay the whole ledger and compare the tables with it."""
    replay = Replay()
    for seq, body, digest in rows(db):
        replay.rows += 1
        if seq != replay.rows:
            replay.faults.append(f"row {replay.rows} is missing (the next is {seq})")
            replay.rows = seq
        if chain_hash(replay.head, body) != digest:
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


def _certificate(replay: Replay, entry: Entry) -> None:
    certificate = Certificate.from_json(entry["body"])
    if certificate_id(certificate) != entry["certificate"]:
        replay.faults.append(f"row {entry['seq']}: the certificate is not the one its id names")
    replay.standing[entry["job"], entry["tier"]] = (entry["certificate"], certificate)
    replay.restrictions.pop((entry["job"], entry["tier"]), None)


def _withdrawn(replay: Replay, entry: Entry) -> None:
    replay.standing.pop((entry["job"], entry["tier"]), None)
    replay.restrictions.pop((entry["job"], entry["tier"]), None)


def _restriction_begins(replay: Replay, entry: Entry) -> None:
    tier_key = entry["job"], entry["tier"]
    if replay.standing.get(tier_key, ("",))[0] != entry["certificate"]:
        replay.faults.append(f"row {entry['seq']} restricts a certificate that is not in force")
    replay.restrictions.setdefault(tier_key, {})[entry["slice"]] = Restriction.from_json(entry)


def _restriction_ends(replay: Replay, entry: Entry) -> None:
    if replay.restrictions.get((entry["job"], entry["tier"]), {}).pop(entry["slice"], None) is None:
        replay.faults.append(f"row {entry['seq']} ends a restriction that does not exist")


def _decision(replay: Replay, entry: Entry) -> None:
    replay.decisions += 1
    tier_key = entry["job"], entry["tier"]
    reason = hold_reason(
        replay.restrictions.get(tier_key, {}).values(), entry.get("slice", ""), entry["score"]
    )
    if entry["decision"] != Decision.RELEASE:
        _check_hold(replay, entry, reason)
        return
    replay.released += 1
    id, certificate = replay.standing.get(tier_key, (None, None))
    if certificate is None or id != entry["certificate"]:
        replay.faults.append(f"row {entry['seq']} released {entry['ticket']} without a certificate in force")
    elif certificate.decide(entry["score"]) != Decision.RELEASE:
        replay.faults.append(
            f"row {entry['seq']} released {entry['ticket']} at score {entry['score']}, which the "
            "certificate holds"
        )
    elif reason:
        replay.faults.append(f"row {entry['seq']} released {entry['ticket']} although {reason}")


def _check_hold(replay: Replay, entry: Entry, reason: str) -> None:
    """Check that a hold by a restriction follows from the restrictions at that moment."""
    if entry.get("reason") in (HELD_BAND, HELD_SLICE):
        replay.held_by_restriction += 1
        if reason != entry["reason"]:
            replay.faults.append(
                f"row {entry['seq']} held {entry['ticket']} by a restriction that was not in force"
            )


def _verdict(replay: Replay, entry: Entry) -> None:
    change = -1 if entry.get("undo") else 1
    replay.verdicts[entry["ticket"]] = replay.verdicts.get(entry["ticket"], 0) + change


def _settled(replay: Replay, entry: Entry) -> None:
    if replay.verdicts.get(entry["ticket"], 0) < 1:
        replay.faults.append(f"row {entry['seq']} settled {entry['ticket']} without a verdict")
    replay.by_people += entry["outcome"] == "released"


_STEPS = {
    "certificate": _certificate,
    "withdrawn": _withdrawn,
    "tightened": _restriction_begins,
    "eased": _restriction_ends,
    "decision": _decision,
    "verdict": _verdict,
    "settled": _settled,
}


def _compare(db: Database, replay: Replay) -> None:
    """Check that the tables beside the ledger agree with it."""
    standing = {(job, tier): id for (job, tier), (id, _) in replay.standing.items()}
    try:
        active_rows = db.all("SELECT job, tier, id FROM certificates WHERE status = 'active'")
        verdict_rows = db.all(
            "SELECT ticket, count(*) FROM verdicts WHERE taken_back IS NULL GROUP BY ticket"
        )
        in_tables = _restrictions_in_tables(db)
    except Exception as error:  # the driver's own: sqlite3 or psycopg
        raise TolerateError(f"the tables cannot be read: {error}") from None
    if {(job, tier): id for job, tier, id in active_rows} != standing:
        replay.faults.append("the certificates in force are not those of the ledger")
    in_ledger = {
        tier_key: frozenset(by_slice.values())
        for tier_key, by_slice in replay.restrictions.items()
        if by_slice
    }
    if in_tables is not None and in_tables != in_ledger:
        replay.faults.append("the restrictions of the certificates are not those of the ledger")
    counted = {ticket: count for ticket, count in replay.verdicts.items() if count}
    if {ticket: int(count) for ticket, count in verdict_rows} != counted:
        replay.faults.append("the verdicts are not those of the ledger")


def _restrictions_in_tables(db: Database) -> dict[tuple[str, str], frozenset[Restriction]] | None:
    """Restrictions in force by the tables; None in a database of a version that had none."""
    if not _has(db, "tightenings"):
        return None
    return {
        tier_key: frozenset(replace(restriction, at=0.0) for restriction in restrictions)
        for tier_key, restrictions in in_force(db).items()
    }


def _has(db: Database, table: str) -> bool:
    """Whether a table exists."""
    try:
        db.first(f"SELECT 1 FROM {table} LIMIT 1")
    except Exception:  # the driver's own: sqlite3 or psycopg
        return False
    return True
