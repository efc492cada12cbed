"""Scores in order: which score has a rank, and how many rows and errors lie above it.

A prefix is "everything scored above v". Running totals of counts answer every question about 0/1
losses, exactly where the counts are exact: at the ranks that were asked for (`counts.refined`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.records import Floats
from tolerate.stats.certify.counts import MISSING, Counts, Ints, exactly, scores_of
from tolerate.stats.certify.samples import Sample

Scores = NDArray[np.floating[Any]]
EVERYTHING = -np.inf  # the edge below which nothing lies: everything that has a score is above it


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
        at = np.searchsorted(self.rows, np.clip(n - 1 - sizes, 0, n - 1), side="right")
        return np.where(sizes < n, self.scores[at], EVERYTHING)

    def above(self, edges: ArrayLike) -> Ints:
        """How many rows are scored above each edge."""
        return self._above(self.rows, edges)

    def errors(self, name: str, edges: ArrayLike) -> Ints:
        """How many rows scored above each edge are wrong by this loss."""
        return self._above(self.wrong[name], edges)

    def expected_errors(self, name: str, sizes: Ints) -> Floats:
        """Wrong rows among the top `size`, on average if tied rows are put in a random order."""
        edges = self.edges(sizes)
        below = lower(edges)
        above, errors = self.above(edges), self.errors(name, edges)
        tied = np.where(edges > MISSING, self.above(below), len(self)) - above
        tied_errors = np.where(edges > MISSING, self.errors(name, below), self.wrong[name][-1]) - errors
        return np.asarray(errors + tied_errors * (sizes - above) / np.maximum(tied, 1))

    def _above(self, running: Ints, edges: ArrayLike) -> Ints:
        at = np.searchsorted(self.scores, edges, side="right")
        return np.asarray(running[-1] - np.where(at > 0, running[at - 1], 0))


def ranked(counts: Counts) -> Ranked:
    """Running totals of counts."""
    return Ranked(
        scores=_floored(scores_of(counts.tops), np.dtype(counts.kind)),
        rows=np.cumsum(counts.rows),
        wrong={name: np.cumsum(column) for name, column in counts.wrong.items()},
    )


def ranked_scores(given: Sample) -> Ranked:
    """The sample's scores in order, without losses. Without scores, every row ranks the same."""
    return ranked(exactly(bottomed(given), {}))


def bottomed(given: Sample) -> Scores:
    """Scores with the missing ones at -inf."""
    if given.scores is None:
        return np.full(len(given), MISSING, np.float32)
    missing = np.isnan(given.scores)
    return (
        np.where(missing, MISSING, given.scores).astype(given.scores.dtype) if missing.any() else given.scores
    )


def threshold_above(edge: float, kind: np.dtype[Any]) -> float:
    """The lowest score of this precision that lies above an edge."""
    with np.errstate(over="ignore"):
        return float(np.nextafter(kind.type(edge), kind.type(np.inf)))


def lower(scores: Scores) -> Scores:
    """The next lower score of the same precision."""
    with np.errstate(over="ignore"):
        return np.asarray(np.nextafter(scores, scores.dtype.type(-np.inf)))


def _floored(tops: Floats, kind: np.dtype[Any]) -> Scores:
    """The highest scores of this precision that are not above the tops: no row lies between."""
    if kind == np.float64:
        return tops
    with np.errstate(over="ignore", under="ignore"):
        near = tops.astype(kind)
    return np.asarray(np.where(near > tops, lower(near), near))
