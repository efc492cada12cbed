"""Small parts that several models are built from."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mlp(widths: list[int], activation: type[nn.Module] = nn.SiLU) -> nn.Sequential:
    """Linear layers of these widths, an activation between them and none at the end."""
    layers: list[nn.Module] = []
    for number, (into, out) in enumerate(pairwise(widths)):
        layers += [activation()] if number else []
        layers += [nn.Linear(into, out)]
    return nn.Sequential(*layers)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Labels as rows of zeros and a one: [n, classes]."""
    return F.one_hot(labels, classes).float()


def pixels(shape: tuple[int, int, int]) -> int:
    """How many numbers a picture has."""
    return math.prod(shape)


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
