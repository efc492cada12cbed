"""What pictures are compared by: the features of a small network.

Distances between sets of pictures (FID, KID, precision, recall) are taken between the features that such a network
computes from them. Figures of different networks must never stand beside each other: these are not Inception distances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.models.pictures.evaluation.classifier import (
    ClassifierOptions,
    ReportShare,
    class_probabilities,
    image_shape,
    map_batches,
    train_classifier,
)
from tolerate.models.pictures.evaluation.networks import PictureNetworks

NECK = 32  # features a picture


@dataclass(frozen=True)
class NetworkFeatures(PictureNetworks):
    """A small classifier whose last layer reads 32 numbers: those are the features."""

    names = ("features",)

    def __call__(self, images: Contents) -> Floats:
        """The features of each picture: [n, 32]."""
        self.check_shape(images)
        return map_batches(images, self.networks[0].features)

    def probabilities(self, images: Contents) -> Floats:
        """Probability of each class, for the Inception Score: [n, classes]."""
        self.check_shape(images)
        return class_probabilities(self.networks[0], images)


def fit_features(
    images: Contents,
    labels: Ints,
    classes: Sequence[str],
    seed: int = 0,
    options: ClassifierOptions | None = None,
    on_progress: ReportShare | None = None,
) -> NetworkFeatures:
    """Train a feature network on its own real pictures; the same for the same pictures and seed."""
    steps = 300 if len(images) < 2000 else 900
    options = options or ClassifierOptions(
        width=8, neck=NECK, nonsense=False, steps=steps, batch=32, rate=6e-3
    )
    network = train_classifier(images, labels, len(classes), options, seed + 2, on_progress)
    return NetworkFeatures((network,), tuple(classes), image_shape(images), options)
