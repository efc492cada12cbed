"""The promise for the one that is chosen: broken in at most 1 - confidence of the samples.

In the hardest populations everything is just above the tolerance, so that whatever is proven is a broken promise; in the
others true risks are known. Strategies are correlated through the difficulty of shared items, tied, or in clusters.
Broken twins (the cheapest that passes by itself; a design part that also tests; LOTUS's sample deviation) are caught.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import binom, norm

from tolerate.stats.alpha_wealth import ErrorBudget
from tolerate.stats.certify.threshold import certify
from tolerate.stats.compare.design_split import Split, select_rules
from tolerate.stats.compare.race import Race
from tolerate.stats.compare.rules import StrategyData, apply_rule
from tolerate.stats.compare.stopping import group_sequential_test
from tolerate.stats.compare.strategies import compare

Array = np.ndarray
TOLERANCE, DELTA = 0.05, 0.1
STRAY = 1e-4  # chance that a law cries wolf about a valid method


def allowed(runs: int, delta: float = DELTA) -> float:
    return float(binom.ppf(1 - STRAY, runs, delta)) / runs


# Populations: the risks of k strategies, and their losses on n shared items


def risks_of(kind: str, k: int) -> Array:
    """All just above the tolerance; or half of them safe, dear to cheap; or one safe among hopeless ones."""
    if kind == "just above":
        return np.full(k, TOLERANCE * 1.002)
    if kind == "half safe":
        return np.where(np.arange(k) % 2, TOLERANCE * 1.002, TOLERANCE / 3)
    return np.where(np.arange(k) == 0, TOLERANCE / 4, 0.2)


def losses_of(
    rng: np.random.Generator, risks: Array, n: int, correlation: float, ties: bool = False
) -> Array:
    """[n, k] losses 0 or 1; a hard item is hard for all (one factor)."""
    shared, own = rng.standard_normal((n, 1)), rng.standard_normal((n, len(risks)))
    if ties:
        own[:, 1::2] = own[:, ::2][:, : own[:, 1::2].shape[1]]
    return (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own < ndtri(risks)).astype(float)


def chosen(rows: list, risks: Array) -> bool:
    """Whether anything that is proven is unsafe."""
    return any(row.certificate.proven and risks[int(row.name)] > TOLERANCE for row in rows)


Rule = Callable[[Array, Array, int], bool]  # losses, risks, seed -> broken


def ours(losses: Array, risks: Array, seed: int) -> bool:
    costs = np.linspace(5, 1, len(risks))
    rows = compare(
        losses=losses, costs=costs, tolerance=TOLERANCE, confidence=1 - DELTA, review=20, seed=seed
    )
    return chosen(rows, risks)


def uncorrected(losses: Array, risks: Array, seed: int) -> bool:
    """Broken: every strategy is certified by itself, and the cheapest taken."""
    proven = [certify(losses=column, tolerance=TOLERANCE, confidence=1 - DELTA).proven for column in losses.T]
    return bool(np.any(np.array(proven) & (risks > TOLERANCE)))


def reused(losses: Array, risks: Array, seed: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Broken: the design part tests what it has chosen itself."""
    monkeypatch.setattr(Split, "test", lambda split, way: split.ranks[way.units] < split.design_units)
    ways = [
        StrategyData(str(i), np.zeros((len(losses), 1)), column[:, None], np.arange(len(losses)), np.ones(len(losses)),
            np.array([5.0 - i / 10]), True, False)
        for i, column in enumerate(losses.T)
    ]  # fmt: skip
    passed = select_rules(ways, TOLERANCE, DELTA, 20.0, seed, design=0.9).passed
    return any(risks[passed_rule.rule.strategy] > TOLERANCE for passed_rule in passed)


def broken(rule: Rule, kind: str, k: int, n: int, correlation: float, ties: bool, runs: int) -> float:
    rng = np.random.default_rng([k, n, runs])
    risks = risks_of(kind, k)
    return float(
        np.mean([rule(losses_of(rng, risks, n, correlation, ties), risks, run) for run in range(runs)])
    )


@pytest.mark.law
@pytest.mark.parametrize("n", [50, 200, 1000, 5000])
@pytest.mark.parametrize(("correlation", "ties"), [(0.0, False), (0.7, False), (0.3, True)])
@pytest.mark.parametrize("kind", ["just above", "half safe", "one safe"])
def test_whole_strategies(kind: str, correlation: float, ties: bool, n: int) -> None:
    runs = 80 if n == 5000 else 200
    assert broken(ours, kind, 12, n, correlation, ties, runs) <= allowed(runs)


def test_whole_strategies_short() -> None:
    assert broken(ours, "just above", 8, 300, 0.5, False, 60) <= allowed(60)


def test_the_uncorrected_choice_is_caught() -> None:
    assert broken(uncorrected, "just above", 12, 600, 0.0, False, 40) > allowed(40)


def test_a_design_part_that_also_tests_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(losses: Array, risks: Array, seed: int) -> bool:
        return reused(losses, risks, seed, monkeypatch)

    assert broken(rule, "just above", 12, 600, 0.0, False, 40) > allowed(40)


# Thresholds and cascades: scores say nothing, every tier is wrong just too often, so any release is a broken promise


def tiers_of(rng: np.random.Generator, n: int, clustered: bool) -> tuple[dict, dict, Array | None]:
    """Two tiers, correlated in losses and in scores; in clusters of 1 to 12, some of them bad throughout."""
    sizes = rng.integers(1, 13, n) if clustered else np.ones(n, int)
    cluster = np.repeat(np.arange(n), sizes)
    bad = (rng.random(n) < 0.057)[cluster]
    rate = np.where(bad, 0.9, 0.0) if clustered else np.full(len(cluster), TOLERANCE * 1.002)
    shared = rng.random(len(cluster))
    losses = {
        name: (np.where(rng.random(len(cluster)) < 0.6, shared, rng.random(len(cluster))) < rate).astype(
            float
        )
        for name in ("cheap", "dear")
    }
    score = rng.standard_normal(len(cluster))
    scores = {"cheap": score, "dear": score + rng.standard_normal(len(cluster))}
    return losses, scores, cluster if clustered else None


