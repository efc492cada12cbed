"""The n-gram model that neural ones must beat. Kneser and Ney 1995; Chen and Goodman 1999, modified smoothing.

How often was this token seen after these n - 1? What was seen once or twice counts a little less, and what
is left over goes to the next shorter context, where not occurrences count but how many different tokens
stood before (continuation counts). Trains in seconds; a baseline that every report of a text job shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import DataError, OptionError

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Order:
    """The n-grams of one length: contexts in order, each with the tokens that followed it.

    contexts: [c] packed; first: [c + 1] where each one's tokens begin; tokens, counts: [g];
    discounts: what is taken from counts of 1, 2 and more.
    """

    contexts: Ints
    first: Ints
    tokens: Ints
    counts: Floats
    discounts: Floats  # [3]

    @cached_property
    def totals(self) -> Floats:
        """Counts of each context, summed."""
        return np.add.reduceat(self.counts, self.first[:-1]).astype(np.float32)

    @cached_property
    def left(self) -> Floats:
        """What the discounts take from each context, for the shorter ones."""
        return np.add.reduceat(self._taken, self.first[:-1]).astype(np.float32)

    @cached_property
    def kept(self) -> Floats:
        """Counts less their discounts."""
        return self.counts - self._taken

    @cached_property
    def _taken(self) -> Floats:
        return self.discounts[np.minimum(self.counts, 3).astype(np.int64) - 1]


@dataclass(frozen=True)
class KneserNey:
    """Probabilities of the next token from counts of up to `order` tokens in a row.

    vocabulary: number of tokens; tokens are whole numbers below it.
    """

    orders: tuple[Order, ...]  # of 2, 3, ... tokens
    singles: Floats  # probability of each token without any context: [vocabulary]
    vocabulary: int

    @property
    def order(self) -> int:
        """The longest run of tokens that was counted."""
        return len(self.orders) + 1

    def __call__(self, text: Ints, start: int = 0) -> Floats:
        """Probabilities of every token at each place of a text, given those before: [length - start, vocabulary].

        Places before `start` are read, not answered.
        """
        found = np.repeat(self.singles[None], len(text) - start, 0)
        for back, order in enumerate(self.orders, 1):
            places = np.arange(max(start, back), len(text))
            if len(places):
                self._sharpen(
                    found, places - start, order, _packed(text, back, self.vocabulary)[places - back]
                )
        return found

    def _sharpen(self, found: Floats, rows: Ints, order: Order, contexts: Ints) -> None:
        """Take one order in: kept counts over the total, and the rest by the shorter contexts."""
        at = np.searchsorted(order.contexts, contexts)
        known = at < len(order.contexts)
        known[known] = order.contexts[at[known]] == contexts[known]
        rows, at = rows[known], at[known]
        found[rows] *= (order.left[at] / order.totals[at])[:, None]
        sizes = order.first[at + 1] - order.first[at]
        where = np.repeat(rows, sizes)
        ends = np.cumsum(sizes)
        grams = np.arange(len(where)) + np.repeat(order.first[at] - (ends - sizes), sizes)
        found[where, order.tokens[grams]] += order.kept[grams] / np.repeat(order.totals[at], sizes)

    def log_likelihoods(self, text: Ints, together: int = 20_000) -> NDArray[np.float64]:
        """Natural log probability of each token of a text given those before: [length]."""
        parts = []
        for first in range(0, len(text), together):
            back = max(0, first - self.order)
            piece = text[back : first + together]
            found = self(piece, first - back)
            parts.append(np.log(found[np.arange(len(found)), piece[first - back :]].astype(np.float64)))
        return np.concatenate(parts)


def fit_kneser_ney(text: Sequence[int] | Ints, vocabulary: int, order: int = 7) -> KneserNey:
    """Count a text of whole numbers below `vocabulary`.

    >>> model = fit_kneser_ney([0, 1, 0, 1, 0, 1, 2], vocabulary=3, order=2)
    >>> int(model(np.array([0, 1]))[1].argmax())
    1
    """
    tokens = np.asarray(text, dtype=np.int64)
    bits = max(1, int(vocabulary - 1).bit_length())
    if order < 1 or bits * order > 62:
        raise OptionError(f"order {order} with {vocabulary} tokens does not fit; expected 1 to {62 // bits}")
    if len(tokens) < order + 1:
        raise DataError(
            f"the text has {len(tokens)} tokens; counting {order} in a row needs {order + 1} at least"
        )
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        raise DataError(f"tokens go from {tokens.min()} to {tokens.max()}; expected 0 to {vocabulary - 1}")
    grams, counts = np.unique(_packed(tokens, order, vocabulary), return_counts=True)
    orders = []
    for length in range(order, 1, -1):
        orders.append(_order(grams, counts.astype(np.float32), bits))
        shorter = np.sort(
            grams & ((1 << bits * (length - 1)) - 1)
        )  # each longer gram counts once: a continuation
        starts = np.flatnonzero(np.r_[True, shorter[1:] != shorter[:-1]])
        grams, counts = shorter[starts], np.diff(np.r_[starts, len(shorter)])
    singles = np.zeros(vocabulary, dtype=np.float32)
    singles[grams] = counts
    singles = (singles + 0.5) / (singles.sum() + 0.5 * vocabulary)
    return KneserNey(tuple(reversed(orders)), singles.astype(np.float32), vocabulary)


def _packed(tokens: Ints, length: int, vocabulary: int) -> Ints:
    """Each run of `length` tokens as one number, the last token in the lowest bits: [n - length + 1]."""
    bits = max(1, int(vocabulary - 1).bit_length())
    found = np.zeros(max(len(tokens) - length + 1, 0), dtype=np.int64)
    for step in range(length):
        found = (found << bits) | tokens[step : step + len(found)]
    return found


def _order(grams: Ints, counts: Floats, bits: int) -> Order:
    """The table of n-grams that are sorted, with the discounts that their counts suggest."""
    contexts = grams >> bits
    starts = np.flatnonzero(np.r_[True, contexts[1:] != contexts[:-1]])
    first = np.r_[starts, len(grams)]
    return Order(contexts[starts], first, grams & ((1 << bits) - 1), counts, _discounts(counts))


def _discounts(counts: Floats) -> Floats:
    """D1, D2 and D3+ of Chen and Goodman (equation 26), kept between 0 and the count."""
    n1, n2, n3, n4 = (float(max((counts == k).sum(), 1)) for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    found = np.array([1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3], dtype=np.float32)
    return np.clip(found, 0.05, [0.95, 1.9, 2.9]).astype(np.float32)


def bits_of(known: Sequence[str], unseen: Sequence[str], order: int = 7) -> float:
    """Bits per character of unseen texts by the counts of known ones; each text ends with a sign of its own.

    >>> bits_of(["abababab"] * 9, ["abab"], order=3) < 1
    True
    """
    places = {sign: place for place, sign in enumerate(sorted({sign for text in known for sign in text}), 2)}
    numbers = [[places.get(sign, 1) for sign in text] + [0] for text in known]
    size = len(places) + 2
    fits = min(order, 62 // max(1, (size - 1).bit_length()))
    model = fit_kneser_ney([0] * fits + [number for text in numbers for number in text], size, fits)
    asked = np.array(
        [0] * fits + [n for text in unseen for n in [*(places.get(sign, 1) for sign in text), 0]]
    )
    return float(-model.log_likelihoods(asked)[fits:].sum() / np.log(2) / max(sum(map(len, unseen)), 1))
