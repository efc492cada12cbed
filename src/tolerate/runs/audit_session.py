"""An audit at the terminal: one item at a time, one key each, nothing lost when it stops.

The state is on the disk after every verdict; the same command continues. The rest of the items stays
unlabelled: the audit closes as soon as the batch is proven, or cannot be. With a second person, it closes when
they have read their share of what was labelled, too: `Sitting` says whose turn it is.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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

Tell = Callable[[str], None]
Turn = Literal["first", "second", "swap", "done"]
ASKED = ("asked", "prompt", "question", "request", "instruction")  # columns that say what an item answers
BYTES = "(bytes; --page shows them)"


class Batch:
    """A finished batch in a table, with an audit of it that is kept beside it."""

    def __init__(self, path: Path, state: Path | None, score: str | None, **options: Any) -> None:
        self.path = path
        self.state = state or path.with_name(f"{path.name}.audit.json")
        self.binary = tables.binary_columns(path)
        known = [name for name in tables.columns_of(path) if name not in self.binary]
        self.texts = tables.read_texts(path, known)
        self._bytes: dict[str, Callable[[int], bytes]] = {}
        self.size = len(next(iter(self.texts.values()))) if known else tables.row_count(path)
        self.texts |= {name: [BYTES] * self.size for name in self.binary}
        self.scores = None if score is None else tables.read_numbers(path, score)
        self.audit = self._continued(options) or Audit(items=self.size, scores=self.scores, **options)

    def _continued(self, options: dict[str, Any]) -> Audit | None:
        """The audit that was begun, if it was begun with the same options on the same number of items."""
        if not self.state.exists():
            return None
        try:
            record = json.loads(self.state.read_text("utf-8"))
        except ValueError as error:
            raise RunError(f"{self.state} is damaged ({error}); delete it to begin again") from None
        if (
            record.get("second") is None
        ):  # a second person may still be called in: the lot was drawn by the seed
            record["second"] = options.get("second")
        asked = {"items": self.size, **{key: value for key, value in options.items() if value is not None}}
        for key, value in asked.items():
            if record.get(key) != value:
                raise RunError(
                    f"{self.state} is of an audit with {key} = {record.get(key)}, this command asks for {value}; "
                    "give the same options, or another --state"
                )
        return Audit.from_json(record, scores=self.scores)

    def record(self, item: int, loss: float, *, again: bool = False, second: bool = False) -> None:
        """Take a verdict in; it is on the disk when this returns."""
        take = self.audit.correct if again else self.audit.record
        take(item, loss, "second" if second else "", second=second)
        self.keep()

    def keep(self) -> None:
        """Write the audit to the disk."""
        write_whole(self.state, to_json(self.audit.to_json()))

    def show(self, item: int, names: Sequence[str]) -> str:
        """One item's columns as a person reads them at a terminal."""
        return "\n".join(f"{name}: {_visible(self.texts[name][item])}" for name in self.shown(names))

    def shown(self, names: Sequence[str]) -> list[str]:
        """The columns that are shown: those named, or all."""
        for name in names:
            if name not in self.texts:
                raise DataError(f'{self.path} has no column "{name}". {hint(name, self.texts)}')
        return list(names or self.texts)

    def question(self, item: int, names: Sequence[str] = ()) -> Question:
        """One item as it is shown at the desk: a picture, sound or film as such, the rest as text."""
        cells = {name: self.texts[name][item] for name in self.shown(names)}
        asked = next((cells.pop(name) for name in ASKED if name in cells and len(cells) > 1), "")
        seen, body, file = next(
            filter(None, (self._media(item, name, cells[name]) for name in cells)), ("", b"", "")
        )
        cells.pop(seen, None)
        cells = {name: text for name, text in cells.items() if text != BYTES}
        lines = cells.values() if len(cells) == 1 else (f"{name}: {text}" for name, text in cells.items())
        return Question(asked, "\n".join(lines), body, file)

    def _media(self, item: int, name: str, cell: str) -> tuple[str, bytes, str] | None:
        """A cell that is a picture, sound or film: column, bytes, or file; None if it is text."""
        if name in self.binary:
            if name not in self._bytes:
                self._bytes[name] = tables.read_bytes(self.path, name)
            body = self._bytes[name](item)
            return (name, body, "") if media.kind_of(body) else None
        if cell.startswith("data:"):
            carried = media.carried(cell)
            return None if carried is None else (name, carried[1], "")
        if media.kind_of_name(cell) and "\n" not in cell and (self.path.parent / cell).is_file():
            return name, b"", cell
        return None


