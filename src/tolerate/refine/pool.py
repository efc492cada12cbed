"""The candidates of many requests, which of them have not been filtered out, and which were chosen.

Every step below works row by row: what happens to one request never depends on another's content.
Items therefore stay as exchangeable as the requests were, which the promise rests on. (Removing
near-duplicates among the released ones would break this; comparing with a fixed set does not.)
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tolerate.base.arrays import Bools, Floats, Ints
from tolerate.errors import DataError


@dataclass(frozen=True)
class Pool:
    """Candidates in the order in which they were generated: arrays of [requests, k].

    scores: the judge's, higher is better, NaN where missing.
    copies: how far each is beyond being a copy of a real one; 0 and below is a copy.
    left: which have not been filtered out.
    """

    scores: Floats
    copies: Floats | None
    left: Bools

    @classmethod
    def of(cls, scores: NDArray[np.floating], copies: NDArray[np.floating] | None = None) -> "Pool":
        """A pool from which nothing has been filtered yet."""
        if scores.ndim != 2 or (copies is not None and copies.shape != scores.shape):
            shapes = scores.shape if copies is None else (scores.shape, copies.shape)
            raise DataError(f"candidates came as {shapes}, expected scores and copies of [requests, k]")
        distances = None if copies is None else copies.astype(np.float64)
        return cls(scores.astype(np.float64), distances, np.ones(scores.shape, dtype=bool))

    def keep(self, mask: Bools) -> "Pool":
        """The pool without the candidates that the mask leaves out."""
        return replace(self, left=self.left & mask)

    def first(self, k: int) -> "Pool":
        """The pool of each request's first k candidates."""
        distances = None if self.copies is None else self.copies[:, :k]
        return Pool(self.scores[:, :k], distances, self.left[:, :k])


@dataclass(frozen=True)
class Choice:
    """The chosen candidate of each request: arrays of [requests].

    index: which candidate, -1 if none is left: the request is not answered and goes to a person.
    scores: the chosen one's, NaN without one.
    used: how many candidates were generated to find it.
    """

    index: Ints
    scores: Floats
    used: Ints

    @classmethod
    def of(cls, pool: Pool, index: Ints, used: Ints) -> "Choice":
        """The choice of these candidates; -1 where a request's candidate is not left."""
        rows = np.arange(len(index))
        chosen = np.where(pool.left.any(axis=1), index, -1)
        scores = np.where(chosen < 0, np.nan, pool.scores[rows, index])
        return cls(chosen, scores, used)
