"""How much of a text is copied: the longest stretch that it shares with the texts a model learned from.

If a stretch of some length is shared, so is one of every shorter length; so the length is found bit by bit, each time
by looking for the text's runs among all runs of that length, kept as sorted sums of 64 bits. The same few lengths are
asked for with every text, so that their runs are sorted once.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.uint64]
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that powers keep all bits
BREAK = "\0"  # between texts: no stretch goes over it


class Copied:
    """Texts that were learned from, ready to be searched.

    >>> Copied(["to be or not to be", "that is the question"]).longest("or is it not to see?")
    (8, 16)
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.text = BREAK.join(texts)
        self._codes = _codes(self.text)
        self._runs = lru_cache(maxsize=12)(self._sorted_runs)

    def longest(self, text: str) -> tuple[int, int]:
        """From where to where the longest shared stretch goes; (0, 0) where not a sign is shared."""
        text = text.replace(BREAK, " ")
        found, size = (0, 0), 0
        for step in (1 << bit for bit in reversed(range(len(text).bit_length()))):
            at = self._shared(text, size + step) if size + step <= len(text) else None
            if at is not None:
                size += step
                found = (at, at + size)
        return found

    def stretch(self, text: str, size: int) -> tuple[int, int] | None:
        """A shared stretch of at least `size` signs, as far as it goes to the right; None if there is none.

        >>> Copied(["to be or not to be"]).stretch("whether to be or not", 8)
        (8, 20)
        """
        text = text.replace(BREAK, " ")
        at = self._shared(text, size)
        if at is None:
            return None
        end = at + size
        while end < len(text) and text[at : end + 1] in self.text:
            end += 1
        return at, end

    def length(self, text: str) -> int:
        """Signs of the longest shared stretch."""
        start, end = self.longest(text)
        return end - start

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Signs of the longest stretch of many texts; each length's runs are sorted once for all: [n].

        >>> Copied(["to be or not to be"]).lengths(["not to see", "or not to be"]).tolist()
        [7, 12]
        """
        plain = [text.replace(BREAK, " ") for text in texts]
        found = np.zeros(len(plain), dtype=np.int64)
        for bit in reversed(range(max(map(len, plain), default=0).bit_length())):
            sizes = found + (1 << bit)
            for size in np.unique(sizes):
                for at in np.flatnonzero(sizes == size):
                    if size <= len(plain[at]) and self._shared(plain[at], int(size)) is not None:
                        found[at] = size
        return found

    def _shared(self, text: str, size: int) -> int | None:
        """Where a run of this size begins that the texts have too."""
        runs, mine = self._runs(size), _runs(_codes(text), size)
        if not len(runs) or not len(mine):
            return None
        at = np.minimum(np.searchsorted(runs, mine), len(runs) - 1)
        for start in np.flatnonzero(runs[at] == mine):
            if text[start : start + size] in self.text:  # sums may meet by chance
                return int(start)
        return None

    def _sorted_runs(self, size: int) -> Sums:
        return np.sort(_runs(self._codes, size))


def _codes(text: str) -> Sums:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)


def _runs(codes: Sums, size: int) -> Sums:
    """A sum for each run of this size: [n - size + 1]."""
    if len(codes) < size:
        return np.zeros(0, dtype=np.uint64)
    found = np.zeros(len(codes) - size + 1, dtype=np.uint64)
    power, span, start = codes * BASE, 1, 0
    while size:  # by doubling: the sum of a run from those of its halves
        if size & 1:
            found = found * _power(span) + power[start : start + len(found)]
            start += span
        size >>= 1
        if size:
            power = power[: len(power) - span] * _power(span) + power[span:]
            span *= 2
    return found


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(BASE), exponent, 2**64))
