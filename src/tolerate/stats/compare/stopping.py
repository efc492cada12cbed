"""Group-sequential tests of 0/1 losses: exact, looked at several times, over as soon as the claim is proven.

At look j, after `sizes[j]` labels, the claim "the risk is within the tolerance" passes if at most `max_wrong[j]` of
them are wrong. The chance that a strategy whose risk is exactly the tolerance passes at any look is
computed exactly, by enumerating all counts, and is at most the level; a larger risk passes less often.
Group-sequential testing with spending of the level (Lan & DeMets 1983), exact for the binomial.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlog1py, xlogy

from tolerate.records import Floats
from tolerate.stats.certify.fixed_sequence import max_errors, zero_failure_size

LOOK_RATIO = 1.12  # ratio of one look's labels to those of the look before
SPENDING_EXPONENT = 1.5  # the level is spent as (labels / all labels)^1.5: most of it at the last looks


@dataclass(frozen=True)
class GroupSequentialTest:
    """A group sequential test: its looks, the most wrong labels that pass at each, and its exact level."""

    sizes: NDArray[np.int64]
    max_wrong: NDArray[np.int64]  # -1: this look cannot pass
    error: float

    def __len__(self) -> int:
        return len(self.sizes)


@lru_cache(maxsize=512)
def group_sequential_test(labels: int, tolerance: float, level: float) -> GroupSequentialTest:
    """The exact test with at most so many labels.

    >>> plan = group_sequential_test(600, 0.05, 0.05)
    >>> plan.sizes[-1], plan.max_wrong[-1], plan.error < 0.05
    (np.int64(600), np.int64(20), True)
    """
    sizes = _look_sizes(labels, tolerance, level)
    allowed = level * (sizes / labels) ** SPENDING_EXPONENT
    alive, spent, max_wrong = np.ones(1), 0.0, []
    last = int(max_errors([labels], tolerance, level)[0])
    for size, step, allowance in zip(sizes, np.diff(sizes, prepend=0), allowed, strict=True):
        alive = np.convolve(alive, _binomial_chances(int(step), tolerance, last + 1))[: last + 1]
        below = np.cumsum(alive)
        passing = int(np.searchsorted(below, allowance - spent, side="right")) - 1
        passing = min(passing, int(size))
        if passing >= 0:
            spent += float(below[passing])
            alive[: passing + 1] = 0.0
        max_wrong.append(passing)
    return GroupSequentialTest(sizes, np.array(max_wrong, np.int64), spent)


def _look_sizes(labels: int, tolerance: float, level: float) -> NDArray[np.int64]:
    first = min(labels, zero_failure_size(tolerance, level))
    steps = max(1, round(np.log(labels / first) / np.log(LOOK_RATIO)))
    sizes = np.round(first * (labels / first) ** (np.arange(steps + 1) / steps))
    return np.unique(sizes.astype(np.int64))


def _binomial_chances(n: int, rate: float, largest: int) -> Floats:
    """Chances of 0, 1, ..., most errors among n."""
    k = np.arange(min(n, largest) + 1)
    logs = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + xlogy(k, rate) + xlog1py(n - k, -rate)
    return np.asarray(np.exp(logs), np.float64)
