"""One exact test of 0/1 losses that may be looked at several times: it stops as soon as it has proven its claim.

At look j, after `sizes[j]` labels, the claim "the risk is within the tolerance" passes if at most `most[j]` of
them are wrong. The chance that a strategy whose risk is exactly the tolerance passes at any look is
computed exactly, by walking through all counts, and is at most the level; a larger risk passes less often.
Group-sequential testing with spending of the level (Lan & DeMets 1983), exact for the binomial.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlog1py, xlogy

from tolerate.records import Floats
from tolerate.stats.certify.fixed_sequence import critical, zero_failure_size

SPACING = 1.12  # ratio of one look's labels to those of the look before
BEND = 1.5  # the level is spent as (labels / most labels)^BEND: most of it is kept for the last looks


@dataclass(frozen=True)
class Looks:
    """When to look, how many wrong labels still pass, and the exact chance that a false claim passes."""

    sizes: NDArray[np.int64]
    most: NDArray[np.int64]  # -1: this look cannot pass
    error: float

    def __len__(self) -> int:
        return len(self.sizes)


@lru_cache(maxsize=512)
def looks(labels: int, tolerance: float, level: float) -> Looks:
    """The looks of a test with at most so many labels.

    >>> plan = looks(600, 0.05, 0.05)
    >>> plan.sizes[-1], plan.most[-1], plan.error < 0.05
    (np.int64(600), np.int64(20), True)
    """
    sizes = _sizes(labels, tolerance, level)
    allowed = level * (sizes / labels) ** BEND
    alive, spent, most = np.ones(1), 0.0, []
    last = int(critical([labels], tolerance, level)[0])
    for size, step, allowance in zip(sizes, np.diff(sizes, prepend=0), allowed, strict=True):
        alive = np.convolve(alive, _binomial(int(step), tolerance, last + 1))[: last + 1]
        below = np.cumsum(alive)
        passing = int(np.searchsorted(below, allowance - spent, side="right")) - 1
        passing = min(passing, int(size))
        if passing >= 0:
            spent += float(below[passing])
            alive[: passing + 1] = 0.0
        most.append(passing)
    return Looks(sizes, np.array(most, np.int64), spent)


def _sizes(labels: int, tolerance: float, level: float) -> NDArray[np.int64]:
    first = min(labels, zero_failure_size(tolerance, level))
    steps = max(1, round(np.log(labels / first) / np.log(SPACING)))
    found = np.round(first * (labels / first) ** (np.arange(steps + 1) / steps))
    return np.unique(found.astype(np.int64))


def _binomial(n: int, rate: float, most: int) -> Floats:
    """Chances of 0, 1, ..., most errors among n."""
    k = np.arange(min(n, most) + 1)
    logs = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + xlogy(k, rate) + xlog1py(n - k, -rate)
    return np.asarray(np.exp(logs), np.float64)
