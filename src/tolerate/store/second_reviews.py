"""Second reviews of a random share: which items were drawn for one, and the first verdict on each."""

from tolerate.store.database import Database


def add_draw(db: Database, ticket: str, job: str, chance: float, again: bool) -> None:
    """Store the chance with which an item gets a second review, and whether it does. Idempotent."""
    db.run(
        "INSERT INTO seconds VALUES (?, ?, ?, ?) ON CONFLICT (ticket) DO NOTHING",
        ticket,
        job,
        chance,
        int(again),
    )


def draws(db: Database, job: str, limit: int = 20_000) -> dict[str, tuple[float, float | None]]:
    """The newest draws by ticket: the probability, and the first reviewer's loss if two people reviewed the item.

    The first reviewer had the first of the item's two slots: the only one without the second review.
    """
    draw_rows = db.all(
        "SELECT s.ticket, s.chance, s.again, v.loss FROM seconds s JOIN items i ON i.ticket = s.ticket "
        "LEFT JOIN verdicts v ON v.ticket = s.ticket AND v.kind = 'review' AND v.taken_back IS NULL AND s.again = 1 "
        "AND i.settled IS NOT NULL WHERE s.job = ? ORDER BY i.at DESC, v.slot LIMIT ?",
        job,
        limit,
    )
    chance_and_loss: dict[str, tuple[float, float | None]] = {}
    for ticket, chance, again, loss in draw_rows:
        chance_and_loss.setdefault(
            ticket, (float(chance), float(loss) if again and loss is not None else None)
        )
    return chance_and_loss


def seeded_errors(db: Database, job: str) -> dict[str, int]:
    """Number of seeded errors of a job that are settled (`errors`), and of those that were noticed (`found`)."""
    row = db.first(
        "SELECT count(*), sum(CASE WHEN loss > 0 THEN 1 ELSE 0 END) FROM items WHERE job = ? AND truth > 0 AND "
        "settled IS NOT NULL",
        job,
    )
    errors, noticed = (0, 0) if row is None else row
    return {"errors": int(errors), "found": int(noticed or 0)}
