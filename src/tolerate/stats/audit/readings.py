"""Verdicts of an audit: every reading in order, and of each item the loss that counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from tolerate.base.json_types import JsonValue
from tolerate.stats.audit.second_reader import Agreement, agreement


@dataclass(frozen=True)
class AuditReading:
    """One person's loss for one item; `corrects` replaces what was read before, else the stricter counts.

    `second`: by the second person, who does not know the first verdict.
    """

    item: int
    loss: float
    reader: str = ""
    corrects: bool = False
    second: bool = False

    def to_json(self) -> list[JsonValue]:
        """The reading as a row of a record; the last value is left out of a first person's."""
        return [self.item, self.loss, self.reader, self.corrects, *([True] if self.second else [])]


class ReadingLog:
    """The readings of an audit, and the losses that they add up to.

    second_items: the items drawn for the second person, in the order of that reading.
    """

    def __init__(self, second_items: Sequence[int]) -> None:
        self.second_items = tuple(second_items)
        self.readings: list[AuditReading] = []
        self.losses: dict[int, float] = {}  # that count, by item in the order of labelling
        self._verdicts: dict[bool, dict[int, float]] = {False: {}, True: {}}  # by whether the second person's

    def add(self, reading: AuditReading) -> bool:
        """Take a reading in; True if it changes the loss of an item that had one."""
        self.readings.append(reading)
        verdicts = self._verdicts[reading.second]
        earlier, counted = verdicts.get(reading.item), self.losses.get(reading.item)
        replaces = earlier is None or reading.corrects
        verdicts[reading.item] = reading.loss if replaces else max(earlier or 0.0, reading.loss)
        first, second = self._verdicts[False][reading.item], self._verdicts[True].get(reading.item, 0.0)
        self.losses[reading.item] = max(first, second)
        return counted is not None and self.losses[reading.item] != counted

    def loss_by(self, item: int, *, second: bool = False) -> float | None:
        """The loss that the first person gave to an item, or the second; None if there is none."""
        return self._verdicts[second].get(item)

    def takes_second(self, item: int) -> bool:
        """Whether a second person may read this item: it was drawn for that and is labelled."""
        return item in self.second_items and item in self.losses

    @property
    def waiting(self) -> tuple[int, ...]:
        """Labelled items that the second person has yet to read."""
        return tuple(
            item for item in self.second_items if item in self.losses and item not in self._verdicts[True]
        )

    @property
    def agreement(self) -> Agreement:
        """Counts of verdicts on the items that both persons have read."""
        return agreement((self._verdicts[False][item], loss) for item, loss in self._verdicts[True].items())

    @property
    def lowered(self) -> int:
        """Corrections that made a loss smaller."""
        return sum(reading.corrects and self._lowers(index) for index, reading in enumerate(self.readings))

    def _lowers(self, index: int) -> bool:
        reading = self.readings[index]
        earlier = [
            other.loss
            for other in self.readings[:index]
            if (other.item, other.second) == (reading.item, reading.second)
        ]
        return reading.loss < max(earlier, default=0.0)
