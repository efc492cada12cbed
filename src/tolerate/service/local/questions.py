"""The items of a run at a local desk: each is judged by one person, or by several, blind to one another."""

import hashlib
from collections.abc import Sequence

from tolerate.errors import OptionError, RunError
from tolerate.messages.catalogue import message
from tolerate.messages.terminal import terminal_text
from tolerate.runs.people import PeopleVerdicts, Question
from tolerate.service.config import JobSettings
from tolerate.service.local.options import LocalDeskOptions
from tolerate.service.local.work import ReviewProgress, item_of
from tolerate.store import Database, queue, review_data
from tolerate.store.agreement import alpha
from tolerate.store.schema import meta, set_meta

JOB = "run"


class QuestionsWork:
    """A fixed list of items. verdicts: set when the person has finished."""

    guide = "guide fresh"
    second = False

    def __init__(self, questions: Sequence[Question], options: LocalDeskOptions) -> None:
        if not 1 <= options.reviewers_per_item <= 9:
            raise OptionError(f"{options.reviewers_per_item} reviewers an item; expected 1 to 9")
        if options.reviewers_per_item > len(options.names):
            raise OptionError(
                f"{options.reviewers_per_item} people are to judge each item, and {len(options.names)} are named; "
                "name them: --reviewers ann,bob"
            )
        self.questions, self.reviewers_per_item = questions, options.reviewers_per_item
        self.job = JobSettings(JOB, (), reviewers=options.reviewers_per_item, guide=options.guide)
        self.verdicts = PeopleVerdicts([], "")
        self.progress = ReviewProgress()

    def begin(self, db: Database, now: float) -> None:
        """Put every item into the queue, unless they are there."""
        fingerprint, stored = self._fingerprint(), meta(db, "questions")
        if stored not in (None, fingerprint):
            raise RunError(
                "the desk's review.db is of other items, or of another number of people an item; "
                "delete it to begin again"
            )
        if stored is None:
            for index, question in enumerate(self.questions):
                item = item_of(
                    db,
                    question,
                    ticket=_ticket(index),
                    job=JOB,
                    now=now,
                    why="fresh",
                    reviewers=self.reviewers_per_item,
                )
                queue.add_item(db, item)
            set_meta(db, "questions", fingerprint)
        self.update(db, now)

    def update(self, db: Database, now: float) -> None:
        """Count the verdicts and the slots that wait."""
        labels = _count(db, "SELECT count(*) FROM verdicts WHERE taken_back IS NULL AND kind = 'review'")
        waiting = _count(db, "SELECT count(*) FROM slots WHERE state IN ('open', 'leased')")
        total = len(self.questions) * self.reviewers_per_item
        self.progress = ReviewProgress(
            done=waiting == 0,
            labels=labels,
            line=terminal_text("verdict", at=min(labels + 1, total), of=total),
            closing=terminal_text("verdicts kept", labels=labels),
        )

    def finish(self, db: Database) -> None:
        """Read the losses in the order of the questions; every verdict is final."""
        loss_of = {ticket: float(loss) for ticket, loss in db.all("SELECT ticket, loss FROM items")}
        losses = [loss_of[_ticket(index)] for index in range(len(self.questions))]
        self.verdicts = PeopleVerdicts(losses, self._reviewers_sentence(db))

    def _reviewers_sentence(self, db: Database) -> str:
        """Who judged, as a sentence for a certificate."""
        items = len(self.questions)
        if self.reviewers_per_item > 1:
            disagreements = _count(
                db, "SELECT count(DISTINCT ticket) FROM slots WHERE kind = 'adjudicate' AND state = 'done'"
            )
            agreed = alpha(review_data.ratings(db, JOB, limit=10_000_000))
            return message(
                "people.each_item",
                people=self.reviewers_per_item,
                items=items,
                apart=disagreements,
                alpha=agreed,
            )
        people = _count(db, "SELECT count(DISTINCT reviewer) FROM verdicts WHERE taken_back IS NULL")
        if people < 2:
            return message("people.one", items=items)
        return message("people.several", people=people, items=items)

    def _fingerprint(self) -> str:
        """SHA-256 of the items and the number of reviewers an item."""
        digest = hashlib.sha256(str(self.reviewers_per_item).encode())
        for question in self.questions:
            media = hashlib.sha256(question.media).hexdigest()
            digest.update(repr((question.request, question.text, media, question.file)).encode())
        return digest.hexdigest()


def _ticket(index: int) -> str:
    return f"item-{index:07d}"


def _count(db: Database, sql: str) -> int:
    row = db.first(sql)
    return int(row[0]) if row else 0
