"""Certificates in force: what they are bound to, who put them there and who withdrew them, their watch."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from tolerate.messages.catalogue import message
from tolerate.records import Certificate
from tolerate.store import restrictions
from tolerate.store.database import Database, Row
from tolerate.store.ledger import append, restore_messages, with_messages
from tolerate.store.schema import meta, set_meta

COLUMNS = "id, job, tier, status, body, bound, made_by, at, ended, ended_by, why"


@dataclass(frozen=True)
class Promise:
    """A certificate of a job's tier, with its life so far.

    status: proposed, active, replaced, withdrawn or void. bound: hash by what it holds for (model, prompt, judge,
    guide, data); what is absent is not bound.
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
    db: Database, job: str, tier: str, certificate: Certificate, bound: dict[str, str], by: str, at: float
) -> str:
    """Put a certificate in force, in place of the one before; its id."""
    id = certificate_id(certificate)
    withdraw(db, job, tier, by, message("withdrawn.replaced"), at, status="replaced")
    restrictions.forget(db, job, tier)
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
        at,
    )
    append(
        db,
        "certificate",
        at,
        job=job,
        tier=tier,
        certificate=id,
        body=certificate.to_json(),
        bound=bound,
        by=by,
    )
    return id


def propose(
    db: Database, job: str, tier: str, certificate: Certificate, bound: dict[str, str], by: str, at: float
) -> str:
    """Keep a certificate that may be put in force later; its id. It decides nothing."""
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
        at,
    )
    return id


def withdraw(
    db: Database, job: str, tier: str | None, by: str, why: str, at: float, status: str = "withdrawn"
) -> list[str]:
    """Take certificates out of force (of every tier if tier is None); the ids of those that stood."""
    standing = [each for each in active(db, job) if tier is None or each.tier == tier]
    for each in standing:
        db.run(
            "UPDATE certificates SET status = ?, ended = ?, ended_by = ?, why = ? WHERE id = ? AND "
            "job = ? AND tier = ?",
            status,
            at,
            by,
            str(why),
            each.id,
            job,
            each.tier,
        )
        restrictions.forget(db, job, each.tier)
        append(
            db,
            "withdrawn",
            at,
            job=job,
            tier=each.tier,
            certificate=each.id,
            status=status,
            by=by,
            why=why,
        )
    return [each.id for each in standing]


def mend(db: Database, job: str, by: str, at: float) -> None:
    """A person says that the trouble of a job is mended: the evidence for its next certificate begins here.

    Said before the reviews that count are known; every new beginning is a new try at the same level.
    """
    set_meta(db, f"mended {job}", repr(at))
    append(db, "mended", at, job=job, by=by)


def mended(db: Database, job: str) -> float:
    """When a job was last said to be mended; 0 if never."""
    return float(meta(db, f"mended {job}") or 0.0)


def bind(db: Database, id: str, job: str, tier: str, name: str, value: str, at: float) -> None:
    """Hold a certificate to one more thing, unless it is held to it already."""
    found = find(db, id, job, tier)
    if found is None or name in found.bound:
        return
    db.run(
        "UPDATE certificates SET bound = ? WHERE id = ? AND job = ? AND tier = ?",
        json.dumps({**found.bound, name: value}),
        id,
        job,
        tier,
    )
    append(db, "bound", at, job=job, tier=tier, certificate=id, name=name, value=value)


def active(db: Database, job: str | None = None) -> list[Promise]:
    """The certificates in force."""
    where, values = ("", ()) if job is None else (" AND job = ?", (job,))
    return [
        _promise(row)
        for row in db.all(f"SELECT {COLUMNS} FROM certificates WHERE status = 'active'{where}", *values)
    ]


def history(db: Database, job: str, limit: int = 100) -> list[Promise]:
    """Every certificate of a job that was ever in force, newest first."""
    sql = f"SELECT {COLUMNS} FROM certificates WHERE job = ? AND status <> 'proposed' ORDER BY at DESC, id LIMIT ?"
    return [_promise(row) for row in db.all(sql, job, limit)]


def find(db: Database, id: str, job: str, tier: str) -> Promise | None:
    """One certificate of a tier, whatever became of it."""
    row = db.one(f"SELECT {COLUMNS} FROM certificates WHERE id = ? AND job = ? AND tier = ?", id, job, tier)
    return None if row is None else _promise(row)


def _promise(row: Row) -> Promise:
    id, job, tier, status, body, bound, made_by, at, ended, ended_by, why = row
    return Promise(
        id,
        job,
        tier,
        status,
        Certificate.loads(body),
        json.loads(bound),
        made_by,
        float(at),
        ended,
        ended_by,
        why,
    )


def save_watch(db: Database, id: str, job: str, tier: str, state: dict[str, Any]) -> None:
    """Keep the state of a certificate's watch."""
    db.run(
        "UPDATE certificates SET watch = ? WHERE id = ? AND job = ? AND tier = ?",
        json.dumps(state),
        id,
        job,
        tier,
    )


def load_watch(db: Database, id: str, job: str, tier: str) -> dict[str, Any] | None:
    """The state of a certificate's watch, if any was kept."""
    row = db.one("SELECT watch FROM certificates WHERE id = ? AND job = ? AND tier = ?", id, job, tier)
    return None if row is None or row[0] is None else json.loads(row[0])


def save_drift(db: Database, id: str, job: str, tier: str, state: dict[str, Any]) -> None:
    """Keep the evidence about a certificate's scores."""
    db.run(
        "INSERT INTO drifts VALUES (?, ?, ?, ?) ON CONFLICT (id, job, tier) DO UPDATE SET body = excluded.body",
        id,
        job,
        tier,
        json.dumps(state),
    )


def load_drift(db: Database, id: str, job: str, tier: str) -> dict[str, Any] | None:
    """The evidence about a certificate's scores, if any was kept."""
    row = db.one("SELECT body FROM drifts WHERE id = ? AND job = ? AND tier = ?", id, job, tier)
    return None if row is None else json.loads(row[0])


def alarm(db: Database, job: str, kind: str, at: float, body: dict[str, Any]) -> None:
    """Keep an alarm, in its table and in the ledger."""
    body = with_messages(body)
    db.run("INSERT INTO alarms (job, kind, at, body) VALUES (?, ?, ?, ?)", job, kind, at, json.dumps(body))
    append(db, "alarm", at, job=job, alarm=kind, body=body)


def alarms(db: Database, job: str, limit: int = 50) -> list[dict[str, Any]]:
    """A job's alarms, newest first."""
    found = db.all("SELECT kind, at, body FROM alarms WHERE job = ? ORDER BY id DESC LIMIT ?", job, limit)
    return [{"kind": kind, "at": at, **restore_messages(json.loads(body))} for kind, at, body in found]
