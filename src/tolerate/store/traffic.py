"""Counts of decisions and the state of the queue by minute, for the charts of the watch."""

import json
from dataclasses import asdict, dataclass

from tolerate.store.database import Database


def add_wait(db: Database, job: str, minute: int, waiting: int, oldest: float) -> None:
    """Store the state of the queue in a minute: the largest values of several calls."""
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
    """(minute, reviews that waited, age of the oldest in seconds) since a minute, oldest first."""
    wait_rows = db.all(
        "SELECT minute, waiting, oldest FROM waits WHERE job = ? AND minute >= ? ORDER BY minute", job, since
    )
    return [(int(minute), int(waiting), float(oldest)) for minute, waiting, oldest in wait_rows]


@dataclass(frozen=True)
class MinuteCounts:
    """Counts of one minute: of all items (slice "") or of a slice. scores: a histogram of ten bins of [0, 1]."""

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


def add_minutes(db: Database, counts: list[MinuteCounts]) -> None:
    """Add counts to the stored ones of the same minutes."""
    for counts_of_minute in counts:
        row = db.first(
            "SELECT scores FROM minutes WHERE job = ? AND slice = ? AND minute = ?",
            counts_of_minute.job,
            counts_of_minute.slice,
            counts_of_minute.minute,
        )
        before = [0] * 10 if row is None else json.loads(row[0])
        values = asdict(counts_of_minute)
        values["scores"] = json.dumps([a + b for a, b in zip(before, counts_of_minute.scores, strict=True)])
        db.run(
            "INSERT INTO minutes (job, slice, minute, released, held, escalated, failed, cost, tokens, scores) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job, slice, minute) DO UPDATE SET "
            "released = minutes.released + excluded.released, held = minutes.held + excluded.held, "
            "escalated = minutes.escalated + excluded.escalated, failed = minutes.failed + excluded.failed, "
            "cost = minutes.cost + excluded.cost, tokens = minutes.tokens + excluded.tokens, scores "
            "= excluded.scores",
            *values.values(),
        )


def minutes(db: Database, job: str, since: int, slice: str | None = None) -> list[MinuteCounts]:
    """Counts by minute since a minute, oldest first; of every slice if slice is None."""
    condition, values = ("", ()) if slice is None else (" AND slice = ?", (slice,))
    count_rows = db.all(
        "SELECT job, slice, minute, released, held, escalated, failed, cost, tokens, scores FROM minutes "
        f"WHERE job = ? AND minute >= ?{condition} ORDER BY minute, slice",
        job,
        since,
        *values,
    )
    return [MinuteCounts(*(*row[:-1], tuple(json.loads(row[-1])))) for row in count_rows]
