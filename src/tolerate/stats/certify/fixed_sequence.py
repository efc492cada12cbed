"""Walking down the scores: which prefixes are tested, in which order, and when the walk ends.

A strict threshold releases few items, a lenient one many. The walk starts at a prefix chosen
without looking at the losses it will test, and goes on to larger prefixes while each test passes at
the full level (fixed-sequence testing). The last prefix that passed is released.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from tolerate.stats.bounds import binomial_p

Sizes = NDArray[np.int64]
FINEST = 1.015  # two prefixes tested one after the other differ by at least 1.5% in size
COARSEST = 1.25  # and by at most a quarter


def zero_failure_size(tolerance: float, delta: float) -> int:
    """How many labels without one error prove the tolerance.

    >>> zero_failure_size(0.02, 0.05)
    149
    """
    return int(np.ceil(np.log(delta) / np.log1p(-tolerance) - 1e-9))


def sharp_sizes(errors: ArrayLike, tolerance: float, delta: float) -> Sizes:
    """The fewest labels among which so many errors still prove the tolerance.

    Testing at exactly these sizes wastes nothing of the level: P(Bin(n, tolerance) <= errors) is as
    close to delta as it gets.

    >>> sharp_sizes([0, 1, 2, 3], 0.05, 0.1)
    array([ 45,  77, 105, 132])
    """
    errors = np.asarray(errors, np.int64)
    z = -ndtri(delta)
    spread = z * np.sqrt((errors + 1) * (1 - tolerance)) + (z * z - 1) / 3
    near = np.floor((errors + 1 + spread) / tolerance).astype(np.int64)
    widest = np.ceil((errors + 10 * np.sqrt(errors) - 5 * np.log(delta) + 5) / tolerance).astype(np.int64)
    few = _last_true(lambda n: binomial_p(errors, n, tolerance) > delta, near, errors, widest)
    return few + 1


@lru_cache(maxsize=256)
def sizes(n: int, tolerance: float, delta: float) -> Sizes:
    """The prefix sizes worth testing, from the zero-failure size up to n: sharp ones, well spaced."""
    found = _sizes(n, tolerance, delta)
    found.flags.writeable = False
    return found


def _sizes(n: int, tolerance: float, delta: float) -> Sizes:
    if zero_failure_size(tolerance, delta) > n:
        return np.array([], np.int64)
    most = max(1.0, n * tolerance)
    few = np.arange(min(most, 1 / (FINEST - 1)) + 1)
    steps = max(2, int(np.log(max(1.0, most / len(few))) / np.log(FINEST)))
    many = np.geomspace(len(few), max(most, len(few)), steps)
    sharp = sharp_sizes(np.unique(np.concatenate([few, np.round(many)])), tolerance, delta)
    found = thinned(np.append(sharp[sharp < n], n), FINEST)
    wide = np.flatnonzero(found[1:] > found[:-1] * COARSEST)
    return np.unique(np.concatenate([found, *(_filled(found[k], found[k + 1]) for k in wide)]))


def _filled(low: int, high: int) -> Sizes:
    """From low to high in steps of at most COARSEST."""
    steps = max(1, int(np.ceil(np.log(high / low) / np.log(COARSEST))))
    return np.round(low * (high / low) ** (np.arange(steps + 1) / steps)).astype(np.int64)


def thinned(tried: Sizes, ratio: float) -> Sizes:
    """The sizes that are at least `ratio` apart, and the last one."""
    if ratio <= 1:
        return np.unique(tried)
    kept: list[int] = []
    for size in tried:
        if not kept or size >= kept[-1] * ratio or size == tried[-1]:
            kept.append(int(size))
    return np.array(kept, np.int64)


def critical(n: Sequence[int] | Sizes, tolerance: float, delta: float) -> Sizes:
    """The most errors among n labels that still prove the tolerance; -1 where even none would not.

    >>> critical([44, 45, 500], 0.05, 0.1)
    array([-1,  0, 18])
    """
    n = np.asarray(n, np.int64)
    near = np.floor(n * tolerance + ndtri(delta) * np.sqrt(n * tolerance * (1 - tolerance))).astype(np.int64)
    return _last_true(lambda errors: binomial_p(errors, n, tolerance) <= delta, near, np.full(n.shape, -1), n)


def _last_true(holds: Callable[[Sizes], NDArray[np.bool_]], near: Sizes, low: Sizes, high: Sizes) -> Sizes:
    """The last whole number in [low, high) where a condition holds that first holds, then never again.

    It holds at low and fails at high, both unasked. The search begins near a guess and widens from there.
    """
    low, high = low.astype(np.int64), high.astype(np.int64)
    asked, width = np.clip(near, low + 1, high - 1), 1
    while np.any(open_ := high - low > 1):
        good = holds(np.where(open_, asked, low))
        low, high = np.where(open_ & good, asked, low), np.where(open_ & ~good, asked, high)
        width *= 2
        bounded = high - low <= 2 * width
        asked = np.where(
            bounded, (low + high) // 2, np.clip(np.where(good, low + width, high - width), low + 1, high - 1)
        )
    return low


def walk(steps: int, start: int, passes: Callable[[int], bool]) -> int | None:
    """The last step that passed before the first that did not, from `start` on; None if the first fails."""
    last = None
    for step in range(start, steps):
        if not passes(step):
            break
        last = step
    return last
