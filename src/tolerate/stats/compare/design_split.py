"""One labelled sample for all strategies and thresholds: a design part chooses what to test, the rest tests it.

Units are split at random into a design part and a test part, the same split for all strategies, so that strategies
may share items. The design part fixes the thresholds, the order of the tests and their levels (`rehearsal`); the test
part tests. An error budget (`alpha_wealth`) is spent on the tests: one that passes costs nothing of the level.
Everything that passed holds together with probability at least 1 - level, so the cheapest may be taken, however the
strategies' losses depend on each other. While the budget lasts, strategies that are not in the plan are tested too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.stats.alpha_wealth import ErrorBudget
from tolerate.stats.compare.rehearsal import RehearsedPlan, RuleOutlook, best_plan, rule_outlooks
from tolerate.stats.compare.rules import RELEASE_ALL, Rule, StrategyData, rule_grid, rule_p_value

DESIGN_SHARE = 0.3  # share of the units that choose the tests
STEPS_BY_TIERS = {1: 20, 2: 12, 3: 7}  # thresholds a tier, by tiers
MIN_STEPS = 4
MIN_FOLLOW_CHANCE = 0.5  # estimated chance that a further strategy needs to be tested after the plan
MAX_PLANNING_ROWS = 40_000  # of the design part, at most, over all strategies; but MIN_PLANNING_ROWS of each
MIN_PLANNING_ROWS = 100


@dataclass(frozen=True)
class PassedRule:
    """A rule that passed its test, and the level of the test."""

    rule: Rule
    level: float


@dataclass(frozen=True)
class SplitResult:
    """The rules that passed, those that failed, and the split, so that the tests can be repeated."""

    passed: tuple[PassedRule, ...]
    failed: tuple[Rule, ...]
    split: "Split"


@dataclass(frozen=True)
class Split:
    """Units in a random order; the first of them are the design part, the rest test."""

    ranks: NDArray[np.int64]  # [units]
    design_units: int

    def test(self, data: StrategyData) -> NDArray[np.bool_]:
        """[n] whether each row of a strategy is in the test part."""
        return np.asarray(self.ranks[data.units] >= self.design_units)


def select_rules(
    strategies: list[StrategyData],
    tolerance: float,
    level: float,
    review: float,
    seed: int,
    largest: float | None = None,
    design: float = DESIGN_SHARE,
) -> SplitResult:
    """Choose rules on a design part and test them: those that pass hold together with probability 1 - level."""
    rng = np.random.default_rng(seed)
    units = 1 + max(int(data.units.max()) for data in strategies)
    split = Split(rng.permutation(units), min(units - 1, int(np.ceil(design * units))))
    plan, follow_up = _plan(strategies, split, tolerance, level, review, rng)
    budget, passed, failed = ErrorBudget(level), [], []
    tests = [(outlook.rule, plan.level_share * level) for outlook in plan.order] + [
        (rule, np.inf) for rule in follow_up
    ]
    for rule, requested in tests:
        stake = min(requested, budget.available)
        if stake <= 0:
            break
        budget = budget.spend(stake)
        if _test_p_value(strategies[rule.strategy], rule, split, tolerance, stake, largest) <= stake:
            budget = budget.recover()
            passed.append(PassedRule(rule, stake))
        else:
            budget = budget.forfeit()
            failed.append(rule)
    return SplitResult(tuple(passed), tuple(failed), split)


def _test_p_value(
    data: StrategyData, rule: Rule, split: Split, tolerance: float, level: float, largest: float | None
) -> float:
    cap = 1.0 if data.plain else max(largest or 0.0, data.largest)
    return rule_p_value(data.part(split.test(data)), rule.thresholds, split.ranks, tolerance, level, cap)


def _plan(
    strategies: list[StrategyData],
    split: Split,
    tolerance: float,
    level: float,
    review: float,
    rng: np.random.Generator,
) -> tuple[RehearsedPlan, list[Rule]]:
    """The tests in their order, and for each other strategy one that may follow while the budget lasts."""
    max_rows = max(MIN_PLANNING_ROWS, MAX_PLANNING_ROWS // len(strategies))
    parts = [data.part(_planning_rows(data, split, max_rows)) for data in strategies]
    tested = [np.count_nonzero(split.test(data)) for data in strategies]
    scales = np.array([n / max(1, len(part)) for n, part in zip(tested, parts, strict=True)])
    usable = [index for index, part in enumerate(parts) if len(part) and tested[index]]
    rules = [Rule(index, thresholds) for index in usable for thresholds in _candidate_rules(parts[index])]
    outlooks = rule_outlooks(parts, rules, scales, tolerance, level, review)
    plan = best_plan(parts, outlooks, scales, tolerance, level, review, rng)
    return plan, _follow_up_rules(outlooks[1.0], {outlook.rule.strategy for outlook in plan.order}, review)


def _planning_rows(data: StrategyData, split: Split, max_rows: int) -> NDArray[np.int64]:
    """Indices of design rows; if there are too many, the first of them in random order of units."""
    ranks = split.ranks[data.units]
    rows = np.flatnonzero(ranks < split.design_units)
    if len(rows) > max_rows:
        rows = rows[ranks[rows] <= np.partition(ranks[rows], max_rows - 1)[max_rows - 1]]
        rows = rows[np.argsort(ranks[rows], kind="stable")[:max_rows]]
    return rows


def _candidate_rules(part: StrategyData) -> list[tuple[float, ...]]:
    if not part.scored:
        return [(RELEASE_ALL,) * part.costs.size]
    return rule_grid(part, STEPS_BY_TIERS.get(part.costs.size, MIN_STEPS))


def _follow_up_rules(outlooks: list[RuleOutlook], tried: set[int], review: float) -> list[Rule]:
    """The cheapest rule with a good chance of each strategy that is not in the plan; the likeliest first."""
    best: dict[int, RuleOutlook] = {}
    for outlook in outlooks:
        strategy = outlook.rule.strategy
        if strategy not in tried and outlook.chance >= MIN_FOLLOW_CHANCE and outlook.cost < review:
            best[strategy] = min(best.get(strategy, outlook), outlook, key=lambda s: s.cost)
    return [outlook.rule for outlook in sorted(best.values(), key=lambda s: -s.chance)]
