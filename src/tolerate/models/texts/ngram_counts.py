"""Predictions of the next token by counts: Kneser-Ney n-grams, and counts after the contexts of `contexts`.

While a network learns from them, each block of the counted text is predicted by the counts of the other blocks, as new
text will be. Counts that include the neighbourhood, where names and phrases are repeated, would look far better than
they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.models.texts.contexts import Script, contexts_after
from tolerate.models.texts.kneser_ney import KneserNey, OrderCounts, blocks_of, fit_kneser_ney, fit_order

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
CONTEXT_FEATURES = 3  # of `OrderCounts.interpolate`
BASE_ORDER = 4  # the order of n-grams whose predictions further contexts are interpolated with


@dataclass(frozen=True)
class BlockCounts:
    """A counted text, and its predictions from each context.

    tokens: [length]; blocks: [length], the block of each, from 1; after: [kinds, length], the number of each
    further context after each token; further: counts of the tokens after those contexts.
    """

    tokens: Ints
    blocks: Ints
    after: Ints
    grams: KneserNey
    further: tuple[OrderCounts, ...]
    script: Script | None

    def at_positions(self, positions: Ints) -> tuple[Floats, Floats]:
        """`predictions` of the token after each position [n, length] of the counted text, by the other blocks."""
        back = self.grams.order - 1
        padded = np.pad(self.tokens, (back - 1, 0), constant_values=-1)
        contexts = np.lib.stride_tricks.sliding_window_view(padded, back)[positions]
        blocks = self.blocks[np.minimum(positions + 1, len(self.blocks) - 1)]
        return self.predictions(contexts, self.after[:, positions], blocks)

    def in_rows(self, tokens: Ints, first: int = 0, without: Ints | None = None) -> tuple[Floats, Floats]:
        """`predictions` of the token after each one from `first` on, in new rows: [n, length].

        without: [n], the block that is left out for a row, because a part of the row was counted there.
        """
        back = self.grams.order - 1
        padded = np.pad(tokens, ((0, 0), (back - 1, 0)), constant_values=-1)
        contexts = np.lib.stride_tricks.sliding_window_view(padded, back, axis=1)[:, first:]
        further = further_contexts(tokens, self.script)[:, :, first:]
        blocks = np.zeros(len(tokens), np.int64) if without is None else without
        return self.predictions(contexts, further, np.repeat(blocks[:, None], contexts.shape[1], 1))

    def predictions(self, contexts: Ints, further: Ints, without: Ints) -> tuple[Floats, Floats]:
        """From each context, log probabilities [n, length, all, vocabulary], and its features [n, length, 3 * all].

        contexts: [n, length, order - 1] tokens, further: [kinds, n, length], without: [n, length], a block or 0.
        """
        shape, blocks = without.shape, without.reshape(-1)
        answers = self.grams.predictions(contexts.reshape(-1, contexts.shape[2]), blocks)
        base = answers[BASE_ORDER - 2][0]
        for order, numbers in zip(self.further, further, strict=True):
            probabilities = base.copy()
            answers.append((probabilities, order.interpolate(probabilities, numbers.reshape(-1), blocks)))
        logs = np.stack([probabilities for probabilities, _ in answers], 1)
        np.log(np.maximum(logs, 1e-8, out=logs), out=logs)
        features = np.stack([features for _, features in answers], 1)
        features[..., :2] = np.log1p(features[..., :2]) / 3
        return logs.reshape(*shape, *logs.shape[1:]), features.reshape(*shape, -1)


def count_text(
    text: Sequence[int] | Ints, vocabulary: int, order: int, blocks: int, script: Script | None
) -> BlockCounts:
    """Count a text of whole numbers below `vocabulary`, as a whole and without each of its blocks."""
    tokens = np.asarray(text, dtype=np.int64)
    grams = fit_kneser_ney(tokens, vocabulary, order, blocks)
    after = further_contexts(tokens[None], script)[:, 0]
    further = tuple(fit_order(numbers[:-1], tokens[1:], vocabulary, blocks) for numbers in after)
    return BlockCounts(tokens, blocks_of(len(tokens), blocks), after, grams, further, script)


def further_contexts(tokens: Ints, script: Script | None) -> Ints:
    """The number of each kind of further context after each token: [n, length] -> [kinds, n, length]."""
    if script is None:
        return np.zeros((0, *tokens.shape), np.int64)
    return np.stack([*contexts_after(tokens, script).values()])
