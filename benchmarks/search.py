"""How much of a finished batch 1,000 labels can release: choosing what to label, beside BARGAIN.

    python -m benchmarks.search [--runs 100] [--items 10000]

Tolerance 5%, confidence 90%, populations A (calibrated, 20% wrong), B (4% wrong), C (9.5% wrong, an
overconfident top 2%). `tol.Audit(scores=..., budget=...)` grows the part it tests; BARGAIN (2509.02896, precision
target, reimplemented from the paper: 20 thresholds from the strictest on, WSR betting without replacement, looks
every ten labels) walks as well; `certify` has as many labels, drawn uniformly. Reference: for every part all
labels inside it and one exact test, and the largest that passes is taken; it keeps no promise.
"""

import argparse
import math
import time

import numpy as np
from scipy.stats import hypergeom

from benchmarks.threshold import DELTA, POPULATIONS, TOLERANCE, ours, released
from tolerate.stats.audit.audit import Audit

Array = np.ndarray
LOOK = 10  # labels between BARGAIN's looks
THRESHOLDS = 20


def tolerate(losses: Array, scores: Array, budget: int, seed: int) -> tuple[Array, int]:
    """A mask [items] of what is released, and the labels used."""
    audit = Audit(len(losses), TOLERANCE, 1 - DELTA, seed, scores=scores, budget=budget)
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    certificate = audit.certificate
    if certificate.threshold is None:
        return np.full(len(losses), certificate.proven), audit.labels
    return scores >= certificate.threshold, audit.labels


def bargain(losses: Array, scores: Array, budget: int, seed: int) -> tuple[Array, int]:
    """BARGAIN's precision query: parts of 5%, 10%, ... each tested by betting until it is sure."""
    items, ranked = len(losses), np.argsort(-scores, kind="stable")
    rank = np.empty(items, int)
    rank[ranked] = np.arange(items)
    drawn = np.random.default_rng(seed).permutation(items)
    labelled = np.zeros(items, bool)
    released_items = np.zeros(items, bool)
    for size in (np.arange(1, THRESHOLDS + 1) * items) // THRESHOLDS:
        order = drawn[rank[drawn] < size]
        fine = 1 - losses[order]
        sure = betting_crossings(fine, 1 - TOLERANCE, size)
        for t in range(LOOK, size + LOOK, LOOK):
            fresh = order[:t][~labelled[order[:t]]]
            if labelled.sum() + len(fresh) >= budget:
                labelled[fresh[: max(0, budget - int(labelled.sum()))]] = True
                return released_items, int(labelled.sum())
            labelled[fresh] = True
            if t >= size or sure[min(t, size) - 1]:
                break
        if fine[:t].mean() < 1 - TOLERANCE:
            break
        released_items[ranked[:size]] = True
    return released_items, int(labelled.sum())


def betting_crossings(fine: Array, target: float, size: int) -> Array:
    """A mask [size]: whether a bet for or against "the mean is above the target" has reached 1 / delta by then."""
    i = np.arange(1, len(fine) + 1)
    before = np.concatenate([[0.0], np.cumsum(fine)[:-1]])
    mean = (0.5 + before) / i
    squares = np.concatenate([[0.0], np.cumsum(fine**2)[:-1]])
    variance = (0.25 + np.maximum(0, squares - 2 * mean * before + mean**2 * (i - 1))) / i
    bet = np.sqrt(2 * math.log(2 / DELTA) / (i * np.log(i + 1) * variance))
    remaining_mean = np.clip((size * target - before) / (size - i + 1), 1e-9, 1 - 1e-9)
    above = np.cumsum(np.log1p(np.minimum(bet, 0.75 / remaining_mean) * (fine - remaining_mean)))
    below = np.cumsum(np.log1p(-np.minimum(bet, 0.75 / (1 - remaining_mean)) * (fine - remaining_mean)))
    won = np.maximum.accumulate(np.maximum(above, below)) >= math.log(1 / DELTA)
    return np.asarray(won)


def reference(losses: Array, scores: Array, budget: int, seed: int) -> tuple[Array, int]:
    """The largest part that one fixed test proves with all labels inside it; invalid, since many parts are tried."""
    items, ranked = len(losses), np.argsort(-scores, kind="stable")
    rng, best = np.random.default_rng(seed), 0
    for size in range(items // 50, items + 1, items // 100):
        n = min(budget, size)
        wrong = losses[rng.permutation(ranked[:size])[:n]].sum()
        if hypergeom.cdf(wrong, size, math.floor(TOLERANCE * size) + 1, n) <= DELTA:
            best = size
    released_items = np.zeros(items, bool)
    released_items[ranked[:best]] = True
    return released_items, budget


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=100)
    options.add_argument("--items", type=int, default=10_000)
    options.add_argument("--budget", type=int, default=1_000)
    arguments = options.parse_args()
    print(f"{arguments.items:,} items, {arguments.budget:,} labels, {arguments.runs} batches")
    print(f"{'':34}" + "".join(f"{name + ': share':>12} {'labels':>7} {'broken':>7}" for name in POPULATIONS))
    for name, method in (("BARGAIN", bargain), ("tolerate", tolerate), ("reference, no promise", reference)):
        print(
            f"{name:34}"
            + "".join(_cell(method, population, arguments) for population in POPULATIONS.values())
        )
    uniform = [
        np.mean([_uniform(population, arguments.budget, seed) for seed in range(arguments.runs)])
        for population in POPULATIONS.values()
    ]
    shares = "".join(f"{share:12.3f} {arguments.budget:7,} {'':7}" for share in uniform)
    print(f"{'certify, labels drawn uniformly':34}" + shares)
    print("standard error of a share: at most 0.02; seconds a label of ours: " + f"{_seconds(arguments):.5f}")


def _batch(population, items: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    scores = rng.random(items)
    return (rng.random(items) < population(scores)).astype(float), scores


def _cell(method, population, arguments) -> str:
    shares, labels, broken = [], [], 0
    for seed in range(arguments.runs):
        losses, scores = _batch(population, arguments.items, seed)
        released_items, used = method(losses, scores, arguments.budget, seed)
        shares.append(released_items.mean())
        labels.append(used)
        broken += bool(released_items.any() and losses[released_items].mean() > TOLERANCE)
    return f"{np.mean(shares):12.3f} {np.mean(labels):7,.0f} {broken / arguments.runs:7.3f}"


def _uniform(population, budget: int, seed: int) -> float:
    losses, scores = _batch(population, budget, seed)
    return released(ours(losses, scores))


def _seconds(arguments) -> float:
    losses, scores = _batch(POPULATIONS["A"], arguments.items, 0)
    tolerate(losses, scores, arguments.budget, 0)
    start = time.process_time()
    _, used = tolerate(losses, scores, arguments.budget, 1)
    return (time.process_time() - start) / used


if __name__ == "__main__":
    main()
