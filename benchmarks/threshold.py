"""Share released at tolerance 5%, confidence 90%: ours beside the field's methods, MAPIE 1.6 run live, and the limit.

    python -m benchmarks.threshold [--runs 60]

Populations A (calibrated, 20% wrong), B (4% wrong) and C (9.5% wrong, an overconfident top 2%) were looked at while the
start rule was tuned. The others were not: D and E logistic curves of two slopes, F a mixture of two beta
densities (12% wrong), G two slopes, H a plateau. MAPIE is installed by the run (`_peers.py`); the other peers are
reimplemented from their papers. Real sets, by cluster: `benchmarks.real_data`.

The limit: to release a share s one must refute "the risk above is more than the tolerance"; against the true curve no
test does that more often than the likelihood ratio against the closest curve of which the risk is the tolerance
(Neyman and Pearson). The mean share released is at most the sum of these powers over all shares. Powers are simulated:
the limit has an error of about 0.01 of its own.
"""

import argparse
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import beta, binom

from benchmarks._peers import use
from benchmarks.real_data import mapie
from tolerate.stats.bounds import binomial_p, binomial_upper, hoeffding_bentkus_p
from tolerate.stats.certify.first_test import History, history_of
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.threshold import find

Array = np.ndarray
Method = Callable[[Array, Array], float]  # losses, scores -> release what is scored above; inf is nothing
TOLERANCE, DELTA = 0.05, 0.1
POPULATIONS: dict[str, Callable[[Array], Array]] = {
    "A": lambda u: 1 - u**0.25,
    "B": lambda u: 0.01 + 0.09 * (1 - u) ** 2,
    "C": lambda u: np.where(u > 0.98, 0.15, 0.004 + 0.22 * (1 - u) ** 1.5),
    "D": lambda u: 1 / (1 + np.exp(12 * (u - 0.15))),
    "E": lambda u: 1 / (1 + np.exp(1 + 4 * u)),
    "F": lambda u: np.interp(u, *_mixture()),
    "G": lambda u: np.where(u > 0.4, 0.01 + 0.05 * (1 - u), 0.04 + 0.6 * (0.4 - u)),
    "H": lambda u: np.where(u > 0.5, 0.03, 0.09),
}
SIZES = (500, 1000, 5000)


@lru_cache
def _mixture() -> tuple[Array, Array]:
    """Ranks and their error rates, if right answers score Beta(5, 2) and the 12% wrong ones Beta(2, 3)."""
    x = np.linspace(0, 1, 20001)
    right, wrong = 0.88 * beta.pdf(x, 5, 2), 0.12 * beta.pdf(x, 2, 3)
    return 0.88 * beta.cdf(x, 5, 2) + 0.12 * beta.cdf(x, 2, 3), wrong / np.maximum(right + wrong, 1e-12)


def limit(population: Callable[[Array], Array], n: int, draws: int = 2000) -> float:
    """The largest mean share that any valid method can release from n labels drawn uniformly."""
    rng, bins = np.random.default_rng(n), 100
    places = 1 - (np.arange(bins) + 0.5) / bins  # the best first
    rates = np.clip(population(places), 1e-6, 1 - 1e-6)
    powers = np.zeros(bins + 1)
    for top in range(1, bins + 1):
        p1 = rates[:top]
        if p1.mean() > TOLERANCE:
            continue
        p0 = expit(logit(p1) + brentq(lambda c, p=p1: expit(logit(p) + c).mean() - TOLERANCE, 0, 40))
        step, fine = logit(p1) - logit(p0), np.log((1 - p1) / (1 - p0))
        rows = rng.multinomial(n, np.append(np.full(top, 1 / bins), 1 - top / bins), draws)[:, :top]
        evidence = [rng.binomial(rows, p) @ step + rows @ fine for p in (p0, p1)]
        powers[top] = (evidence[1] > np.quantile(evidence[0], 1 - DELTA)).mean()
    reached = np.maximum.accumulate(powers[::-1])[::-1]  # an unsafe top is released with what lies below it
    return float((reached[1:] + reached[:-1]).mean() / 2)


def ours(losses: Array, scores: Array, history: History | None = None) -> float:
    """`certify`."""
    rule = find(
        Sample({"loss": losses}, scores, None, None, None), {"loss": TOLERANCE}, DELTA, history=history
    )
    return {"all": -np.inf, "nothing": np.inf}.get(rule.scope, rule.edge if rule.edge is not None else np.inf)


def _prefixes(losses: Array, scores: Array, shares: Array) -> tuple[Array, Array, Array]:
    """Thresholds, rows and errors of the prefixes with these shares."""
    order = np.argsort(-scores, kind="stable")
    rows = np.maximum(1, np.round(shares * len(scores)).astype(int))
    ranked = np.append(scores[order], -np.inf)
    return ranked[rows], rows, np.cumsum(losses[order])[rows - 1]


