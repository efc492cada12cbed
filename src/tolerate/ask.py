"""An audit at the terminal: one item at a time, one key each, nothing lost when it stops.

The state is on the disk after every verdict; the same command continues. The rest of the items stays
unlabelled: the audit closes as soon as the batch is proven, or cannot be.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tolerate import tables
from tolerate.errors import DataError, RunError, hint
from tolerate.folder import to_json, write_whole
from tolerate.stats.audit import Audit

Tell = Callable[[str], None]
WORDS = {
    "en": {
        "item": "item {at} of {of}",
        "keys": "[f] fine   [w] wrong   [u] change the last   [q] stop for now",
        "kept": "{labels} verdicts are kept in {path}; the same command continues",
        "plan": "if so many are wrong  you label about  (9 in 10 at most)   proven",
    },
    "zh": {
        "item": "第 {at} 项,共 {of} 项",
        "keys": "[f] 合格   [w] 错误   [u] 改上一个   [q] 暂停",
        "kept": "{labels} 个判定已保存在 {path};再次运行同一命令即可继续",
        "plan": "若实际错误率为     约需标注     (九成情况下至多)  获证概率",
    },
}


class Batch:
    """A finished batch in a table, with an audit of it that is kept beside it."""

    def __init__(self, path: Path, state: Path | None, score: str | None, **options: Any) -> None:
        self.path = path
        self.state = state or path.with_name(f"{path.name}.audit.json")
        self.texts = tables.read_texts(path, tables.columns_of(path))
        self.size = len(next(iter(self.texts.values())))
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
        asked = {"items": self.size, **{key: value for key, value in options.items() if value is not None}}
        for key, value in asked.items():
            if record.get(key) != value:
                raise RunError(
                    f"{self.state} is of an audit with {key} = {record.get(key)}, this command asks for {value}; "
                    "give the same options, or another --state"
                )
        return Audit.from_json(record, scores=self.scores)

    def record(self, item: int, loss: float, *, again: bool = False) -> None:
        """Take a verdict in; it is on the disk when this returns."""
        (self.audit.correct if again else self.audit.record)(item, loss)
        write_whole(self.state, to_json(self.audit.to_json()))

    def show(self, item: int, names: Sequence[str]) -> str:
        """One item's columns as a person reads them."""
        for name in names:
            if name not in self.texts:
                raise DataError(f'{self.path} has no column "{name}". {hint(name, self.texts)}')
        return "\n".join(f"{name}: {_visible(self.texts[name][item])}" for name in names or self.texts)


def ask(batch: Batch, names: Sequence[str], key: Callable[[], str], tell: Tell, lang: str = "en") -> bool:
    """Ask a person item by item until the audit closes; False if they stopped before.

    key: waits for one key and returns it.
    """
    words, last = WORDS[lang], None
    while batch.audit.open:
        item = batch.audit.next()
        place = words["item"].format(at=batch.audit.labels + 1, of=f"{batch.size:,}")
        tell(f"\n— {place} · {batch.audit.outlook} —\n{batch.show(item, names)}\n{words['keys']}")
        pressed = _pressed(key)
        if pressed == "q":
            tell(words["kept"].format(labels=batch.audit.labels, path=batch.state))
            return False
        if pressed == "u":
            if last is not None:
                batch.record(last, 1.0 - batch.audit.losses[last], again=True)
                tell(f"{last + 1}: {'w' if batch.audit.losses[last] else 'f'}")
            continue
        batch.record(item, 1.0 if pressed == "w" else 0.0)
        last = item
    return True


def _visible(text: str) -> str:
    r"""A text without control characters, which could move the cursor or hide what is there.

    >>> _visible("fine\x1b[2K")
    'fine\ufffd[2K'
    """
    return "".join(
        sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def _pressed(key: Callable[[], str]) -> str:
    while True:
        pressed = key().lower()
        if pressed in ("f", "w", "u", "q"):
            return pressed


def replay(batch: Batch, column: str) -> None:
    """Take the verdicts from a column, in the order that the audit draws, until it closes."""
    losses = tables.read_numbers(batch.path, column)
    while batch.audit.open:
        item = batch.audit.next()
        if np.isnan(losses[item]):
            raise DataError(
                f'row {item + 1} of {batch.path} has no loss in column "{column}", and the audit asks for it next; '
                "label it and give the same command again"
            )
        batch.audit.record(item, float(losses[item]))
    write_whole(batch.state, to_json(batch.audit.to_json()))


def plan_lines(audit: Audit, lang: str = "en") -> list[str]:
    """What the audit would cost at several true rates, as lines of a table."""
    rows = [
        f"{forecast.wrong / audit.items:>17.2%}  {forecast.mean:>15,.0f}  {forecast.p90:>17,}   {forecast.proven:>6.1%}"
        for forecast in audit.plan()
    ]
    return [WORDS[lang]["plan"], *rows]
