"""Contexts of a token other than n-grams: the word so far and those before it, the column in the line.

Each kind of context is a number for the position after each token; equal numbers mean equal contexts (except for hash
collisions, one in 2^40 pairs). They are counted like n-grams; PAQ's compressors mix the predictions of many such
contexts (Mahoney 2005).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
BITS = 40  # of a context's number
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd: it has an inverse
KINDS = (
    "two words",  # the word so far and the one before
    "three words",
    "word, one between",
    "word and sign",  # the word so far and two tokens before it
    "column and two",  # the column in the line and two tokens
    "one left out",  # the three tokens before the last one
)
INVERSE = np.uint64(pow(int(MULTIPLIER), -1, 2**64))


class Script(NamedTuple):
    """Classes of tokens: letters of words, the end of a line; and the folded form of each token.

    letters, folded: a value for each token; line: the token that ends lines, -1 for none.
    """

    letters: tuple[bool, ...]
    folded: tuple[int, ...]
    line: int = -1


def script_of(signs: dict[str, int], vocabulary: int) -> Script:
    """The script of characters that are tokens by themselves.

    >>> script_of({"a": 3, "A": 4, "\\n": 5}, 6).folded
    (0, 1, 2, 3, 3, 5)
    """
    letters, folded = [False] * vocabulary, list(range(vocabulary))
    for sign, token in signs.items():
        letters[token] = sign.isalpha() or sign in "'-"
        folded[token] = signs.get(sign.lower(), token)
    return Script(tuple(letters), tuple(folded), signs.get("\n", -1))


def contexts_after(tokens: Ints, script: Script) -> dict[str, Ints]:
    """The number of each kind of context after each token: [n, length] -> kind -> [n, length]."""
    tokens = np.atleast_2d(tokens)
    folded = np.asarray(script.folded, np.int64)[tokens]
    letter = np.asarray(script.letters, bool)[tokens]
    words = _Words(folded, letter)
    line = _last(tokens == script.line)
    column = np.where(line < 0, -1, words.positions - line)
    now, before, earlier = words.back(0), words.back(1), words.back(2)
    last, second, third, fourth = (_shifted(tokens, back) for back in range(4))
    parts = (
        (now, before),
        (now, before, earlier),
        (now, earlier),
        (now, *words.outer()),
        (column, last, second),
        (second, third, fourth),
    )
    return {kind: _hash_of(index, *parts[index]) for index, kind in enumerate(KINDS)}


class _Words:
    """Numbers of the words in rows of tokens, computed for all positions at once."""

    def __init__(self, folded: Ints, letter: NDArray[np.bool_]) -> None:
        self.folded = folded
        self.positions = np.arange(folded.shape[1])[None]
        self.outside, self.inside = _last(~letter), _last(letter)
        powers = np.cumprod(np.full(folded.shape[1] + 1, MULTIPLIER, np.uint64))
        falling = np.cumprod(np.full(folded.shape[1] + 1, INVERSE, np.uint64))
        values = (folded.astype(np.uint64) + np.uint64(1)) * falling[:-1]
        self.sums = np.pad(np.cumsum(values, 1, dtype=np.uint64), ((0, 0), (1, 0)))
        self.powers = powers

    def back(self, count: int) -> Ints:
        """A number for the word so far (0 where none has begun), or for one `count` words before."""
        end = np.broadcast_to(self.positions, self.folded.shape)
        for _ in range(count):
            end = self._values_at(self.inside, self._values_at(self.outside, end))
        return self._between(self._values_at(self.outside, end), end)

    def outer(self) -> tuple[Ints, Ints]:
        """The token before the word so far, and the one before that."""
        return self._values_at(self.folded, self.outside), self._values_at(self.folded, self.outside - 1)

    def _values_at(self, values: Ints, positions: Ints) -> Ints:
        """Values at positions; -1 at positions before the first."""
        gathered = np.take_along_axis(values, np.maximum(positions, 0), 1)
        return np.where(positions < 0, -1, gathered)

    def _between(self, start: Ints, end: Ints) -> Ints:
        """A number for the tokens after `start` up to `end`: a polynomial hash, from differences of prefix sums."""
        first, last = (np.take_along_axis(self.sums, np.maximum(index + 1, 0), 1) for index in (start, end))
        sums = (last - first) * self.powers[np.maximum(end, 0)]
        return sums.astype(np.int64)


def _last(marked: NDArray[np.bool_]) -> Ints:
    """The last marked position at or before each position, -1 where there is none."""
    return np.maximum.accumulate(np.where(marked, np.arange(marked.shape[1])[None], -1), 1)


def _shifted(tokens: Ints, back: int) -> Ints:
    return np.pad(tokens, ((0, 0), (back, 0)), constant_values=-1)[:, : tokens.shape[1]]


def _hash_of(kind: int, *parts: Ints) -> Ints:
    """One number of BITS bits from several."""
    number = np.full(parts[0].shape, kind + 1, np.uint64)
    for part in parts:
        number = (number ^ part.astype(np.uint64)) * MULTIPLIER
        number ^= number >> np.uint64(31)
    return (number * MULTIPLIER >> np.uint64(64 - BITS)).astype(np.int64)
