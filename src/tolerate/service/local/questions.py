"""The questions of a run at the desk: every item is judged by one person, or by several, blind to one another."""

import hashlib
from collections.abc import Sequence

from tolerate.errors import OptionError, RunError
from tolerate.messages.catalogue import message
from tolerate.messages.terminal import terminal_text
from tolerate.runs.people import PeopleVerdicts, Question
from tolerate.service.config import JobSettings
from tolerate.service.local import Sitters
from tolerate.service.local.work import Progress, item_of
from tolerate.store import Database, queue
from tolerate.store.agreement import alpha
from tolerate.store.schema import meta, set_meta

JOB = "run"


class QuestionsWork:
    """A fixed list of items, as the desk does it."""

    guide = "guide fresh"
    second = False

    def __init__(self, questions: Sequence[Question], sitters: Sitters) -> None:
        if not 1 <= sitters.each <= 9:
            raise OptionError(f"each is {sitters.each}; expected 1 to 9 people an item")
        if sitters.each > len(sitters.names):
            raise OptionError(
                f"{sitters.each} people are to judge each item, and {len(sitters.names)} are named; "
                "name them: --reviewers ann,bob"
            )
        self.questions, self.each = questions, sitters.each
        self.job = JobSettings(JOB, (), reviewers=sitters.each, guide=sitters.guide)
        self.judged = PeopleVerdicts([], "")
        self.progress = Progress()

    def begin(self, db: Database, at: float) -> None:
        """Put every item into the queue, unless they are there."""
        now, before = self._fingerprint(), meta(db, "questions")
        if before not in (None, now):
            raise RunError(
                "the desk's review.db is of other items, or of another number of people an item; "
                "delete it to begin again"
            )
        if before is None:
            for place, question in enumerate(self.questions):
                item = item_of(
                    db, question, ticket=_ticket(place), job=JOB, at=at, why="fresh", reviewers=self.each
                )
                queue.add_item(db, item)
            set_meta(db, "questions", now)
        self.follow(db, at)

    def follow(self, db: Database, at: float) -> None:
        """How far it is now."""
        labels = _count(db, "SELECT count(*) FROM verdicts WHERE taken_back IS NULL AND kind = 'review'")
        left = _count(db, "SELECT count(*) FROM slots WHERE state IN ('open', 'leased')")
        total = len(self.questions) * self.each
        self.progress = Progress(
            done=left == 0,
            labels=labels,
            place=terminal_text("verdict", at=min(labels + 1, total), of=total),
            closing=terminal_text("verdicts kept", labels=labels),
        )

    def end(self, db: Database) -> None:
        """The losses in the order of the questions; nothing waits any more, and every verdict is final."""
        found = {ticket: float(loss) for ticket, loss in db.all("SELECT ticket, loss FROM items")}
        losses = [found[_ticket(place)] for place in range(len(self.questions))]
        self.judged = PeopleVerdicts(losses, self._by(db))

    def _by(self, db: Database) -> str:
        """Who judged, in words for a certificate."""
        items = len(self.questions)
        if self.each > 1:
            apart = _count(
                db, "SELECT count(DISTINCT ticket) FROM slots WHERE kind = 'adjudicate' AND state = 'done'"
            )
            agreed = alpha(queue.ratings(db, JOB, limit=10_000_000))
            return message("people.each_item", people=self.each, items=items, apart=apart, alpha=agreed)
        people = _count(db, "SELECT count(DISTINCT reviewer) FROM verdicts WHERE taken_back IS NULL")
        if people < 2:
            return message("people.one", items=items)
        return message("people.several", people=people, items=items)

    def _fingerprint(self) -> str:
        """Which items these are, and how many judge each."""
        sum = hashlib.sha256(str(self.each).encode())
        for each in self.questions:
            sum.update(
                repr((each.request, each.text, hashlib.sha256(each.media).hexdigest(), each.file)).encode()
            )
        return sum.hexdigest()


def _ticket(place: int) -> str:
    return f"item-{place:07d}"


def _count(db: Database, sql: str) -> int:
    row = db.first(sql)
    return int(row[0]) if row else 0
