"""Counts of decisions and the state of the queue by minute, for the charts of the watch."""

import json
from dataclasses import asdict, dataclass

from tolerate.store.database import Database


def add_wait(db: Database, job: str, minute: int, waiting: int, oldest: float) -> None:
    """Keep how the queue stood in a minute: the worst of it."""
    db.run(
        "INSERT INTO waits VALUES (?, ?, ?, ?) ON CONFLICT (job, minute) DO UPDATE SET "
        "waiting = CASE WHEN excluded.waiting > waits.waiting THEN excluded.waiting ELSE waits.waiting END, "
        "oldest = CASE WHEN excluded.oldest > waits.oldest THEN excluded.oldest ELSE waits.oldest END",
        job,
        minute,
        waiting,
        oldest,
    )


def waits(db: Database, job: str, since: int) -> list[tuple[int, int, float]]:
    """(minute, looks that waited, age of the oldest in seconds) since a minute, oldest first."""
    found = db.all(
        "SELECT minute, waiting, oldest FROM waits WHERE job = ? AND minute >= ? ORDER BY minute", job, since
    )
    return [(int(minute), int(waiting), float(oldest)) for minute, waiting, oldest in found]


@dataclass(frozen=True)
class Minute:
    """Counts of one minute, of the whole (slice "") or of a slice. scores: a histogram of ten places."""

    job: str
    slice: str
    minute: int
    released: int = 0
    held: int = 0
    escalated: int = 0
    failed: int = 0
    cost: float = 0.0
    tokens: int = 0
    scores: tuple[int, ...] = (0,) * 10


def add_minutes(db: Database, counts: list[Minute]) -> None:
    """Add counts to those already kept."""
    for each in counts:
        row = db.one(
            "SELECT scores FROM minutes WHERE job = ? AND slice = ? AND minute = ?",
            each.job,
            each.slice,
            each.minute,
        )
        before = [0] * 10 if row is None else json.loads(row[0])
        values = asdict(each)
        values["scores"] = json.dumps([a + b for a, b in zip(before, each.scores, strict=True)])
        db.run(
            "INSERT INTO minutes (job, slice, minute, released, held, escalated, failed, cost, tokens, scores) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job, slice, minute) DO UPDATE SET "
            "released = minutes.released + excluded.released, held = minutes.held + excluded.held, "
            "escalated = minutes.escalated + excluded.escalated, failed = minutes.failed + excluded.failed, "
            "cost = minutes.cost + excluded.cost, tokens = minutes.tokens + excluded.tokens, scores "
            "= excluded.scores",
            *values.values(),
        )


def minutes(db: Database, job: str, since: int, slice: str | None = None) -> list[Minute]:
    """Counts by minute since a minute, oldest first; of every slice if slice is None."""
    where, values = ("", ()) if slice is None else (" AND slice = ?", (slice,))
    found = db.all(
        "SELECT job, slice, minute, released, held, escalated, failed, cost, tokens, scores FROM minutes "
        f"WHERE job = ? AND minute >= ?{where} ORDER BY minute, slice",
        job,
        since,
        *values,
    )
    return [Minute(*(*row[:-1], tuple(json.loads(row[-1])))) for row in found]
