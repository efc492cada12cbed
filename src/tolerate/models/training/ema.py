"""The exponential moving average of a model's weights: the weights that a trained model keeps."""

import torch
from torch import Tensor, nn


class WeightAverage:
    """Weights averaged over about the last 1 / (1 - decay) steps.

    In the first steps the decay is (1 + step) / (10 + step), so that the initial weights, which know nothing, soon
    lose their influence. A decay of 0 keeps no average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live: list[Tensor] = [weight for _, weight in model.named_parameters()] if decay else []
        self.weights: dict[str, Tensor] = (
            {name: weight.detach().clone() for name, weight in model.named_parameters()} if decay else {}
        )

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after a step, counted from 0."""
        if self.weights:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.weights.values()), self._live, 1 - decay)

    @torch.no_grad()
    def apply(self, model: nn.Module) -> None:
        """Replace the model's weights by their average."""
        for name, weight in model.named_parameters():
            if name in self.weights:
                weight.copy_(self.weights[name])
