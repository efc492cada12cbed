"""The queue of a review desk: items, looks at them with leases, verdicts, and what follows from them.

An item waits in as many slots as it needs reviewers; nobody sees two slots of one item, and nobody sees what
others said. A slot is leased for a while and returns to the queue if nothing comes. A verdict is final when its
reviewer gives the next one, or after a short time: until then it can be taken back. When every slot of an item is
final the item is settled: the reviewers agree, or one more person decides.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from tolerate.errors import DataError
from tolerate.records import Message
from tolerate.store import media
from tolerate.store.database import Database, marks
from tolerate.store.ledger import append

LEASE = 600.0  # seconds
UNDO = 10.0  # seconds in which a verdict can be taken back, if no other was given
AGREED = 1e-9  # losses that differ by more are a disagreement


@dataclass(frozen=True)
class Item:
    """What a person is asked to look at.

    state: held, released or refused (it waits for a person, or a person decided), delivered (it went out already).
    why: held, sample, import, seed; lot (of an audit), fresh (of a run). chance: with which it was drawn; drawn:
    whether it speaks for the rest. media: a picture, sound or film: "data:...", "kept:HASH/NAME" (`media.py`),
    "file:PATH" or "". answer: what the client gets if it is released.
    truth: the known loss of a seeded item.
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
        """Why it was held, as a sentence that can be said in both languages."""
        return Message.from_json(self.reason, json.loads(self.reason_message or "null"))


@dataclass(frozen=True)
class Task:
    """One look: the slot, its item, and the draft kept for it. until: when the lease ends."""

    slot: int
    kind: str
    item: Item
    until: float
    draft: dict[str, Any]
    others: tuple[dict[str, Any], ...] = ()  # what the reviewers said; only for an adjudication


@dataclass(frozen=True)
class Settled:
    """An item with its final loss. outcome: released or refused if it was held, else delivered."""

    item: Item
    loss: float
    outcome: str


OnSettled = Callable[[Database, Settled], None]
Accept = Mapping[str, float]  # job -> largest final loss at which a held item is released; 0 if absent
ITEM = ", ".join(field.name for field in fields(Item))
_PLACES = {field.name: place for place, field in enumerate(fields(Item))}


def keep(db: Database, item: Item, priority: int = 0) -> None:
    """Put an item into the queue, with a slot for each reviewer it needs. Twice is once."""
    names = ", ".join(_PLACES)
    if isinstance(item.reason, Message):
        item = replace(item, reason=str(item.reason), reason_message=json.dumps(item.reason.to_json()))
    added = db.run(
        f"INSERT INTO items ({names}) VALUES ({marks(_PLACES)}) ON CONFLICT (ticket) DO NOTHING",
        *(getattr(item, name) for name in _PLACES),
    )
    for _ in range(item.reviewers if added else 0):
        _add_slot(db, item, "review", priority)


def look_again(db: Database, ticket: str, kind: str = "second", priority: int = 0) -> None:
    """One more look at an item: by a second person, who has not seen it, or again from the start."""
    about = item(db, ticket)
    if about is not None:
        db.run(
            "UPDATE items SET due = NULL, last_by = NULL, settled = NULL, loss = NULL WHERE ticket = ?",
            ticket,
        )
        _add_slot(db, about, kind, priority)


def call_off(db: Database, slot: int) -> None:
    """A look that is not wanted any more, whoever has it."""
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
    """One item."""
    row = db.one(f"SELECT {ITEM} FROM items WHERE ticket = ?", ticket)
    return None if row is None else Item(*row)


def lease(
    db: Database,
    reviewer: str,
    at: float,
    *,
    jobs: Sequence[str] = (),
    kinds: Sequence[str] = ("review",),
    seconds: float = LEASE,
) -> Task | None:
    """The next look for a reviewer: the one already leased, else the most urgent open one; None if there is none.

    kinds: of look: review, second (nobody reads an item for the second time that they have read), adjudicate.
    """
    db.run(
        "UPDATE slots SET state = 'open', reviewer = NULL, until = NULL WHERE state = 'leased' AND until < ?",
        at,
    )
    slot = _leased(db, reviewer, jobs, kinds) or _open(db, reviewer, jobs, kinds)
    if slot is None:
        return None
    db.run(
        "UPDATE slots SET state = 'leased', reviewer = ?, until = ? WHERE id = ?",
        reviewer,
        at + seconds,
        slot,
    )
    return task(db, slot, reviewer)


def _leased(db: Database, reviewer: str, jobs: Sequence[str], kinds: Sequence[str]) -> int | None:
    where, values = _some(jobs, kinds)
    row = db.one(
        f"SELECT id FROM slots WHERE state = 'leased' AND reviewer = ? AND {where} ORDER BY id",
        reviewer,
        *values,
    )
    return None if row is None else int(row[0])


