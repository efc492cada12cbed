"""Walking down the scores: which prefixes are tested, in which order, and when the walk ends.

A strict threshold releases few items, a lenient one many. The walk starts at a prefix chosen
without looking at the losses it will test, and goes on to larger prefixes while each test passes at
the full level (fixed-sequence testing). The last prefix that passed is released.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

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


def sharp_size(errors: int, tolerance: float, delta: float) -> int:
    """The fewest labels among which this many errors still prove the tolerance.

    Testing at exactly these sizes wastes nothing of the level: P(Bin(n, tolerance) <= errors) is as
    close to delta as it gets.

    >>> [sharp_size(errors, 0.05, 0.1) for errors in range(4)]
    [45, 77, 105, 132]
    """
    if errors == 0:
        return zero_failure_size(tolerance, delta)
    low, high = errors, int(np.ceil((errors + 10 * np.sqrt(errors) - 3 * np.log(delta)) / tolerance))
    while high - low > 1:
        middle = (low + high) // 2
        fits = float(binomial_p(errors, middle, tolerance)) <= delta
        low, high = (low, middle) if fits else (middle, high)
    return high


def sizes(n: int, tolerance: float, delta: float) -> Sizes:
    """The prefix sizes worth testing, from the zero-failure size up to n: sharp ones, well spaced."""
    size = zero_failure_size(tolerance, delta)
    if size > n:
        return np.array([], np.int64)
    found = [size]
    while size < n:
        errors = int(critical([int(size * FINEST) + 1], tolerance, delta)[0]) + 1
        size = sharp_size(errors, tolerance, delta)
        found.append(min(size, n))
    return np.unique(np.concatenate([_filled(a, b) for a, b in zip(found, [*found[1:], n], strict=True)]))


def _filled(low: int, high: int) -> Sizes:
    """From low to high in steps of at most COARSEST."""
    steps = max(1, int(np.ceil(np.log(high / low) / np.log(COARSEST))))
    return np.round(low * (high / low) ** (np.arange(steps + 1) / steps)).astype(np.int64)


def critical(n: Sequence[int] | Sizes, tolerance: float, delta: float) -> Sizes:
    """The most errors among n labels that still prove the tolerance; -1 where even none would not.

    >>> critical([44, 45, 500], 0.05, 0.1)
    array([-1,  0, 18])
    """
    n = np.asarray(n)
    low, high = np.full(n.shape, -1), n.copy()
    while np.any(high - low > 1):
        middle = (low + high) // 2
        fits = binomial_p(middle, n, tolerance) <= delta
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low.astype(np.int64)


def walk(steps: int, start: int, passes: Callable[[int], bool]) -> int | None:
    """The last step that passed before the first that did not, from `start` on; None if the first fails."""
    last = None
    for step in range(start, steps):
        if not passes(step):
            break
        last = step
    return last
