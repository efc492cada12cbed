"""Muon: momentum whose matrices are made orthogonal. Jordan et al. 2024, "Muon: an optimizer for hidden layers".

PyTorch has its own (`torch.optim.Muon`), which orthogonalises one matrix after the other in bfloat16. On a CPU
without bfloat16 units that is slow; this one works in float32 and takes matrices of one shape together.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby

import torch
from torch import Tensor

POLAR = (  # coefficients of the polynomials, step by step: Amsel et al. 2025, arXiv:2505.16932, Algorithm 1
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845749493, 0.4188073119525673),
)
MARGIN = 1.01  # so that rounding leaves no singular value above 1


@torch.no_grad()
def orthogonalize(matrices: Tensor, steps: int = 3) -> Tensor:
    """Matrices [n, rows, columns] with singular values near 1 and their singular vectors unchanged (Polar Express).

    After three steps the values lie between about 0.3 and 1.9, which trains as well as five steps do and costs less.

    >>> values = torch.linalg.svdvals(orthogonalize(torch.randn(2, 8, 5, generator=torch.manual_seed(0)), steps=5))
    >>> bool(((values > 0.8) & (values < 1.2)).all())
    True
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) * MARGIN + 1e-7)
    for a, b, c in (POLAR + (POLAR[-1],) * steps)[:steps]:
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Updates of equal size in every direction of a matrix; for weights with two dimensions only.

    rate: of a step; its root mean square an entry is 0.2 times the rate, as Adam's is about
    (Liu et al. 2025, arXiv:2502.16982). decay: decoupled weight decay, times the rate.
    """

    def __init__(
        self, weights: Iterable[Tensor], rate: float = 0.02, momentum: float = 0.95, decay: float = 0.0
    ) -> None:
        super().__init__(weights, {"lr": rate, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step on all weights that have a gradient."""
        for group in self.param_groups:
            ready = sorted((w for w in group["params"] if w.grad is not None), key=lambda w: tuple(w.shape))
            for _, weights in groupby(ready, key=lambda w: tuple(w.shape)):
                self._step_together(list(weights), group)

    def _step_together(self, weights: list[Tensor], group: Mapping[str, float]) -> None:
        """Nesterov momentum made orthogonal, for weights of one shape in one batch."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        momenta = [self._momentum(weight) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        updates = orthogonalize(torch.stack(ahead))
        size = group["lr"] * 0.2 * max(weights[0].shape) ** 0.5
        torch._foreach_mul_(weights, 1 - group["lr"] * group["decay"])
        torch._foreach_add_(weights, list(updates.unbind()), alpha=-size)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        return momentum
