"""The judge of pictures: one narrow network with its own real pictures; it only ranks.

Its score is the probability that it gives to the class asked for. What looks like no class takes
probability away from every class, so the score falls for what is untypical as well as for what
looks like another class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tolerate.checks import Contents, Floats, Ints
from tolerate.models.pictures.evaluation.classifier import (
    Course,
    Network,
    fitting,
    load_networks,
    probabilities,
    read_about,
    save_networks,
    teach,
)


@dataclass(frozen=True)
class NetworkJudge:
    """Scores drawings of one shape."""

    network: Network
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    course: Course

    def __call__(self, contents: Contents, requests: Ints) -> Floats:
        """Probability, in its opinion, that each drawing shows the class asked for: [n] in [0, 1]."""
        fitting(contents, self.shape)
        found = probabilities(self.network, contents)
        return np.asarray(found[np.arange(len(found)), requests])

    def save(self, path: Path) -> None:
        """Write the judge as one safetensors file."""
        about = {"classes": self.classes, "shape": self.shape, "course": vars(self.course)}
        save_networks(path, {"judge": self.network}, about)


def fit_judge(
    images: Contents,
    labels: Ints,
    classes: Sequence[str],
    seed: int = 0,
    course: Course | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> NetworkJudge:
    """Teach a judge on its own real pictures; the same for the same pictures and seed."""
    course = course or Course(steps=300 if len(images) < 2000 else 900, batch=32, rate=6e-3)
    network = teach(images, labels, len(classes), course, seed=seed + 1, on_progress=on_progress)
    channels, height, width = images.shape[1:]
    return NetworkJudge(network, tuple(classes), (channels, height, width), course)


def load_judge(path: Path) -> NetworkJudge:
    """The judge that `save` wrote."""
    about = read_about(path)
    shape, classes, course = about["shape"], about["classes"], Course(**about["course"])
    network = load_networks(path, shape, len(classes) + course.nonsense, course)["judge"]
    return NetworkJudge(network, classes, shape, course)