def _open(db: Database, reviewer: str, jobs: Sequence[str], kinds: Sequence[str]) -> int | None:
    """The first open slot of an item that this reviewer has not seen; what they skipped comes last."""
    where, values = _some(jobs, kinds)
    seen = "o.reviewer = ?" + ("" if "second" in kinds else " AND o.kind = s.kind")
    sql = (
        f"SELECT s.id FROM slots s WHERE s.state = 'open' AND {where} AND NOT EXISTS "
        f"(SELECT 1 FROM slots o WHERE o.ticket = s.ticket AND {seen}) "
        "{more}ORDER BY s.priority DESC, s.at, s.id LIMIT 1"
    )
    fresh = "AND NOT EXISTS (SELECT 1 FROM skips k WHERE k.slot = s.id AND k.reviewer = ?) "
    given = (*values, reviewer)
    row = db.one(sql.format(more=fresh), *given, reviewer) or db.one(sql.format(more=""), *given)
    return None if row is None else int(row[0])


def _some(jobs: Sequence[str], kinds: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Which looks are meant, as SQL with its values; one kind is asked for plainly, so that the index serves."""
    kind = "kind = ?" if len(kinds) == 1 else f"kind IN ({marks(kinds)})"
    return f"{kind} AND job IN ({marks(jobs)})" if jobs else kind, (*kinds, *jobs)


def task(db: Database, slot: int, reviewer: str) -> Task | None:
    """A slot that this reviewer has leased, with its item and draft."""
    row = db.one(
        "SELECT ticket, kind, until FROM slots WHERE id = ? AND reviewer = ? AND state = 'leased'",
        slot,
        reviewer,
    )
    if row is None:
        return None
    ticket, kind, until = row
    about = item(db, ticket)
    assert about is not None
    others = tuple(said(db, ticket)) if kind == "adjudicate" else ()
    return Task(slot, kind, about, float(until), draft(db, slot, reviewer), others)


def leased(db: Database, slot: int, reviewer: str) -> tuple[str, str] | None:
    """Job and kind of a slot that this reviewer has leased."""
    row = db.one(
        "SELECT job, kind FROM slots WHERE id = ? AND reviewer = ? AND state = 'leased'", slot, reviewer
    )
    return None if row is None else (row[0], row[1])


def said(db: Database, ticket: str) -> list[dict[str, Any]]:
    """The verdicts on an item that stand, in order."""
    found = db.all(
        "SELECT reviewer, loss, label, note, kind FROM verdicts WHERE ticket = ? AND taken_back IS "
        "NULL ORDER BY id",
        ticket,
    )
    return [dict(zip(("reviewer", "loss", "label", "note", "kind"), row, strict=True)) for row in found]


def skip(db: Database, slot: int, reviewer: str) -> None:
    """Give a slot back unseen; this reviewer meets it again when nothing else is left."""
    given = db.run(
        "UPDATE slots SET state = 'open', reviewer = NULL, until = NULL WHERE id = ? AND reviewer = "
        "? AND state = 'leased'",
        slot,
        reviewer,
    )
    if given:
        db.run("INSERT INTO skips VALUES (?, ?) ON CONFLICT DO NOTHING", slot, reviewer)


def save_draft(db: Database, slot: int, reviewer: str, body: dict[str, Any], at: float) -> None:
    """Keep what a reviewer has written so far."""
    db.run(
        "INSERT INTO drafts VALUES (?, ?, ?, ?) ON CONFLICT (slot, reviewer) DO UPDATE SET body = "
        "excluded.body, at = excluded.at",
        slot,
        reviewer,
        json.dumps(body, ensure_ascii=False),
        at,
    )


def draft(db: Database, slot: int, reviewer: str) -> dict[str, Any]:
    """What a reviewer had written."""
    row = db.one("SELECT body FROM drafts WHERE slot = ? AND reviewer = ?", slot, reviewer)
    return {} if row is None else json.loads(row[0])


def verdict(
    db: Database,
    slot: int,
    reviewer: str,
    loss: float,
    at: float,
    *,
    nonce: str,
    label: str = "",
    note: str = "",
    settled: OnSettled | None = None,
    accept: Accept | None = None,
) -> bool:
    """Take a verdict in; False if this very press was taken in before.

    Raises DataError if the slot is not this reviewer's (its lease may have ended and another may have it).
    settled: called for the reviewer's verdict before this one, which is final now.
    """
    if not 0 <= loss <= 1:
        raise DataError(f"loss {loss} is outside [0, 1]; 0 is fine, 1 unacceptable")
    if db.one("SELECT 1 FROM verdicts WHERE reviewer = ? AND nonce = ?", reviewer, nonce):
        return False
    row = db.one(
        "SELECT ticket, job, kind FROM slots WHERE id = ? AND reviewer = ? AND state = 'leased'",
        slot,
        reviewer,
    )
    if row is None:
        raise DataError("this item is no longer yours: the lease ended, or it has its verdict; take the next")
    ticket, job, kind = row
    settle_due(db, at, settled, accept, reviewer=reviewer)
    db.run("UPDATE slots SET state = 'done', until = NULL WHERE id = ?", slot)
    db.run(
        "INSERT INTO verdicts (slot, ticket, job, kind, reviewer, loss, label, note, at, nonce) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        slot,
        ticket,
        job,
        kind,
        reviewer,
        loss,
        label,
        note,
        at,
        nonce,
    )
    db.run("DELETE FROM drafts WHERE slot = ?", slot)
    append(db, "verdict", at, job=job, ticket=ticket, slot=slot, reviewer=reviewer, loss=loss, label=label)
    waiting = db.one("SELECT 1 FROM slots WHERE ticket = ? AND state IN ('open', 'leased') LIMIT 1", ticket)
    if waiting is None:
        db.run("UPDATE items SET due = ?, last_by = ? WHERE ticket = ?", at + UNDO, reviewer, ticket)
    return True


def undo(db: Database, reviewer: str, at: float, seconds: float = LEASE) -> int | None:
    """Take a reviewer's last verdict back, if it is not final; its slot, leased again."""
    row = db.one(
        "SELECT v.id, v.slot, v.ticket, v.job, i.settled, v.taken_back FROM verdicts v JOIN items i "
        "ON i.ticket = v.ticket "
        "WHERE v.reviewer = ? ORDER BY v.id DESC LIMIT 1",
        reviewer,
    )
    if row is None or row[4] is not None or row[5] is not None:
        return None
    id, slot, ticket, job, _, _ = row
    db.run("UPDATE verdicts SET taken_back = ? WHERE id = ?", at, id)
    db.run("UPDATE items SET due = NULL, last_by = NULL WHERE ticket = ?", ticket)
    db.run(
        "UPDATE slots SET state = 'open', reviewer = NULL, until = NULL WHERE reviewer = ? AND state "
        "= 'leased'",
        reviewer,
    )
    db.run(
        "UPDATE slots SET state = 'leased', reviewer = ?, until = ? WHERE id = ?",
        reviewer,
        at + seconds,
        slot,
    )
    append(db, "verdict", at, job=job, ticket=ticket, slot=slot, reviewer=reviewer, undo=True)
    return int(slot)


def settle_due(
    db: Database,
    at: float,
    settled: OnSettled | None,
    accept: Accept | None = None,
    *,
    reviewer: str | None = None,
) -> list[Settled]:
    """Settle what can no longer be taken back: the time is over, or this reviewer goes on."""
    found = db.all(f"SELECT {ITEM} FROM items WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT 500", at)
    if reviewer is not None:
        found = db.all(
            f"SELECT {ITEM} FROM items WHERE due IS NOT NULL AND last_by = ? ORDER BY due", reviewer
        )
    done = [_settle(db, Item(*row), at, accept or {}) for row in found]
    final = [each for each in done if each is not None]
    for each in final:
        if settled is not None:
            settled(db, each)
    return final


def _settle(db: Database, about: Item, at: float, accept: Accept) -> Settled | None:
    """The final loss: what all agree on, or what the one who adjudicates says; None if one must.

    Of an audit's item the worse verdict counts, and nobody adjudicates.
    """
    verdicts = said(db, about.ticket)
    decided = [each["loss"] for each in verdicts if each["kind"] == "adjudicate"]
    losses = [each["loss"] for each in verdicts if each["kind"] != "adjudicate"]
    db.run("UPDATE items SET due = NULL, last_by = NULL WHERE ticket = ?", about.ticket)
    if not decided and max(losses) - min(losses) > AGREED and about.why != "lot":
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
        "UPDATE items SET loss = ?, settled = ?, state = ? WHERE ticket = ?", loss, at, outcome, about.ticket
    )
    append(db, "settled", at, job=about.job, ticket=about.ticket, loss=loss, outcome=outcome)
    return Settled(about, loss, outcome)