def cascade_broken(n: int, clustered: bool, runs: int) -> float:
    rng = np.random.default_rng([n, clustered])
    count = 0
    for run in range(runs):
        losses, scores, clusters = tiers_of(rng, n, clustered)
        rows = compare(
            losses=losses, scores=scores, clusters=clusters, costs={"cheap": 1, "dear": 8}, review=20,
            cascades=[("cheap", "dear")], tolerance=TOLERANCE, confidence=1 - DELTA, seed=run,
        )  # fmt: skip
        count += any(row.certificate.proven for row in rows)
    return count / runs


def lotus(n: int, runs: int) -> float:
    """Broken: a normal bound with the sample's deviation, over a grid of cascades; no errors give certainty."""
    rng = np.random.default_rng(n)
    count = 0
    for _ in range(runs):
        losses, scores, _ = tiers_of(rng, n, False)
        scored, lost = np.column_stack(list(scores.values())), np.column_stack(list(losses.values()))
        way = StrategyData("c", scored, lost, np.arange(n), np.ones(n), np.array([1.0, 8.0]), True)
        grid = product(
            np.quantile(scored[:, 0], [0.5, 0.8, 0.95]), np.quantile(scored[:, 1], [0.5, 0.8, 0.95])
        )
        released = [apply_rule(way, (float(a), float(b))).losses for a, b in grid]
        count += any(
            r.mean() + norm.ppf(1 - DELTA) * r.std() / np.sqrt(len(r)) <= TOLERANCE for r in released
        )
    return count / runs


@pytest.mark.law
@pytest.mark.parametrize("n", [50, 200, 1000, 5000])
def test_cascades(n: int) -> None:
    runs = 80 if n == 5000 else 200
    assert cascade_broken(n, False, runs) <= allowed(runs)


@pytest.mark.law
@pytest.mark.parametrize("n", [50, 200, 1000])
def test_cascades_in_clusters(n: int) -> None:
    assert cascade_broken(n, True, 100) <= allowed(100)


def test_cascades_short() -> None:
    assert cascade_broken(400, False, 40) <= allowed(40)
    assert cascade_broken(100, True, 25) <= allowed(25)


def test_the_sample_deviation_is_caught() -> None:
    assert lotus(400, 100) > allowed(100)


# The race


def race_broken(kind: str, k: int, labels: int, graded: bool, runs: int) -> float:
    rng = np.random.default_rng([k, labels, graded])
    risks = risks_of(kind, k)
    count = 0
    for run in range(runs):
        race = Race(
            {str(i): float(5 - 4 * i / k) for i in range(k)}, labels=labels, tolerance=TOLERANCE,
            confidence=1 - DELTA, review=20, graded=graded, seed=run,
        )  # fmt: skip
        while race.open:
            name, size = race.next_batch
            wrong = rng.random(size) < risks[int(name)] * (2 if graded else 1)
            race.tell(wrong * (rng.random(size) if graded else 1.0))
        count += chosen(race.rows, risks)
    return count / runs


@pytest.mark.law
@pytest.mark.parametrize("labels", [50, 200, 1000, 5000])
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("kind", ["just above", "half safe", "one safe"])
def test_race(kind: str, graded: bool, labels: int) -> None:
    assert race_broken(kind, 12, labels, graded, 200) <= allowed(200)


def test_race_short() -> None:
    assert race_broken("just above", 6, 1200, False, 100) <= allowed(100)


def test_a_race_whose_error_budget_never_empties_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: every test stakes the whole error budget, and one that failed costs nothing."""
    monkeypatch.setattr("tolerate.stats.compare.race.SPENT_SHARE", 1.0)
    monkeypatch.setattr(ErrorBudget, "forfeit", lambda budget: ErrorBudget(DELTA))
    assert race_broken("just above", 6, 6000, False, 60) > allowed(60)


# Exactly


@pytest.mark.parametrize(("labels", "tolerance", "level"), [(12, 0.3, 0.1), (14, 0.2, 0.2), (14, 0.5, 0.05)])
def test_looks_are_exact(labels: int, tolerance: float, level: float) -> None:
    """Every sequence of losses, weighed by its chance at the tolerance: the plan's error is what it says."""
    plan = group_sequential_test(labels, tolerance, level)
    sequences = np.array(list(product((0, 1), repeat=labels)))
    wrong = np.cumsum(sequences, axis=1)
    passed = np.zeros(len(sequences), bool)
    for size, most in zip(plan.sizes, plan.max_wrong, strict=True):
        passed |= wrong[:, size - 1] <= most
    chance = tolerance ** wrong[:, -1] * (1 - tolerance) ** (labels - wrong[:, -1])
    assert abs(float(chance[passed].sum()) - plan.error) < 1e-12
    assert 0 < plan.error <= level


def test_no_adversary_gets_more_from_an_error_budget() -> None:
    """The best that an adversary who chooses every stake can do with false claims: at most what the error budget holds."""
    parts = 10  # of an error budget of 0.2

    def worst(left: int) -> float:
        budget = ErrorBudget(0.02 * left) if left else None
        options = [0.0]
        for stake in range(1, left + 1):
            assert budget is not None
            level = 0.02 * stake
            rest = round(budget.spend(level).forfeit().available / 0.02)
            options.append(level + (1 - level) * worst(rest))
        return max(options)

    assert worst(parts) <= 0.2
