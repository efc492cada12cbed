"""CPU seconds and memory to compare 100 strategies on a million labelled rows; and a cascade on half as many items.

python -m benchmarks.strategy_speed [--rows 1000000] [--strategies 100]
"""

import argparse
import resource
import time

import numpy as np

from tolerate.stats.compare.strategies import compare


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(name: str, **columns) -> None:
    before, start = peak(), time.process_time()
    rows = compare(tolerance=0.05, review=100.0, **columns)
    best = rows[0]
    print(
        f"{name:44} {time.process_time() - start:6.2f} s  peak {peak():6.0f} MB (before {before:.0f})"
        f"  cheapest: {best.name} at {best.cost:.3g}",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--strategies", type=int, default=100)
    chosen = options.parse_args()
    k = chosen.strategies
    items = chosen.rows // k
    rng = np.random.default_rng(0)
    risks = np.geomspace(0.3, 0.01, k)
    costs = np.geomspace(1, 50, k)
    losses = (rng.random((items, k)) < risks).astype(float)
    timed(f"{k} whole strategies, {items:,} items", losses=losses, costs=costs)
    scores = rng.random((items, k))
    losses = (rng.random((items, k)) < 2 * risks * (1 - scores)).astype(float)
    timed(f"{k} strategies with thresholds, {items:,} items", losses=losses, scores=scores, costs=costs)
    two = {"losses": losses.ravel(), "scores": scores.ravel()}
    half = len(two["losses"]) // 2
    tiers = {role: {"cheap": column[:half], "dear": column[half:]} for role, column in two.items()}
    timed(
        f"a cascade of two tiers, {half:,} items",
        costs={"cheap": 1, "dear": 20},
        cascades=[("cheap", "dear")],
        **tiers,
    )


if __name__ == "__main__":
    main()
