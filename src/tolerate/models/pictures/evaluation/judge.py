"""The judge of pictures: one narrow network with its own real pictures; it only ranks.

Its score is the probability that it gives to the requested class. What looks like no class takes
probability away from every class, so the score falls for what is untypical as well as for what
looks like another class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.models.pictures.evaluation.classifier import (
    ClassifierOptions,
    ReportShare,
    class_probabilities,
    image_shape,
    train_classifier,
)
from tolerate.models.pictures.evaluation.networks import PictureNetworks


@dataclass(frozen=True)
class NetworkJudge(PictureNetworks):
    """Scores drawings of one shape."""

    names = ("judge",)

    def __call__(self, contents: Contents, requests: Ints) -> Floats:
        """The network's probability that each drawing shows the requested class: [n] in [0, 1]."""
        self.check_shape(contents)
        probabilities = class_probabilities(self.networks[0], contents)
        return np.asarray(probabilities[np.arange(len(probabilities)), requests])


def fit_judge(
    images: Contents,
    labels: Ints,
    classes: Sequence[str],
    seed: int = 0,
    options: ClassifierOptions | None = None,
    on_progress: ReportShare | None = None,
) -> NetworkJudge:
    """Train a judge on its own real pictures; the same for the same pictures and seed."""
    options = options or ClassifierOptions(steps=300 if len(images) < 2000 else 900, batch=32, rate=6e-3)
    network = train_classifier(images, labels, len(classes), options, seed + 1, on_progress)
    return NetworkJudge((network,), tuple(classes), image_shape(images), options)
