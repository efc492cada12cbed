"""Reconstruction error as an anomaly score: what a model cannot draw again, it does not know.

An and Cho (2015), Variational Autoencoder based Anomaly Detection using Reconstruction Probability.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from tolerate.checks import Contents, Floats, Ints
from tolerate.models.base import generator
from tolerate.models.pictures.evaluation.classifier import each, tensor
from tolerate.models.pictures.evaluation.metrics import auroc
from tolerate.models.pictures.evaluation.nonsense import NONSENSE


class Reconstructs(Protocol):
    """Anything that draws pictures again, as an autoencoder does."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """The same pictures as far as the model can say them, in [0, 1]."""


def reconstruction_errors(model: Reconstructs, images: Contents) -> Floats:
    """Squared error of each picture's reconstruction, summed over pixels: [n], higher is stranger."""
    again: Callable[[Tensor], Tensor] = model.reconstruct
    return each(images, lambda part: ((again(part) - part) ** 2).flatten(1).sum(dim=1))


def anomaly_auroc(model: Reconstructs, known: Contents, strange: Contents) -> float:
    """Chance that a strange picture has a larger error than a known one: 1 tells all apart, .5 is chance."""
    return auroc(reconstruction_errors(model, known), reconstruction_errors(model, strange))


def nonsense_auroc(model: Reconstructs, images: Contents, labels: Ints, seed: int = 0) -> dict[str, float]:
    """The same against each kind of nonsense made from the pictures: shuffled, halved, overlaid, ..."""
    pictures, truth = tensor(images), torch.as_tensor(labels)
    strange = {
        name: kind(pictures, truth, generator(seed + place)).numpy()
        for place, (name, kind) in enumerate(NONSENSE.items())
    }
    return {name: anomaly_auroc(model, images, pictures) for name, pictures in strange.items()}
