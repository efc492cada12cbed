"""The prefix at which a fixed sequence of tests starts: chosen before any tested loss is read.

The start decides almost everything. Too strict, and there are too few labels to prove anything;
too lenient, and the first test fails. Without history the choice averages over a wide family of
plausible risk curves, overconfident tops among them; labels of an earlier day sharpen it by Bayes' rule.
Only power depends on any of this: a bad guess costs coverage, never the promise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.errors import DataError
from tolerate.records import Floats
from tolerate.stats.certify.fixed_sequence import (
    Sizes,
    max_errors,
    prefix_sizes,
    thin_sizes,
    zero_failure_size,
)
from tolerate.stats.certify.samples import loss_column, score_column

# A risk curve: error rate = floor + rise * (share of items ranked above)^bend, in tolerances.
FLOORS = ((0.02, 1.0), (0.1, 1.0), (0.2, 1.0), (0.4, 1.0), (0.7, 1.0), (1.0, 0.7), (1.5, 0.5), (2.5, 0.4))
RISES = (0.0, 0.3, 0.7, 1.0, 1.5, 2.5, 4.0, 7.0, 12.0)  # mean over all items
BENDS = (0.6, 1.0, 1.5, 2.5, 4.0)
TOPS = ((0.02, 3.0), (0.05, 2.0), (0.1, 2.0), (0.02, 8.0), (0.1, 4.0))  # share of the top, its error rate
OVERCONFIDENT_WEIGHT = 0.2  # prior weight of the curves with such a top
HISTORY_BINS = 200  # that a history is reduced to
MAX_STARTS = 120  # tried at most
START_RATIO = 1.03  # starts tried are this far apart
NUM_DRAWS = 4000
LARGE_SAMPLE_ROWS = 100_000  # from here on chance matters little, and a quarter of the draws suffices
NEARLY_BEST_SHARE = 0.998  # of the best expectation: the strictest start that has this much is taken


@dataclass(frozen=True)
class History:
    """Earlier labelled data reduced to losses from the best score to the worst, in equal bins."""

    wrong: Floats  # [bins] summed losses
    rows: Floats  # [bins]

    def within(self, shares: Floats) -> tuple[Floats, Floats]:
        """Summed losses and rows between consecutive shares of the ranking, spread evenly inside a bin."""
        edges = np.linspace(0, 1, len(self.rows) + 1)
        columns = (np.concatenate([[0.0], np.cumsum(column)]) for column in (self.wrong, self.rows))
        wrong, rows = (np.diff(np.interp(shares, edges, column)) for column in columns)
        return wrong, rows

    def to_json(self) -> dict[str, list[float]]:
        """The history as a certificate stores it: enough to recompute the start."""
        return {"wrong": self.wrong.tolist(), "rows": self.rows.tolist()}

    @classmethod
    def from_json(cls, record: Mapping[str, ArrayLike]) -> Self:
        """The history that `to_json` wrote."""
        return cls(np.array(record["wrong"]), np.array(record["rows"]))


def history_of(losses: ArrayLike, scores: ArrayLike) -> History:
    """History from arrays; rows without a score rank last."""
    column, values = score_column(scores), loss_column(losses, "history losses")
    if column.shape != values.shape:
        raise DataError(
            f"history has {len(values)} losses but scores of shape {column.shape}; expected one each"
        )
    order = np.argsort(-np.where(np.isnan(column), -np.inf, column), kind="stable")
    bins = min(HISTORY_BINS, len(values))
    bin_of_row = np.arange(len(values)) * bins // len(values)
    return History(
        wrong=np.bincount(bin_of_row, weights=values[order], minlength=bins).astype(np.float64),
        rows=np.bincount(bin_of_row, minlength=bins).astype(np.float64),
    )


def best_start(n: int, tolerance: float, delta: float, history: History | None = None) -> float:
    """The share of a sample of n at which to start, so that the sequence is expected to release most.

    What is averaged over plausible risk curves is the square root of (share released / share that an
    oracle would release); among starts that are nearly as good the strictest is taken.
    """
    if n < zero_failure_size(tolerance, delta):
        return 1.0
    if history is None:
        return _start_without_history(n, tolerance, delta)
    return _start(n, tolerance, delta, history)


@lru_cache(maxsize=4096)
def _start_without_history(n: int, tolerance: float, delta: float) -> float:
    return _start(n, tolerance, delta, None)


def _start(n: int, tolerance: float, delta: float, history: History | None) -> float:
    starts = prefix_sizes(n, tolerance, delta)
    starts = thin_sizes(starts, max(START_RATIO, (n / starts[0]) ** (1 / MAX_STARTS)))
    edges = np.concatenate([[0], starts]) / n
    curves, belief = risk_curves((edges[1:] + edges[:-1]) / 2, tolerance)
    belief = np.log(belief)
    if history is not None:
        wrong, rows = history.within(edges)
        belief = belief + wrong @ np.log(curves).T + (rows - wrong) @ np.log1p(-curves).T
    return float(
        starts[_best_of_draws(starts, n, tolerance, delta, curves, np.exp(belief - belief.max()))] / n
    )


def risk_curves(positions: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Error rates [curves, positions] at positions 0 (best score) to 1 (worst), and how plausible each curve is."""
    shapes = [
        (floor * tolerance, rise * tolerance * (bend + 1), bend, weight)
        for (floor, weight), rise, bend in product(FLOORS, RISES, BENDS)
        if (rise > 0 or bend == 1) and rise * tolerance * (bend + 1) <= 1.5
    ]
    floors, rises, bends, plain = (np.array(column) for column in zip(*shapes, strict=True))
    smooth = floors[:, None] + rises[:, None] * positions ** bends[:, None]
    kinds = [smooth] + [
        np.where(positions < top, np.maximum(smooth, min(0.9, rate * tolerance)), smooth)
        for top, rate in TOPS
    ]
    shared = OVERCONFIDENT_WEIGHT / len(TOPS)
    weights = np.concatenate([plain * (1 - OVERCONFIDENT_WEIGHT), *[plain * shared] * len(TOPS)])
    return np.clip(np.concatenate(kinds), 1e-6, 0.97), weights / weights.sum()


