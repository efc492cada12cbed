"""An audit at a local desk: the queue holds the items that the audit asks for next, until the audit closes.

The database is written first, then the audit's own file: it holds the same verdicts in the order drawn, and can be
continued at the terminal and checked by `tolerate verify`. Several people review ahead in that order; the audit
records a verdict when the order comes to its item, or never.
"""

from collections.abc import Callable, Iterable, Sequence

from tolerate.errors import RunError
from tolerate.messages.both import Both
from tolerate.messages.catalogue import render
from tolerate.messages.certificates import certificate_text
from tolerate.messages.terminal import terminal_text
from tolerate.runs.audit_session import AuditedBatch
from tolerate.service.config import JobSettings
from tolerate.service.local.options import SECOND, LocalDeskOptions, audit_database
from tolerate.service.local.work import NO_TEXT, ReviewProgress, item_of
from tolerate.store import Database, queue

JOB = "audit"
AHEAD_ITEMS = 3  # for each of several people
Verdicts = dict[tuple[int, bool], tuple[float, str]]  # (item, whether by the second person) -> loss, reviewer


class AuditWork:
    """An audit for the reviewers of a local desk."""

    guide = "no guide"

    def __init__(self, batch: AuditedBatch, columns: Sequence[str], options: LocalDeskOptions) -> None:
        self.batch, self.columns, self.first = batch, batch.shown_columns(columns), options.names[0]
        self.job = JobSettings(JOB, (), guide=options.guide)
        self.second = batch.audit.second is not None
        self.progress = ReviewProgress()

    def begin(self, db: Database, now: float) -> None:
        """Go on with the stored verdicts."""
        if not self.batch.state.exists() and db.first("SELECT 1 FROM verdicts"):
            raise RunError(
                f"{self.batch.state} is missing, and the desk still has its verdicts; put it back, or delete "
                f"{audit_database(self.batch.state)} too to begin again"
            )
        self.batch.save()
        self.update(db, now)

    def update(self, db: Database, now: float) -> None:
        """Record the verdicts that the order has come to, and put the next items into the queue."""
        verdicts = _stored_verdicts(db)
        if self._record(verdicts):
            self.batch.save()
        self._fill_queue(db, now, verdicts)
        self.progress = self._progress(db)

    def finish(self, db: Database) -> None:
        """The audit holds its result already."""

    # Recording verdicts

    def _record(self, verdicts: Verdicts) -> bool:
        """Record every verdict that can be recorded now; return whether there was one."""
        changed = False
        while (due := self._due(verdicts)) is not None:
            item, second, again = due
            loss, reviewer = verdicts[item, second]
            record = self.batch.audit.correct if again else self.batch.audit.record
            record(item, loss, reviewer, second=second)
            changed = True
        return changed

    def _due(self, verdicts: Verdicts) -> tuple[int, bool, bool] | None:
        """The next verdict to record: item, whether of the second person, whether it replaces another."""
        audit = self.batch.audit
        for (item, second), (loss, _) in verdicts.items():
            recorded = audit.reading(item, second=second)
            if recorded is not None and recorded != loss:
                return item, second, True
        if audit.open and (audit.next(), False) in verdicts:
            return audit.next(), False, False
        return next(((item, True, False) for item in self._waiting() if (item, True) in verdicts), None)

    def _waiting(self) -> tuple[int, ...]:
        """The items that wait for the second person, as long as that can change the result."""
        audit = self.batch.audit
        return audit.waiting if audit.open or audit.hopeless is None else ()

    # Filling the queue

    def _fill_queue(self, db: Database, now: float, verdicts: Verdicts) -> None:
        """Cancel slots that are not needed any more, and add those of the next items."""
        slots = db.all(
            "SELECT s.id, s.ticket, s.kind, s.state, (SELECT count(*) FROM skips k WHERE k.slot = s.id), (SELECT "
            "count(*) FROM verdicts v WHERE v.slot = s.id) FROM slots s WHERE s.state IN ('open', 'leased')"
        )
        skipped = sum(skips > 0 for *_, skips, _ in slots)
        ahead = self._next_items(db, skipped, verdicts)
        waiting = [item for item in self._waiting() if (item, True) not in verdicts]
        for slot, ticket, kind, state, _, taken_back in slots:
            needed, item = (waiting if kind == "second" else ahead), _item(ticket)
            if item in needed:
                needed.remove(item)
            elif not taken_back and (state == "open" or not self._is_open(item)):
                queue.cancel_slot(db, slot)
        self._add(db, now, ahead, "review")
        self._add(db, now, waiting, "second")

    def _is_open(self, item: int) -> bool:
        return self.batch.audit.open and self.batch.audit.reading(item) is None

    def _next_items(self, db: Database, skipped: int, verdicts: Verdicts) -> list[int]:
        """The next items of the order without a verdict: one, or AHEAD_ITEMS for each of several people."""
        row = db.first("SELECT count(*) FROM users WHERE name <> ? AND disabled IS NULL", SECOND)
        people = int(row[0]) if row else 1
        window = (1 if people < 2 else people * AHEAD_ITEMS) + skipped
        return [item for item in self.batch.audit.upcoming(window) if (item, False) not in verdicts]

    def _add(self, db: Database, now: float, items: Iterable[int], kind: str) -> None:
        for item in items:
            ticket = _ticket(item)
            queued = queue.item(db, ticket) is not None
            if not queued:
                question = self.batch.question(item, self.columns)
                queue.add_item(db, item_of(db, question, ticket=ticket, job=JOB, now=now, why="lot"))
            if (
                not queued and kind == "second"
            ):  # the first review was given at the terminal, by the first person
                db.run("UPDATE slots SET state = 'done', reviewer = ? WHERE ticket = ?", self.first, ticket)
            if queued or kind == "second":
                queue.request_review(db, ticket, kind)

    # Progress

    def _progress(self, db: Database) -> ReviewProgress:
        audit = self.batch.audit
        row = db.first("SELECT count(*) FROM slots WHERE state IN ('open', 'leased')")
        done = not audit.open and not (row and row[0])
        waiting = len(self._waiting())
        return ReviewProgress(
            done=done,
            labels=audit.labels,
            waiting=waiting,
            line=_both(self._line),
            second_line=_both(lambda lang: self._second_line(waiting, lang)),
            closing=_both(lambda lang: certificate_text(audit.certificate, lang)) if done else NO_TEXT,
        )

    def _line(self, lang: str) -> str:
        audit = self.batch.audit
        number = min(audit.labels + 1, audit.items)
        line = terminal_text("item", at=number, of=audit.items).pick(lang)
        return f"{line} · {render(audit.outlook, lang)}" if audit.open else line

    def _second_line(self, waiting: int, lang: str) -> str:
        reviewed = self.batch.audit.agreement.items
        total = max(reviewed + waiting, reviewed + 1)
        return terminal_text("again", at=reviewed + 1, of=total).pick(lang)


def _both(text_in: Callable[[str], str]) -> Both:
    """A text in both languages, from a function of the language."""
    return Both(text_in("en"), text_in("zh"))


def _ticket(item: int) -> str:
    return f"row-{item}"


def _item(ticket: str) -> int:
    return int(ticket.removeprefix("row-"))


def _stored_verdicts(db: Database) -> Verdicts:
    """The verdicts that were not taken back."""
    rows = db.all("SELECT ticket, kind, loss, reviewer FROM verdicts WHERE taken_back IS NULL ORDER BY id")
    return {
        (_item(ticket), kind == "second"): (float(loss), reviewer) for ticket, kind, loss, reviewer in rows
    }
