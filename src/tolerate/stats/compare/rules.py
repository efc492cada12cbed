"""Rules by which a strategy may release: one tier with a threshold, or a cascade of tiers.

A strategy has one or more tiers (models), each with a score and a loss for every labelled item. A rule is one threshold
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

RELEASE_ALL, SKIP_TIER = -np.inf, np.inf
Rows = NDArray[np.bool_] | NDArray[np.int64]


@dataclass(frozen=True)
class StrategyData:
    """The labelled items of a strategy, one column a tier.

    scores, losses: [n, tiers]; missing scores at -inf. units: [n] codes of what was sampled together, common to all
    strategies compared. weights: [n]. costs: of an item in each tier. plain: losses 0 or 1, rows alone, unweighted.
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

    def part(self, rows: Rows) -> "StrategyData":
        """The same strategy with some of its items only."""
        return StrategyData(
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
    """Thresholds of a strategy, one a tier."""

    strategy: int  # its index
    thresholds: tuple[float, ...]


class Outcomes(NamedTuple):
    """The tier that releases each item (the number of tiers: a person), and the losses of the released."""

    tier: NDArray[np.int64]
    released: NDArray[np.bool_]
    losses: Floats  # of the released rows, in their order


def apply_rule(data: StrategyData, thresholds: tuple[float, ...]) -> Outcomes:
    """Apply a rule to all items of a strategy.

    >>> data = StrategyData("w", np.array([[.9, .1], [.2, .8], [.1, .1]]), np.array([[0., 1], [1, 0], [1, 1]]),
    ...           np.arange(3), np.ones(3), np.array([1., 10.]), True)
    >>> apply_rule(data, (0.5, 0.5)).tier
    array([0, 1, 2])
    """
    reached = data.scores >= np.array(thresholds)
    tiers = reached.shape[1]
    tier = np.where(reached.any(axis=1), reached.argmax(axis=1), tiers)
    released = tier < tiers
    return Outcomes(tier, released, data.losses[np.flatnonzero(released), tier[released]])


def cost_of(
    data: StrategyData, thresholds: tuple[float, ...], tier: NDArray[np.int64], review: float
) -> float:
    """Mean cost of an item: every tier that it reaches and that is not skipped, and a person for the rest."""
    total = float(data.weights.sum())
    shares = np.bincount(tier, weights=data.weights, minlength=data.costs.size + 1) / total
    arriving = 1 - np.concatenate([[0.0], np.cumsum(shares)])[: data.costs.size]
    run = np.isfinite(thresholds) | (np.array(thresholds) == RELEASE_ALL)
    return float((arriving * run) @ data.costs + shares[-1] * review)


def coverage_of(data: StrategyData, released: NDArray[np.bool_]) -> float:
    """The weighted share of items that are released."""
    return float(data.weights @ released / data.weights.sum())


def rule_p_value(
    data: StrategyData,
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
    _, released, losses = apply_rule(data, thresholds)
    if data.plain:
        return float(binomial_p(losses.sum(), len(losses), tolerance))
    unit = np.unique(ranks[data.units[released]], return_inverse=True)[1].ravel()
    gains = np.bincount(unit, weights=data.weights[released] * (losses - tolerance))
    guess = tolerance / 2 * largest * float(data.weights[released].sum()) / max(1, len(gains))
    return betting_p(np.asarray(gains, np.float64), largest * (1 - tolerance), delta=level, variance=guess)


def rule_grid(data: StrategyData, steps: int) -> list[tuple[float, ...]]:
    """Candidate rules: thresholds at even shares of each tier's scores; a cascade may skip tiers but its last."""
    tiers = data.costs.size
    columns = [_thresholds(data.scores[:, tier], steps, skip=tiers > 1) for tier in range(tiers)]
    rules = {_skip_unreached(rule) for rule in product(*columns)}
    return sorted(rule for rule in rules if any(threshold < SKIP_TIER for threshold in rule))


def _skip_unreached(rule: tuple[float, ...]) -> tuple[float, ...]:
    """The rule with every tier skipped that is never reached, behind one that releases everything."""
    if RELEASE_ALL not in rule:
        return rule
    last = rule.index(RELEASE_ALL)
    return rule[: last + 1] + (SKIP_TIER,) * (len(rule) - last - 1)


def _thresholds(scores: Floats, steps: int, skip: bool) -> list[float]:
    finite = scores[np.isfinite(scores)]
    shares = np.arange(1, steps) / steps
    inside = np.unique(np.quantile(finite, shares, method="lower")) if len(finite) else np.array([])
    return [RELEASE_ALL, *map(float, inside), *([SKIP_TIER] if skip else [])]
