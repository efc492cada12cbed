"""Random orders of the items of a batch, drawn from a seed so that anyone can draw them again.

Items are sorted by the raw 64-bit stream of Philox, which NumPy keeps stable between versions. The streams of one
seed (order of labelling, second readings, pilot) are independent.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

PILOT_STREAM, SECOND_STREAM = 1, 2


def draw_order(items: int, seed: int) -> Ints:
    """[items] the order in which items are labelled: all orders equally likely over seeds.

    >>> draw_order(5, seed=1).tolist()
    [2, 0, 1, 4, 3]
    """
    return _sorted_by_keys(np.random.Philox(seed).random_raw(items))


def draw_second_items(items: int, share: float, seed: int) -> Ints:
    """The items that a second person reads if they are labelled, in the order of that reading.

    >>> draw_second_items(10, share=0.3, seed=1).tolist()
    [7, 1, 3]
    """
    order = _sorted_by_keys(_raw_keys(items, seed, SECOND_STREAM))
    return order[: int(np.ceil(share * items))]


def draw_pilot(flagged: NDArray[np.bool_], size: int, seed: int) -> Ints:
    """Draw at most `size` of the flagged items, in an order independent of the order of labelling."""
    keys = np.atleast_1d(_raw_keys(len(flagged), seed, PILOT_STREAM))
    items = np.flatnonzero(flagged)
    return items[np.argsort(keys[items], kind="stable")][:size]


def _raw_keys(items: int, seed: int, stream: int) -> NDArray[np.uint64]:
    return np.asarray(np.random.Philox(np.random.SeedSequence([seed, stream])).random_raw(items))


def _sorted_by_keys(keys: object) -> Ints:
    return np.argsort(np.atleast_1d(np.asarray(keys)), kind="stable")