@dataclass(frozen=True)
class Backlog:
    """What waits: open looks, leased ones, disagreements, and the age of the oldest in seconds."""

    open: int
    leased: int
    disagreements: int
    oldest: float


def backlog(db: Database, job: str, at: float, most: int = 10_000) -> Backlog:
    """What waits in a job's queue; counts stop at `most`, so that a million items cost no more."""
    counts = [
        db.one(
            f"SELECT count(*) FROM (SELECT 1 FROM slots WHERE state = '{state}' AND kind = '{kind}' "
            "AND job = ? LIMIT ?) AS counted",
            job,
            most,
        )
        for state, kind in (
            ("open", "review"),
            ("open", "second"),
            ("leased", "review"),
            ("leased", "second"),
            ("open", "adjudicate"),
        )
    ]
    first = db.one(
        "SELECT at FROM slots WHERE state = 'open' AND kind = 'review' AND job = ? ORDER BY priority "
        "DESC, at, id LIMIT 1",
        job,
    )
    waiting, again, leased, leased_again, disputes = (int(row[0]) if row else 0 for row in counts)
    return Backlog(
        waiting + again,
        leased + leased_again,
        disputes,
        0.0 if first is None else max(0.0, at - float(first[0])),
    )


def ratings(db: Database, job: str, limit: int = 4000) -> dict[str, dict[str, float]]:
    """Of the newest verdicts, the items that several people judged: ticket -> reviewer -> loss.

    Disagreements that wait for a third person are among them: without those everyone would seem to agree.
    """
    found = db.all(
        "SELECT ticket, reviewer, loss FROM verdicts WHERE job = ? AND kind IN ('review', 'second') AND "
        "taken_back IS NULL ORDER BY id DESC LIMIT ?",
        job,
        limit,
    )
    table: dict[str, dict[str, float]] = {}
    for ticket, reviewer, loss in found:
        table.setdefault(ticket, {})[reviewer] = float(loss)
    return {ticket: said for ticket, said in table.items() if len(said) > 1}


