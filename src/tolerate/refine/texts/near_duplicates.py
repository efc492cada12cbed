"""Near-duplicates among texts, by MinHash. Broder 1997; bands as in Leskovec, Rajaraman and Ullman, chapter 3.

For the texts a model learns from, and to count repetition among those it made. Not for dropping released items that
resemble other released items: then one item's fate depends on the others, and the promise no longer holds.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import OptionError

Signatures = NDArray[np.uint64]
PRIME = np.uint64(2**31 - 1)
SHINGLE = 5  # characters


def signatures(texts: Sequence[str], count: int = 128, seed: int = 0) -> Signatures:
    """MinHash signatures: the minima of `count` hashes over the five-character runs of each text: [texts, count].

    The share of positions in which two texts agree estimates the share of runs they have in common.
    """
    rng = np.random.default_rng(seed)
    factors = rng.integers(1, int(PRIME), count, dtype=np.uint64)
    offsets = rng.integers(0, int(PRIME), count, dtype=np.uint64)
    return (
        np.stack([_minimum_hashes(text, factors, offsets) for text in texts])
        if len(texts)
        else np.zeros((0, count), np.uint64)
    )


def _minimum_hashes(text: str, factors: Signatures, offsets: Signatures) -> Signatures:
    plain = " ".join(text.casefold().split())
    runs = {plain[start : start + SHINGLE] for start in range(max(1, len(plain) - SHINGLE + 1))}
    hashes = np.array([zlib.crc32(run.encode()) for run in sorted(runs)], dtype=np.uint64) % PRIME
    return np.asarray(((hashes[:, None] * factors + offsets) % PRIME).min(0))


def groups(
    texts: Sequence[str], min_share: float = 0.8, count: int = 128, seed: int = 0
) -> NDArray[np.int64]:
    """A group number for each text; near-duplicates (at least `min_share` of runs in common, transitively) share it.

    >>> groups(["the cat sat on the mat today", "the cat sat on the mat today!", "quite another text"]).tolist()
    [0, 0, 2]
    """
    if not 0 < min_share <= 1:
        raise OptionError(f"min_share is {min_share}; expected a share above 0 and up to 1, such as 0.8")
    signature = signatures(texts, count, seed)
    parent = np.arange(len(texts))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    rows = _band_rows(min_share, count)
    for first in range(0, count - rows + 1, rows):
        first_with_band: dict[bytes, int] = {}
        for index, band in enumerate(signature[:, first : first + rows]):
            earlier = first_with_band.setdefault(band.tobytes(), index)
            if earlier != index and (signature[earlier] == signature[index]).mean() >= min_share:
                smaller, larger = sorted((root(earlier), root(index)))
                parent[larger] = smaller
    return np.array([root(index) for index in range(len(texts))], dtype=np.int64)


def _band_rows(min_share: float, count: int) -> int:
    """Hashes of a band, so that pairs at the limit meet in some band with a chance of 99%."""
    fitting = [rows for rows in range(1, 17) if 1 - (1 - min_share**rows) ** (count // rows) >= 0.99]
    return max(fitting, default=1)


def without_near_duplicates(texts: Sequence[str], min_share: float = 0.8) -> list[int]:
    """The indices of the first text of each group of near-duplicates."""
    group_of = groups(texts, min_share)
    return [index for index in range(len(texts)) if group_of[index] == index]
