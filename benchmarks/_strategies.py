"""Populations of 100 strategies, and the peers that choose among them; for `benchmarks.strategy`.

A population is (costs, risks); a person does the job at price `PERSON`, which is what is paid where nothing is
proven. Costs are in units of the oracle's: the cheapest strategy that really is within the tolerance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tolerate.stats.bounds import binomial_p

Array = np.ndarray
STRATEGY_COUNT = 100
PERSON = 20.0  # price of a person, in costs of the oracle's choice


@dataclass(frozen=True)
class World:
    """One draw of a population."""

    costs: Array  # [k], the oracle's is 1
    risks: Array  # [k]


@dataclass(frozen=True)
class Outcome:
    """What a method chose: the strategy (None is the person), and the labels it used."""

    chosen: int | None
    labels: int


def world(costs: Array, risks: Array, tolerance: float) -> World:
    """A world whose costs are multiples of the oracle's."""
    return World(costs / costs[risks <= tolerance].min(), risks)


def smooth(rng: np.random.Generator, tolerance: float) -> World:
    """Cost falls as risk^-1.5, with a logarithmic standard deviation of 0.5; risks 0.5% to 40%, log-uniform."""
    risks = np.exp(rng.uniform(np.log(0.005), np.log(0.4), STRATEGY_COUNT))
    costs = (tolerance / risks) ** 1.5 * np.exp(0.5 * rng.standard_normal(STRATEGY_COUNT))
    return world(costs, risks, tolerance)


def few_safe(rng: np.random.Generator, tolerance: float) -> World:
    """Five of a hundred are safe (1% to 4%), the rest 6% to 40%; cost is independent of risk."""
    risks = np.concatenate([rng.uniform(0.01, 0.04, 5), rng.uniform(0.06, 0.4, STRATEGY_COUNT - 5)])
    return world(np.exp(rng.uniform(0, np.log(10), STRATEGY_COUNT)), rng.permutation(risks), tolerance)


def near_ties(rng: np.random.Generator, tolerance: float) -> World:
    """All within 3% to 7%, costs within a factor of 2 and hardly related to risk."""
    risks = rng.uniform(0.03, 0.07, STRATEGY_COUNT)
    costs = np.exp(rng.uniform(0, np.log(2), STRATEGY_COUNT) - 5 * (risks - 0.05))
    return world(costs, risks, tolerance)


def two_crowds(rng: np.random.Generator, tolerance: float) -> World:
    """Sixty cheap strategies with risks of 15% to 50%, forty expensive ones with 0.2% to 3%."""
    risks = np.concatenate([rng.uniform(0.15, 0.5, 60), rng.uniform(0.002, 0.03, 40)])
    costs = np.concatenate([rng.uniform(0.1, 1, 60), rng.uniform(1, 8, 40)])
    return world(costs, risks, tolerance)


POPULATIONS: dict[str, Callable[[np.random.Generator, float], World]] = {
    "smooth": smooth,
    "few safe": few_safe,
    "near ties": near_ties,
    "two crowds": two_crowds,
}


def cheapest(good: Array, costs: Array) -> int | None:
    """The cheapest strategy that passed, or None."""
    return int(np.argmin(np.where(good, costs, np.inf))) if good.any() else None


# The peers: the same number of labels for every strategy


def bonferroni(rng: np.random.Generator, w: World, budget: int, tolerance: float, delta: float) -> Outcome:
    n = budget // STRATEGY_COUNT
    p = binomial_p(rng.binomial(n, w.risks), n, tolerance)
    return Outcome(cheapest(p <= delta / STRATEGY_COUNT, w.costs), n * STRATEGY_COUNT)


def holm(rng: np.random.Generator, w: World, budget: int, tolerance: float, delta: float) -> Outcome:
    n = budget // STRATEGY_COUNT
    p = binomial_p(rng.binomial(n, w.risks), n, tolerance)
    order = np.argsort(p, kind="stable")
    failed = p[order] > delta / (STRATEGY_COUNT - np.arange(STRATEGY_COUNT))
    good = np.zeros(STRATEGY_COUNT, bool)
    good[order[: int(np.argmax(failed)) if failed.any() else STRATEGY_COUNT]] = True
    return Outcome(cheapest(good, w.costs), n * STRATEGY_COUNT)


def fixed_sequence(
    rng: np.random.Generator, w: World, budget: int, tolerance: float, delta: float
) -> Outcome:
    """Test from the most expensive to the cheapest, each at the full level, until one fails (2110.01052)."""
    n = budget // STRATEGY_COUNT
    return _walk(rng, w, np.argsort(-w.costs), n, 0, tolerance, delta)


def pareto_testing(
    rng: np.random.Generator, w: World, budget: int, tolerance: float, delta: float
) -> Outcome:
    """Half of the labels find the Pareto front of (p-value, cost), half test it from its safest end (2210.07913).

    The second half is divided equally among the front; strategies behind the first failure are never labelled.
    """
    half = budget // STRATEGY_COUNT // 2
    p = binomial_p(rng.binomial(half, w.risks), half, tolerance)
    front = pareto_front(p, w.costs)
    path = front[np.argsort(p[front], kind="stable")]
    return _walk(
        rng, w, path, (budget - half * STRATEGY_COUNT) // len(path), half * STRATEGY_COUNT, tolerance, delta
    )


def pareto_equal(rng: np.random.Generator, w: World, budget: int, tolerance: float, delta: float) -> Outcome:
    """Pareto testing with equal labels of every strategy in both halves, as in an existing table."""
    half = budget // STRATEGY_COUNT // 2
    p = binomial_p(rng.binomial(half, w.risks), half, tolerance)
    front = pareto_front(p, w.costs)
    path = front[np.argsort(p[front], kind="stable")]
    return _walk(rng, w, path, half, half * STRATEGY_COUNT, tolerance, delta)


def pareto_front(p: Array, costs: Array) -> Array:
    """The strategies that no cheaper one equals in its p-value."""
    order = np.lexsort((p, costs))
    best = np.minimum.accumulate(np.append(np.inf, p[order]))[:-1]
    return order[p[order] < best]


def _walk(
    rng: np.random.Generator, w: World, path: Array, n: int, used: int, tolerance: float, delta: float
) -> Outcome:
    passed = binomial_p(rng.binomial(n, w.risks[path]), n, tolerance) <= delta
    stop = len(path) if passed.all() else int(np.argmin(passed))
    chosen = path[:stop]
    best = int(chosen[np.argmin(w.costs[chosen])]) if stop else None
    return Outcome(best, used + n * min(stop + 1, len(path)))


PEERS = {
    "Bonferroni": bonferroni,
    "Holm": holm,
    "fixed sequence (dearest first)": fixed_sequence,
    "Pareto testing": pareto_testing,
    "Pareto testing, equal labels": pareto_equal,
}
