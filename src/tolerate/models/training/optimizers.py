"""How weights are moved: which optimiser moves which, and one step of all of them at once."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from tolerate.models.base import Optimizers
from tolerate.models.training.muon import Muon


def adam(weights: Iterable[nn.Parameter], rate: float, decay: float = 0.01) -> torch.optim.Optimizer:
    """AdamW as the house uses it."""
    return torch.optim.AdamW(weights, rate, betas=(0.9, 0.99), weight_decay=decay, fused=True)


def parted(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices between layers, and all else: embeddings (and what is tied to them), norms, biases.

    >>> inner, others = parted(nn.Sequential(nn.Embedding(5, 2), nn.Linear(2, 2)))
    >>> [len(each) for each in (inner, others)]
    [1, 2]
    """
    tables = {id(one.weight) for one in module.modules() if isinstance(one, nn.Embedding)}
    weights = list(module.parameters())
    inner = [one for one in weights if one.ndim == 2 and id(one) not in tables]
    chosen = {id(one) for one in inner}
    return inner, [one for one in weights if id(one) not in chosen]


def matrix_optimizers(module: nn.Module, rates: Mapping[str, float]) -> Optimizers:
    """Muon for the matrices, AdamW for the rest."""
    inner, others = parted(module)
    return {"muon": Muon(inner, rates["muon"]), "adam": adam(others, rates["adam"], 0.0)}


def stepped(optimizers: Optimizers, rates: Mapping[str, float], loss: Tensor, share: float) -> None:
    """One step of all optimisers down a loss, each at this share of its rate."""
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = share * rates[name]
        optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers.values():
        optimizer.step()


def alike(rows: Tensor, pad: int, least: int = 16) -> list[Tensor]:
    """Rows in groups of like length, so that little is computed for what fills them up; `least` in a group.

    >>> [each.tolist() for each in alike(torch.tensor([[1, 1], [1, 0], [1, 1], [1, 0]]), 0, least=2)]
    [[1, 3], [0, 2]]
    """
    order = (rows != pad).sum(1).argsort(stable=True)
    return list(order.tensor_split(max(1, len(rows) // least)))
