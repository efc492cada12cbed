"""One labelled sample serves all ways and thresholds: a design part chooses what to test, the rest tests it.

Units are dealt at random into a design part and a test part, the same deal for all ways, so that ways may share items.
The design part fixes the thresholds, the order of the tests and their stakes (`rehearse.py`); the test part tests.
A purse of error (`purse.py`) keeps the account: a test that passes costs nothing of the level. Everything that
passed holds together with probability at least 1 - level, so the cheapest may be taken, however the ways'
losses depend on each other. While the purse lasts, ways that are not in the plan are tested too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.stats.alpha_wealth import Purse
from tolerate.stats.compare.rehearsal import Plan, Sight, rehearsed, sights
from tolerate.stats.compare.rules import EVERYTHING, Rule, Way, grid, p_value

DESIGN = 0.3  # share of the units that choose the tests
STEPS = {1: 20, 2: 12, 3: 7}  # thresholds a tier, by tiers
FEWEST_STEPS = 4
WELL = 0.5  # foreseen chance that a further way needs to be tested after the order has passed
PLANNING_ROWS = 40_000  # of the design part, at most, over all ways; but FEWEST_ROWS of each
FEWEST_ROWS = 100


@dataclass(frozen=True)
class Passed:
    """A rule that passed its test, and the level of the test."""

    rule: Rule
    level: float


@dataclass(frozen=True)
class Walked:
    """What passed, what failed, and the split, so that it can be done again."""

    passed: tuple[Passed, ...]
    failed: tuple[Rule, ...]
    split: "Split"


@dataclass(frozen=True)
class Split:
    """Units in a random order; the first of them are the design part, the rest test."""

    ranks: NDArray[np.int64]  # [units]
    design_units: int

    def test(self, way: Way) -> NDArray[np.bool_]:
        """Which rows of a way are in the test part."""
        return np.asarray(self.ranks[way.units] >= self.design_units)


def walk_ways(
    ways: list[Way],
    tolerance: float,
    level: float,
    review: float,
    seed: int,
    largest: float | None = None,
    design: float = DESIGN,
) -> Walked:
    """Design, rehearse, test: the rules that passed hold together with probability at least 1 - level."""
    rng = np.random.default_rng(seed)
    units = 1 + max(int(way.units.max()) for way in ways)
    split = Split(rng.permutation(units), min(units - 1, int(np.ceil(design * units))))
    plan, rest = _plan(ways, split, tolerance, level, review, rng)
    purse, passed, failed = Purse(level), [], []
    tests = [(sight.rule, plan.stake * level) for sight in plan.order] + [(rule, np.inf) for rule in rest]
    for rule, asked in tests:
        stake = min(asked, purse.left)
        if stake <= 0:
            break
        purse = purse.stake(stake)
        if _p(ways[rule.way], rule, split, tolerance, stake, largest) <= stake:
            purse = purse.won()
            passed.append(Passed(rule, stake))
        else:
            purse = purse.lost()
            failed.append(rule)
    return Walked(tuple(passed), tuple(failed), split)


def _p(way: Way, rule: Rule, split: Split, tolerance: float, level: float, largest: float | None) -> float:
    cap = 1.0 if way.plain else max(largest or 0.0, way.largest)
    return p_value(way.part(split.test(way)), rule.thresholds, split.ranks, tolerance, level, cap)


def _plan(
    ways: list[Way], split: Split, tolerance: float, level: float, review: float, rng: np.random.Generator
) -> tuple[Plan, list[Rule]]:
    """The tests in their order, and for each other way one that may follow while the purse lasts."""
    most = max(FEWEST_ROWS, PLANNING_ROWS // len(ways))
    parts = [way.part(_planning(way, split, most)) for way in ways]
    tested = [np.count_nonzero(split.test(way)) for way in ways]
    scales = np.array([n / max(1, len(part)) for n, part in zip(tested, parts, strict=True)])
    usable = [place for place, part in enumerate(parts) if len(part) and tested[place]]
    rules = [Rule(place, thresholds) for place in usable for thresholds in _rules(parts[place])]
    seen = sights(parts, rules, scales, tolerance, level, review)
    plan = rehearsed(parts, seen, scales, tolerance, level, review, rng)
    return plan, _others(seen[1.0], {sight.rule.way for sight in plan.order}, review)


def _planning(way: Way, split: Split, most: int) -> NDArray[np.int64]:
    """Rows of the design part; if there are too many, the first of them in random order of units."""
    ranks = split.ranks[way.units]
    rows = np.flatnonzero(ranks < split.design_units)
    if len(rows) > most:
        rows = rows[ranks[rows] <= np.partition(ranks[rows], most - 1)[most - 1]]
        rows = rows[np.argsort(ranks[rows], kind="stable")[:most]]
    return rows


def _rules(part: Way) -> list[tuple[float, ...]]:
    if not part.scored:
        return [(EVERYTHING,) * part.costs.size]
    return grid(part, STEPS.get(part.costs.size, FEWEST_STEPS))


def _others(seen: list[Sight], tried: set[int], review: float) -> list[Rule]:
    """The cheapest rule with a good chance of each way that is not in the order; the surest first."""
    best: dict[int, Sight] = {}
    for sight in seen:
        way = sight.rule.way
        if way not in tried and sight.chance >= WELL and sight.cost < review:
            best[way] = min(best.get(way, sight), sight, key=lambda s: s.cost)
    return [sight.rule for sight in sorted(best.values(), key=lambda s: -s.chance)]
