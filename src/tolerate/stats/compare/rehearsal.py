"""Rules to test, their order and levels: decided on a design part, by rehearsing plans in plausible worlds.

Two kinds of plan are rehearsed. **A sequence** tests rules along the Pareto front of (estimated chance to pass,
cost), from its safest end to its cheapest, each at the whole level, and ends at the first failure (Pareto testing,
Laufer-Goldshtein et al. 2210.07913). The start decides almost everything: too far on, and the first test
fails; too early, and many tests stand in the way. **Parallel tests** are a handful of tests that share the level
equally; one that passes is enough.

Worlds are drawn by weighting the design part's units at random (Bayesian bootstrap, Rubin 1981), a test part is
drawn from each, and every plan runs in it. The plan that saves most on average is taken. Nothing here is part
of the promise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, ndtr

from tolerate.records import Floats
from tolerate.stats.bounds import binomial_p
from tolerate.stats.certify.fixed_sequence import max_errors
from tolerate.stats.compare.rules import Rule, StrategyData, apply_rule, cost_of

NUM_WORLDS = 200
MAX_FRONT = 40  # rules of the front at most
MAX_CANDIDATES = 60  # rules that parallel tests are chosen from
LEVEL_SHARES = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)  # of the level, on each test
STRIDES = (1, 2, 3, 5)  # every rule of the front is tested, or every second ...
QUANTILES: Floats = (np.arange(16) + 0.5) / 16  # of a plausible risk, to average over
# Every rule is credited with so many wrong and fine labels; the fine ones divided by the tolerance.
PRIOR_WRONG, PRIOR_FINE = 0.5, 0.25
MIN_CHANCE = 0.02  # rules below are not on the front


@dataclass(frozen=True)
class RuleOutlook:
    """Cost and chance of one rule, estimated on the design part."""

    rule: Rule
    cost: float
    chance: float  # estimated, that the test part proves it


def rule_outlooks(
    strategies: list[StrategyData],
    rules: list[Rule],
    scales: Floats,
    tolerance: float,
    level: float,
    review: float,
) -> dict[float, list[RuleOutlook]]:
    """Cost and estimated chance of every rule, by share of the level.

    strategies: their design parts. scales: how many test rows there are for one of these.
    """
    costs = np.empty(len(rules))
    counts = np.empty((len(rules), 4))
    for index, rule in enumerate(rules):
        data = strategies[rule.strategy]
        tier, released, losses = apply_rule(data, rule.thresholds)
        costs[index] = cost_of(data, rule.thresholds, tier, review)
        counts[index] = _gain_counts(data, released, losses, tolerance)
    plain = np.array([strategies[rule.strategy].plain for rule in rules])
    scale = scales[[rule.strategy for rule in rules]]
    outlooks = {}
    for level_share in LEVEL_SHARES:
        chances = np.where(
            plain,
            _binomial_chance(counts, scale, tolerance, level * level_share),
            _betting_chance(counts, scale, level * level_share),
        )
        outlooks[level_share] = [
            RuleOutlook(*figures) for figures in zip(rules, costs.tolist(), chances.tolist(), strict=True)
        ]
    return outlooks


def _gain_counts(data: StrategyData, released: NDArray[np.bool_], losses: Floats, tolerance: float) -> Floats:
    """[4] rows released, sum of their losses; sum and sum of squares of the units' gains."""
    if data.plain:
        return np.array([len(losses), losses.sum(), 0.0, 0.0])
    unit = np.unique(data.units[released], return_inverse=True)[1].ravel()
    gains = np.bincount(unit, weights=data.weights[released] * (losses - tolerance))
    worst = data.largest * (1 - tolerance)
    return np.array(
        [
            len(losses),
            losses.sum(),
            gains.sum() + PRIOR_WRONG * worst,
            (gains**2).sum() + PRIOR_WRONG * worst**2,
        ]
    )


def _binomial_chance(counts: Floats, scale: Floats, tolerance: float, level: float) -> Floats:
    rows, wrong = counts[:, 0], counts[:, 1]
    plausible = betaincinv(
        (PRIOR_WRONG + wrong)[:, None],
        (PRIOR_FINE / tolerance + np.maximum(rows - wrong, 0))[:, None],
        QUANTILES,
    )
    tested = np.floor(rows * scale).astype(np.int64)
    max_wrong = max_errors(tested, tolerance, level)
    chance = bdtr(np.maximum(max_wrong, 0)[:, None], np.maximum(tested, 1)[:, None], plausible).mean(axis=1)
    return np.where(max_wrong >= 0, chance, 0.0)


def _betting_chance(counts: Floats, scale: Floats, level: float) -> Floats:
    """Betting passes about where (sum of gains)^2 / (2 sum of squares) reaches ln(1 / level)."""
    sums, squares = counts[:, 2], np.maximum(counts[:, 3], 1e-12)
    drift = -sums / np.sqrt(squares)
    need = np.sqrt(-2 * np.log(level))
    return np.asarray(ndtr((drift * np.sqrt(scale) - need) / np.sqrt(1 + scale)), np.float64)


def pareto_front(outlooks: list[RuleOutlook], review: float) -> list[RuleOutlook]:
    """The rules from the safest to the cheapest to which no cheaper rule has as good a chance."""
    candidates = [outlook for outlook in outlooks if outlook.chance >= MIN_CHANCE and outlook.cost < review]
    front: list[RuleOutlook] = []
    for outlook in sorted(candidates, key=lambda s: (s.cost, -s.chance)):
        if not front or outlook.chance > front[-1].chance:
            front.append(outlook)
    return _thin(front)[::-1]


