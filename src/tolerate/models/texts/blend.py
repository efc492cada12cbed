"""A mixture of counts and a Transformer: counts predict from many contexts; the network weighs and corrects them.

log p(token) = sum over contexts k of w_k(text) log p_k(token) + logits(text), normalised: a log-linear
mixture (Klakow 1998). The weights follow from the counts of each context (how often it occurred, with how many
different tokens after it: as in PAQ's mixers, Mahoney 2005) and from the network's state. All is learned from the
training text, each block of which is predicted by the counts of the others.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.errors import DataError, OptionError, RunError
from tolerate.models.texts.contexts import KINDS, Script
from tolerate.models.texts.language import PAD
from tolerate.models.texts.ngram_counts import BASE_ORDER, CONTEXT_FEATURES, BlockCounts, Floats, count_text
from tolerate.models.texts.transformer import Transformer

GATE = 32  # width of the layer between features of the counts and the weights


class Blend(Transformer):
    """The mixture; call `count` with the training text before anything else.

    order: of the n-grams; parts: of the training text, each predicted by the others; script: what the
    tokens are, for contexts of words and lines (see `contexts.script_of`); None for n-grams alone. running: it
    learns from rows of the counted text; else from rows of which only a part (the answer, not the prompt) was counted.
    Further options: those of a Transformer.

        blend.count(text)
        train(blend, TokenExamples(*blend.lessons()), TrainingOptions(budget=60))
    """

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        order: int = 8,
        parts: int = 10,
        script: Script | Sequence[Any] | None = None,
        running: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(context, vocabulary, **options)
        self.options |= {"order": order, "parts": parts, "script": script, "running": running}
        if order < BASE_ORDER:
            raise OptionError(f"order {order} is too short for a blend; expected {BASE_ORDER} or more")
        self.order, self.parts, self.running = order, parts, running
        self.script = Script(*script) if script else None
        self.cached_counts: BlockCounts | None = None
        self.text: Tensor
        self.register_buffer("text", torch.zeros(0, dtype=torch.int32))
        contexts = order - 1 + (len(KINDS) if script else 0)
        self.trust = nn.Linear(self.width, contexts)
        self.trust_known = nn.Sequential(
            nn.Linear(CONTEXT_FEATURES * contexts, GATE), nn.SiLU(), nn.Linear(GATE, contexts, bias=False)
        )
        self._initialise_trust()

    def _initialise_trust(self) -> None:
        """Initial weights with which the mixture predicts as the n-gram model does."""
        for weight in (self.trust.weight, self.trust.bias, self.trust_known[2].weight):
            nn.init.zeros_(weight)  # type: ignore[arg-type]
        with torch.no_grad():
            self.trust.bias[self.order - 2] = 1.0

    def count(self, text: Sequence[int] | Tensor) -> None:
        """Count the training text; it is stored with the weights, so that a loaded model can count it again."""
        self.text = torch.as_tensor(text, dtype=torch.int32)
        self.cached_counts = count_text(
            self.text.numpy(), self.vocabulary, self.order, self.parts, self.script
        )

    @property
    def counts(self) -> BlockCounts:
        """The counts of the training text; a loaded model counts the stored text first."""
        if self.cached_counts is None:
            if not len(self.text):
                raise RunError("this blend has counted nothing yet; call count(training text) first")
            self.count(self.text.cpu())
        assert self.cached_counts is not None
        return self.cached_counts

    def lessons(self, step: int = 8) -> tuple[Tensor, Tensor]:
        """Rows of the counted text, one every `step` tokens, and the positions where they begin: what to train on."""
        rows = self.text.unfold(0, self.context + 1, step)
        return rows, torch.arange(len(rows)) * step

    def _is_inner(self, name: str, weight: Tensor) -> bool:
        return super()._is_inner(name, weight) and not name.startswith("trust")

    def _logits_after(self, normed: Tensor, tokens_read: Tensor, first: int) -> Tensor:
        """Logits of the mixture after each token from `first` on."""
        return self._mixture(normed, self.counts.in_rows(tokens_read.cpu().numpy(), first))

    def _mixture(self, normed: Tensor, answers: tuple[Floats, Floats]) -> Tensor:
        log_probabilities, features = (torch.from_numpy(array).to(normed.device) for array in answers)
        weights = self.trust(normed) + self.trust_known(features)
        mixed: Tensor = self.head(normed) + torch.einsum("nlk,nlkv->nlv", weights.float(), log_probabilities)
        return mixed

    def loss(self, tokens: Tensor, starts: Tensor) -> Tensor:
        """Mean negative log-likelihood of a token; starts: positions of the rows, or their counted parts, in it."""
        answers = (
            self._predictions_in_text(tokens, starts)
            if self.running
            else self._predictions_without_block(tokens, starts)
        )
        logits, targets = self._mixture(self._stream(tokens[:, :-1])[0], answers), tokens[:, 1:]
        learned = targets > PAD
        return F.cross_entropy(logits[learned].float(), targets[learned].long())

    def _predictions_in_text(self, tokens: Tensor, starts: Tensor) -> tuple[Floats, Floats]:
        """Predictions in rows of the counted text, by the counts of the other blocks."""
        positions = (starts[:, None] + torch.arange(tokens.shape[1], device=starts.device)).cpu()
        text = self.text.cpu()
        if int(positions.max()) >= len(text) or not torch.equal(text[positions], tokens.int().cpu()):
            raise DataError(
                "these rows are not from the text that was counted; train a blend on its `lessons()`"
            )
        return self.counts.at_positions(positions[:, :-1].numpy())

    def _predictions_without_block(self, tokens: Tensor, starts: Tensor) -> tuple[Floats, Floats]:
        """Predictions in rows, without the block in which a part of each was counted."""
        without = self.counts.blocks[starts.cpu().numpy()]
        return self.counts.in_rows(tokens[:, :-1].long().cpu().numpy(), 0, without)
