"""Queries of the queue for pages and statistics: backlog, agreement, the random share, labels."""

from dataclasses import dataclass
from typing import TypedDict

from tolerate.store.database import Database
from tolerate.store.queue import ITEM_COLUMNS, Item, Verdict, verdicts_on


@dataclass(frozen=True)
class LabelledItem:
    """A settled item with its final loss, the time of that, and its verdicts."""

    item: Item
    loss: float
    settled: float
    verdicts: tuple[Verdict, ...]


class DrawnItem(TypedDict):
    """An item of the recorded random share: what was decided about it, and its loss, None if it has none yet."""

    ticket: str
    tier: str
    at: float
    slice: str
    cluster: str
    decision: str
    score: float | None
    chance: float
    loss: float | None
    cost: float


@dataclass(frozen=True)
class Backlog:
    """Numbers of open slots, leased slots and disagreements, and the age of the oldest open slot in seconds."""

    open: int
    leased: int
    disagreements: int
    oldest: float


def backlog(db: Database, job: str, now: float, limit: int = 10_000) -> Backlog:
    """The backlog of a job; counting stops at `limit`, so that it costs no more for a million items."""
    counts = [
        db.first(
            f"SELECT count(*) FROM (SELECT 1 FROM slots WHERE state = '{state}' AND kind = '{kind}' "
            "AND job = ? LIMIT ?) AS counted",
            job,
            limit,
        )
        for state, kind in (
            ("open", "review"),
            ("open", "second"),
            ("leased", "review"),
            ("leased", "second"),
            ("open", "adjudicate"),
        )
    ]
    first = db.first(
        "SELECT at FROM slots WHERE state = 'open' AND kind = 'review' AND job = ? ORDER BY priority "
        "DESC, at, id LIMIT 1",
        job,
    )
    waiting, again, leased, leased_again, disputes = (int(row[0]) if row else 0 for row in counts)
    return Backlog(
        waiting + again,
        leased + leased_again,
        disputes,
        0.0 if first is None else max(0.0, now - float(first[0])),
    )


def ratings(db: Database, job: str, limit: int = 4000) -> dict[str, dict[str, float]]:
    """Losses by ticket and reviewer, of the items among the newest verdicts that several people judged.

    Disagreements that wait for an adjudicator are included: without them everyone would seem to agree.
    """
    verdict_rows = db.all(
        "SELECT ticket, reviewer, loss FROM verdicts WHERE job = ? AND kind IN ('review', 'second') AND "
        "taken_back IS NULL ORDER BY id DESC LIMIT ?",
        job,
        limit,
    )
    table: dict[str, dict[str, float]] = {}
    for ticket, reviewer, loss in verdict_rows:
        table.setdefault(ticket, {})[reviewer] = float(loss)
    return {ticket: by_reviewer for ticket, by_reviewer in table.items() if len(by_reviewer) > 1}


def detection(db: Database, reviewer: str) -> dict[str, int]:
    """Counts of seeded items that a reviewer judged: errors, errors noticed (`found`), fine ones, and those blamed."""
    loss_rows = db.all(
        "SELECT i.truth, v.loss FROM verdicts v JOIN items i ON i.ticket = v.ticket WHERE v.reviewer = ? AND "
        "v.taken_back IS NULL AND v.kind = 'review' AND i.truth IS NOT NULL",
        reviewer,
    )
    errors = [loss for truth, loss in loss_rows if truth > 0]
    fine = [loss for truth, loss in loss_rows if truth == 0]
    return {
        "errors": len(errors),
        "found": sum(loss > 0 for loss in errors),
        "fine": len(fine),
        "blamed": sum(loss > 0 for loss in fine),
    }


def drawn_items(
    db: Database, job: str, certificate: str | None = None, limit: int = 20_000
) -> list[DrawnItem]:
    """The recorded random share, oldest first."""
    condition, values = ("", ()) if certificate is None else (" AND certificate = ?", (certificate,))
    item_rows = db.all(
        "SELECT ticket, tier, at, slice, cluster, decision, score, chance, loss, cost FROM items WHERE job = "
        "? AND drawn = 1" + condition + " ORDER BY at DESC LIMIT ?",
        job,
        *values,
        limit,
    )
    return [
        DrawnItem(
            ticket=ticket,
            tier=tier,
            at=created,
            slice=slice,
            cluster=cluster,
            decision=decision,
            score=score,
            chance=chance,
            loss=loss,
            cost=cost,
        )
        for ticket, tier, created, slice, cluster, decision, score, chance, loss, cost in reversed(item_rows)
    ]


def labels(db: Database, job: str, after: str = "", limit: int = 5000) -> list[LabelledItem]:
    """Settled items with their verdicts, in the order of their tickets, for export."""
    item_rows = db.all(
        f"SELECT {ITEM_COLUMNS}, loss, settled FROM items WHERE job = ? AND settled IS NOT NULL AND ticket > "
        "? ORDER BY ticket LIMIT ?",
        job,
        after,
        limit,
    )
    return [
        LabelledItem(Item(*columns), loss, settled, tuple(verdicts_on(db, columns[0])))
        for *columns, loss, settled in item_rows
    ]
