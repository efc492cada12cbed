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
    bits: int  # of a packed token

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
        return self.taken_from(self.counts)

    @cached_property
    def grams(self) -> Ints:
        """Contexts and tokens together, packed and in order: [g]."""
        sizes = np.diff(self.first)
        bits = self.bits
        return (np.repeat(self.contexts, sizes) << bits) | self.tokens

    def taken_from(self, counts: Floats) -> Floats:
        """What the discounts take from some counts; nothing from 0."""
        return np.concatenate([np.zeros(1, np.float32), self.discounts])[
            np.minimum(counts, 3).astype(np.int64)
        ]


@dataclass(frozen=True)
class Without:
    """The places of answers [m] that lose one count of an n-gram, and which one [m]."""

    rows: Ints
    grams: Ints


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
        return self.answers(self.contexts(text)[start:])[-1]

    def contexts(self, text: Ints) -> Ints:
        """The `order - 1` tokens before each place of a text, -1 where there are none: [length, order - 1]."""
        padded = np.concatenate([np.full(self.order - 1, -1, dtype=np.int64), text])
        return np.lib.stride_tricks.sliding_window_view(padded, self.order - 1)[: len(text)]

    def answers(self, contexts: Ints, kept: Sequence[int] = (), actual: Ints | None = None) -> list[Floats]:
        """Probabilities of every token after each context [n, order - 1], by the orders kept and then by all.

        actual: [n], the tokens that did follow, of a text that was counted. Each is then answered by the counts
        without itself, as if it had not been seen: what the model would say of new text. A whole answer is
        [n, vocabulary].
        """
        found = np.repeat(self.singles[None], len(contexts), 0)
        gone = self._gone(contexts, actual) if actual is not None else [None] * len(self.orders)
        answers = [found.copy()] if 1 in kept else []
        for back, (order, without) in enumerate(zip(self.orders, gone, strict=True), 1):
            self._sharpen(found, contexts, back, order, without)
            if back + 1 in kept:
                answers.append(found.copy())
        return [*answers, found]

    def _gone(self, contexts: Ints, actual: Ints) -> "list[Without | None]":
        """What each order loses when each actual token is taken away: it, and what it alone continued."""
        found: list[Without | None] = []
        rows = np.flatnonzero(contexts[:, 0] >= 0)
        for back in range(len(self.orders), 0, -1):
            order = self.orders[back - 1]
            packed = _packed_last(contexts[rows], back, self.vocabulary)
            grams = (packed << _bits(self.vocabulary)) | actual[rows]
            at = np.searchsorted(order.grams, grams)
            at = np.minimum(at, len(order.grams) - 1)
            known = order.grams[at] == grams
            rows, at = rows[known], at[known]
            found.append(Without(rows, at))
            rows = rows[order.counts[at] == 1]  # gone for good: the shorter one loses a continuation
        return list(reversed(found))

    def _sharpen(
        self, found: Floats, contexts: Ints, back: int, order: Order, without: "Without | None"
    ) -> None:
        """Take one order in: kept counts over the total, and the rest by the shorter contexts."""
        rows = np.flatnonzero(contexts[:, len(contexts[0]) - back] >= 0)
        packed = _packed_last(contexts[rows], back, self.vocabulary)
        at = np.minimum(np.searchsorted(order.contexts, packed), len(order.contexts) - 1)
        known = order.contexts[at] == packed
        rows, at = rows[known], at[known]
        total, left = order.totals[at].copy(), order.left[at].copy()
        place = np.full(len(found), -1)
        place[rows] = np.arange(len(rows))
        if without is not None:
            mine, count = place[without.rows], order.counts[without.grams]
            total[mine] -= 1
            left[mine] += order.taken_from(count - 1) - order.taken_from(count)
        alive = total > 0
        rows, at, total, left = rows[alive], at[alive], total[alive], left[alive]
        found[rows] *= (left / total)[:, None]
        sizes = order.first[at + 1] - order.first[at]
        where, ends = np.repeat(rows, sizes), np.cumsum(sizes)
        grams = np.arange(len(where)) + np.repeat(order.first[at] - (ends - sizes), sizes)
        found[where, order.tokens[grams]] += order.kept[grams] / np.repeat(total, sizes)
        if without is not None:
            place[:] = -1
            place[rows] = np.arange(len(rows))
            mine = place[without.rows]
            still, mine = without.grams[mine >= 0], mine[mine >= 0]
            count = order.counts[still]
            less = (count - 1 - order.taken_from(count - 1)) - order.kept[still]
            found[rows[mine], order.tokens[still]] += less / total[mine]

    def log_likelihoods(self, text: Ints, together: int = 20_000) -> NDArray[np.float64]:
        """Natural log probability of each token of a text given those before: [length]."""
        parts, contexts = [], self.contexts(text)
        for first in range(0, len(text), together):
            found = self.answers(contexts[first : first + together])[-1]
            parts.append(found[np.arange(len(found)), text[first : first + together]].astype(np.float64))
        return np.log(np.concatenate(parts))


def fit_kneser_ney(text: Sequence[int] | Ints, vocabulary: int, order: int = 7) -> KneserNey:
    """Count a text of whole numbers below `vocabulary`.

    >>> model = fit_kneser_ney([0, 1, 0, 1, 0, 1, 2], vocabulary=3, order=2)
    >>> int(model(np.array([0, 1]))[1].argmax())
    1
    """
    tokens = np.asarray(text, dtype=np.int64)
    bits = _bits(vocabulary)
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
    bits = _bits(vocabulary)
    found = np.zeros(max(len(tokens) - length + 1, 0), dtype=np.int64)
    for step in range(length):
        found = (found << bits) | tokens[step : step + len(found)]
    return found


def _packed_last(contexts: Ints, back: int, vocabulary: int) -> Ints:
    """The last `back` tokens of each context as one number: [n]."""
    bits = _bits(vocabulary)
    found = np.zeros(len(contexts), dtype=np.int64)
    for column in range(contexts.shape[1] - back, contexts.shape[1]):
        found = (found << bits) | contexts[:, column]
    return found


def _bits(vocabulary: int) -> int:
    return max(1, int(vocabulary - 1).bit_length())


def _order(grams: Ints, counts: Floats, bits: int) -> Order:
    """The table of n-grams that are sorted, with the discounts that their counts suggest."""
    contexts = grams >> bits
    starts = np.flatnonzero(np.r_[True, contexts[1:] != contexts[:-1]])
    first = np.r_[starts, len(grams)]
    return Order(contexts[starts], first, grams & ((1 << bits) - 1), counts, _discounts(counts), bits)


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
    fits = min(order, 62 // _bits(size))
    model = fit_kneser_ney([0] * fits + [number for text in numbers for number in text], size, fits)
    asked = np.array(
        [0] * fits + [n for text in unseen for n in [*(places.get(sign, 1) for sign in text), 0]]
    )
    return float(-model.log_likelihoods(asked)[fits:].sum() / np.log(2) / max(sum(map(len, unseen)), 1))
