"""What a desk at one's own machine is for: which items it asks about, and when it is done."""

from dataclasses import dataclass
from typing import Protocol

from tolerate.runs.people import Question
from tolerate.service.config import JobSettings
from tolerate.store import Database, media, queue

Both = tuple[str, str]  # in English, in Chinese


@dataclass(frozen=True)
class Progress:
    """How far it is. done: nothing more is wanted, and the person may finish. waiting: second looks that are wanted."""

    done: bool = False
    labels: int = 0
    waiting: int = 0
    place: Both = ("", "")
    second_place: Both = ("", "")
    closing: Both = ("", "")


class Work(Protocol):
    """An audit, or the questions of a run."""

    job: JobSettings
    guide: str  # the word for what counts as wrong, where no guide is given
    second: bool  # whether a second person reads some items again
    progress: Progress

    def begin(self, db: Database, at: float) -> None:
        """Refuse a database of other items; put in what is asked first."""
        ...

    def follow(self, db: Database, at: float) -> None:
        """Take in what was said since, and ask for what follows from it; in the writer."""
        ...

    def end(self, db: Database) -> None:
        """The person has finished: the result."""
        ...


def item_of(
    db: Database, question: Question, *, ticket: str, job: str, at: float, why: str, reviewers: int = 1
) -> queue.Item:
    """An item of the queue; its picture, sound or film is kept in the database, or stays beside the batch."""
    reference = f"file:{question.file}" if question.file else ""
    if question.media:
        reference = media.store_media(db, question.media, ticket, at)
    return queue.Item(
        ticket=ticket,
        job=job,
        at=at,
        prompt=question.request,
        content=question.text,
        state="delivered",
        why=why,
        decision="import",
        media=reference,
        reviewers=reviewers,
    )
