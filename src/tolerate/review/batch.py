"""An audit at the page: the same sitting as at the terminal, one item and one key at a time.

A second person, if there is one, sits down when the page says so and never sees the first one's verdicts.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tolerate.ask import Batch, Sitting
from tolerate.review import Desk, serve


def review_batch(
    batch: Batch,
    names: Sequence[str] = (),
    *,
    lang: str = "en",
    port: int = 0,
    ready: Callable[[str], None] = print,
) -> None:
    """Audit a batch at the page until the audit closes and the person finishes.

    names: columns to show; none for all. Each verdict is on the disk before the page moves on.
    """
    if Sitting(batch).turn != "done":
        serve(BatchDesk(batch, names, lang), port=port, ready=ready)


class BatchDesk(Desk):
    """What the page may ask of an audit: a verdict, the last one turned round, the seats changed."""

    def __init__(self, batch: Batch, names: Sequence[str], lang: str) -> None:
        super().__init__(lang)
        self.batch, self.names, self.sitting = batch, names, Sitting(batch)

    def state(self) -> dict[str, Any]:
        turn = self.sitting.turn
        audit = self.batch.audit
        read, waiting = audit.agreement.items, len(audit.waiting)
        done, total = (read, read + waiting) if self.sitting.second else (audit.labels, self.batch.size)
        about: dict[str, Any] = {"turn": turn, "done": done, "total": total, "item": None}
        if turn == "swap":
            return {**about, "call": self.sitting.call(self.lang)}
        if turn == "done":
            return about
        item = self.sitting.item
        text = self.batch.show(item, self.names)
        return {**about, "item": item, "text": text, "place": self.sitting.place(self.lang)}

    def act(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            turn, told = self.sitting.turn, {}
            if action == "verdict":
                told = self._verdict(int(body["item"]), float(body["loss"]))
            elif action == "undo":
                last, loss = self.sitting.last, self.sitting.change()
                told = {} if loss is None else {"changed": [last, loss]}
            elif action == "swap" and turn == "swap":
                self.sitting.swap()
            elif action == "finish" and turn == "done":
                self.finished.set()
            return {**self.state(), **told}

    def _verdict(self, item: int, loss: float) -> dict[str, Any]:
        if self.sitting.turn not in ("first", "second") or item != self.sitting.item:
            raise ValueError(f"a verdict on item {item}, which is not asked for now")
        if loss not in (0.0, 1.0):
            raise ValueError(f"verdict {loss}: expected 0 (fine) or 1 (wrong)")
        self.sitting.give(loss)
        return {}
