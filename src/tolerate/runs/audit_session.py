"""An audit of a finished batch at the terminal: one item at a time, one key each, nothing lost when it stops.

The state is on the disk after every verdict; the same command continues. The other items stay unlabelled: the audit
closes as soon as the batch is proven, or cannot be. With a second person, it closes when they too have read their share
of the labelled items: `ReviewerTurns` says whose turn it is.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tolerate.base.files import to_json, write_whole
from tolerate.data import tables
from tolerate.errors import DataError, RunError, hint
from tolerate.messages.catalogue import render
from tolerate.messages.terminal import terminal_text
from tolerate.runs.people import Question
from tolerate.stats.audit.audit import Audit
from tolerate.store import media

PrintLine = Callable[[str], None]
Turn = Literal["first", "second", "swap", "done"]
# columns that hold what an item answers
REQUEST_COLUMNS = ("asked", "prompt", "question", "request", "instruction")
BYTES_NOTE = "(bytes; --page shows them)"


@dataclass(frozen=True)
class BatchAuditOptions:
    """Options of an audit of a batch; the fields are those of `tolerate.Audit`. None leaves an option out."""

    tolerance: float
    confidence: float = 0.95
    seed: int = 0
    expected: float | None = None
    power: float | None = None
    budget: int | None = None
    start: float | None = None
    mend: bool | None = None
    second: float | None = None  # share of the items that a second person reads

    def to_arguments(self) -> dict[str, Any]:
        """The options that are not left out, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class AuditedBatch:
    """A finished batch in a table, with its audit in a file beside it."""

    def __init__(
        self, path: Path, options: BatchAuditOptions, state: Path | None = None, score: str | None = None
    ) -> None:
        """score: the column of scores, for a budget of labels."""
        self.path = path
        self.state = state or path.with_name(f"{path.name}.audit.json")
        self.binary = tables.binary_columns(path)
        text_columns = [name for name in tables.columns_of(path) if name not in self.binary]
        self.texts = tables.read_texts(path, text_columns)
        self._bytes: dict[str, Callable[[int], bytes]] = {}
        self.size = len(next(iter(self.texts.values()))) if text_columns else tables.row_count(path)
        self.texts |= {name: [BYTES_NOTE] * self.size for name in self.binary}
        self.scores = None if score is None else tables.read_numbers(path, score)
        self.audit = self._resumed_audit(options) or Audit(
            items=self.size, scores=self.scores, **options.to_arguments()
        )

    def _resumed_audit(self, options: BatchAuditOptions) -> Audit | None:
        """The audit in the state file; refused if it was begun with other options or on another number of items."""
        if not self.state.exists():
            return None
        try:
            record = json.loads(self.state.read_text("utf-8"))
        except ValueError as error:
            raise RunError(f"{self.state} is damaged ({error}); delete it to begin again") from None
        if record.get("second") is None:
            # A second person may still be called in: the seed has drawn their share already.
            record["second"] = options.second
        for name, value in {"items": self.size, **options.to_arguments()}.items():
            if record.get(name) != value:
                raise RunError(
                    f"{self.state} is of an audit with {name} = {record.get(name)}, this command asks for {value}; "
                    "give the same options, or another --state"
                )
        return Audit.from_json(record, scores=self.scores)

    def record(self, item: int, loss: float, *, is_correction: bool = False, second: bool = False) -> None:
        """Record a verdict; it is on the disk when this returns."""
        record = self.audit.correct if is_correction else self.audit.record
        record(item, loss, "second" if second else "", second=second)
        self.save()

    def save(self) -> None:
        """Write the audit to the disk."""
        write_whole(self.state, to_json(self.audit.to_json()))

    def text_of(self, item: int, names: Sequence[str]) -> str:
        """The columns of one item as lines for a terminal."""
        return "\n".join(
            f"{name}: {_without_control_characters(self.texts[name][item])}"
            for name in self.shown_columns(names)
        )

    def shown_columns(self, names: Sequence[str]) -> list[str]:
        """The columns that are shown: those named, or all."""
        for name in names:
            if name not in self.texts:
                raise DataError(f'{self.path} has no column "{name}". {hint(name, self.texts)}')
        return list(names or self.texts)

    def question(self, item: int, names: Sequence[str] = ()) -> Question:
        """The question that shows an item at the desk: a picture, sound or film as such, other columns as text."""
        cells = {name: self.texts[name][item] for name in self.shown_columns(names)}
        request = next((cells.pop(name) for name in REQUEST_COLUMNS if name in cells and len(cells) > 1), "")
        media_column, body, file = next(
            filter(None, (self.find_media(item, name, cells[name]) for name in cells)), ("", b"", "")
        )
        cells.pop(media_column, None)
        cells = {name: text for name, text in cells.items() if text != BYTES_NOTE}
        lines = cells.values() if len(cells) == 1 else (f"{name}: {text}" for name, text in cells.items())
        return Question(request, "\n".join(lines), body, file)

    def find_media(self, item: int, name: str, cell: str) -> tuple[str, bytes, str] | None:
        """A cell that is a picture, sound or film: column, bytes, or file; None if it is text."""
        if name in self.binary:
            if name not in self._bytes:
                self._bytes[name] = tables.read_bytes(self.path, name)
            body = self._bytes[name](item)
            return (name, body, "") if media.kind_of_bytes(body) else None
        if cell.startswith("data:"):
            carried = media.decode_data_url(cell)
            return None if carried is None else (name, carried[1], "")
        if media.kind_of_name(cell) and "\n" not in cell and (self.path.parent / cell).is_file():
            return name, b"", cell
        return None


