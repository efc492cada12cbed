"""Scores in order, and how many errors each prefix of that order holds.

A prefix is "everything scored above v". Sorting the scores of all rows and those of the wrong rows
answers every question about 0/1 losses, without a permutation of the rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.stats.samples import Sample

Scores = NDArray[np.floating[Any]]
EVERYTHING = -np.inf  # the edge below which nothing lies: everything that has a score is above it


@dataclass(frozen=True)
class Ranked:
    """Sorted scores of all rows, and of the wrong rows of each 0/1 loss; missing scores lie at -inf."""

    scores: Scores  # [n] ascending
    wrong: dict[str, Scores]  # by loss, ascending

    def __len__(self) -> int:
        return len(self.scores)

    def edges(self, sizes: ArrayLike) -> Scores:
        """The score just below the top `size` rows: rows scored above it are at most `size`."""
        sizes = np.asarray(sizes)
        n = len(self.scores)
        return np.where(sizes < n, self.scores[np.clip(n - 1 - sizes, 0, n - 1)], EVERYTHING)

    def above(self, edges: ArrayLike) -> NDArray[np.int64]:
        """How many rows are scored above each edge."""
        return _above(self.scores, edges)

    def errors(self, name: str, edges: ArrayLike) -> NDArray[np.int64]:
        """How many rows scored above each edge are wrong by this loss."""
        return _above(self.wrong[name], edges)


def ranked(given: Sample) -> Ranked:
    """The sample's scores in order (0/1 losses). Without scores, every row ranks the same."""
    scores = bottomed(given)
    return Ranked(
        scores=np.sort(scores),
        wrong={name: np.sort(np.extract(losses != 0, scores)) for name, losses in given.losses.items()},
    )


def bottomed(given: Sample) -> Scores:
    """Scores with the missing ones at -inf."""
    if given.scores is None:
        return np.full(len(given), -np.inf, np.float32)
    missing = np.isnan(given.scores)
    return (
        np.where(missing, -np.inf, given.scores).astype(given.scores.dtype) if missing.any() else given.scores
    )


def threshold_above(edge: float, kind: np.dtype[Any]) -> float:
    """The lowest score of this precision that lies above an edge."""
    return float(np.nextafter(kind.type(edge), kind.type(np.inf)))


def _above(ascending: Scores, edges: ArrayLike) -> NDArray[np.int64]:
    return len(ascending) - np.searchsorted(ascending, edges, side="right")
