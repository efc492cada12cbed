"""Gains of sampling units: what a cluster, or a weighted or graded row, says for or against the claim.

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
from tolerate.stats.certify.ranked import Scores, bottomed
from tolerate.stats.certify.samples import Sample, codes

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

    def part(self, rows: NDArray[np.bool_]) -> "Totals":
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
        """Which rows the rule releases."""
        return np.ones(len(self.unit), bool) if np.isnan(edge) else np.asarray(self.scores > edge)

    def gains(self, name: str, edge: float, tolerance: float) -> Floats:
        """The gain of every unit that has a row above the edge, in betting order."""
        rows = self.above(edge)
        unit = self.unit[rows]
        worth = self.weights[rows] * (self.losses[name][rows] - tolerance)
        sums: Floats = np.bincount(unit, weights=worth, minlength=self.units).astype(np.float64)
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


def totals(given: Sample, rng: np.random.Generator, largest: float | None) -> Totals:
    """Units in a random order: whatever order the file had, the bets cannot profit from it."""
    unit = np.arange(len(given)) if given.clusters is None else given.clusters
    weights = np.ones(len(given)) if given.weights is None else given.weights
    return Totals(
        unit=rng.permutation(given.units)[unit],
        scores=bottomed(given),
        losses=given.losses,
        weights=weights,
        units=given.units,
        largest=largest_of(given, largest),
    )


def largest_of(given: Sample, stated: float | None) -> float:
    """The largest total weight of a unit: the largest seen, or the one stated if that is more."""
    unit = np.arange(len(given)) if given.clusters is None else given.clusters
    seen = float(np.bincount(unit, weights=given.weights).max())
    return seen if stated is None else max(seen, stated)
