"""Near-duplicates among texts, by MinHash. Broder 1997; bands as in Leskovec, Rajaraman and Ullman, chapter 3.

For the texts a model learns from, and to count repetition among those it made. Not for dropping released items that
resemble other released items: then one item's fate depends on the others, and the promise no longer holds.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import OptionError

Signs = NDArray[np.uint64]
PRIME = np.uint64(2**31 - 1)
SHINGLE = 5  # characters


def signatures(texts: Sequence[str], count: int = 128, seed: int = 0) -> Signs:
    """The least of `count` hashes over each text's runs of five characters: [texts, count].

    The share of places in which two texts agree estimates the share of runs they have in common.
    """
    rng = np.random.default_rng(seed)
    factors = rng.integers(1, int(PRIME), count, dtype=np.uint64)
    offsets = rng.integers(0, int(PRIME), count, dtype=np.uint64)
    return (
        np.stack([_least(text, factors, offsets) for text in texts])
        if len(texts)
        else np.zeros((0, count), np.uint64)
    )


def _least(text: str, factors: Signs, offsets: Signs) -> Signs:
    plain = " ".join(text.casefold().split())
    runs = {plain[at : at + SHINGLE] for at in range(max(1, len(plain) - SHINGLE + 1))}
    hashes = np.array([zlib.crc32(run.encode()) for run in sorted(runs)], dtype=np.uint64) % PRIME
    return np.asarray(((hashes[:, None] * factors + offsets) % PRIME).min(0))


def groups(texts: Sequence[str], least: float = 0.8, count: int = 128, seed: int = 0) -> NDArray[np.int64]:
    """A number for each text, shared by near-duplicates: those with at least so many runs in common, and their kin.

    >>> groups(["the cat sat on the mat today", "the cat sat on the mat today!", "quite another text"]).tolist()
    [0, 0, 2]
    """
    if not 0 < least <= 1:
        raise OptionError(f"least is {least}; expected a share above 0 and up to 1, such as 0.8")
    found = signatures(texts, count, seed)
    parent = np.arange(len(texts))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = int(parent[at])
        return at

    rows = _rows(least, count)
    for first in range(0, count - rows + 1, rows):
        seen: dict[bytes, int] = {}
        for at, band in enumerate(found[:, first : first + rows]):
            other = seen.setdefault(band.tobytes(), at)
            if other != at and (found[other] == found[at]).mean() >= least:
                one, two = sorted((root(other), root(at)))
                parent[two] = one
    return np.array([root(at) for at in range(len(texts))], dtype=np.int64)


def _rows(least: float, count: int) -> int:
    """Hashes of a band, so that pairs at the limit meet in some band with a chance of 99%."""
    fitting = [rows for rows in range(1, 17) if 1 - (1 - least**rows) ** (count // rows) >= 0.99]
    return max(fitting, default=1)


def kept(texts: Sequence[str], least: float = 0.8) -> list[int]:
    """The first text of each group of near-duplicates."""
    found = groups(texts, least)
    return [at for at in range(len(texts)) if found[at] == at]
