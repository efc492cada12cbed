"""Second readings of a random share: which drawn items the lot fell on, and what the first reader of each had said."""

from typing import Any

from tolerate.store.database import Database


def note(db: Database, ticket: str, job: str, chance: float, again: bool) -> None:
    """Keep with which chance a second person reads an item, and whether one does. Twice is once."""
    db.run(
        "INSERT INTO seconds VALUES (?, ?, ?, ?) ON CONFLICT (ticket) DO NOTHING",
        ticket,
        job,
        chance,
        int(again),
    )


def lots(db: Database, job: str, limit: int = 20_000) -> dict[str, tuple[float, float | None]]:
    """By ticket of the newest items: the chance, and the first reader's loss where two people have read it.

    The first reader is who took the first of the item's two looks: the one who would have been alone.
    """
    found = db.all(
        "SELECT s.ticket, s.chance, s.again, v.loss FROM seconds s JOIN items i ON i.ticket = s.ticket "
        "LEFT JOIN verdicts v ON v.ticket = s.ticket AND v.kind = 'review' AND v.taken_back IS NULL AND s.again = 1 "
        "AND i.settled IS NOT NULL WHERE s.job = ? ORDER BY i.at DESC, v.slot LIMIT ?",
        job,
        limit,
    )
    made: dict[str, tuple[float, float | None]] = {}
    for ticket, chance, again, loss in found:
        made.setdefault(ticket, (float(chance), float(loss) if again and loss is not None else None))
    return made


def seeded(db: Database, job: str) -> dict[str, Any]:
    """Of the seeded errors of a job that were judged by everybody they need: how many, and how many were found."""
    row = db.one(
        "SELECT count(*), sum(CASE WHEN loss > 0 THEN 1 ELSE 0 END) FROM items WHERE job = ? AND truth > 0 AND "
        "settled IS NOT NULL",
        job,
    )
    errors, found = (0, 0) if row is None else row
    return {"errors": int(errors), "found": int(found or 0)}