class Sitting:
    """Whose turn it is, and which item they see: the first person until the audit closes, then the second.

    Neither sees the other's verdicts. Where the second finds more wrong, the evidence may not do any more, and the
    first goes on.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.second = False  # who sits there
        self.last: int | None = None

    @property
    def turn(self) -> Turn:
        """Who gives the next verdict; "swap" if the other person must sit down first."""
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
        """The other person sits down."""
        self.second, self.last = not self.second, None

    def give(self, loss: float) -> None:
        """The verdict on the item."""
        item = self.item
        self.batch.record(item, loss, second=self.second)
        self.last = item

    def change(self) -> float | None:
        """Turn this person's last verdict round; the new one, or None if there is none to change."""
        if self.last is None:
            return None
        loss = 1.0 - self.batch.audit.said(self.last, second=self.second)
        self.batch.record(self.last, loss, again=True, second=self.second)
        return loss

    def place(self, lang: str) -> str:
        """How far it is, in words that do not tell the second person what the first said."""
        audit = self.batch.audit
        if not self.second:
            line = terminal_text("item", at=audit.labels + 1, of=self.batch.size).pick(lang)
            return f"{line} · {render(audit.outlook, lang)}"
        read = audit.agreement.items
        return terminal_text("again", at=read + 1, of=read + len(audit.waiting)).pick(lang)

    def call(self, lang: str) -> str:
        """What is said when the seats are to be changed."""
        waiting = len(self.batch.audit.waiting)
        return terminal_text("to first" if self.second else "to second", items=waiting).pick(lang)


def ask(batch: Batch, names: Sequence[str], key: Callable[[], str], tell: Tell, lang: str = "en") -> bool:
    """Ask one person, or two, item by item until the audit closes; False if they stopped before.

    key: waits for one key and returns it.
    """
    sitting = Sitting(batch)
    keys_line, swap_line = (terminal_text(key).pick(lang) for key in ("keys", "swap"))
    while (turn := sitting.turn) != "done":
        if turn == "swap":
            tell(f"\n— {sitting.call(lang)} —\n{swap_line}")
        else:
            shown = batch.show(sitting.item, names)
            tell(f"\n— {sitting.place(lang)} —\n{shown}\n{keys_line}")
        pressed = _pressed(key, "squ" if turn == "swap" else "fwuq")
        if pressed == "q":
            tell(terminal_text("kept", labels=batch.audit.labels, path=batch.state).pick(lang))
            return False
        if pressed == "s":
            sitting.swap()
        elif pressed == "u":
            loss = sitting.change()
            if loss is not None:
                tell(f"{(sitting.last or 0) + 1}: {'w' if loss else 'f'}")
        else:
            sitting.give(1.0 if pressed == "w" else 0.0)
    return True


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """One key at a time from the terminal, and none lost that is pressed early.

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
        yield lambda: _key(os.read(terminal, 1))
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _key(read: bytes) -> str:
    """The key in what was read; nothing read means that the terminal is gone.

    >>> _key(b"f"), _key(b""), _key("é".encode()[:1])
    ('f', 'q', '?')
    """
    return read.decode("ascii", "replace").replace("\ufffd", "?") if read else "q"


def _visible(text: str) -> str:
    r"""A text without control characters, which could move the cursor or hide what is there.

    >>> _visible("fine\x1b[2K")
    'fine\ufffd[2K'
    """
    return "".join(
        sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def _pressed(key: Callable[[], str], known: str) -> str:
    while True:
        pressed = key().lower()
        if pressed and pressed in known:
            return pressed


def replay(batch: Batch, column: str, second: str | None = None) -> None:
    """Take the verdicts from a column, in the order that the audit draws, until it closes.

    second: the column of the second person's; only those that the lot asks for are read.
    """
    losses = tables.read_numbers(batch.path, column)
    theirs = None if second is None else tables.read_numbers(batch.path, second)
    sitting = Sitting(batch)
    while (turn := sitting.turn) != "done":
        if turn == "swap":
            if theirs is None:
                break
            sitting.swap()
            continue
        item, (given, name) = sitting.item, (theirs, second) if sitting.second else (losses, column)
        if given is None or np.isnan(given[item]):
            raise DataError(
                f'row {item + 1} of {batch.path} has no loss in column "{name}", and the audit asks for it next; '
                "label it and give the same command again"
            )
        batch.audit.record(item, float(given[item]), second=sitting.second)
    batch.keep()


def plan_lines(audit: Audit, lang: str = "en") -> list[str]:
    """What the audit would cost at several true rates, as lines of a table."""
    rows = [
        f"{forecast.wrong / audit.items:>17.2%}  {forecast.mean:>15,.0f}  {forecast.p90:>17,}   {forecast.proven:>6.1%}"
        for forecast in audit.plan()
    ]
    return [terminal_text("plan").pick(lang), *rows]
