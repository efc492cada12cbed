"""A Transformer that begins as counts: it learns where the n-gram model is wrong, and how far to trust it.

log p(token) = sum over orders of w_order(text) log p_order(token) + logits(text), normalised: a log-linear
mixture (Klakow 1998) whose weights and logits one network gives, trained together. While it learns, each token
is answered by the counts without itself; else they would look far better on the training text than
they are on new text, and the network would learn to trust them too much.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.errors import RunError
from tolerate.models.kneser_ney import KneserNey, fit_kneser_ney
from tolerate.models.model import Shape
from tolerate.models.transformer import Transformer


class Blend(Transformer):
    """The mixture; `count` must see the training text before anything else is asked of it.

    order: of the counts; kept: further orders whose answers enter with weights of their own.
    """

    def __init__(
        self, shape: Shape, classes: int, *, order: int = 7, kept: tuple[int, ...] = (2, 4), **options: Any
    ) -> None:
        super().__init__(shape, classes, order=order, kept=kept, **options)
        self.order, self.kept = order, tuple(kept)
        self.trust = nn.Linear(self.width, len(self.kept) + 1)
        nn.init.zeros_(self.trust.weight)
        with torch.no_grad():
            self.trust.bias.copy_(torch.tensor([0.0] * len(self.kept) + [1.0]))
        self.counted: KneserNey | None = None
        self.text: Tensor
        self.register_buffer("text", torch.zeros(0, dtype=torch.int32))

    def count(self, text: Sequence[int] | Tensor) -> None:
        """Count the training text; it is kept with the weights, so that the counts can be made again."""
        self.text = torch.as_tensor(text, dtype=torch.int32)
        self.counted = fit_kneser_ney(self.text.numpy(), self.classes, self.order)

    def _is_inner(self, name: str, weight: Tensor) -> bool:
        return super()._is_inner(name, weight) and not name.startswith("trust")

    def _expected(self, normed: Tensor, seen: Tensor, first: int) -> Tensor:
        """Logits of the mixture after each token from `first` on."""
        said = torch.from_numpy(self._counts_say(seen.cpu().numpy(), first)).to(normed.device)
        mixed = torch.einsum("nlk,nlkv->nlv", self.trust(normed), said)
        return super()._expected(normed, seen, first) + mixed

    def _counts_say(self, seen: "np.typing.NDArray[np.int64]", first: int) -> "np.typing.NDArray[np.float32]":
        """Log probabilities by each order after each token from `first` on: [n, new, orders, vocabulary]."""
        if self.counted is None:
            if not len(self.text):
                raise RunError("this blend has counted nothing yet; call count(training text) first")
            self.counted = fit_kneser_ney(self.text.numpy(), self.classes, self.order)
        n, length = seen.shape
        back = self.order - 1
        padded = np.pad(seen, ((0, 0), (back - 1, 0)), constant_values=-1)
        contexts = np.lib.stride_tricks.sliding_window_view(padded, back, axis=1)[:, first:]
        new = length - first
        flat = contexts.reshape(n * new, back)
        actual = None
        if self.training:  # the last token's successor is not here; it is never learned from
            actual = np.concatenate([seen[:, first + 1 :], np.zeros((n, 1), seen.dtype)], 1).reshape(-1)
        answers = self.counted.answers(flat, self.kept, actual)
        stacked = np.log(np.maximum(np.stack(answers, 1), 1e-8))
        return np.asarray(stacked.reshape(n, new, len(answers), self.classes), dtype=np.float32)

    def loss(self, tokens: Tensor, starts: Tensor) -> Tensor:
        """Mean negative log-likelihood of a learned token; all rows are read whole, so that counts see what follows."""
        logits, targets = self(tokens)[:, :-1], tokens[:, 1:]
        places = torch.arange(1, tokens.shape[1], device=tokens.device)
        learned = (places >= starts[:, None]) & (targets > 0)
        return F.cross_entropy(logits[learned].float(), targets[learned])
