"""Kneser-Ney n-gram model, the baseline of the neural ones. Kneser and Ney 1995; Chen and Goodman 1999, modified.

The probability of a token after n - 1 others is its count less a discount, over the total; the mass of the discounts
goes to the next shorter context, where continuation counts (how many different tokens precede) replace occurrences.
Trains in seconds; every report of a text job shows it.
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
class OrderCounts:
    """Counts of the tokens after each context of one kind.

    contexts: [c] sorted numbers; first: [c + 1], where the tokens of each context begin; tokens: [g];
    counts: [g, 1 + blocks], of the whole text and then of the text without each block;
    discounts: subtracted from counts of 1, 2 and more.
    """

    contexts: Ints
    first: Ints
    tokens: Ints
    counts: Floats
    discounts: Floats  # [3]

    @cached_property
    def totals(self) -> Floats:
        """Counts of each context, summed: [c, 1 + blocks]."""
        return np.add.reduceat(self.counts, self.first[:-1])

    @cached_property
    def kinds(self) -> Floats:
        """Different tokens after each context: [c, 1 + blocks]."""
        return np.add.reduceat((self.counts > 0).astype(np.float32), self.first[:-1])

    @cached_property
    def discount_totals(self) -> Floats:
        """The sum of the discounts in each context, which shorter contexts distribute: [c, 1 + blocks]."""
        return np.add.reduceat(self.discounted_mass(self.counts), self.first[:-1])

    def discounted_mass(self, counts: Floats) -> Floats:
        """The discount of each count; 0 for a count of 0."""
        discounts = np.concatenate([np.zeros(1, np.float32), self.discounts])
        return discounts[np.minimum(counts, 3).astype(np.int8)]

    def interpolate(self, probabilities: Floats, contexts: Ints, without: Ints) -> Floats:
        """Interpolate probabilities [n, vocabulary] of shorter contexts with these discounted counts, in place.

        without: [n], the block that is left out of the counts, 0 for none. Returns features of each context: [n, 3],
        its total, the number of different tokens and the weight of the shorter context (0, 0 and 1 for an unseen one).
        """
        index = np.minimum(np.searchsorted(self.contexts, contexts), len(self.contexts) - 1)
        total = self.totals[index, without] * (self.contexts[index] == contexts)
        rows = np.flatnonzero(total > 0)
        index, without, total = index[rows], without[rows], total[rows]
        share = self.discount_totals[index, without] / total
        sizes = self.first[index + 1] - self.first[index]
        answer_rows, ends = np.repeat(rows, sizes), np.cumsum(sizes)
        grams = np.arange(len(answer_rows)) + np.repeat(self.first[index] - (ends - sizes), sizes)
        counts = self.counts[grams, np.repeat(without, sizes)]
        probabilities[rows] *= share[:, None]
        probabilities[answer_rows, self.tokens[grams]] += (counts - self.discounted_mass(counts)) / np.repeat(
            total, sizes
        )
        features = np.tile(np.array([0, 0, 1], np.float32), (len(probabilities), 1))
        features[rows] = np.stack([total, self.kinds[index, without], share], 1)
        return features


@dataclass(frozen=True)
class KneserNey:
    """Probabilities of the next token from counts of up to `order` tokens in a row.

    vocabulary: number of tokens; tokens are whole numbers below it.
    """

    orders: tuple[OrderCounts, ...]  # of 2, 3, ... tokens
    singles: Floats  # probability of each token without any context: [1 + blocks, vocabulary]
    vocabulary: int

    @property
    def order(self) -> int:
        """The longest run of tokens that was counted."""
        return len(self.orders) + 1

    def __call__(self, text: Ints, start: int = 0) -> Floats:
        """Probabilities of every token at each position of a text, given those before: [length - start, vocabulary].

        Positions before `start` are context only.
        """
        return self.predictions(self.contexts(text)[start:])[-1][0]

    def contexts(self, text: Ints) -> Ints:
        """The `order - 1` tokens before each position of a text, -1 where there are none: [length, order - 1]."""
        padded = np.concatenate([np.full(self.order - 1, -1, dtype=np.int64), text])
        return np.lib.stride_tricks.sliding_window_view(padded, self.order - 1)[: len(text)]

    def predictions(self, contexts: Ints, without: Ints | None = None) -> list[tuple[Floats, Floats]]:
        """For each order from 2 on, probabilities of every token after each context, and features of the context.

        contexts: [n, order - 1]; without: [n], the block of the text that is left out of the counts, from 1; 0 for
        none. Probabilities are [n, vocabulary], features [n, 3] as of `OrderCounts.interpolate`.
        """
        without = np.zeros(len(contexts), np.int64) if without is None else without
        probabilities, answers = self.singles[without], []
        for back, order in enumerate(self.orders, 1):
            features = order.interpolate(
                probabilities, _packed_last(contexts, back, self.vocabulary), without
            )
            answers.append((probabilities.copy(), features))
        return answers

    def log_likelihoods(self, text: Ints, batch: int = 20_000) -> NDArray[np.float64]:
        """Natural log probability of each token of a text given those before: [length]."""
        parts, contexts = [], self.contexts(text)
        for first in range(0, len(text), batch):
            probabilities = self.predictions(contexts[first : first + batch])[-1][0]
            parts.append(
                probabilities[np.arange(len(probabilities)), text[first : first + batch]].astype(np.float64)
            )
        return np.log(np.concatenate(parts))


def fit_kneser_ney(text: Sequence[int] | Ints, vocabulary: int, order: int = 7, blocks: int = 0) -> KneserNey:
    """Count a text of whole numbers below `vocabulary`.

    blocks: the text is split into so many blocks of equal length, and counted without each of them too.

    >>> model = fit_kneser_ney([0, 1, 0, 1, 0, 1, 2], vocabulary=3, order=2)
    >>> int(model(np.array([0, 1]))[1].argmax())
    1
    """
    tokens = np.asarray(text, dtype=np.int64)
    bits = _bits(vocabulary)
    max_order = (62 - blocks.bit_length()) // bits
    if not 2 <= order <= max_order:
        raise OptionError(f"order {order} with {vocabulary} tokens does not fit; expected 2 to {max_order}")
    if len(tokens) < order + 1:
        raise DataError(
            f"the text has {len(tokens)} tokens; counting {order} in a row needs {order + 1} at least"
        )
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        raise DataError(f"tokens go from {tokens.min()} to {tokens.max()}; expected 0 to {vocabulary - 1}")
    grams, counts = _count_by_block(
        _packed(tokens, order, vocabulary), blocks_of(len(tokens), blocks)[order - 1 :], blocks
    )
    orders = []
    for length in range(order, 1, -1):
        orders.append(_order_counts(grams, counts, bits))
        shorter = grams & ((1 << bits * (length - 1)) - 1)
        order_of_grams = np.argsort(shorter, kind="stable")
        shorter = shorter[order_of_grams]
        starts = np.flatnonzero(np.r_[True, shorter[1:] != shorter[:-1]])
        # each longer gram counts once: a continuation
        grams, counts = (
            shorter[starts],
            np.add.reduceat((counts > 0)[order_of_grams].astype(np.float32), starts),
        )
    singles = np.zeros((vocabulary, 1 + blocks), dtype=np.float32)
    singles[grams] = counts
    singles = (singles + 0.5) / (singles.sum(0) + 0.5 * vocabulary)
    return KneserNey(tuple(reversed(orders)), np.ascontiguousarray(singles.T), vocabulary)


def fit_order(contexts: Ints, tokens: Ints, vocabulary: int, blocks: int = 0) -> OrderCounts:
    """Count which token followed each context of a text; contexts are any numbers from 0: [n], [n]."""
    bits = _bits(vocabulary)
    return _order_counts(
        *_count_by_block(contexts << bits | tokens, blocks_of(len(tokens), blocks), blocks), bits
    )


def blocks_of(length: int, blocks: int) -> Ints:
    """The block of each position of a text, from 1; 1 everywhere without blocks: [length]."""
    return 1 + np.arange(length) * max(blocks, 1) // length


def _count_by_block(grams: Ints, gram_blocks: Ints, blocks: int) -> tuple[Ints, Floats]:
    """Distinct sorted grams [g], and their counts in the whole text and without each block [g, 1 + blocks]."""
    bits = blocks.bit_length()
    keys, occurrences = np.unique(grams << bits | gram_blocks if blocks else grams, return_counts=True)
    all_grams = keys >> bits
    starts = np.flatnonzero(np.r_[True, all_grams[1:] != all_grams[:-1]])
    counts = np.repeat(np.add.reduceat(occurrences, starts).astype(np.float32)[:, None], 1 + blocks, 1)
    if blocks:
        rows = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(keys)]))
        counts[rows, keys & ((1 << bits) - 1)] -= occurrences
    return all_grams[starts], counts


def _packed(tokens: Ints, length: int, vocabulary: int) -> Ints:
    """Each run of `length` tokens as one number, the last token in the lowest bits: [n - length + 1]."""
    bits = _bits(vocabulary)
    numbers = np.zeros(max(len(tokens) - length + 1, 0), dtype=np.int64)
    for step in range(length):
        numbers = (numbers << bits) | tokens[step : step + len(numbers)]
    return numbers


def _packed_last(contexts: Ints, back: int, vocabulary: int) -> Ints:
    """The last `back` tokens of each context as one number, -1 where there are fewer: [n]."""
    bits = _bits(vocabulary)
    numbers = np.zeros(len(contexts), dtype=np.int64)
    for column in range(contexts.shape[1] - back, contexts.shape[1]):
        numbers = (numbers << bits) | contexts[:, column]
    return np.where(contexts[:, contexts.shape[1] - back] < 0, -1, numbers)


def _bits(vocabulary: int) -> int:
    return max(1, int(vocabulary - 1).bit_length())


def _order_counts(grams: Ints, counts: Floats, bits: int) -> OrderCounts:
    """The counts of sorted n-grams as a table, with the discounts estimated from them."""
    contexts = grams >> bits
    starts = np.flatnonzero(np.r_[True, contexts[1:] != contexts[:-1]])
    first = np.r_[starts, len(grams)]
    return OrderCounts(contexts[starts], first, grams & ((1 << bits) - 1), counts, _discounts(counts[:, 0]))


def _discounts(counts: Floats) -> Floats:
    """D1, D2 and D3+ of Chen and Goodman (equation 26), clipped to between 0 and the count."""
    n1, n2, n3, n4 = (float(max((counts == k).sum(), 1)) for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    discounts = np.array([1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3], dtype=np.float32)
    return np.clip(discounts, 0.05, [0.95, 1.9, 2.9]).astype(np.float32)


def bits_per_character(texts: Sequence[str], unseen: Sequence[str], order: int = 7) -> float:
    """Bits per character of unseen texts by counts of `texts`; each text ends with an end symbol.

    >>> bits_per_character(["abababab"] * 9, ["abab"], order=3) < 1
    True
    """
    codes = {sign: code for code, sign in enumerate(sorted({sign for text in texts for sign in text}), 2)}
    numbers = [[codes.get(sign, 1) for sign in text] + [0] for text in texts]
    size = len(codes) + 2
    fits = min(order, 62 // _bits(size))
    model = fit_kneser_ney([0] * fits + [number for text in numbers for number in text], size, fits)
    tokens = np.array(
        [0] * fits + [n for text in unseen for n in [*(codes.get(sign, 1) for sign in text), 0]]
    )
    return float(-model.log_likelihoods(tokens)[fits:].sum() / np.log(2) / max(sum(map(len, unseen)), 1))
