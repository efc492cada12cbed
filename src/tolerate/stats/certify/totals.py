"""Gains of sampling units: the evidence of a cluster, or of a weighted or graded row, about a claim on the risk.

At an edge v a unit's gain is the sum, over its rows scored above v, of weight * (loss - tolerance).
The risk of what is released is above the tolerance exactly if the mean gain of a unit is above 0.
Betting against that claim needs the gains bounded from above only: by (largest total weight of a
unit) * (1 - tolerance).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tolerate.records import Floats
from tolerate.stats.bounds import betting_test
from tolerate.stats.certify.ranked import missing_as_lowest
from tolerate.stats.certify.samples import Sample, Scores, codes

RELEASE_ALL_EDGE = np.nan  # the edge of the rule that releases all, rows without a score included


@dataclass(frozen=True)
class UnitTotals:
    """Rows in a random order of their units, ready to be added up above any edge."""

    unit: NDArray[np.int64]  # [n] 0..units-1, in betting order
    scores: Scores  # [n] missing at -inf
    losses: dict[str, Floats]
    weights: Floats  # [n]
    units: int
    largest: float  # no unit's total weight is above this

    def part(self, rows: NDArray[np.bool_]) -> "UnitTotals":
        """The totals of some units only, in the same order."""
        unit = codes(self.unit[rows])
        return replace(
            self,
            unit=unit,
            scores=self.scores[rows],
            losses={name: losses[rows] for name, losses in self.losses.items()},
            weights=self.weights[rows],
            units=int(unit.max()) + 1 if len(unit) else 0,
        )

    def above(self, edge: float) -> NDArray[np.bool_]:
        """[n] whether the rule releases each row."""
        return np.ones(len(self.unit), bool) if np.isnan(edge) else np.asarray(self.scores > edge)

    def gains(self, name: str, edge: float, tolerance: float) -> Floats:
        """The gain of every unit that has a row above the edge, in betting order."""
        rows = self.above(edge)
        unit = self.unit[rows]
        gains = self.weights[rows] * (self.losses[name][rows] - tolerance)
        sums: Floats = np.bincount(unit, weights=gains, minlength=self.units).astype(np.float64)
        return sums[np.bincount(unit, minlength=self.units) > 0]

    def refuted(
        self, name: str, edge: float, tolerance: float, delta: float, variance: float | None = None
    ) -> bool:
        """Whether "the risk above this edge exceeds the tolerance" is refuted at level delta."""
        gains = self.gains(name, edge, tolerance)
        win, cap = self.largest * tolerance, self.largest * (1 - tolerance)
        guess = win / 2 * float(self.weights.sum()) / max(1, self.units) if variance is None else variance
        return betting_test(gains, cap, win, delta=delta, variance=guess)

    def safe(
        self,
        edge: float,
        tolerances: Mapping[str, float],
        delta: float,
        variances: Mapping[str, float] | None = None,
    ) -> bool:
        """Whether every loss's test passes at this edge, each at the full level."""
        guess = variances or {}
        return all(self.refuted(name, edge, t, delta, guess.get(name)) for name, t in tolerances.items())


def unit_totals(sample: Sample, rng: np.random.Generator, largest: float | None) -> UnitTotals:
    """Totals of a sample with its units in a random order, so that the order of the file does not matter."""
    unit = np.arange(len(sample)) if sample.clusters is None else sample.clusters
    weights = np.ones(len(sample)) if sample.weights is None else sample.weights
    return UnitTotals(
        unit=rng.permutation(sample.units)[unit],
        scores=missing_as_lowest(sample),
        losses=sample.losses,
        weights=weights,
        units=sample.units,
        largest=largest_unit_weight(sample, largest),
    )


def largest_unit_weight(sample: Sample, stated: float | None) -> float:
    """The largest total weight of a unit: that of the sample, or the stated one if it is larger."""
    unit = np.arange(len(sample)) if sample.clusters is None else sample.clusters
    observed = float(np.bincount(unit, weights=sample.weights).max())
    return observed if stated is None else max(observed, stated)
