"""The steps of refining: filters drop candidates, pickers choose among those left.

A filter is `(pool, *numbers) -> Pool`, a picker `(pool, *numbers) -> Choice`. The numbers are those
in its name: `best-of-4` calls `best_of(pool, 4)`.
"""

import numpy as np

from tolerate.errors import OptionError
from tolerate.refine.pool import Choice, Pool


def plain(pool: Pool) -> Choice:
    """Choose the first candidate."""
    return best_of(pool, 1)


def best_of(pool: Pool, k: float) -> Choice:
    """Choose the candidate with the highest score of the first k; the earlier one of equals, a missing score last.

    >>> best_of(Pool.of(np.array([[0.2, 0.9, 0.9], [0.5, np.nan, 0.1]])), 3).index.tolist()
    [1, 0]
    """
    pool = pool.first(int(k))
    rank = np.where(np.isnan(pool.scores), -np.inf, pool.scores)
    rank = np.where(pool.left, np.maximum(rank, -np.finfo(float).max), -np.inf)
    return Choice.of(pool, rank.argmax(axis=1), np.full(len(rank), pool.scores.shape[1]))


def first_of(pool: Pool, k: float, threshold: float) -> Choice:
    """The first candidate that scores at least `threshold`; if none of the k does, the best.

    Candidates are generated one by one until one is good enough, so most requests use fewer than k.

    >>> first_of(Pool.of(np.array([[0.2, 0.9, 0.95], [0.5, 0.3, 0.1]])), 3, 0.8)
    Choice(index=array([1, 0]), scores=array([0.9, 0.5]), used=array([2, 3]))
    """
    pool = pool.first(int(k))
    good = pool.left & (pool.scores >= threshold)
    any_good, first_good = good.any(axis=1), good.argmax(axis=1)
    best = best_of(pool, k)
    index = np.where(any_good, first_good, np.maximum(best.index, 0))
    return Choice.of(pool, index, np.where(any_good, first_good + 1, best.used))


def above(pool: Pool, threshold: float) -> Pool:
    """Candidates that the judge scores at least `threshold`; a missing score never suffices.

    >>> above(Pool.of(np.array([[0.2, 0.9, np.nan]])), 0.5).left.tolist()
    [[False, True, False]]
    """
    return pool.keep(pool.scores >= threshold)


def no_copies(pool: Pool) -> Pool:
    """Candidates that are not near-copies of a real one that the generator was trained on.

    >>> no_copies(Pool.of(np.array([[0.2, 0.9]]), np.array([[0.3, -0.1]]))).left.tolist()
    [[True, False]]
    """
    if pool.copies is None:
        raise OptionError('"no-copies" needs to know how near each candidate is to the training pictures')
    return pool.keep(pool.copies > 0)
