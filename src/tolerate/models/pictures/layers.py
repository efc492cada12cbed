"""Layers, schedules and helpers that several models use."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GAIN = 1.7  # of SiLU: about what keeps the mean square of a signal


def mlp(widths: Sequence[int], activation: type[nn.Module] = nn.SiLU) -> nn.Sequential:
    """Linear layers of these widths, an activation between them and none at the end.

    Weights start with variance GAIN^2 / inputs, which keeps the size of a signal through SiLU layers
    (He et al. 2015, arXiv:1502.01852, section 2.2), biases at 0.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        linear = nn.Linear(inputs, outputs)
        nn.init.normal_(linear.weight, std=GAIN / math.sqrt(inputs))
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Take one step of an optimiser down a loss."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """One-hot rows of labels: [n, classes]."""
    return F.one_hot(labels, classes).float()


def pixels(shape: tuple[int, int, int]) -> int:
    """Number of values in a picture."""
    return math.prod(shape)


def is_small(shape: tuple[int, int, int]) -> bool:
    """Whether pictures are so small that narrow networks suffice.

    >>> is_small((1, 8, 8)), is_small((1, 28, 28))
    (True, False)
    """
    return pixels(shape) <= 256


def hidden_units(shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Units of the hidden layers that suit pictures of this shape.

    >>> hidden_units((1, 8, 8)), hidden_units((1, 28, 28))
    ((256, 256), (400, 400))
    """
    return (256, 256) if is_small(shape) else (400, 400)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def cosine(progress: float, warm: float = 0.02, floor: float = 0.0) -> float:
    """A learning rate's factor: up in a straight line, then down along half a cosine.

    >>> cosine(0.01), cosine(0.02), round(cosine(1.0), 6)
    (0.5, 1.0, 0.0)
    """
    if progress < warm:
        return progress / warm
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))


def time_features(t: Tensor, pairs: int, fastest: float = 50.0) -> Tensor:
    """Times as cosines and sines of rising frequency, so that a network can distinguish similar ones.

    t: [n, 1] in [0, 1]; returns [n, 2 pairs].
    """
    frequencies = torch.logspace(0, math.log10(fastest), pairs, device=t.device)
    return torch.cat([(frequencies * t).cos(), (frequencies * t).sin()], 1)
