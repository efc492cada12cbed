"""Gains of sampling units: what a cluster, or a weighted or graded row, says against the claim.

At an edge v a unit's gain is the sum, over its rows scored above v, of weight * (loss - tolerance).
The risk of what is released is above the tolerance exactly if the mean gain of a unit is above 0.
Betting against that claim needs the gains bounded from above only: by (largest total weight of a
unit) * (1 - tolerance).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.records import Floats
from tolerate.stats.bounds import betting_p
from tolerate.stats.ranked import Scores, bottomed
from tolerate.stats.samples import Sample

EVERY_ROW = np.nan  # the edge of the rule that releases all, rows without a score included


@dataclass(frozen=True)
class Totals:
    """Rows in a random order of their units, ready to be added up above any edge."""

    unit: NDArray[np.int64]  # [n] 0..units-1, in betting order
    scores: Scores  # [n] missing at -inf
    losses: dict[str, Floats]
    weights: Floats  # [n]
    units: int
    largest: float  # no unit's total weight is above this

    def gains(self, name: str, edge: float, tolerance: float) -> Floats:
        """The gain of every unit that has a row above the edge, in betting order."""
        rows = slice(None) if np.isnan(edge) else self.scores > edge
        worth = self.weights[rows] * (self.losses[name][rows] - tolerance)
        unit = self.unit[rows]
        counts = np.bincount(unit, minlength=self.units)
        sums: Floats = np.bincount(unit, weights=worth, minlength=self.units).astype(np.float64)
        return sums[counts > 0]

    def p(self, name: str, edge: float, tolerance: float, delta: float) -> float:
        """P-value for "the risk above this edge exceeds the tolerance"."""
        gains = self.gains(name, edge, tolerance)
        guess = tolerance * (1 - tolerance) * float(np.mean(self.weights)) ** 2 * len(self.unit) / self.units
        return betting_p(gains, self.largest * (1 - tolerance), delta=delta, variance=guess)

    def risk(self, name: str, edge: float) -> float | None:
        """The weighted mean loss of the rows above the edge."""
        rows = slice(None) if np.isnan(edge) else self.scores > edge
        weights = self.weights[rows]
        return float(np.average(self.losses[name][rows], weights=weights)) if len(weights) else None


def totals(given: Sample, rng: np.random.Generator, largest: float | None) -> Totals:
    """Units in a random order: whatever order the file had, the bets cannot profit from it."""
    unit = np.arange(len(given)) if given.clusters is None else given.clusters
    weights = np.ones(len(given)) if given.weights is None else given.weights
    seen = float(np.bincount(unit, weights=weights).max())
    return Totals(
        unit=rng.permutation(given.units)[unit],
        scores=bottomed(given),
        losses=given.losses,
        weights=weights,
        units=given.units,
        largest=seen if largest is None else max(seen, largest),
    )