def ltt_bonferroni(losses: Array, scores: Array) -> float:
    """LTT with Hoeffding-Bentkus p-values and Bonferroni over 100 thresholds (2110.01052)."""
    edges, rows, errors = _prefixes(losses, scores, np.arange(1, 101) / 100)
    good = np.flatnonzero(hoeffding_bentkus_p(errors / rows, rows, TOLERANCE) <= DELTA / 100)
    return float(edges[good[-1]]) if len(good) else np.inf


def fixed_sequence(start: float) -> Method:
    """LTT, fixed sequence of 100 thresholds with exact p-values, from a first share chosen by an expert."""

    def method(losses: Array, scores: Array) -> float:
        shares = np.arange(1, 101) / 100
        edges, rows, errors = _prefixes(losses, scores, shares[shares >= start - 1e-9])
        passed = binomial_p(errors, rows, TOLERANCE) <= DELTA
        last = len(passed) if passed.all() else int(np.argmin(passed))
        return float(edges[last - 1]) if last else np.inf

    return method


def sgr(losses: Array, scores: Array) -> float:
    """SGR (Geifman and El-Yaniv 2017): binary search over thresholds, delta / log2(n) each."""
    steps = int(np.ceil(np.log2(len(losses))))
    low, high, best = 0, len(losses), np.inf
    for _ in range(steps):
        middle = max(1, (low + high) // 2)
        edges, rows, errors = _prefixes(losses, scores, np.array([middle / len(losses)]))
        if float(binomial_upper(errors[0], rows[0], 1 - DELTA / steps)) <= TOLERANCE:
            best, low = float(edges[0]), middle
        else:
            high = middle
    return best


METHODS: dict[str, Method] = {
    "LTT, Hoeffding-Bentkus + Bonferroni": ltt_bonferroni,
    "LTT, fixed sequence, strict first": fixed_sequence(0.01),
    "fixed sequence, expert's start 20%": fixed_sequence(0.2),
    "SGR": sgr,
    "tolerate": ours,
}


def peer_methods() -> dict[str, Method]:
    """MAPIE's controllers: its default, and a fixed sequence over an expert's grid from the top 20%."""
    if not use("mapie==1.6.0"):
        return {}

    def controller(fwer: str, thresholds: Array) -> Method:
        method = mapie(fwer, thresholds, DELTA)
        return lambda losses, scores: method(losses, scores, np.empty(0), TOLERANCE)

    return {
        "MAPIE 1.6, default": controller("bonferroni_holm", np.linspace(0, 0.99, 100)),
        "MAPIE 1.6, fixed sequence from 20%": controller("fixed_sequence", np.linspace(0.8, 0, 81)),
    }


def released(edge: float) -> float:
    return float(np.clip(1 - edge, 0, 1)) if np.isfinite(edge) else float(edge < 0)


def table(runs: int, names: str) -> None:
    print(f"{'mean share released':38}" + "".join(f"{f'{p} {n}':>9}" for n in SIZES for p in names))
    for name, method in {**peer_methods(), **METHODS}.items():
        row = line(runs, names, lambda losses, scores, _, m=method: m(losses, scores))
        print(f"{name:38}{row}", flush=True)
    print(f"{'tolerate, 1,000 historic labels':38}" + line(runs, names, ours))
    print(
        f"{'limit (Neyman-Pearson)':38}"
        + "".join(f"{limit(POPULATIONS[p], n):9.3f}" for n in SIZES for p in names)
    )


def line(runs: int, names: str, method: Callable[[Array, Array, History], float]) -> str:
    """Mean share released in each cell, with a ! where the promise broke too often (p < 0.001, exact)."""
    cells = []
    for n in SIZES:
        for name in names:
            population, rng = POPULATIONS[name], np.random.default_rng(n)
            shares, broken, count = [], 0, runs if n < 5000 else max(20, runs // 3)
            for _ in range(count):
                u, past = rng.random(n), rng.random(1000)
                losses = (rng.random(n) < population(u)).astype(float)
                history = history_of((rng.random(1000) < population(past)).astype(float), past)
                edge = method(losses, u, history)
                shares.append(released(edge))
                broken += shares[-1] > 0 and _risk(population, edge) > TOLERANCE
            mark = "!" if binom.sf(broken - 1, count, DELTA) < 0.001 else " "
            cells.append(f"{np.mean(shares):8.3f}{mark}")
    return "".join(cells)


def _risk(population: Callable[[Array], Array], edge: float) -> float:
    low = max(0.0, edge)
    return float(population(low + (1 - low) * (np.arange(2000) + 0.5) / 2000).mean())


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--runs", type=int, default=60)
    runs = options.parse_args().runs
    print("looked at while the start rule was tuned:")
    table(runs, "ABC")
    print("\nnot looked at:")
    table(runs, "DEFGH")


if __name__ == "__main__":
    main()
