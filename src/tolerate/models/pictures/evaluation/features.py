"""What pictures are compared by: a small network of our own, or any module of the user's.

Distances between sets of pictures (FID, KID, precision, recall) are taken between what such a network
finds in them. Figures of different networks must never stand beside each other: these are not
Inception distances.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tolerate.base.registry import attribute
from tolerate.checks import Contents, Floats, Ints
from tolerate.errors import OptionError
from tolerate.models.pictures.evaluation.classifier import (
    Course,
    Network,
    each,
    fitting,
    load_networks,
    probabilities,
    read_about,
    save_networks,
    teach,
)

Features = Callable[[Contents], Floats]  # pictures [n, channels, height, width] -> [n, width]
NECK = 32


@dataclass(frozen=True)
class OwnFeatures:
    """A small classifier whose last layer reads 32 numbers: those are the features."""

    network: Network
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    course: Course

    def __call__(self, images: Contents) -> Floats:
        """What is found in each picture: [n, 32]."""
        fitting(images, self.shape)
        return each(images, self.network.features)

    def probabilities(self, images: Contents) -> Floats:
        """Probability of each class, for the Inception Score: [n, classes]."""
        fitting(images, self.shape)
        return probabilities(self.network, images)

    def save(self, path: Path) -> None:
        """Write the network as one safetensors file."""
        about = {"classes": self.classes, "shape": self.shape, "course": vars(self.course)}
        save_networks(path, {"features": self.network}, about)


def fit_features(
    images: Contents,
    labels: Ints,
    classes: Sequence[str],
    seed: int = 0,
    course: Course | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> OwnFeatures:
    """Teach a feature network on its own real pictures; the same for the same pictures and seed."""
    short = len(images) < 2000
    course = course or Course(
        width=8, neck=NECK, nonsense=False, steps=300 if short else 900, batch=32, rate=6e-3
    )
    network = teach(images, labels, len(classes), course, seed=seed + 2, on_progress=on_progress)
    channels, height, width = images.shape[1:]
    return OwnFeatures(network, tuple(classes), (channels, height, width), course)


def load_features(path: Path) -> OwnFeatures:
    """The feature network that `save` wrote."""
    about = read_about(path)
    shape, classes, course = about["shape"], about["classes"], Course(**about["course"])
    return OwnFeatures(load_networks(path, shape, len(classes), course)["features"], classes, shape, course)


class Floating(nn.Module):
    """A module that takes pictures as bytes or as floats in [0, 1] and gives one row of numbers each.

    torchmetrics hands bytes to some of its metrics' networks and floats to others; this casts. One
    channel is repeated where the module inside wants three (`channels`).
    """

    def __init__(self, module: Callable[[Tensor], Tensor], channels: int | None = None) -> None:
        super().__init__()
        self.module, self.channels = module, channels

    def forward(self, images: Tensor) -> Tensor:
        """Rows of features: [n, width]."""
        pictures = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        if self.channels is not None and pictures.shape[1] == 1:
            pictures = pictures.expand(-1, self.channels, -1, -1)
        found = self.module(pictures)
        return found.flatten(1)


def find_features(name: str, channels: int | None = None) -> Features:
    """The features that a torch module `package.module:attribute` finds, whatever its type of input.

    channels: how many the module wants, where pictures of one channel are to be repeated.
    """
    found = attribute(name)
    if not callable(found):
        raise OptionError(
            f"{name} is {found!r}, expected a torch module or a function of a batch of pictures"
        )
    module = Floating(found.eval() if isinstance(found, nn.Module) else found, channels)

    def features(images: Contents) -> Floats:
        rows = each(images, module)
        if rows.ndim != 2 or len(rows) != len(images) or not np.isfinite(rows).all():
            raise OptionError(f"{name} gave {rows.shape} for {images.shape}, expected finite rows [n, width]")
        return rows

    return features
