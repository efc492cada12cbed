"""Sampling from a finite batch without replacement: how many wrong items it may hold, and exact probabilities.

A batch has `items` items, of which `wrong` are wrong. Labels are drawn in random order without replacement, so that
after `labels` of them the number of wrong ones is hypergeometric. Logarithms are natural throughout.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def allowed_wrong(items: int, tolerance: float) -> int:
    """The largest number of wrong items whose share does not exceed the tolerance.

    >>> allowed_wrong(10_000, 0.02)
    200
    """
    exact = tolerance * items
    nearest = round(exact)
    return nearest if math.isclose(exact, nearest, rel_tol=1e-12) else math.floor(exact)


def zero_failure(items: int, allowed: int, confidence: float) -> int:
    """Labels, all fine, that prove a batch when none may turn out wrong (hypergeometric, exact).

    >>> zero_failure(10_000, 200, 0.95)
    147
    """
    if allowed >= items:
        return 0
    labels = np.arange(items + 1)
    miss = np.exp(log_path(items, allowed + 1, labels, 0))
    return int(np.argmax(miss <= 1 - confidence + 1e-15))


def proven_by_counting(items: int, allowed: int) -> Ints:
    """[allowed + 1] labels after which `k` wrong ones prove a batch by arithmetic: the rest cannot matter.

    >>> proven_by_counting(10, 1).tolist()
    [9, 10]
    """
    return np.clip(items - allowed + np.arange(allowed + 1), 0, items)


@lru_cache(maxsize=8)
def log_factorials(n: int) -> Floats:
    """[n + 1] ln 0!, ln 1!, ..., ln n!."""
    factorials: Floats = gammaln(np.arange(n + 1, dtype=np.float64) + 1)
    return factorials


def log_path(items: int, wrong: int, t: Ints, k: Ints | int) -> Floats:
    """ln probability of one sequence of t labels with k wrong, from a batch with `wrong` wrong items."""
    lf = log_factorials(items)
    total = lf[items] - lf[wrong] - lf[items - wrong]
    return np.asarray(_log_choose(lf, items - t, wrong - np.asarray(k)) - total)


def log_sequences(items: int, wrong: Ints, labels: int, k: int) -> Floats:
    """[batches] ln probability of one sequence of labels with k wrong from each batch, -inf where it cannot be."""
    unlabelled, bad = items - labels, wrong - k
    possible = (bad >= 0) & (bad <= unlabelled)
    bad = np.where(possible, bad, 0)

    def log_choose(n: int, k: Ints) -> Floats:
        return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    return np.where(possible, log_choose(unlabelled, bad) - log_choose(items, wrong), -np.inf)


def hypergeometric_cdf(items: int, wrong: int, labels: int, k: int) -> float:
    """P(at most k wrong among `labels` drawn without replacement)."""
    top = min(k, wrong, labels)
    mean = labels * wrong / items
    reach = math.ceil(15 * math.sqrt(mean + 1) + 50)  # what lies further down is below 1e-20 of the sum
    low = max(0, labels - (items - wrong), min(top, math.floor(mean)) - reach)
    if low > top:
        return 0.0
    counts = np.arange(low, top + 1)
    lf, t = log_factorials(items), np.full(top + 1 - low, labels)
    return min(1.0, float(np.exp(_log_choose(lf, t, counts) + log_path(items, wrong, t, counts)).sum()))


def _log_choose(lf: Floats, n: Ints, k: Ints | int) -> Floats:
    """ln C(n, k), -inf where there is no such choice."""
    unlabelled = n - np.asarray(k)
    exists = (unlabelled >= 0) & (np.asarray(k) >= 0)
    inside = np.maximum(unlabelled, 0)
    value = lf[np.maximum(n, 0)] - lf[np.maximum(k, 0)] - lf[inside]
    return np.where(exists, value, -np.inf)
