"""The exponential moving average of a model's weights: what draws in the end."""

import torch
from torch import Tensor

from tolerate.models.base import Model


class Average:
    """Weights averaged over the last 1 / (1 - decay) steps or so.

    While few steps are done the decay is (1 + step) / (10 + step), so that the first weights, which
    know nothing, are soon forgotten. A decay of 0 keeps no average.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.decay = decay
        self._live: list[Tensor] = [weight for _, weight in model.named_parameters()] if decay else []
        self.weights: dict[str, Tensor] = (
            {name: weight.detach().clone() for name, weight in model.named_parameters()} if decay else {}
        )

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        if self.weights:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.weights.values()), self._live, 1 - decay)

    @torch.no_grad()
    def apply(self, model: Model) -> None:
        """Put the average in the place of the weights."""
        for name, weight in model.named_parameters():
            if name in self.weights:
                weight.copy_(self.weights[name])
