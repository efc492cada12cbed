"""Detection of copied text: the longest substring that a text shares with the training texts of a model.

If a substring of some length is shared, so is one of every shorter length; so the length is found bit by bit, each
time by looking up the text's substrings of that length among those of the training texts, stored as sorted 64-bit
hashes. The same few lengths occur with every text, so that their hashes are sorted once.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that powers keep all bits
BREAK = "\0"  # between texts, so that no substring spans two of them


class Copied:
    """The training texts, indexed for search.

    >>> Copied(["to be or not to be", "that is the question"]).longest("or is it not to see?")
    (8, 16)
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.text = BREAK.join(texts)
        self._code_points = _code_points(self.text)
        self._hashes = lru_cache(maxsize=12)(self._sorted_hashes)

    def longest(self, text: str) -> tuple[int, int]:
        """Start and end of the longest shared substring; (0, 0) where no character is shared."""
        text = text.replace(BREAK, " ")
        span, size = (0, 0), 0
        for step in (1 << bit for bit in reversed(range(len(text).bit_length()))):
            start = self._shared(text, size + step) if size + step <= len(text) else None
            if start is not None:
                size += step
                span = (start, start + size)
        return span

    def stretch(self, text: str, size: int) -> tuple[int, int] | None:
        """A shared substring of at least `size` characters, extended to the right; None if there is none.

        >>> Copied(["to be or not to be"]).stretch("whether to be or not", 8)
        (8, 20)
        """
        text = text.replace(BREAK, " ")
        start = self._shared(text, size)
        if start is None:
            return None
        end = start + size
        while end < len(text) and text[start : end + 1] in self.text:
            end += 1
        return start, end

    def length(self, text: str) -> int:
        """The length of the longest shared substring."""
        start, end = self.longest(text)
        return end - start

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The length of the longest shared substring of each text: [n]; each length is sorted once for all texts.

        >>> Copied(["to be or not to be"]).lengths(["not to see", "or not to be"]).tolist()
        [7, 12]
        """
        plain = [text.replace(BREAK, " ") for text in texts]
        lengths = np.zeros(len(plain), dtype=np.int64)
        for bit in reversed(range(max(map(len, plain), default=0).bit_length())):
            sizes = lengths + (1 << bit)
            for size in np.unique(sizes):
                for index in np.flatnonzero(sizes == size):
                    if size <= len(plain[index]) and self._shared(plain[index], int(size)) is not None:
                        lengths[index] = size
        return lengths

    def _shared(self, text: str, size: int) -> int | None:
        """The start of a substring of this size that the training texts contain; None if there is none."""
        runs, own_runs = self._hashes(size), _substring_hashes(_code_points(text), size)
        if not len(runs) or not len(own_runs):
            return None
        positions = np.minimum(np.searchsorted(runs, own_runs), len(runs) - 1)
        for start in np.flatnonzero(runs[positions] == own_runs):
            if text[start : start + size] in self.text:  # hashes may collide
                return int(start)
        return None

    def _sorted_hashes(self, size: int) -> Hashes:
        return np.sort(_substring_hashes(self._code_points, size))


def _code_points(text: str) -> Hashes:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)


def _substring_hashes(codes: Hashes, size: int) -> Hashes:
    """A hash of each substring of this size: [n - size + 1]."""
    if len(codes) < size:
        return np.zeros(0, dtype=np.uint64)
    sums = np.zeros(len(codes) - size + 1, dtype=np.uint64)
    power, span, start = codes * BASE, 1, 0
    while size:  # by doubling: the hash of a substring from those of its halves
        if size & 1:
            sums = sums * _power(span) + power[start : start + len(sums)]
            start += span
        size >>= 1
        if size:
            power = power[: len(power) - span] * _power(span) + power[span:]
            span *= 2
    return sums


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(BASE), exponent, 2**64))
