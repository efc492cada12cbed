"""Stored certificates: what they are bound to, who put them in force and who withdrew them, their watch, alarms."""

import hashlib
import json
from dataclasses import dataclass

from tolerate.base.json_types import JsonObject
from tolerate.messages.catalogue import message
from tolerate.records import Certificate
from tolerate.store import restrictions
from tolerate.store.database import Database, Row
from tolerate.store.ledger import append, restore_messages, with_messages
from tolerate.store.schema import meta, set_meta

COLUMNS = "id, job, tier, status, body, bound, made_by, at, ended, ended_by, why"


@dataclass(frozen=True)
class StoredCertificate:
    """A certificate of a job's tier, with its status and history.

    status: proposed, active, replaced, withdrawn or void. bound: name -> hash of what it holds for (model, prompt,
    judge, guide, data); an absent name is not checked.
    """

    id: str
    job: str
    tier: str
    status: str
    certificate: Certificate
    bound: dict[str, str]
    made_by: str
    at: float
    ended: float | None = None
    ended_by: str | None = None
    why: str | None = None


def certificate_id(certificate: Certificate) -> str:
    """The SHA-256 of a certificate's JSON with sorted keys."""
    text = json.dumps(certificate.to_json(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def install(
    db: Database, job: str, tier: str, certificate: Certificate, bound: dict[str, str], by: str, now: float
) -> str:
    """Put a certificate in force in place of the one before; return its id."""
    id = certificate_id(certificate)
    withdraw(db, job, tier, by, message("withdrawn.replaced"), now, status="replaced")
    restrictions.clear(db, job, tier)
    db.run("DELETE FROM drifts WHERE id = ? AND job = ? AND tier = ?", id, job, tier)
    db.run(
        "INSERT INTO certificates (id, job, tier, status, body, bound, made_by, at) VALUES (?, ?, ?, "
        "'active', ?, ?, ?, ?) "
        "ON CONFLICT (id, job, tier) DO UPDATE SET status = 'active', bound = excluded.bound, "
        "made_by = excluded.made_by, "
        "at = excluded.at, ended = NULL, ended_by = NULL, why = NULL, watch = NULL",
        id,
        job,
        tier,
        certificate.dumps(),
        json.dumps(bound),
        by,
        now,
    )
    append(
        db,
        "certificate",
        now,
        job=job,
        tier=tier,
        certificate=id,
        body=certificate.to_json(),
        bound=bound,
        by=by,
    )
    return id


def propose(
    db: Database, job: str, tier: str, certificate: Certificate, bound: dict[str, str], by: str, now: float
) -> str:
    """Store a certificate that may be put in force later; return its id. Until then it decides nothing."""
    id = certificate_id(certificate)
    db.run(
        "INSERT INTO certificates (id, job, tier, status, body, bound, made_by, at) VALUES (?, ?, ?, "
        "'proposed', ?, ?, ?, ?) "
        "ON CONFLICT (id, job, tier) DO NOTHING",
        id,
        job,
        tier,
        certificate.dumps(),
        json.dumps(bound),
        by,
        now,
    )
    return id


def withdraw(
    db: Database, job: str, tier: str | None, by: str, why: str, now: float, status: str = "withdrawn"
) -> list[str]:
    """Take certificates out of force (of every tier if tier is None); return the ids of those that were in force."""
    standing = [stored for stored in active(db, job) if tier is None or stored.tier == tier]
    for stored in standing:
        db.run(
            "UPDATE certificates SET status = ?, ended = ?, ended_by = ?, why = ? WHERE id = ? AND "
            "job = ? AND tier = ?",
            status,
            now,
            by,
            str(why),
            stored.id,
            job,
            stored.tier,
        )
        restrictions.clear(db, job, stored.tier)
        append(
            db,
            "withdrawn",
            now,
            job=job,
            tier=stored.tier,
            certificate=stored.id,
            status=status,
            by=by,
            why=why,
        )
    return [stored.id for stored in standing]


def mark_mended(db: Database, job: str, by: str, now: float) -> None:
    """Record that a person has mended a job: the evidence for its next certificate begins now.

    It must be recorded before the reviews that count are known; every new start is a new attempt at the same level.
    """
    set_meta(db, f"mended {job}", repr(now))
    append(db, "mended", now, job=job, by=by)


def mended_at(db: Database, job: str) -> float:
    """The time at which a job was last marked as mended; 0 if never."""
    return float(meta(db, f"mended {job}") or 0.0)


def bind(db: Database, id: str, job: str, tier: str, name: str, value: str, now: float) -> None:
    """Bind a certificate to one more hash, unless the name is bound already."""
    stored = find(db, id, job, tier)
    if stored is None or name in stored.bound:
        return
    db.run(
        "UPDATE certificates SET bound = ? WHERE id = ? AND job = ? AND tier = ?",
        json.dumps({**stored.bound, name: value}),
        id,
        job,
        tier,
    )
    append(db, "bound", now, job=job, tier=tier, certificate=id, name=name, value=value)


def active(db: Database, job: str | None = None) -> list[StoredCertificate]:
    """The certificates in force."""
    condition, values = ("", ()) if job is None else (" AND job = ?", (job,))
    return [
        _stored_certificate(row)
        for row in db.all(f"SELECT {COLUMNS} FROM certificates WHERE status = 'active'{condition}", *values)
    ]


def history(db: Database, job: str, limit: int = 100) -> list[StoredCertificate]:
    """The certificates of a job that were ever in force, newest first."""
    sql = f"SELECT {COLUMNS} FROM certificates WHERE job = ? AND status <> 'proposed' ORDER BY at DESC, id LIMIT ?"
    return [_stored_certificate(row) for row in db.all(sql, job, limit)]


def find(db: Database, id: str, job: str, tier: str) -> StoredCertificate | None:
    """A certificate of a tier, of whatever status; None if there is none with this id."""
    row = db.first(f"SELECT {COLUMNS} FROM certificates WHERE id = ? AND job = ? AND tier = ?", id, job, tier)
    return None if row is None else _stored_certificate(row)


def _stored_certificate(row: Row) -> StoredCertificate:
    id, job, tier, status, body, bound, made_by, since, ended, ended_by, why = row
    return StoredCertificate(
        id,
        job,
        tier,
        status,
        Certificate.loads(body),
        json.loads(bound),
        made_by,
        float(since),
        ended,
        ended_by,
        why,
    )


def save_watch(db: Database, id: str, job: str, tier: str, state: JsonObject) -> None:
    """Store the state of a certificate's watch."""
    db.run(
        "UPDATE certificates SET watch = ? WHERE id = ? AND job = ? AND tier = ?",
        json.dumps(state),
        id,
        job,
        tier,
    )


def load_watch(db: Database, id: str, job: str, tier: str) -> JsonObject | None:
    """The stored state of a certificate's watch; None if there is none."""
    row = db.first("SELECT watch FROM certificates WHERE id = ? AND job = ? AND tier = ?", id, job, tier)
    return None if row is None or row[0] is None else json.loads(row[0])


def save_drift(db: Database, id: str, job: str, tier: str, state: JsonObject) -> None:
    """Store the evidence about a certificate's scores."""
    db.run(
        "INSERT INTO drifts VALUES (?, ?, ?, ?) ON CONFLICT (id, job, tier) DO UPDATE SET body = excluded.body",
        id,
        job,
        tier,
        json.dumps(state),
    )


def load_drift(db: Database, id: str, job: str, tier: str) -> JsonObject | None:
    """The stored evidence about a certificate's scores; None if there is none."""
    row = db.first("SELECT body FROM drifts WHERE id = ? AND job = ? AND tier = ?", id, job, tier)
    return None if row is None else json.loads(row[0])


def add_alarm(db: Database, job: str, kind: str, now: float, body: JsonObject) -> None:
    """Store an alarm in its table and in the ledger."""
    body = with_messages(body)
    db.run("INSERT INTO alarms (job, kind, at, body) VALUES (?, ?, ?, ?)", job, kind, now, json.dumps(body))
    append(db, "alarm", now, job=job, alarm=kind, body=body)


def alarms(db: Database, job: str, limit: int = 50) -> list[JsonObject]:
    """A job's alarms, newest first."""
    alarm_rows = db.all(
        "SELECT kind, at, body FROM alarms WHERE job = ? ORDER BY id DESC LIMIT ?", job, limit
    )
    return [
        {"kind": kind, "at": raised, **restore_messages(json.loads(body))}
        for kind, raised, body in alarm_rows
    ]
