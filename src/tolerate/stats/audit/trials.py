"""Parts of a batch under test, one after another, each by the test that the kind of audit gives it.

A kind of audit is an `AuditMode`: `fixed_parts.FixedParts`, `mending.MendedBatch` and `search.BudgetSearch` for 0/1
losses, and `graded.GradedLosses` around one of them for losses in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tolerate.stats.audit.options import AuditOptions
from tolerate.stats.audit.parts import Chain, Part
from tolerate.stats.audit.stopping_plan import Forecast, Verdict

Ints = NDArray[np.int64]


class PartTest(Protocol):
    """The test of one part: reads the part's labels in the part's own random order, and says how it stands."""

    @property
    def order(self) -> Ints:
        """Items of the part, in the order in which their labels are read."""
        ...

    @property
    def used(self) -> int:
        """The number of labels read so far."""
        ...

    @property
    def verdict(self) -> Verdict:
        """Whether the part is proven, can no longer be proven, or neither."""
        ...

    def next(self) -> int:
        """The item whose label is read next."""
        ...

    def advance(self, losses: Mapping[int, float]) -> None:
        """Read the labelled items that come next in the order, until the test decides."""
        ...

    def labels_at_best(self, losses: Mapping[int, float]) -> int:
        """Further labels until the part is proven if every one of them is fine."""
        ...

    def stop_if_longer_than(self, labels: float, losses: Mapping[int, float]) -> None:
        """Give the part up if even fine labels would have to be more than this many."""
        ...

    def stop_if_unlikely(self, labels_left: int, budget: int) -> None:
        """Give the part up once the labels left of a budget will hardly prove it."""
        ...

    def forecast(self, wrong: int) -> Forecast:
        """The forecast of the test on a part with so many wrong items."""
        ...

    def bound(self, tolerance: float) -> float:
        """Upper bound on the risk of a proven part: the exact risk once all is labelled."""
        ...

    def reason(self, options: AuditOptions) -> str:
        """The reason why the part is not proven, once it can no longer be."""
        ...


@dataclass(frozen=True, eq=False)
class Trial:
    """One part under test: which chain it belongs to, its index there, and the test."""

    chain: int
    index: int
    part: Part
    test: PartTest


class AuditMode(Protocol):
    """A kind of audit: its parts, the test of each, and the rule for giving one up."""

    @property
    def chains(self) -> Sequence[Chain]:
        """The sequences of parts to prove; the next is begun if the first part of the one before is not proven."""
        ...

    @property
    def max_labels(self) -> int:
        """The most labels that may be asked for."""
        ...

    @property
    def method(self) -> str:
        """Name and source of the test, as the certificate states it."""
        ...

    @property
    def forecast_rates(self) -> tuple[float, ...]:
        """True risks for which costs are forecast by default, in tolerances."""
        ...

    def test(self, order: Ints, confidence: float) -> PartTest:
        """The test of a part whose labels are read in this order."""
        ...

    def give_up(self, trials: Sequence[Trial], losses: Mapping[int, float]) -> None:
        """Close the last trial if it costs more labels than it is worth; it is open."""
        ...

    def assumptions(self, losses: Mapping[int, float]) -> tuple[str, ...]:
        """The assumptions beside the order of labelling and the losses."""
        ...


class TrialSequence:
    """The parts tested so far: a larger part after a proven one, another chain where the first part fails.

    order: items of the whole batch in the order of labelling.
    """

    def __init__(self, mode: AuditMode, order: Ints) -> None:
        self._mode, self._order = mode, order
        self._trials: list[Trial] = []
        self.restart()

    def restart(self) -> None:
        """Begin again with the first part and no labels."""
        self._trials = [self.trial(0, 0)]
        self.advance({})

    def trial(self, chain: int, index: int) -> Trial:
        """A new trial of a part, nothing labelled yet."""
        part = self._mode.chains[chain].parts[index]
        order = self._order[part.members[self._order]]
        return Trial(chain, index, part, self._mode.test(order, self._mode.chains[chain].confidence))

    def advance(self, losses: Mapping[int, float]) -> None:
        """Push the evidence as far as the labels reach, on to a larger part once one is proven."""
        self._advance_current(losses)
        while (following := self._following()) is not None:
            self._trials.append(following)
            self._advance_current(losses)

    @property
    def current(self) -> PartTest:
        """The test that asks for labels now, or was the last to."""
        return self._trials[-1].test

    @property
    def proven(self) -> Trial | None:
        """The largest part proven so far."""
        proven = [trial for trial in self._trials if trial.test.verdict == "proven"]
        return proven[-1] if proven else None

    def _advance_current(self, losses: Mapping[int, float]) -> None:
        self.current.advance(losses)
        if self.current.verdict == "open":
            self._mode.give_up(self._trials, losses)

    def _following(self) -> Trial | None:
        """The next part: a larger one after a proven one, the other chain if the first proved nothing."""
        last, chains = self._trials[-1], self._mode.chains
        if last.test.verdict == "proven" and last.index + 1 < len(chains[last.chain].parts):
            return self.trial(last.chain, last.index + 1)
        failed = last.test.verdict == "hopeless" and last.index == 0 and last.chain + 1 < len(chains)
        return self.trial(last.chain + 1, 0) if failed else None
