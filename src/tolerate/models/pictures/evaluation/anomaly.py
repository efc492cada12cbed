"""Reconstruction error as an anomaly score: pictures that a model cannot reconstruct are unlike those it learned from.

An and Cho (2015), Variational Autoencoder based Anomaly Detection using Reconstruction Probability.
"""

from typing import Protocol

from torch import Tensor

from tolerate.base.arrays import Contents, Floats
from tolerate.models.pictures.evaluation.classifier import map_batches
from tolerate.models.pictures.evaluation.metrics import auroc


class Autoencoder(Protocol):
    """A model that reconstructs pictures."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """The pictures as the model can represent them, in [0, 1]."""


def reconstruction_errors(model: Autoencoder, images: Contents) -> Floats:
    """Squared error of each picture's reconstruction, summed over pixels: [n], higher is stranger."""

    def errors(part: Tensor) -> Tensor:
        return ((model.reconstruct(part) - part) ** 2).flatten(1).sum(dim=1)

    return map_batches(images, errors)


def anomaly_auroc(model: Autoencoder, familiar: Contents, strange: Contents) -> float:
    """Chance that a strange picture has a larger error than a familiar one: 1 separates all, 0.5 is chance."""
    return auroc(reconstruction_errors(model, familiar), reconstruction_errors(model, strange))