def _thin(front: list[RuleOutlook]) -> list[RuleOutlook]:
    if len(front) <= MAX_FRONT:
        return front
    return [front[round(position)] for position in np.linspace(0, len(front) - 1, MAX_FRONT)]


@dataclass(frozen=True)
class RehearsedPlan:
    """Tests in their order, each with the share of the level that it spends."""

    order: list[RuleOutlook]
    level_share: float  # 1: a sequence, which ends at its first failure


def best_plan(
    strategies: list[StrategyData],
    outlooks: dict[float, list[RuleOutlook]],
    scales: Floats,
    tolerance: float,
    level: float,
    review: float,
    rng: np.random.Generator,
) -> RehearsedPlan:
    """The sequence or the parallel tests that save most on average over plausible worlds.

    outlooks: of every rule, by share of the level.
    """
    worlds = PlausibleWorlds(strategies, scales, rng)
    plans = [_best_sequence(worlds, pareto_front(outlooks[1.0], review), tolerance, level, review)]
    for level_share, candidates in outlooks.items():
        if level_share < 1:
            plans.append(_best_parallel_tests(worlds, candidates, level_share, tolerance, level, review))
    return max(plans, key=lambda plan: plan[0])[1]


def _best_sequence(
    worlds: "PlausibleWorlds", front: list[RuleOutlook], tolerance: float, level: float, review: float
) -> tuple[float, RehearsedPlan]:
    """Saving and plan of the best start and stride along the front."""
    best, chosen = 0.0, front
    if front:
        passed = worlds.passes(front, tolerance, level)
        savings = review - np.array([outlook.cost for outlook in front])
    for stride in STRIDES:
        for start in range(len(front)):
            steps = np.arange(start, len(front), stride)
            saved = _mean_saving(passed[:, steps], savings[steps])
            if saved > best + 1e-12:
                best, chosen = saved, [front[step] for step in steps]
    return best, RehearsedPlan(chosen, 1.0)


def _mean_saving(passed: NDArray[np.bool_], savings: Floats) -> float:
    """Mean saving of sequences that stop at their first failure."""
    steps = np.logical_and.accumulate(passed, axis=1).sum(axis=1)
    return float(np.append(0.0, savings)[steps].mean())


def _best_parallel_tests(
    worlds: "PlausibleWorlds",
    outlooks: list[RuleOutlook],
    level_share: float,
    tolerance: float,
    level: float,
    review: float,
) -> tuple[float, RehearsedPlan]:
    """Saving and plan of parallel tests at equal shares of the level, chosen greedily."""
    candidates = sorted(outlooks, key=lambda outlook: -outlook.chance * (review - outlook.cost))[
        :MAX_CANDIDATES
    ]
    candidates = [outlook for outlook in candidates if outlook.chance >= MIN_CHANCE and outlook.cost < review]
    if not candidates:
        return 0.0, RehearsedPlan([], level_share)
    savings = worlds.passes(candidates, tolerance, level * level_share) * (
        review - np.array([outlook.cost for outlook in candidates])
    )
    best, chosen = np.zeros(len(savings)), []
    for _ in range(round(1 / level_share)):
        means = np.maximum(savings, best[:, None]).mean(axis=0)
        index = int(np.argmax(means))
        if means[index] <= best.mean() + 1e-12:
            break
        best = np.maximum(best, savings[:, index])
        chosen.append(candidates[index])
    return float(best.mean()), RehearsedPlan(
        sorted(chosen, key=lambda outlook: outlook.cost), 1 / len(chosen)
    )


class PlausibleWorlds:
    """Plausible worlds, drawn once: how often each design unit occurs in a test part."""

    def __init__(self, strategies: list[StrategyData], scales: Floats, rng: np.random.Generator) -> None:
        self.strategies = strategies
        self.units = np.flatnonzero(np.bincount(np.concatenate([data.units for data in strategies])))
        weights = rng.standard_gamma(1.0, (NUM_WORLDS, len(self.units)), np.float32)
        scale = float(np.median(scales))
        self.drawn = rng.poisson(weights * np.float32(scale)).astype(np.float32)
        self.phantom = rng.poisson(
            rng.standard_gamma(PRIOR_WRONG, (NUM_WORLDS, len(strategies))) * scale
        ).astype(np.float64)

    def passes(self, outlooks: list[RuleOutlook], tolerance: float, level: float) -> NDArray[np.bool_]:
        """[worlds, rules] whether each rule's test passes in each world."""
        return np.stack([self._passes(outlook.rule, tolerance, level) for outlook in outlooks], axis=1)

    def _passes(self, rule: Rule, tolerance: float, level: float) -> NDArray[np.bool_]:
        data = self.strategies[rule.strategy]
        _, released, losses = apply_rule(data, rule.thresholds)
        unit = np.searchsorted(self.units, data.units[released])
        design_units, unit = np.unique(unit, return_inverse=True)
        drawn, phantom, unit = self.drawn[:, design_units], self.phantom[:, rule.strategy], unit.ravel()
        if data.plain:
            n = np.round(drawn @ np.bincount(unit).astype(np.float32) + phantom).astype(np.int64)
            wrong = drawn @ np.bincount(unit, weights=losses).astype(np.float32) + phantom
            return np.asarray(binomial_p(np.round(wrong), n, tolerance) <= level)
        gains = np.bincount(unit, weights=data.weights[released] * (losses - tolerance))
        worst = data.largest * (1 - tolerance)
        total = drawn @ gains.astype(np.float32) + phantom * worst
        squares = drawn @ (gains**2).astype(np.float32) + phantom * worst**2
        return np.asarray((total < 0) & (total**2 >= -2 * np.log(level) * squares))
