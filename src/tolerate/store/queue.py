"""The queue of a review desk: items, review slots with leases, verdicts, and final losses.

An item has as many slots as it needs reviewers; nobody gets two slots of one item, and nobody sees the verdicts of
others. A slot is leased for a while and returns to the queue if there is no verdict by then. A verdict is final when
its reviewer gives the next one, or after UNDO_SECONDS: until then it can be taken back. When every slot of an item is
final the item is settled: the reviewers agree, or one more person adjudicates.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from tolerate.base.json_types import JsonObject
from tolerate.errors import DataError
from tolerate.records import Message
from tolerate.store import media
from tolerate.store.database import Database, placeholders
from tolerate.store.ledger import append

LEASE_SECONDS = 600.0
UNDO_SECONDS = 10.0  # in which a verdict can be taken back, unless its reviewer gives another
AGREEMENT_TOLERANCE = 1e-9  # losses that differ by more than this are a disagreement


@dataclass(frozen=True)
class Item:
    """An item for review. The fields are the columns of the table `items`.

    state: held, released or refused (it waits for a person, or a person decided), delivered (it was sent already).
    why: held, sample, import, seed; lot (of an audit), fresh (of a run). chance: with which it was drawn; drawn:
    1 if it belongs to the random share. media: a picture, sound or film: "data:...", "kept:HASH/NAME" (`media.py`),
    "file:PATH" or "". answer: what the client gets if it is released. truth: the known loss of a seeded item.
    """

    ticket: str
    job: str
    at: float
    prompt: str
    content: str
    tier: str = ""
    certificate: str | None = None
    owner: str = ""
    slice: str = ""
    cluster: str = ""
    state: str = "held"
    why: str = "held"
    reason: str = ""
    decision: str = "review"
    score: float | None = None
    chance: float = 1.0
    drawn: int = 0
    media: str = ""
    answer: str = ""
    cost: float = 0.0
    reviewers: int = 1
    truth: float | None = None
    reason_message: str | None = None  # JSON: key and parameters of `reason`; None of older versions

    @property
    def reason_sentence(self) -> str:
        """The reason why the item was held, as a sentence that can be rendered in both languages."""
        return Message.from_json(self.reason, json.loads(self.reason_message or "null"))


@dataclass(frozen=True)
class Verdict:
    """A stored verdict. kind: of its slot: review, second or adjudicate."""

    reviewer: str
    loss: float
    label: str
    note: str
    kind: str


@dataclass(frozen=True)
class NewVerdict:
    """A verdict on a leased slot. nonce: of the page, so that a form that is sent twice is one verdict."""

    slot: int
    reviewer: str
    loss: float
    nonce: str
    label: str = ""
    note: str = ""


@dataclass(frozen=True)
class ReviewTask:
    """A leased slot with its item and the reviewer's draft. until: when the lease ends."""

    slot: int
    kind: str
    item: Item
    until: float
    draft: JsonObject
    others: tuple[Verdict, ...] = ()  # verdicts of the reviewers; only for an adjudication


@dataclass(frozen=True)
class SettledItem:
    """An item with its final loss. outcome: released or refused if it was held, else delivered."""

    item: Item
    loss: float
    outcome: str


OnSettled = Callable[[Database, SettledItem], None]
AcceptedLosses = Mapping[str, float]  # job -> largest final loss at which a held item is released; absent: 0
ITEM_COLUMNS = ", ".join(field.name for field in fields(Item))
_ITEM_FIELDS = tuple(field.name for field in fields(Item))


def add_item(db: Database, item: Item, priority: int = 0) -> None:
    """Put an item into the queue, with a slot for each reviewer it needs. Idempotent."""
    if isinstance(item.reason, Message):
        item = replace(item, reason=str(item.reason), reason_message=json.dumps(item.reason.to_json()))
    added = db.run(
        f"INSERT INTO items ({ITEM_COLUMNS}) VALUES ({placeholders(_ITEM_FIELDS)}) ON CONFLICT (ticket) DO NOTHING",
        *(getattr(item, name) for name in _ITEM_FIELDS),
    )
    for _ in range(item.reviewers if added else 0):
        _add_slot(db, item, "review", priority)


def request_review(db: Database, ticket: str, kind: str = "second", priority: int = 0) -> None:
    """Add a slot to an item and reopen it. kind: second (by somebody who has not reviewed it), review or adjudicate."""
    stored = item(db, ticket)
    if stored is not None:
        db.run(
            "UPDATE items SET due = NULL, last_by = NULL, settled = NULL, loss = NULL WHERE ticket = ?",
            ticket,
        )
        _add_slot(db, stored, kind, priority)