def _best_of_draws(
    starts: Sizes, n: int, tolerance: float, delta: float, curves: Floats, belief: Floats
) -> int:
    """Index of the best start: curves and errors are drawn, and the sequence is run from every start."""
    rng = np.random.default_rng(20)
    rows = np.diff(np.concatenate([[0], starts]))
    releasable = np.cumsum(curves * rows, axis=1) / starts <= tolerance  # what an oracle could release
    oracle = np.where(releasable, starts, 0).max(axis=1)
    belief = np.where(oracle > 0, belief, 0)
    if not belief.sum() > 0:
        return 0
    draws = NUM_DRAWS if n < LARGE_SAMPLE_ROWS else NUM_DRAWS // 4
    drawn = rng.choice(len(curves), draws, p=belief / belief.sum())
    errors = np.cumsum(rng.binomial(rows, curves[drawn]), axis=1)
    reached = _reached_sizes(errors <= max_errors(starts, tolerance, delta), starts)
    worth = np.sqrt(reached / oracle[drawn][:, None]).mean(axis=0)
    return int(np.argmax(worth >= NEARLY_BEST_SHARE * worth.max()))


def _reached_sizes(passes: NDArray[np.bool_], starts: Sizes) -> NDArray[np.int64]:
    """[draws, starts]: the size of the last prefix before the first failure at or after each start."""
    steps = np.arange(len(starts))
    failures = np.where(passes, len(starts), steps)
    first = np.minimum.accumulate(failures[:, ::-1], axis=1)[:, ::-1]
    return np.where(first > steps, starts[np.maximum(first - 1, 0)], 0)
