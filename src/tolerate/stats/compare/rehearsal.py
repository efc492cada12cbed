"""Which rules to test, in which order and at which stakes: decided on a design part, by rehearsing in plausible worlds.

Two kinds of plan are rehearsed. **A walk** tests rules along the Pareto front of (foreseen chance to pass,
cost), from its safest end to its cheapest, each at the whole level, and ends at the first failure (Pareto testing,
Laufer-Goldshtein et al. 2210.07913). Where it starts decides almost everything: too far on, and the first test
fails; too early, and many tests stand in the way. **Tickets** are a handful of tests with an equal stake each;
one that passes is enough.

Worlds are drawn by weighing the design part's units at random (Bayesian bootstrap, Rubin 1981), a test part is
drawn from each, and every plan runs in it. The plan that saves most on average is taken. Nothing here is part
of the promise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, ndtr

from tolerate.records import Floats
from tolerate.stats.bounds import binomial_p
from tolerate.stats.certify.fixed_sequence import critical
from tolerate.stats.compare.rules import Rule, Way, cost_of, outcomes

WORLDS = 200
FRONT = 40  # rules of the front at most
CANDIDATES = 60  # rules that tickets are chosen from
STAKES = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)  # of the level, on each test
STRIDES = (1, 2, 3, 5)  # every rule of the front is tested, or every second ...
PLACES: Floats = (np.arange(16) + 0.5) / 16  # quantiles that stand for what is plausible of a risk
WRONG, FINE = 0.5, 0.25  # every rule is credited with so many wrong and fine labels; FINE over the tolerance
NO_CHANCE = 0.02  # rules below are not on the front


@dataclass(frozen=True)
class Sight:
    """What the design part shows of one rule."""

    rule: Rule
    cost: float
    chance: float  # foreseen, that the test part proves it


def sights(
    ways: list[Way], rules: list[Rule], scales: Floats, tolerance: float, level: float, review: float
) -> dict[float, list[Sight]]:
    """By stake: cost and foreseen chance of every rule.

    ways: their design parts. scales: how many test rows there are for one of these.
    """
    costs = np.empty(len(rules))
    counts = np.empty((len(rules), 4))
    for place, rule in enumerate(rules):
        way = ways[rule.way]
        tier, released, losses = outcomes(way, rule.thresholds)
        costs[place] = cost_of(way, rule.thresholds, tier, review)
        counts[place] = _counts(way, released, losses, tolerance)
    plain = np.array([ways[rule.way].plain for rule in rules])
    scale = scales[[rule.way for rule in rules]]
    found = {}
    for stake in STAKES:
        chances = np.where(
            plain,
            _binomial_chance(counts, scale, tolerance, level * stake),
            _betting_chance(counts, scale, level * stake),
        )
        found[stake] = [Sight(*known) for known in zip(rules, costs.tolist(), chances.tolist(), strict=True)]
    return found


def _counts(way: Way, released: NDArray[np.bool_], losses: Floats, tolerance: float) -> Floats:
    """Rows released, their losses; sum and sum of squares of the units' gains."""
    if way.plain:
        return np.array([len(losses), losses.sum(), 0.0, 0.0])
    place = np.unique(way.units[released], return_inverse=True)[1].ravel()
    gains = np.bincount(place, weights=way.weights[released] * (losses - tolerance))
    worst = way.largest * (1 - tolerance)
    return np.array(
        [len(losses), losses.sum(), gains.sum() + WRONG * worst, (gains**2).sum() + WRONG * worst**2]
    )


def _binomial_chance(counts: Floats, scale: Floats, tolerance: float, level: float) -> Floats:
    rows, wrong = counts[:, 0], counts[:, 1]
    plausible = betaincinv(
        (WRONG + wrong)[:, None], (FINE / tolerance + np.maximum(rows - wrong, 0))[:, None], PLACES
    )
    tested = np.floor(rows * scale).astype(np.int64)
    most = critical(tested, tolerance, level)
    chance = bdtr(np.maximum(most, 0)[:, None], np.maximum(tested, 1)[:, None], plausible).mean(axis=1)
    return np.where(most >= 0, chance, 0.0)


def _betting_chance(counts: Floats, scale: Floats, level: float) -> Floats:
    """Betting passes about where (sum of gains)^2 / (2 sum of squares) reaches ln(1 / level)."""
    sums, squares = counts[:, 2], np.maximum(counts[:, 3], 1e-12)
    drift = -sums / np.sqrt(squares)
    need = np.sqrt(-2 * np.log(level))
    return np.asarray(ndtr((drift * np.sqrt(scale) - need) / np.sqrt(1 + scale)), np.float64)


def front(seen: list[Sight], review: float) -> list[Sight]:
    """From the safest to the cheapest: to each, no cheaper rule has as good a chance."""
    able = [sight for sight in seen if sight.chance >= NO_CHANCE and sight.cost < review]
    found: list[Sight] = []
    for sight in sorted(able, key=lambda s: (s.cost, -s.chance)):
        if not found or sight.chance > found[-1].chance:
            found.append(sight)
    return _thinned(found)[::-1]


