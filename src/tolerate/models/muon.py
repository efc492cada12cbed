"""Muon: momentum whose matrices are made orthogonal. Jordan et al. 2024, "Muon: an optimizer for hidden layers".

PyTorch has its own (`torch.optim.Muon`), which orthogonalises one matrix after the other in bfloat16. On a CPU
without bfloat16 units that is slow; this one works in float32 and takes matrices of one shape together.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

A, B, C = 3.4445, -4.7750, 2.0315  # of the quintic iteration, as published


@torch.no_grad()
def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Matrices [n, rows, columns] with singular values brought near 1, vectors kept (Newton-Schulz).

    >>> values = torch.linalg.svdvals(orthogonal(torch.randn(2, 8, 5, generator=torch.manual_seed(0))))
    >>> bool(((values > 0.6) & (values < 1.3)).all())
    True
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = A * x + (B * square + C * square @ square) @ x
    found: Tensor = x.mT if tall else x
    return found


class Muon(torch.optim.Optimizer):
    """Steps of one size in every direction of a matrix; for weights with two dimensions only.

    rate: of a step; its root mean square an entry is 0.2 times the rate, as Adam's is about
    (Liu et al. 2025, arXiv:2502.16982). decay: decoupled weight decay, times the rate.
    """

    def __init__(
        self, weights: Iterable[Tensor], rate: float = 0.02, momentum: float = 0.95, decay: float = 0.0
    ) -> None:
        super().__init__(weights, {"lr": rate, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step on all weights that have a gradient."""
        for group in self.param_groups:
            ready = sorted((w for w in group["params"] if w.grad is not None), key=lambda w: tuple(w.shape))
            for _, same in groupby(ready, key=lambda w: tuple(w.shape)):
                self._step_alike(list(same), group)

    def _step_alike(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Nesterov momentum, then the orthogonal matrix of it; equal shapes in one batch."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        momenta = [self._momentum(weight) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        updates = orthogonal(torch.stack(ahead))
        size = group["lr"] * 0.2 * max(weights[0].shape) ** 0.5
        torch._foreach_mul_(weights, 1 - group["lr"] * group["decay"])
        torch._foreach_add_(weights, list(updates.unbind()), alpha=-size)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        found: Tensor = state["momentum"]
        return found
