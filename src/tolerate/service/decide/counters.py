"""Counts of decisions by minute, and samples of scores, gathered in memory and written every few seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tolerate.store.traffic import MinuteCounts

MAX_SCORES = 250  # a tier, for the test of drift between two writes; what else comes is not looked at
HISTOGRAM_BINS = 10

ScoreSample = list[tuple[float | None, float]]  # scores, each with a random number that breaks ties


@dataclass(slots=True)
class MinuteCounter:
    """Counts of one minute."""

    released: int = 0
    held: int = 0
    escalated: int = 0
    failed: int = 0
    cost: float = 0.0
    tokens: int = 0
    scores: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BINS)


class Counters:
    """Counts by job, slice and minute; scores by job and tier."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._minutes: dict[tuple[str, str, int], MinuteCounter] = {}
        self._scores: dict[tuple[str, str], ScoreSample] = {}

    def minute(self, job: str, slice: str = "") -> MinuteCounter:
        """The counter of this minute, of a slice or of the whole."""
        key = (job, slice, int(self._clock() // 60))
        counter = self._minutes.get(key)
        if counter is None:
            counter = self._minutes[key] = MinuteCounter()
        return counter

    def add_score(self, job: str, tier: str, score: float | None, tie: float) -> None:
        """Add a score to the tier's sample, while the sample is not full. tie: a random number in [0, 1)."""
        sample = self._scores.setdefault((job, tier), [])
        if len(sample) < MAX_SCORES:
            sample.append((score, tie))

    def take_scores(self) -> dict[tuple[str, str], ScoreSample]:
        """The scores since the last call, by job and tier."""
        scores, self._scores = self._scores, {}
        return scores

    def take_minutes(self) -> list[MinuteCounts]:
        """The counts since the last call."""
        minutes, self._minutes = self._minutes, {}
        return [
            MinuteCounts(
                job,
                slice,
                minute,
                counter.released,
                counter.held,
                counter.escalated,
                counter.failed,
                counter.cost,
                counter.tokens,
                tuple(counter.scores),
            )
            for (job, slice, minute), counter in minutes.items()
        ]


def bin_of(score: float) -> int:
    """The bin of a score in the histogram.

    >>> bin_of(0.95), bin_of(1.0), bin_of(-3.0)
    (9, 9, 0)
    """
    return int(min(max(score, 0.0), 0.99) * HISTOGRAM_BINS)
