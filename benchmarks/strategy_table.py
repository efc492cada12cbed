"""An existing labelled table: 100 strategies on the same items, errors correlated or not; cost over the oracle's.

    python -m benchmarks.strategy_table [--runs 20] [--items 500] [--correlation 0.5]

Labels cannot be allocated here, so the only question is how to test. Peers as in `benchmarks.strategy`; Pareto
testing splits items, half for its front and half for its tests. A difficult item is difficult for all strategies
(one normal factor).
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from benchmarks._strategies import PERSON, POPULATIONS, Array, World, cheapest, pareto_front
from tolerate.stats.bounds import binomial_p
from tolerate.stats.compare.strategies import compare

Choice = Callable[[Array, World, int], int | None]  # losses [items, k], world, seed -> chosen
TOLERANCE, DELTA = 0.05, 0.1


def draw(rng: np.random.Generator, w: World, items: int, correlation: float) -> Array:
    shared, own = rng.standard_normal((items, 1)), rng.standard_normal((items, len(w.risks)))
    return (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own < ndtri(w.risks)).astype(float)


def bonferroni(losses: Array, w: World, seed: int) -> int | None:
    return cheapest(
        binomial_p(losses.sum(axis=0), len(losses), TOLERANCE) <= DELTA / losses.shape[1], w.costs
    )


def holm(losses: Array, w: World, seed: int) -> int | None:
    p, k = binomial_p(losses.sum(axis=0), len(losses), TOLERANCE), losses.shape[1]
    order = np.argsort(p, kind="stable")
    failed = p[order] > DELTA / (k - np.arange(k))
    good = np.zeros(k, bool)
    good[order[: int(np.argmax(failed)) if failed.any() else k]] = True
    return cheapest(good, w.costs)


def pareto(losses: Array, w: World, seed: int) -> int | None:
    half = len(losses) // 2
    p = binomial_p(losses[:half].sum(axis=0), half, TOLERANCE)
    front = pareto_front(p, w.costs)
    path = front[np.argsort(p[front], kind="stable")]
    passed = binomial_p(losses[half:, path].sum(axis=0), len(losses) - half, TOLERANCE) <= DELTA
    chosen = path[: len(path) if passed.all() else int(np.argmin(passed))]
    return int(chosen[np.argmin(w.costs[chosen])]) if len(chosen) else None


def ours(losses: Array, w: World, seed: int) -> int | None:
    best = compare(
        losses=losses, costs=w.costs, tolerance=TOLERANCE, confidence=1 - DELTA, review=PERSON, seed=seed
    )[0]
    return int(best.name) if best.certificate.proven else None


METHODS: dict[str, Choice] = {
    "Bonferroni": bonferroni,
    "Holm": holm,
    "Pareto testing": pareto,
    "compare (ours)": ours,
}


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--items", type=int, default=500)
    options.add_argument("--correlation", type=float, default=0.5)
    options.add_argument("--populations", nargs="*", default=list(POPULATIONS))
    arguments = options.parse_args()
    for name in arguments.populations:
        for method, choose in METHODS.items():
            costs, broken, start = [], 0, time.process_time()
            for run in range(arguments.runs):
                rng = np.random.default_rng([run, arguments.items])
                w = POPULATIONS[name](rng, TOLERANCE)
                chosen = choose(draw(rng, w, arguments.items, arguments.correlation), w, run)
                costs.append(PERSON if chosen is None else min(PERSON, float(w.costs[chosen])))
                broken += chosen is not None and bool(w.risks[chosen] > TOLERANCE)
            spent = (time.process_time() - start) / arguments.runs
            mean = f"{np.mean(costs):6.2f} +- {np.std(costs) / np.sqrt(arguments.runs):4.2f}"
            print(
                f"{name:12} {method:16} {mean}  broken {broken / arguments.runs:.3f}  {spent:.3f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
