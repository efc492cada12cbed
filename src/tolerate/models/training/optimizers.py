"""Assignment of weights to optimisers, and a step of several optimisers."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from tolerate.models.base import Optimizers
from tolerate.models.training.muon import Muon


def adam(weights: Iterable[nn.Parameter], rate: float, decay: float = 0.01) -> torch.optim.Optimizer:
    """AdamW with the settings that encoders are trained with."""
    return torch.optim.AdamW(weights, rate, betas=(0.9, 0.99), weight_decay=decay, fused=True)


def split_parameters(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices between layers, and all other weights: embeddings (and what is tied to them), norms, biases.

    >>> matrices, others = split_parameters(nn.Sequential(nn.Embedding(5, 2), nn.Linear(2, 2)))
    >>> len(matrices), len(others)
    (1, 2)
    """
    embeddings = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
    weights = list(module.parameters())
    matrices = [weight for weight in weights if weight.ndim == 2 and id(weight) not in embeddings]
    chosen = {id(weight) for weight in matrices}
    return matrices, [weight for weight in weights if id(weight) not in chosen]


def matrix_optimizers(module: nn.Module, rates: Mapping[str, float]) -> Optimizers:
    """Muon for the matrices, AdamW for the rest."""
    matrices, others = split_parameters(module)
    return {"muon": Muon(matrices, rates["muon"]), "adam": adam(others, rates["adam"], 0.0)}


def optimizer_step(optimizers: Optimizers, rates: Mapping[str, float], loss: Tensor, share: float) -> None:
    """Take one step of all optimisers down a loss, each at this share of its rate."""
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = share * rates[name]
        optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers.values():
        optimizer.step()


def length_buckets(rows: Tensor, pad: int, size: int = 16) -> list[Tensor]:
    """Indices of rows in groups of similar length, at least `size` each, so that little padding is computed.

    >>> [bucket.tolist() for bucket in length_buckets(torch.tensor([[1, 1], [1, 0], [1, 1], [1, 0]]), 0, size=2)]
    [[1, 3], [0, 2]]
    """
    order = (rows != pad).sum(1).argsort(stable=True)
    return list(order.tensor_split(max(1, len(rows) // size)))
