"""Scores in order: the score of each rank, and how many rows and errors lie above a score.

A prefix is "everything scored above v". Running totals of counts answer every question about 0/1
losses, exactly where the counts are exact: at the ranks for which they were refined (`counts.refine_counts`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tolerate.records import Floats
from tolerate.stats.certify.counts import MISSING_SCORE, CellCounts, Ints, count_sorted, scores_of
from tolerate.stats.certify.samples import Sample, Scores

LOWEST_EDGE = -np.inf  # the edge below which nothing lies: everything that has a score is above it


@dataclass(frozen=True, eq=False)
class Ranked:
    """Cells of scores from the lowest up, with running totals; missing scores lie at -inf."""

    scores: Scores  # [cells] the highest that a cell may hold, in the scores' own precision
    rows: Ints  # [cells] in this cell and all below
    wrong: dict[str, Ints]  # by loss, likewise

    def __len__(self) -> int:
        return int(self.rows[-1])

    def edges(self, sizes: ArrayLike) -> Scores:
        """The score just below the top `size` rows: rows scored above it are at most `size`."""
        sizes, n = np.asarray(sizes), len(self)
        cell = np.searchsorted(self.rows, np.clip(n - 1 - sizes, 0, n - 1), side="right")
        return np.where(sizes < n, self.scores[cell], LOWEST_EDGE)

    def above(self, edges: ArrayLike) -> Ints:
        """The number of rows scored above each edge."""
        return self._above(self.rows, edges)

    def errors(self, name: str, edges: ArrayLike) -> Ints:
        """The number of wrong rows above each edge, by this loss."""
        return self._above(self.wrong[name], edges)

    def expected_errors(self, name: str, sizes: Ints) -> Floats:
        """Wrong rows among the top `size`, on average if tied rows are put in a random order."""
        edges = self.edges(sizes)
        below = next_lower(edges)
        above, errors = self.above(edges), self.errors(name, edges)
        tied = np.where(edges > MISSING_SCORE, self.above(below), len(self)) - above
        tied_errors = np.where(edges > MISSING_SCORE, self.errors(name, below), self.wrong[name][-1]) - errors
        return np.asarray(errors + tied_errors * (sizes - above) / np.maximum(tied, 1))

    def _above(self, running: Ints, edges: ArrayLike) -> Ints:
        cell = np.searchsorted(self.scores, edges, side="right")
        return np.asarray(running[-1] - np.where(cell > 0, running[cell - 1], 0))


def ranked(counts: CellCounts) -> Ranked:
    """Running totals of counts."""
    return Ranked(
        scores=_round_down(scores_of(counts.tops), np.dtype(counts.kind)),
        rows=np.cumsum(counts.rows),
        wrong={name: np.cumsum(column) for name, column in counts.wrong.items()},
    )


def ranked_scores(sample: Sample) -> Ranked:
    """The sample's scores in order, without losses. Without scores, every row ranks the same."""
    return ranked(count_sorted(missing_as_lowest(sample), {}))


def missing_as_lowest(sample: Sample) -> Scores:
    """[n] scores with the missing ones at -inf; without any scores, all at -inf."""
    if sample.scores is None:
        return np.full(len(sample), MISSING_SCORE, np.float32)
    missing = np.isnan(sample.scores)
    return (
        np.where(missing, MISSING_SCORE, sample.scores).astype(sample.scores.dtype)
        if missing.any()
        else sample.scores
    )


def threshold_above(edge: float, kind: np.dtype[np.floating]) -> float:
    """The lowest score of this precision that lies above an edge."""
    with np.errstate(over="ignore"):
        return float(np.nextafter(kind.type(edge), kind.type(np.inf)))


def next_lower(scores: Scores) -> Scores:
    """The next lower score of the same precision."""
    with np.errstate(over="ignore"):
        return np.asarray(np.nextafter(scores, scores.dtype.type(-np.inf)))


def _round_down(tops: Floats, kind: np.dtype[np.floating]) -> Scores:
    """The highest scores of this precision that are not above the tops: no row lies between."""
    if kind == np.float64:
        return tops
    with np.errstate(over="ignore", under="ignore"):
        near = tops.astype(kind)
    return np.asarray(np.where(near > tops, next_lower(near), near))
