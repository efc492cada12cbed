"""Base class of language models, which predict the next token and learn from rows of tokens.

They learn from rows [n, length] of whole numbers, and from where each row's answer begins (0 for running text). Tokens
before it are read but not learned; token 0 pads rows and is never learned.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from tolerate.models.base import Losses, Optimizers, Recipe
from tolerate.models.texts.base import TextModel
from tolerate.models.training.muon import Muon

State: TypeAlias = Any  # each model's own class; `last` is the stream at the last token [n, width]
PAD = 0  # pads rows
END = 1  # closes an answer
START = 2  # opens one


class LanguageModel(TextModel):
    """A model of the next token.

    rate: of the Muon steps on matrices; `table_rate` of the Adam steps on everything else.
    """

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        rate: float = 0.02,
        table_rate: float = 0.006,
        **options: object,
    ) -> None:
        super().__init__(context, vocabulary, rate=rate, table_rate=table_rate, **options)
        self.rate, self.table_rate = rate, table_rate

    def recipe(self, texts: int) -> Recipe:
        """Small batches, and no average: the rate ends at 0."""
        return Recipe(steps=max(600, min(6000, 8 * texts // 32)), batch=32, ema=0.0)

    @abstractmethod
    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each one: [n, length] -> [n, length, vocabulary]."""

    @abstractmethod
    def begin(self, prompts: Sequence[Tensor]) -> tuple[State, Tensor]:
        """Read prompts of any lengths: the state after them, and logits [n, vocabulary] of the next token."""

    @abstractmethod
    def advance(self, state: State, tokens: Tensor) -> tuple[State, Tensor]:
        """Read one more token of each row: [n] -> the next state and logits [n, vocabulary]."""

    @abstractmethod
    def keep(self, state: State, rows: Tensor) -> State:
        """The state of these rows, in this order; a row may come more than once."""

    def optimizers(self) -> Optimizers:
        """Muon for the matrices between layers, Adam for tables, the last layer and vectors."""
        inner = [weight for name, weight in self.named_parameters() if self._is_inner(name, weight)]
        outer = [weight for name, weight in self.named_parameters() if not self._is_inner(name, weight)]
        adam = torch.optim.AdamW(outer, self.table_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
        return {"muon": Muon(inner, self.rate), "adam": adam} if inner else {"adam": adam}

    def _is_inner(self, name: str, weight: Tensor) -> bool:
        return weight.ndim == 2 and not name.startswith(("table", "head", "hashed", "pointer.share"))

    def loss(self, tokens: Tensor, starts: Tensor) -> Tensor:
        """Mean negative log-likelihood of a learned token, in nats."""
        rows = tokens[:, : int((tokens != PAD).sum(1).max())]
        logits, targets = self(rows[:, :-1]), rows[:, 1:]
        positions = torch.arange(1, rows.shape[1], device=rows.device)
        learned = (targets != PAD) & (positions >= starts[:, None])
        return self.shared_mean(
            F.cross_entropy(logits[learned].float(), targets[learned]), int(learned.sum())
        )

    def shared_mean(self, mean: Tensor, count: int) -> Tensor:
        """This process's mean over `count` tokens, weighted so that all processes' average is that over all tokens."""
        if self.mean_over_processes is None:
            return mean
        weight = count / max(self.mean_over_processes(float(count)), 1e-9)
        return mean.nan_to_num() * weight  # where nothing is learned there is no mean

    def step(
        self, rows: Tensor, starts: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """Take one step; rates rise for the first 2% and fall to 0 over the last 60%."""
        share = min(1.0, (progress + 0.002) / 0.02, (1.0 - progress) / 0.6)
        for name, optimizer in optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = share * (self.rate if name == "muon" else self.table_rate)
            optimizer.zero_grad(set_to_none=True)
        loss = self.loss(rows, starts)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers.values():
            optimizer.step()
        return {"loss": loss}


@torch.no_grad()
def log_likelihoods(model: LanguageModel, rows: Tensor, *, batch: int = 256) -> Tensor:
    """Natural log probability of each token but the first given those before: [n, length] -> [n, length - 1]."""
    model.eval()
    parts = []
    for part in torch.split(rows, batch):
        logits = model(part[:, :-1].long()).float()
        parts.append(
            -F.cross_entropy(logits.flatten(0, 1), part[:, 1:].long().flatten(), reduction="none").view(
                len(part), -1
            )
        )
    return torch.cat(parts)