def _thinned(found: list[Sight]) -> list[Sight]:
    if len(found) <= FRONT:
        return found
    return [found[round(place)] for place in np.linspace(0, len(found) - 1, FRONT)]


@dataclass(frozen=True)
class Plan:
    """Tests in their order, each with the share of the level that it stakes."""

    order: list[Sight]
    stake: float  # 1: a walk, which ends at its first failure


def rehearsed(
    ways: list[Way],
    seen: dict[float, list[Sight]],
    scales: Floats,
    tolerance: float,
    level: float,
    review: float,
    rng: np.random.Generator,
) -> Plan:
    """The walk or the handful of tickets that saves most on average over plausible worlds.

    seen: by stake, what is foreseen of every rule at that share of the level.
    """
    dice = Dice(ways, scales, rng)
    plans = [_walk(dice, front(seen[1.0], review), tolerance, level, review)]
    for stake, found in seen.items():
        if stake < 1:
            plans.append(_tickets(dice, found, stake, tolerance, level, review))
    return max(plans, key=lambda plan: plan[0])[1]


def _walk(
    dice: "Dice", path: list[Sight], tolerance: float, level: float, review: float
) -> tuple[float, Plan]:
    """The best start and stride along the front."""
    best, chosen = 0.0, path
    if path:
        passed = dice.worlds(path, tolerance, level)
        savings = review - np.array([sight.cost for sight in path])
    for stride in STRIDES:
        for start in range(len(path)):
            steps = np.arange(start, len(path), stride)
            saved = _saved(passed[:, steps], savings[steps])
            if saved > best + 1e-12:
                best, chosen = saved, [path[step] for step in steps]
    return best, Plan(chosen, 1.0)


def _saved(passed: NDArray[np.bool_], savings: Floats) -> float:
    """Mean saving of walks that stop at their first failure."""
    steps = np.logical_and.accumulate(passed, axis=1).sum(axis=1)
    return float(np.append(0.0, savings)[steps].mean())


def _tickets(
    dice: "Dice", seen: list[Sight], stake: float, tolerance: float, level: float, review: float
) -> tuple[float, Plan]:
    """So many tests, each with an equal stake: those that together save most, taken one after the other."""
    able = sorted(seen, key=lambda sight: -sight.chance * (review - sight.cost))[:CANDIDATES]
    able = [sight for sight in able if sight.chance >= NO_CHANCE and sight.cost < review]
    if not able:
        return 0.0, Plan([], stake)
    won = dice.worlds(able, tolerance, level * stake) * (review - np.array([sight.cost for sight in able]))
    best, chosen = np.zeros(len(won)), []
    for _ in range(round(1 / stake)):
        means = np.maximum(won, best[:, None]).mean(axis=0)
        place = int(np.argmax(means))
        if means[place] <= best.mean() + 1e-12:
            break
        best = np.maximum(best, won[:, place])
        chosen.append(able[place])
    return float(best.mean()), Plan(sorted(chosen, key=lambda sight: sight.cost), 1 / len(chosen))


class Dice:
    """Plausible worlds, drawn once: how often each design unit comes up in a test part."""

    def __init__(self, ways: list[Way], scales: Floats, rng: np.random.Generator) -> None:
        self.ways = ways
        self.units = np.flatnonzero(np.bincount(np.concatenate([way.units for way in ways])))
        weights = rng.standard_gamma(1.0, (WORLDS, len(self.units)), np.float32)
        scale = float(np.median(scales))
        self.drawn = rng.poisson(weights * np.float32(scale)).astype(np.float32)
        self.phantom = rng.poisson(rng.standard_gamma(WRONG, (WORLDS, len(ways))) * scale).astype(np.float64)

    def worlds(self, path: list[Sight], tolerance: float, level: float) -> NDArray[np.bool_]:
        """[worlds, rules] whether each rule's test would pass."""
        return np.stack([self._passes(sight.rule, tolerance, level) for sight in path], axis=1)

    def _passes(self, rule: Rule, tolerance: float, level: float) -> NDArray[np.bool_]:
        way = self.ways[rule.way]
        _, released, losses = outcomes(way, rule.thresholds)
        place = np.searchsorted(self.units, way.units[released])
        own, place = np.unique(place, return_inverse=True)
        drawn, phantom, place = self.drawn[:, own], self.phantom[:, rule.way], place.ravel()
        if way.plain:
            n = np.round(drawn @ np.bincount(place).astype(np.float32) + phantom).astype(np.int64)
            wrong = drawn @ np.bincount(place, weights=losses).astype(np.float32) + phantom
            return np.asarray(binomial_p(np.round(wrong), n, tolerance) <= level)
        gains = np.bincount(place, weights=way.weights[released] * (losses - tolerance))
        worst = way.largest * (1 - tolerance)
        total = drawn @ gains.astype(np.float32) + phantom * worst
        squares = drawn @ (gains**2).astype(np.float32) + phantom * worst**2
        return np.asarray((total < 0) & (total**2 >= -2 * np.log(level) * squares))
