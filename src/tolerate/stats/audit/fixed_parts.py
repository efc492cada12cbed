"""Audits of a batch, or of a few parts of it fixed beforehand, each by the cheapest exact plan; 0/1 losses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.stats.audit.counting import CountingTest
from tolerate.stats.audit.optimal_plan import power_plan, robust_plan
from tolerate.stats.audit.options import AuditOptions
from tolerate.stats.audit.parts import Chain, Part
from tolerate.stats.audit.stopping_plan import StoppingPlan
from tolerate.stats.audit.trials import PartTest, Trial
from tolerate.stats.hypergeometric import allowed_wrong

Ints = NDArray[np.int64]

EXTRA_SHARE = 0.25  # a larger part is tried while it may cost at most this share of the labels so far


@dataclass(frozen=True, eq=False)
class FixedParts:
    """The whole batch alone, or nested parts of it, the smallest first (`trials.AuditMode`)."""

    options: AuditOptions
    parts: tuple[Part, ...]

    @property
    def chains(self) -> Sequence[Chain]:
        """The chains of parts: one, of all parts."""
        return [Chain(self.parts, self.options.confidence)]

    @property
    def max_labels(self) -> int:
        """The most labels: every item may be labelled."""
        return self.options.items

    @property
    def method(self) -> str:
        """Name of the test, and whether it gives up."""
        power, expected = self.options.power, self.options.expected
        kind = "never gives up" if power is None else f"power {power:g} at {expected:g} wrong"
        return f"audit without replacement, exact optimal stopping ({kind})"

    @property
    def forecast_rates(self) -> tuple[float, ...]:
        """The true rates of forecasts: from none to three quarters of the tolerance."""
        return (0, 0.125, 0.25, 0.5, 0.75)

    def test(self, order: Ints, confidence: float) -> PartTest:
        """An exact test by the cheapest plan."""
        return CountingTest(order, self._plan(len(order), confidence))

    def give_up(self, trials: Sequence[Trial], losses: Mapping[int, float]) -> None:
        """Leave a larger part that costs many labels more than the proven one did."""
        if trials[-1].index > 0:
            trials[-1].test.stop_if_longer_than(EXTRA_SHARE * trials[-2].test.used, losses)

    def assumptions(self, losses: Mapping[int, float]) -> tuple[str, ...]:
        """The assumptions beside those of every audit: none."""
        return ()

    def _plan(self, size: int, confidence: float) -> StoppingPlan:
        """The cheapest plan for a part of this size: one that gives up, where a power is asked for."""
        allowed = allowed_wrong(size, self.options.tolerance)
        if self.options.power is None or self.options.expected is None:
            return robust_plan(size, allowed, confidence)
        hoped = min(round(self.options.expected * size), allowed)
        return power_plan(size, allowed, confidence, hoped, self.options.power)
