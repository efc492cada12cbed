"""Parts of a batch that an audit tries to prove: all items, and all but those that a judge scores lowest.

The parts are nested and fixed from the scores alone, before any label. They are tested in one order,
the smallest first, each only after the one before is proven, so that all of them together keep one
confidence: a false certificate needs the first bad part of the list to be proven falsely.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.errors import DataError, OptionError

WITHHELD_SHARES = (0.08, 0.04, 0.02)  # by default: a useless judge then costs at most a tenth more
MAX_CUTS = 5  # distinct scores up to which the scores themselves are the cuts


@dataclass(frozen=True, eq=False)
class Part:
    """The items whose score is at least `threshold` (None: all items)."""

    threshold: float | None
    members: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Chain:
    """Parts tested in this order, each only after the one before is proven, at one confidence."""

    parts: tuple[Part, ...]
    confidence: float


def whole_batch(items: int) -> Part:
    """The part that is all of the batch."""
    return Part(None, np.ones(items, bool))


def nested_parts(scores: ArrayLike, items: int, withhold: Sequence[float] | None = None) -> list[Part]:
    """Parts of the batch from the smallest to all of it; a missing score (NaN) belongs to the whole only.

    `withhold` lists the shares of the batch to leave out, e.g. (0.1, 0.05, 0); items with equal scores stay
    together, so that less may be left out than asked. By default a score with few values (a flag) is cut
    at its values, any other at the shares in `WITHHELD_SHARES`.

    >>> [int(p.members.sum()) for p in nested_parts([0, 1, 1, 1], items=4)]
    [3, 4]
    """
    values = np.asarray(scores, np.float64)
    if values.shape != (items,):
        raise DataError(
            f"{values.size} scores came for {items} items; give one score per item, NaN where missing"
        )
    ranked = np.sort(values[~np.isnan(values)])
    cuts = {cut for cut in _cuts(ranked, items, withhold) if (values >= cut).any()}
    parts = [Part(cut, values >= cut) for cut in sorted(cuts, reverse=True)]
    smaller = [part for part in parts if not part.members.all()]
    ends_whole = withhold is None or 0 in withhold or not smaller
    return [*smaller, whole_batch(items)] if ends_whole else smaller


def _cuts(ranked: NDArray[np.float64], items: int, withhold: Sequence[float] | None) -> list[float]:
    distinct = np.unique(ranked)
    if withhold is None and len(distinct) <= MAX_CUTS:
        return [float(cut) for cut in distinct if (ranked >= cut).sum() >= items / 2]
    missing = items - len(ranked)
    shares = WITHHELD_SHARES if withhold is None else withhold
    for share in shares:
        if not 0 <= share < 1:
            raise OptionError(
                f"share {share} cannot be withheld; expected shares from 0 to below 1, e.g. 0.04"
            )
    indices = [max(0, int(share * items) - missing) for share in shares if share > 0]
    return [float(ranked[index]) for index in indices if index < len(ranked)]
