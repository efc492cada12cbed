"""An audit at the desk: the queue holds the item that the order asks for next, and the audit closes it.

The database is written first, the audit's own file follows: it holds the same verdicts, taken in the order drawn, and
the terminal and `tolerate verify` go on with it. Several people read ahead in that order; what they said is taken in
when the order comes to it, or never.
"""

from collections.abc import Callable, Iterable, Sequence

from tolerate.errors import RunError
from tolerate.messages.catalogue import render
from tolerate.messages.certificates import certificate_text
from tolerate.messages.terminal import terminal_text
from tolerate.runs.audit_session import AuditedBatch
from tolerate.service.config import JobSettings
from tolerate.service.local import SECOND, Sitters, desk_of
from tolerate.service.local.work import Both, Progress, item_of
from tolerate.store import Database, queue

JOB = "audit"
AHEAD = 3  # items for each of several people
Given = dict[tuple[int, bool], tuple[float, str]]  # (item, by the second person) -> loss, who


class AuditWork:
    """An audit, as the desk does it."""

    guide = "no guide"

    def __init__(self, batch: AuditedBatch, columns: Sequence[str], sitters: Sitters) -> None:
        self.batch, self.columns, self.first = batch, batch.shown_columns(columns), sitters.names[0]
        self.job = JobSettings(JOB, (), guide=sitters.guide)
        self.second = batch.audit.second is not None
        self.progress = Progress()

    def begin(self, db: Database, at: float) -> None:
        """Go on with the verdicts that are there."""
        if not self.batch.state.exists() and db.first("SELECT 1 FROM verdicts"):
            raise RunError(
                f"{self.batch.state} is gone, and the desk still has its verdicts; put it back, or delete "
                f"{desk_of(self.batch.state)} too to begin again"
            )
        self.batch.save()
        self.follow(db, at)

    def follow(self, db: Database, at: float) -> None:
        """Record what the order has come to, and put the next items into the queue."""
        given = _given(db)
        if self._take(given):
            self.batch.save()
        self._ask(db, at, given)
        self.progress = self._progress(db)

    def end(self, db: Database) -> None:
        """Nothing: the audit holds its result."""

    # Taking in

    def _take(self, given: Given) -> bool:
        """Record everything that may be recorded now; whether there was anything."""
        taken = False
        while (due := self._due(given)) is not None:
            item, second, again = due
            loss, reviewer = given[item, second]
            take = self.batch.audit.correct if again else self.batch.audit.record
            take(item, loss, reviewer, second=second)
            taken = True
        return taken

    def _due(self, given: Given) -> tuple[int, bool, bool] | None:
        """The next verdict to record: item, whether the second person's, whether it replaces another."""
        audit = self.batch.audit
        for (item, second), (loss, _) in given.items():
            known = audit.reading(item, second=second)
            if known is not None and known != loss:
                return item, second, True
        if audit.open and (audit.next(), False) in given:
            return audit.next(), False, False
        return next(((item, True, False) for item in self._waiting() if (item, True) in given), None)

    def _waiting(self) -> tuple[int, ...]:
        """The items that wait for the second person, as long as that may still change anything."""
        audit = self.batch.audit
        return audit.waiting if audit.open or audit.hopeless is None else ()

    # Asking

    def _ask(self, db: Database, at: float, given: Given) -> None:
        looks = db.all(
            "SELECT s.id, s.ticket, s.kind, s.state, (SELECT count(*) FROM skips k WHERE k.slot = s.id), (SELECT "
            "count(*) FROM verdicts v WHERE v.slot = s.id) FROM slots s WHERE s.state IN ('open', 'leased')"
        )
        skipped = sum(skips > 0 for *_, skips, _ in looks)
        ahead = self._ahead(db, skipped, given)
        waiting = [item for item in self._waiting() if (item, True) not in given]
        for slot, ticket, kind, state, _, taken_back in looks:
            wanted, item = (waiting if kind == "second" else ahead), _item(ticket)
            if item in wanted:
                wanted.remove(item)
            elif not taken_back and (state == "open" or not self._still_wanted(item)):
                queue.cancel_slot(db, slot)
        self._put(db, at, ahead, "review")
        self._put(db, at, waiting, "second")

    def _still_wanted(self, item: int) -> bool:
        return self.batch.audit.open and self.batch.audit.reading(item) is None

    def _ahead(self, db: Database, skipped: int, given: Given) -> list[int]:
        """The items that the order asks for next and nobody has judged: one, or some for each of several people."""
        row = db.first("SELECT count(*) FROM users WHERE name <> ? AND disabled IS NULL", SECOND)
        people = int(row[0]) if row else 1
        window = (1 if people < 2 else people * AHEAD) + skipped
        return [item for item in self.batch.audit.upcoming(window) if (item, False) not in given]

    def _put(self, db: Database, at: float, items: Iterable[int], kind: str) -> None:
        for item in items:
            ticket = _ticket(item)
            known = queue.item(db, ticket) is not None
            if not known:
                question = self.batch.question(item, self.columns)
                queue.add_item(db, item_of(db, question, ticket=ticket, job=JOB, at=at, why="lot"))
            if not known and kind == "second":  # read at the terminal: the one who began has seen it
                db.run("UPDATE slots SET state = 'done', reviewer = ? WHERE ticket = ?", self.first, ticket)
            if known or kind == "second":
                queue.request_review(db, ticket, kind)

    # Telling

    def _progress(self, db: Database) -> Progress:
        audit = self.batch.audit
        row = db.first("SELECT count(*) FROM slots WHERE state IN ('open', 'leased')")
        done = not audit.open and not (row and row[0])
        waiting = len(self._waiting())
        return Progress(
            done=done,
            labels=audit.labels,
            waiting=waiting,
            place=_both(self._place),
            second_place=_both(lambda lang: self._second_place(waiting, lang)),
            closing=_both(lambda lang: certificate_text(audit.certificate, lang)) if done else ("", ""),
        )

    def _place(self, lang: str) -> str:
        audit = self.batch.audit
        at = min(audit.labels + 1, audit.items)
        line = terminal_text("item", at=at, of=audit.items).pick(lang)
        return f"{line} · {render(audit.outlook, lang)}" if audit.open else line

    def _second_place(self, waiting: int, lang: str) -> str:
        read = self.batch.audit.agreement.items
        return terminal_text("again", at=read + 1, of=max(read + waiting, read + 1)).pick(lang)


def _both(say: Callable[[str], str]) -> Both:
    return say("en"), say("zh")


def _ticket(item: int) -> str:
    return f"row-{item}"


def _item(ticket: str) -> int:
    return int(ticket.removeprefix("row-"))


def _given(db: Database) -> Given:
    """The verdicts that stand."""
    found = db.all("SELECT ticket, kind, loss, reviewer FROM verdicts WHERE taken_back IS NULL ORDER BY id")
    return {(_item(ticket), kind == "second"): (float(loss), who) for ticket, kind, loss, who in found}
