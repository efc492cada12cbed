"""Calibration of a score that claims to be a probability: bins of equal mass, an exact interval each, and one figure.

The figure is the root of the squared calibration error of the binned score, debiased: from each bin's squared gap the
variance of its share is taken away (Kumar, Liang and Ma 2019, arXiv:1909.10155, section 5; Bröcker 2012). The
squared error is unbiased for the bins as they are drawn; its root is cut at 0. What happens inside a bin it does not
see, so the true error is at least that of the bins. The usual expected calibration error, the mean absolute gap, is
given beside it: of few items it is too high, since chance alone opens gaps.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.base.json_types import JsonValue
from tolerate.errors import DataError
from tolerate.stats.bounds import binomial_interval

Floats = NDArray[np.float64]
MAX_BINS = 10
MIN_BIN_ITEMS = 20  # items of a bin


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
    """The calibration of a score: what it claims beside what is right.

    error: debiased, root of the mean squared gap. plain: the mean absolute gap, which chance makes too large.
    """

    items: int
    claimed: float
    right: float
    error: float
    plain: float
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """The calibration as plain JSON values."""
        return {**asdict(self), "bins": [asdict(part) for part in self.bins]}


def calibration(scores: Floats, right: NDArray[np.bool_], bins: int = MAX_BINS) -> Calibration:
    """Compare scores in [0, 1] with what was right: [n] each. A missing score (NaN) claims nothing and is left out.

    Items with equal scores stay together, so there may be fewer bins, of unequal size.

    >>> result = calibration(np.repeat([0.2, 0.8], 50), np.arange(100) % 5 < np.repeat([1, 4], 50))
    >>> [(part.items, round(part.claimed, 2), part.right) for part in result.bins], result.error
    ([(50, 0.2, 0.2), (50, 0.8, 0.8)], 0.0)
    """
    scored = ~np.isnan(scores)
    claims, correct = scores[scored], np.asarray(right, dtype=bool)[scored]
    if not len(claims):
        raise DataError("no item has a score; expected at least one score that is not missing")
    if claims.min() < 0 or claims.max() > 1:
        raise DataError(f"scores go from {claims.min():g} to {claims.max():g}; a chance lies between 0 and 1")
    rows = equal_mass(claims, min(bins, max(len(claims) // MIN_BIN_ITEMS, 1)))
    parts = [_bin(claims[part], correct[part]) for part in rows]
    share = np.array([part.items for part in parts]) / len(claims)
    gaps = np.array([part.claimed - part.right for part in parts])
    squared = float(share @ (gaps**2 - np.array([_variance(part) for part in parts])))
    return Calibration(
        len(claims),
        float(claims.mean()),
        float(correct.mean()),
        math.sqrt(max(squared, 0.0)),
        float(share @ np.abs(gaps)),
        tuple(parts),
    )


def equal_mass(scores: Floats, bins: int) -> list[NDArray[np.int64]]:
    """Indices of the items of each bin: about as many in each, equal scores together, lowest first.

    >>> [part.tolist() for part in equal_mass(np.array([0.9, 0.1, 0.5, 0.5, 0.5, 0.7]), 3)]
    [[1, 2, 3, 4], [5, 0]]
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    cuts = np.linspace(0, len(scores), bins + 1)[1:-1].round().astype(int)
    # A cut inside a run of equal scores moves to the end of the run.
    ends = np.unique(np.searchsorted(ranked, ranked[np.maximum(cuts - 1, 0)], side="right"))
    return [part for part in np.split(order, ends) if len(part)]


def _bin(scores: Floats, right: NDArray[np.bool_]) -> Bin:
    n, good = len(scores), int(right.sum())
    return Bin(n, float(scores.mean()), good / n, *binomial_interval(good, n))


def _variance(part: Bin) -> float:
    """Unbiased variance of a bin's share of right items; 0.25, the largest possible, for a bin of one item."""
    return part.right * (1 - part.right) / (part.items - 1) if part.items > 1 else 0.25