def detection(db: Database, reviewer: str) -> dict[str, int]:
    """Of the seeded items that a reviewer judged: errors shown and found, fine ones shown and called wrong."""
    found = db.all(
        "SELECT i.truth, v.loss FROM verdicts v JOIN items i ON i.ticket = v.ticket WHERE v.reviewer = ? AND "
        "v.taken_back IS NULL AND v.kind = 'review' AND i.truth IS NOT NULL",
        reviewer,
    )
    errors = [loss for truth, loss in found if truth > 0]
    fine = [loss for truth, loss in found if truth == 0]
    return {
        "errors": len(errors),
        "found": sum(loss > 0 for loss in errors),
        "fine": len(fine),
        "blamed": sum(loss > 0 for loss in fine),
    }


def drawn(
    db: Database, job: str, certificate: str | None = None, limit: int = 20_000
) -> list[dict[str, Any]]:
    """The recorded random share, oldest first: what was decided about each, its score, and its loss if it is known."""
    where, values = ("", ()) if certificate is None else (" AND certificate = ?", (certificate,))
    found = db.all(
        "SELECT ticket, tier, at, slice, cluster, decision, score, chance, loss, cost FROM items WHERE job = "
        "? AND drawn = 1" + where + " ORDER BY at DESC LIMIT ?",
        job,
        *values,
        limit,
    )
    names = ("ticket", "tier", "at", "slice", "cluster", "decision", "score", "chance", "loss", "cost")
    return [dict(zip(names, row, strict=True)) for row in reversed(found)]


def labels(db: Database, job: str, after: str = "", limit: int = 5000) -> list[dict[str, Any]]:
    """Settled items with their verdicts, in the order of their tickets, for export."""
    found = db.all(
        f"SELECT {ITEM}, loss, settled FROM items WHERE job = ? AND settled IS NOT NULL AND ticket > "
        "? ORDER BY ticket LIMIT ?",
        job,
        after,
        limit,
    )
    rows = []
    for row in found:
        about = Item(*row[: len(_PLACES)])
        rows.append(
            {**asdict(about), "loss": row[-2], "settled": row[-1], "verdicts": said(db, about.ticket)}
        )
    return rows


def wipe(db: Database, before: float, at: float, job: str = "", limit: int = 1000) -> int:
    """Forget the texts of a job's settled items older than a time; the ledger keeps their hashes. How many.

    job: "" for every job.
    """
    found = db.all(
        "SELECT ticket FROM items WHERE at < ? AND wiped IS NULL AND (settled IS NOT NULL OR state = "
        "'held')" + (" AND job = ?" if job else "") + " LIMIT ?",
        before,
        *([job] if job else []),
        limit,
    )
    for (ticket,) in found:
        db.run(
            "UPDATE items SET prompt = '', content = '', media = '', answer = '', wiped = ?, "
            "state = CASE WHEN state = 'held' THEN 'refused' ELSE state END WHERE ticket = ?",
            at,
            ticket,
        )
        db.run(
            "UPDATE slots SET state = 'cancelled' WHERE ticket = ? AND state IN ('open', 'leased')", ticket
        )
        db.run("UPDATE verdicts SET note = '' WHERE ticket = ?", ticket)
    media.forget(db, before)
    return len(found)