def cancel_slot(db: Database, slot: int) -> None:
    """Cancel a slot, even if it is leased."""
    db.run("UPDATE slots SET state = 'cancelled', reviewer = NULL, until = NULL WHERE id = ?", slot)


def _add_slot(db: Database, item: Item, kind: str, priority: int) -> None:
    db.run(
        "INSERT INTO slots (ticket, job, kind, priority, at, state) VALUES (?, ?, ?, ?, ?, 'open')",
        item.ticket,
        item.job,
        kind,
        priority,
        item.at,
    )


def item(db: Database, ticket: str) -> Item | None:
    """The item with this ticket; None if there is none."""
    row = db.first(f"SELECT {ITEM_COLUMNS} FROM items WHERE ticket = ?", ticket)
    return None if row is None else Item(*row)


def lease(
    db: Database,
    reviewer: str,
    now: float,
    *,
    jobs: Sequence[str] = (),
    kinds: Sequence[str] = ("review",),
    seconds: float = LEASE_SECONDS,
) -> ReviewTask | None:
    """Lease the next slot for a reviewer: the one already leased, else the most urgent open one; None if there is none.

    kinds: of slots: review, second (of items that this reviewer has not reviewed), adjudicate.
    """
    db.run(
        "UPDATE slots SET state = 'open', reviewer = NULL, until = NULL WHERE state = 'leased' AND until < ?",
        now,
    )
    slot = _leased_slot(db, reviewer, jobs, kinds) or _open_slot(db, reviewer, jobs, kinds)
    if slot is None:
        return None
    db.run(
        "UPDATE slots SET state = 'leased', reviewer = ?, until = ? WHERE id = ?",
        reviewer,
        now + seconds,
        slot,
    )
    return task(db, slot, reviewer)


def _leased_slot(db: Database, reviewer: str, jobs: Sequence[str], kinds: Sequence[str]) -> int | None:
    condition, values = _slot_filter(jobs, kinds)
    row = db.first(
        f"SELECT id FROM slots WHERE state = 'leased' AND reviewer = ? AND {condition} ORDER BY id",
        reviewer,
        *values,
    )
    return None if row is None else int(row[0])


def _open_slot(db: Database, reviewer: str, jobs: Sequence[str], kinds: Sequence[str]) -> int | None:
    """The first open slot of an item that this reviewer has not reviewed; slots that they skipped come last."""
    condition, values = _slot_filter(jobs, kinds)
    same_reviewer = "o.reviewer = ?" + ("" if "second" in kinds else " AND o.kind = s.kind")
    sql = (
        f"SELECT s.id FROM slots s WHERE s.state = 'open' AND {condition} AND NOT EXISTS "
        f"(SELECT 1 FROM slots o WHERE o.ticket = s.ticket AND {same_reviewer}) "
        "{not_skipped}ORDER BY s.priority DESC, s.at, s.id LIMIT 1"
    )
    not_skipped = "AND NOT EXISTS (SELECT 1 FROM skips k WHERE k.slot = s.id AND k.reviewer = ?) "
    values_of_reviewer = (*values, reviewer)
    row = db.first(sql.format(not_skipped=not_skipped), *values_of_reviewer, reviewer)
    row = row or db.first(sql.format(not_skipped=""), *values_of_reviewer)
    return None if row is None else int(row[0])


