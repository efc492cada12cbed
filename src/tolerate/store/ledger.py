"""The ledger: append-only rows; each hash covers the row and the hash before it, so that a change is noticed.

A row's body is JSON with `seq`, `at` (seconds since 1970), `kind` and what happened. Kinds:

    decision      job, tier, ticket, decision, score, certificate, reason, key, content (SHA-256), cost, tokens, drawn,
                  share (with which it was drawn), again (whether a second person reads it)
    certificate   job, tier, certificate (id), body (the certificate), bound, by: it is in force from here on
    withdrawn     job, tier, certificate, status (withdrawn, void, replaced), by, why: it is no longer in force
    tightened     job, tier, certificate, slice, bands, missing, share, why, by: it releases less from here on
    eased         job, tier, certificate, slice, by, why: that restriction is over
    mended        job, by: the evidence for the next certificate begins here
    verdict       job, ticket, slot, reviewer, loss, label, undo
    settled       job, ticket, loss, outcome (released, refused)
    key, user, job, alarm, started, stopped, labels: what their fields say

`reason` and `why` are English. Where they are sentences of the catalogue, `messages` holds their keys and parameters
by the name of the field; rows of older versions have none.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tolerate.base.json_types import JsonValue
from tolerate.records import Message
from tolerate.store.database import Database

START_HASH = b"\0" * 32
Entry = dict[str, Any]  # a row's JSON; its fields depend on `kind`


def chain_hash(before: bytes, body: bytes) -> bytes:
    """The hash of a row.

    >>> chain_hash(START_HASH, b"{}").hex()[:8]
    'fb1634c4'
    """
    return hashlib.sha256(before + body).digest()


def head(db: Database) -> tuple[int, bytes]:
    """The number and hash of the last row; (0, START) in an empty ledger."""
    row = db.first("SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1")
    return (0, START_HASH) if row is None else (int(row[0]), bytes(row[1]))


def append(db: Database, kind: str, now: float, **fields: object) -> int:
    """Add one row, inside the writer; return its number."""
    seq, before = head(db)
    entry = with_messages({"seq": seq + 1, "at": round(now, 6), "kind": kind, **fields})
    body = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    db.run("INSERT INTO ledger VALUES (?, ?, ?)", seq + 1, body, chain_hash(before, body))
    return seq + 1


def with_messages(record: Mapping[str, object]) -> Entry:
    """A record with the keys and parameters of its sentences beside their English text.

    >>> from tolerate.messages.catalogue import message
    >>> with_messages({"reason": message("held.slice")})["messages"]
    {'reason': {'key': 'held.slice', 'params': {}}}
    """
    messages = {name: value.to_json() for name, value in record.items() if isinstance(value, Message)}
    return {**record, "messages": messages} if messages else dict(record)


def restore_messages(record: Mapping[str, JsonValue]) -> Entry:
    """A record that `with_messages` wrote, with its sentences as messages again."""
    messages = record.get("messages")
    if not isinstance(messages, dict):
        return dict(record)
    sentences = {
        name: Message.from_json(str(record[name]), messages[name]) for name in messages if name in record
    }
    return {**record, **sentences}


def rows(db: Database, after: int = 0, batch: int = 5000) -> Iterator[tuple[int, bytes, bytes]]:
    """Every row (number, body, hash) after a number, in order; read in batches."""
    while True:
        batch_rows = db.all(
            "SELECT seq, body, hash FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", after, batch
        )
        for seq, body, digest in batch_rows:
            yield int(seq), bytes(body), bytes(digest)
        if len(batch_rows) < batch:
            return
        after = int(batch_rows[-1][0])


def newest(db: Database, count: int = 100) -> list[Entry]:
    """The newest rows, newest first."""
    body_rows = db.all("SELECT body FROM ledger ORDER BY seq DESC LIMIT ?", count)
    return [json.loads(bytes(body)) for (body,) in body_rows]
