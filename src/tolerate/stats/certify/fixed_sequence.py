"""Fixed-sequence testing: which prefixes of the ranking are tested, in which order, and when the sequence ends.

A strict threshold releases few items, a lenient one many. The sequence starts at a prefix chosen
without looking at the losses it will test, and goes on to larger prefixes while each test passes at
the full level. The last prefix that passed is released.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from tolerate.stats.bounds import binomial_p

Sizes = NDArray[np.int64]
MIN_RATIO = 1.015  # two prefixes tested one after the other differ by at least 1.5% in size
MAX_RATIO = 1.25  # and by at most a quarter


def zero_failure_size(tolerance: float, delta: float) -> int:
    """Number of labels that prove the tolerance if none is wrong.

    >>> zero_failure_size(0.02, 0.05)
    149
    """
    return int(np.ceil(np.log(delta) / np.log1p(-tolerance) - 1e-9))


def sharp_sizes(errors: ArrayLike, tolerance: float, delta: float) -> Sizes:
    """Smallest number of labels among which so many errors still prove the tolerance.

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
    too_few = _last_true(lambda n: binomial_p(errors, n, tolerance) > delta, near, errors, widest)
    return too_few + 1


@lru_cache(maxsize=256)
def prefix_sizes(n: int, tolerance: float, delta: float) -> Sizes:
    """The prefix sizes worth testing, from the zero-failure size up to n: sharp ones, well spaced."""
    sizes = _sizes(n, tolerance, delta)
    sizes.flags.writeable = False
    return sizes


def _sizes(n: int, tolerance: float, delta: float) -> Sizes:
    if zero_failure_size(tolerance, delta) > n:
        return np.array([], np.int64)
    expected_errors = max(1.0, n * tolerance)
    small = np.arange(min(expected_errors, 1 / (MIN_RATIO - 1)) + 1)
    steps = max(2, int(np.log(max(1.0, expected_errors / len(small))) / np.log(MIN_RATIO)))
    large = np.geomspace(len(small), max(expected_errors, len(small)), steps)
    sharp = sharp_sizes(np.unique(np.concatenate([small, np.round(large)])), tolerance, delta)
    sizes = thin_sizes(np.append(sharp[sharp < n], n), MIN_RATIO)
    wide = np.flatnonzero(sizes[1:] > sizes[:-1] * MAX_RATIO)
    return np.unique(np.concatenate([sizes, *(_fill_between(sizes[k], sizes[k + 1]) for k in wide)]))


def _fill_between(low: int, high: int) -> Sizes:
    """From low to high in steps of at most MAX_RATIO."""
    steps = max(1, int(np.ceil(np.log(high / low) / np.log(MAX_RATIO))))
    return np.round(low * (high / low) ** (np.arange(steps + 1) / steps)).astype(np.int64)


def thin_sizes(sizes: Sizes, ratio: float) -> Sizes:
    """The sizes that are at least `ratio` apart, and the last one."""
    if ratio <= 1:
        return np.unique(sizes)
    spaced: list[int] = []
    for size in sizes:
        if not spaced or size >= spaced[-1] * ratio or size == sizes[-1]:
            spaced.append(int(size))
    return np.array(spaced, np.int64)


def max_errors(n: Sequence[int] | Sizes, tolerance: float, delta: float) -> Sizes:
    """Largest number of errors among n labels that still prove the tolerance; -1 where even no error would not do.

    >>> max_errors([44, 45, 500], 0.05, 0.1)
    array([-1,  0, 18])
    """
    n = np.asarray(n, np.int64)
    near = np.floor(n * tolerance + ndtri(delta) * np.sqrt(n * tolerance * (1 - tolerance))).astype(np.int64)
    return _last_true(lambda errors: binomial_p(errors, n, tolerance) <= delta, near, np.full(n.shape, -1), n)


def _last_true(holds: Callable[[Sizes], NDArray[np.bool_]], near: Sizes, low: Sizes, high: Sizes) -> Sizes:
    """The last whole number in [low, high) where a condition holds that first holds, then never again.

    It is taken to hold at low and to fail at high. The search begins near a guess and widens from there.
    """
    low, high = low.astype(np.int64), high.astype(np.int64)
    probe, width = np.clip(near, low + 1, high - 1), 1
    while np.any(open_ := high - low > 1):
        good = holds(np.where(open_, probe, low))
        low, high = np.where(open_ & good, probe, low), np.where(open_ & ~good, probe, high)
        width *= 2
        bounded = high - low <= 2 * width
        probe = np.where(
            bounded, (low + high) // 2, np.clip(np.where(good, low + width, high - width), low + 1, high - 1)
        )
    return low


def last_passing(steps: int, start: int, passes: Callable[[int], bool]) -> int | None:
    """The last step that passed before the first that did not, from `start` on; None if the first fails."""
    last = None
    for step in range(start, steps):
        if not passes(step):
            break
        last = step
    return last
