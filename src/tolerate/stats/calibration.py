"""Does a score that claims to be a chance keep its word? Bins of equal mass, an exact interval each, and one figure.

The figure is the root of the squared calibration error of the binned score, debiased: from each bin's squared gap the
variance of its share is taken away (Kumar, Liang and Ma 2019, arXiv:1909.10155, section 5; Bröcker 2012). The
squared error is unbiased for the bins as they are drawn; its root is cut at 0. What happens inside a bin it does not
see, so the true error is at least that of the bins. The usual expected calibration error, the mean absolute gap, is
given beside it: of few items it is too high, since chance alone opens gaps.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import DataError
from tolerate.stats.bounds import binomial_interval

Floats = NDArray[np.float64]
BINS = 10
FEWEST = 20  # items of a bin


@dataclass(frozen=True)
class Bin:
    """Items with neighbouring scores. low, high: a 95% interval for the share that is right, of this bin alone."""

    items: int
    claimed: float  # mean score
    right: float  # share that is right
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """What a score claims and what is so.

    error: debiased, root of the mean squared gap. plain: the mean absolute gap, which chance makes too large.
    """

    items: int
    claimed: float
    right: float
    error: float
    plain: float
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "bins": [asdict(each) for each in self.bins]}


def calibration(scores: Floats, right: NDArray[np.bool_], bins: int = BINS) -> Calibration:
    """Scores in [0, 1] held against what was right: [n] each. A missing score (NaN) claims nothing and is left out.

    Items with equal scores stay together, so there may be fewer bins, of unequal size.

    >>> found = calibration(np.repeat([0.2, 0.8], 50), np.arange(100) % 5 < np.repeat([1, 4], 50))
    >>> [(each.items, round(each.claimed, 2), each.right) for each in found.bins], found.error
    ([(50, 0.2, 0.2), (50, 0.8, 0.8)], 0.0)
    """
    known = ~np.isnan(scores)
    given, so = scores[known], np.asarray(right, dtype=bool)[known]
    if not len(given):
        raise DataError("no item has a score, so there is nothing to hold it against")
    if given.min() < 0 or given.max() > 1:
        raise DataError(f"scores go from {given.min():g} to {given.max():g}; a chance lies between 0 and 1")
    made = [
        _bin(given[part], so[part]) for part in equal_mass(given, min(bins, max(len(given) // FEWEST, 1)))
    ]
    share = np.array([each.items for each in made]) / len(given)
    gaps = np.array([each.claimed - each.right for each in made])
    squared = float(share @ (gaps**2 - np.array([_variance(each) for each in made])))
    return Calibration(
        len(given),
        float(given.mean()),
        float(so.mean()),
        math.sqrt(max(squared, 0.0)),
        float(share @ np.abs(gaps)),
        tuple(made),
    )


def equal_mass(scores: Floats, bins: int) -> list[NDArray[np.int64]]:
    """Which items are in which bin: about as many in each, equal scores together, lowest first.

    >>> [part.tolist() for part in equal_mass(np.array([0.9, 0.1, 0.5, 0.5, 0.5, 0.7]), 3)]
    [[1, 2, 3, 4], [5, 0]]
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    cuts = np.linspace(0, len(scores), bins + 1)[1:-1].round().astype(int)
    # A cut inside a run of equal scores moves to the end of the run.
    moved = np.unique(np.searchsorted(ranked, ranked[np.maximum(cuts - 1, 0)], side="right"))
    return [part for part in np.split(order, moved) if len(part)]


def _bin(scores: Floats, right: NDArray[np.bool_]) -> Bin:
    n, good = len(scores), int(right.sum())
    return Bin(n, float(scores.mean()), good / n, *binomial_interval(good, n))


def _variance(each: Bin) -> float:
    """Of the share of right ones, estimated without bias; all of it where one item says nothing of spread."""
    return each.right * (1 - each.right) / (each.items - 1) if each.items > 1 else 0.25