def _slot_filter(jobs: Sequence[str], kinds: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A condition on kind and job as SQL, with its values; one kind is compared by =, so that the index is used."""
    kind = "kind = ?" if len(kinds) == 1 else f"kind IN ({placeholders(kinds)})"
    return f"{kind} AND job IN ({placeholders(jobs)})" if jobs else kind, (*kinds, *jobs)


def task(db: Database, slot: int, reviewer: str) -> ReviewTask | None:
    """A slot that this reviewer has leased, with its item and draft; None if they have not."""
    row = db.first(
        "SELECT ticket, kind, until FROM slots WHERE id = ? AND reviewer = ? AND state = 'leased'",
        slot,
        reviewer,
    )
    if row is None:
        return None
    ticket, kind, until = row
    stored = item(db, ticket)
    assert stored is not None
    others = tuple(verdicts_on(db, ticket)) if kind == "adjudicate" else ()
    return ReviewTask(slot, kind, stored, float(until), draft(db, slot, reviewer), others)


def slot_in_hand(db: Database, slot: int, reviewer: str) -> tuple[str, str] | None:
    """Job and kind of a slot that this reviewer has leased; None if they have not."""
    row = db.first(
        "SELECT job, kind FROM slots WHERE id = ? AND reviewer = ? AND state = 'leased'", slot, reviewer
    )
    return None if row is None else (row[0], row[1])


def verdicts_on(db: Database, ticket: str) -> list[Verdict]:
    """The verdicts on an item that were not taken back, in order."""
    verdict_rows = db.all(
        "SELECT reviewer, loss, label, note, kind FROM verdicts WHERE ticket = ? AND taken_back IS "
        "NULL ORDER BY id",
        ticket,
    )
    return [Verdict(*row) for row in verdict_rows]


def skip(db: Database, slot: int, reviewer: str) -> None:
    """Return a slot to the queue; this reviewer gets it again when there is no other."""
    released = db.run(
        "UPDATE slots SET state = 'open', reviewer = NULL, until = NULL WHERE id = ? AND reviewer = "
        "? AND state = 'leased'",
        slot,
        reviewer,
    )
    if released:
        db.run("INSERT INTO skips VALUES (?, ?) ON CONFLICT DO NOTHING", slot, reviewer)


def save_draft(db: Database, slot: int, reviewer: str, body: JsonObject, now: float) -> None:
    """Store the draft of a reviewer for a slot."""
    db.run(
        "INSERT INTO drafts VALUES (?, ?, ?, ?) ON CONFLICT (slot, reviewer) DO UPDATE SET body = "
        "excluded.body, at = excluded.at",
        slot,
        reviewer,
        json.dumps(body, ensure_ascii=False),
        now,
    )


def draft(db: Database, slot: int, reviewer: str) -> JsonObject:
    """The stored draft of a reviewer for a slot; {} if there is none."""
    row = db.first("SELECT body FROM drafts WHERE slot = ? AND reviewer = ?", slot, reviewer)
    return {} if row is None else json.loads(row[0])


def record_verdict(
    db: Database,
    new: NewVerdict,
    now: float,
    *,
    settled: OnSettled | None = None,
    accept: AcceptedLosses | None = None,
) -> bool:
    """Store a verdict; False if the same form was stored before.

    Raises DataError if the slot is not this reviewer's (the lease may have ended, and another person may have it).
    settled: called for the reviewer's verdict before this one, which is final now.
    """
    if not 0 <= new.loss <= 1:
        raise DataError(f"loss {new.loss} is outside [0, 1]; 0 is fine, 1 unacceptable")
    if db.first("SELECT 1 FROM verdicts WHERE reviewer = ? AND nonce = ?", new.reviewer, new.nonce):
        return False
    row = db.first(
        "SELECT ticket, job, kind FROM slots WHERE id = ? AND reviewer = ? AND state = 'leased'",
        new.slot,
        new.reviewer,
    )
    if row is None:
        raise DataError("this item is no longer yours: the lease ended, or it has its verdict; take the next")
    settle_due(db, now, settled, accept, reviewer=new.reviewer)
    _insert_verdict(db, new, *row, now=now)
    return True


def _insert_verdict(db: Database, new: NewVerdict, ticket: str, job: str, kind: str, *, now: float) -> None:
    db.run("UPDATE slots SET state = 'done', until = NULL WHERE id = ?", new.slot)
    db.run(
        "INSERT INTO verdicts (slot, ticket, job, kind, reviewer, loss, label, note, at, nonce) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        new.slot,
        ticket,
        job,
        kind,
        new.reviewer,
        new.loss,
        new.label,
        new.note,
        now,
        new.nonce,
    )
    db.run("DELETE FROM drafts WHERE slot = ?", new.slot)
    fields = {"reviewer": new.reviewer, "loss": new.loss, "label": new.label}
    append(db, "verdict", now, job=job, ticket=ticket, slot=new.slot, **fields)
    waiting = db.first("SELECT 1 FROM slots WHERE ticket = ? AND state IN ('open', 'leased') LIMIT 1", ticket)
    if waiting is None:
        due = now + UNDO_SECONDS
        db.run("UPDATE items SET due = ?, last_by = ? WHERE ticket = ?", due, new.reviewer, ticket)


def undo(db: Database, reviewer: str, now: float, seconds: float = LEASE_SECONDS) -> int | None:
    """Take back a reviewer's last verdict if it is not final; return its slot, which is leased again, else None."""
    row = db.first(
        "SELECT v.id, v.slot, v.ticket, v.job, i.settled, v.taken_back FROM verdicts v JOIN items i "
        "ON i.ticket = v.ticket "
        "WHERE v.reviewer = ? ORDER BY v.id DESC LIMIT 1",
        reviewer,
    )
    if row is None or row[4] is not None or row[5] is not None:
        return None
    id, slot, ticket, job, _, _ = row
    db.run("UPDATE verdicts SET taken_back = ? WHERE id = ?", now, id)
    db.run("UPDATE items SET due = NULL, last_by = NULL WHERE ticket = ?", ticket)
    db.run(
        "UPDATE slots SET state = 'open', reviewer = NULL, until = NULL WHERE reviewer = ? AND state "
        "= 'leased'",
        reviewer,
    )
    db.run(
        "UPDATE slots SET state = 'leased', reviewer = ?, until = ? WHERE id = ?",
        reviewer,
        now + seconds,
        slot,
    )
    append(db, "verdict", now, job=job, ticket=ticket, slot=slot, reviewer=reviewer, undo=True)
    return int(slot)


def settle_due(
    db: Database,
    now: float,
    settled: OnSettled | None,
    accept: AcceptedLosses | None = None,
    *,
    reviewer: str | None = None,
) -> list[SettledItem]:
    """Settle the items whose verdicts are final: their time is over, or (with `reviewer`) that reviewer goes on."""
    due_rows = db.all(
        f"SELECT {ITEM_COLUMNS} FROM items WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT 500", now
    )
    if reviewer is not None:
        due_rows = db.all(
            f"SELECT {ITEM_COLUMNS} FROM items WHERE due IS NOT NULL AND last_by = ? ORDER BY due", reviewer
        )
    done = [_settle(db, Item(*row), now, accept or {}) for row in due_rows]
    final = [settled_item for settled_item in done if settled_item is not None]
    for settled_item in final:
        if settled is not None:
            settled(db, settled_item)
    return final


def _settle(db: Database, about: Item, now: float, accept: AcceptedLosses) -> SettledItem | None:
    """Settle an item: by the loss that all agree on or that of the adjudicator; None if it needs an adjudicator.

    Of an audit's item the worse verdict counts, and nobody adjudicates.
    """
    verdicts = verdicts_on(db, about.ticket)
    decided = [verdict.loss for verdict in verdicts if verdict.kind == "adjudicate"]
    losses = [verdict.loss for verdict in verdicts if verdict.kind != "adjudicate"]
    db.run("UPDATE items SET due = NULL, last_by = NULL WHERE ticket = ?", about.ticket)
    if not decided and max(losses) - min(losses) > AGREEMENT_TOLERANCE and about.why != "lot":
        _add_slot(db, about, "adjudicate", 100)
        return None
    loss = float(decided[-1] if decided else max(losses))
    outcome = (
        about.state
        if about.state != "held"
        else "released"
        if loss <= accept.get(about.job, 0.0)
        else "refused"
    )
    db.run(
        "UPDATE items SET loss = ?, settled = ?, state = ? WHERE ticket = ?", loss, now, outcome, about.ticket
    )
    append(db, "settled", now, job=about.job, ticket=about.ticket, loss=loss, outcome=outcome)
    return SettledItem(about, loss, outcome)


def erase_texts(db: Database, before: float, now: float, job: str = "", limit: int = 1000) -> int:
    """Erase the texts and media of settled items older than a time; return the number of items.

    The ledger keeps their hashes. A held item is refused. job: "" for every job.
    """
    ticket_rows = db.all(
        "SELECT ticket FROM items WHERE at < ? AND wiped IS NULL AND (settled IS NOT NULL OR state = "
        "'held')" + (" AND job = ?" if job else "") + " LIMIT ?",
        before,
        *([job] if job else []),
        limit,
    )
    for (ticket,) in ticket_rows:
        db.run(
            "UPDATE items SET prompt = '', content = '', media = '', answer = '', wiped = ?, "
            "state = CASE WHEN state = 'held' THEN 'refused' ELSE state END WHERE ticket = ?",
            now,
            ticket,
        )
        db.run(
            "UPDATE slots SET state = 'cancelled' WHERE ticket = ? AND state IN ('open', 'leased')", ticket
        )
        db.run("UPDATE verdicts SET note = '' WHERE ticket = ?", ticket)
    media.delete_unused(db, before)
    return len(ticket_rows)
