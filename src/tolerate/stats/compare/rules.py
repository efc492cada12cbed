"""Ways of doing a job, and the rules by which each may release: one tier with a threshold, or a cascade of tiers.

A way has one or more tiers (models), each with a score and a loss for every labelled item. A rule is one threshold
a tier: the first tier whose score reaches its threshold releases; an item that none releases goes to a person.
Threshold -inf releases everything, missing scores included; +inf skips the tier, which then costs nothing.
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tolerate.records import Floats
from tolerate.stats.bounds import betting_p, binomial_p

EVERYTHING, SKIP = -np.inf, np.inf
Rows = NDArray[np.bool_] | NDArray[np.int64]


@dataclass(frozen=True)
class Way:
    """One way of doing the job, with its labelled items.

    scores, losses: [n, tiers]; missing scores at -inf. units: [n] codes of what was sampled together, common to all
    ways compared. weights: [n]. costs: of an item in each tier. plain: losses 0 or 1, rows alone, unweighted.
    """

    name: str
    scores: Floats
    losses: Floats
    units: NDArray[np.int64]
    weights: Floats
    costs: Floats
    plain: bool
    scored: bool = True

    def __len__(self) -> int:
        return len(self.losses)

    def part(self, rows: Rows) -> "Way":
        """The same way with some of its items only."""
        return Way(
            self.name,
            self.scores[rows],
            self.losses[rows],
            self.units[rows],
            self.weights[rows],
            self.costs,
            self.plain,
            self.scored,
        )

    @property
    def largest(self) -> float:
        """The largest total weight of a unit."""
        return float(np.bincount(self.units, self.weights).max())


class Rule(NamedTuple):
    """A way with its thresholds, one a tier."""

    way: int
    thresholds: tuple[float, ...]


class Outcomes(NamedTuple):
    """What a rule does with items: the tier that releases each (the number of tiers: a person), and its loss."""

    tier: NDArray[np.int64]
    released: NDArray[np.bool_]
    losses: Floats  # of the released rows, in their order


def outcomes(way: Way, thresholds: tuple[float, ...]) -> Outcomes:
    """Apply a rule to all items of a way.

    >>> way = Way("w", np.array([[.9, .1], [.2, .8], [.1, .1]]), np.array([[0., 1], [1, 0], [1, 1]]),
    ...           np.arange(3), np.ones(3), np.array([1., 10.]), True)
    >>> outcomes(way, (0.5, 0.5)).tier
    array([0, 1, 2])
    """
    reached = way.scores >= np.array(thresholds)
    tiers = reached.shape[1]
    tier = np.where(reached.any(axis=1), reached.argmax(axis=1), tiers)
    released = tier < tiers
    return Outcomes(tier, released, way.losses[np.flatnonzero(released), tier[released]])


def cost_of(way: Way, thresholds: tuple[float, ...], tier: NDArray[np.int64], review: float) -> float:
    """Mean cost of an item: every tier that it reaches and that is not skipped, and a person for the rest."""
    total = float(way.weights.sum())
    at = np.bincount(tier, weights=way.weights, minlength=way.costs.size + 1) / total
    arriving = 1 - np.concatenate([[0.0], np.cumsum(at)])[: way.costs.size]
    run = np.isfinite(thresholds) | (np.array(thresholds) == EVERYTHING)
    return float((arriving * run) @ way.costs + at[-1] * review)


def coverage_of(way: Way, released: NDArray[np.bool_]) -> float:
    """The weighted share of items that are released."""
    return float(way.weights @ released / way.weights.sum())


def p_value(
    way: Way,
    thresholds: tuple[float, ...],
    ranks: NDArray[np.int64],
    tolerance: float,
    level: float,
    largest: float,
) -> float:
    """P-value for "the risk of what this rule releases is above the tolerance", for a rule fixed beforehand.

    Exact binomial for rows alone with losses 0 or 1: given how many a rule releases, their errors are binomial.
    Otherwise betting on the units' sums of weight * (loss - tolerance), in the random order of `ranks`.
    """
    _, released, losses = outcomes(way, thresholds)
    if way.plain:
        return float(binomial_p(losses.sum(), len(losses), tolerance))
    place = np.unique(ranks[way.units[released]], return_inverse=True)[1].ravel()
    gains = np.bincount(place, weights=way.weights[released] * (losses - tolerance))
    guess = tolerance / 2 * largest * float(way.weights[released].sum()) / max(1, len(gains))
    return betting_p(np.asarray(gains, np.float64), largest * (1 - tolerance), delta=level, variance=guess)


def grid(way: Way, steps: int) -> list[tuple[float, ...]]:
    """Rules worth a look: thresholds at even shares of each tier's scores; a cascade may skip tiers but its last."""
    tiers = way.costs.size
    columns = [_thresholds(way.scores[:, tier], steps, skip=tiers > 1) for tier in range(tiers)]
    rules = {_plain(rule) for rule in product(*columns)}
    return sorted(rule for rule in rules if any(threshold < SKIP for threshold in rule))


def _plain(rule: tuple[float, ...]) -> tuple[float, ...]:
    """Tiers behind one that releases everything are never reached: skipped."""
    if EVERYTHING not in rule:
        return rule
    last = rule.index(EVERYTHING)
    return rule[: last + 1] + (SKIP,) * (len(rule) - last - 1)


def _thresholds(scores: Floats, steps: int, skip: bool) -> list[float]:
    finite = scores[np.isfinite(scores)]
    shares = np.arange(1, steps) / steps
    inside = np.unique(np.quantile(finite, shares, method="lower")) if len(finite) else np.array([])
    return [EVERYTHING, *map(float, inside), *([SKIP] if skip else [])]