class ReviewerTurns:
    """Whose turn it is, and which item they see: the first person until the audit closes, then the second.

    Neither sees the other's verdicts. Where the second finds more wrong, the evidence may no longer suffice, and the
    first goes on.
    """

    def __init__(self, batch: AuditedBatch) -> None:
        self.batch = batch
        self.second = False  # whether the second person has the seat
        self.last: int | None = None

    @property
    def turn(self) -> Turn:
        """The reader who gives the next verdict; "swap" if the other person must sit down first."""
        audit = self.batch.audit
        if not audit.open and (audit.hopeless or not audit.waiting):
            return "done"
        if self.second != (not audit.open):
            return "swap"
        return "second" if self.second else "first"

    @property
    def item(self) -> int:
        """The item to judge now."""
        return self.batch.audit.waiting[0] if self.second else self.batch.audit.next()

    def swap(self) -> None:
        """Switch to the other person."""
        self.second, self.last = not self.second, None

    def record(self, loss: float) -> None:
        """Record this person's verdict on the item."""
        item = self.item
        self.batch.record(item, loss, second=self.second)
        self.last = item

    def flip_last(self) -> float | None:
        """Change this person's last verdict to its opposite; the new loss, or None if there is no verdict to change."""
        if self.last is None:
            return None
        loss = 1.0 - self.batch.audit.said(self.last, second=self.second)
        self.batch.record(self.last, loss, is_correction=True, second=self.second)
        return loss

    def position(self, lang: str) -> str:
        """The progress in words that do not tell the second person what the first said."""
        audit = self.batch.audit
        if not self.second:
            line = terminal_text("item", at=audit.labels + 1, of=self.batch.size).pick(lang)
            return f"{line} · {render(audit.outlook, lang)}"
        read = audit.agreement.items
        return terminal_text("again", at=read + 1, of=read + len(audit.waiting)).pick(lang)

    def swap_notice(self, lang: str) -> str:
        """The line that asks the two people to change seats."""
        waiting = len(self.batch.audit.waiting)
        return terminal_text("to first" if self.second else "to second", items=waiting).pick(lang)


def audit_at_terminal(
    batch: AuditedBatch, names: Sequence[str], key: Callable[[], str], print_line: PrintLine, lang: str = "en"
) -> bool:
    """Ask one person, or two, item by item until the audit closes; False if they stopped before.

    key: waits for one key and returns it.
    """
    turns = ReviewerTurns(batch)
    keys_line, swap_line = (terminal_text(key).pick(lang) for key in ("keys", "swap"))
    while (turn := turns.turn) != "done":
        if turn == "swap":
            print_line(f"\n— {turns.swap_notice(lang)} —\n{swap_line}")
        else:
            shown = batch.text_of(turns.item, names)
            print_line(f"\n— {turns.position(lang)} —\n{shown}\n{keys_line}")
        pressed_key = _wait_for_key(key, "squ" if turn == "swap" else "fwuq")
        if pressed_key == "q":
            print_line(terminal_text("kept", labels=batch.audit.labels, path=batch.state).pick(lang))
            return False
        if pressed_key == "s":
            turns.swap()
        elif pressed_key == "u":
            loss = turns.flip_last()
            if loss is not None:
                print_line(f"{(turns.last or 0) + 1}: {'w' if loss else 'f'}")
        else:
            turns.record(1.0 if pressed_key == "w" else 0.0)
    return True


@contextmanager
def terminal_keys() -> Iterator[Callable[[], str]]:
    """Reads one key at a time from the terminal, with none lost that is pressed early.

    Where there is no terminal, one character of the input, and q at its end.
    """
    if not sys.stdin.isatty():
        yield lambda: sys.stdin.read(1) or "q"
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSADRAIN)
        yield lambda: _decode_key(os.read(terminal, 1))
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _decode_key(data: bytes) -> str:
    """The key in the bytes that were read; no bytes mean that the terminal is gone.

    >>> _decode_key(b"f"), _decode_key(b""), _decode_key("é".encode()[:1])
    ('f', 'q', '?')
    """
    return data.decode("ascii", "replace").replace("\ufffd", "?") if data else "q"


def _without_control_characters(text: str) -> str:
    r"""A text without control characters, which could move the cursor or hide other text.

    >>> _without_control_characters("fine\x1b[2K")
    'fine\ufffd[2K'
    """
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def _wait_for_key(key: Callable[[], str], accepted: str) -> str:
    while True:
        pressed_key = key().lower()
        if pressed_key and pressed_key in accepted:
            return pressed_key


def replay_columns(batch: AuditedBatch, column: str, second: str | None = None) -> None:
    """Take the verdicts from a column, in the order that the audit draws, until it closes.

    second: the column of the second person's verdicts; only the rows that the draw asks for are read.
    """
    losses = tables.read_numbers(batch.path, column)
    second_losses = None if second is None else tables.read_numbers(batch.path, second)
    turns = ReviewerTurns(batch)
    while (turn := turns.turn) != "done":
        if turn == "swap":
            if second_losses is None:
                break
            turns.swap()
            continue
        item, (values, name) = turns.item, (second_losses, second) if turns.second else (losses, column)
        if values is None or np.isnan(values[item]):
            raise DataError(
                f'row {item + 1} of {batch.path} has no loss in column "{name}", and the audit asks for it next; '
                "label it and give the same command again"
            )
        batch.audit.record(item, float(values[item]), second=turns.second)
    batch.save()


def audit_plan_lines(audit: Audit, lang: str = "en") -> list[str]:
    """The expected number of labels at several true rates of wrong items, as lines of a table."""
    rows = [
        f"{forecast.wrong / audit.items:>17.2%}  {forecast.mean:>15,.0f}  {forecast.p90:>17,}   {forecast.proven:>6.1%}"
        for forecast in audit.plan()
    ]
    return [terminal_text("plan").pick(lang), *rows]
