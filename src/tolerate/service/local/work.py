"""The work of a local desk: the items that its reviewers get, and when it is done."""

from dataclasses import dataclass
from typing import Protocol

from tolerate.messages.both import Both
from tolerate.runs.people import Question
from tolerate.service.config import JobSettings
from tolerate.store import Database, media, queue

NO_TEXT = Both("", "")


@dataclass(frozen=True)
class ReviewProgress:
    """The progress of the work. done: nothing more is needed; the person may finish. waiting: needed second reviews.

    line: shown on the page of an item; second_line: on that of a second review; closing: shown at the end.
    """

    done: bool = False
    labels: int = 0
    waiting: int = 0
    line: Both = NO_TEXT
    second_line: Both = NO_TEXT
    closing: Both = NO_TEXT


class ReviewWork(Protocol):
    """A piece of work for the reviewers of a local desk: an audit, or the items of a run."""

    job: JobSettings
    guide: str  # key of the text that says what is wrong, where no label guide is given
    second: bool  # whether a second person reviews some items again
    progress: ReviewProgress

    def begin(self, db: Database, now: float) -> None:
        """Queue the first items, inside the writer. Raises RunError if the database is of other items."""
        ...

    def update(self, db: Database, now: float) -> None:
        """Take in the verdicts given since the last call, and queue what they require; inside the writer."""
        ...

    def finish(self, db: Database) -> None:
        """Read the result, because the person has finished."""
        ...


def item_of(
    db: Database, question: Question, *, ticket: str, job: str, now: float, why: str, reviewers: int = 1
) -> queue.Item:
    """An item of the queue; media bytes are stored in the database, a file stays beside the batch."""
    reference = f"file:{question.file}" if question.file else ""
    if question.media:
        reference = media.store_media(db, question.media, ticket, now)
    return queue.Item(
        ticket=ticket,
        job=job,
        at=now,
        prompt=question.request,
        content=question.text,
        state="delivered",
        why=why,
        decision="import",
        media=reference,
        reviewers=reviewers,
    )
