"""The check of pictures: a reader that says which class a picture shows, or that it shows none.

Two small networks (Lakshminarayanan et al. 2017, Simple and Scalable Predictive Uncertainty
Estimation using Deep Ensembles) learn from real pictures that no generator, judge or metric has
seen, and beside them from nonsense. Together they read a class if it is likelier than all else
together, and none otherwise. A drawing is wrong if it is read as another class than was asked for,
or as none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tolerate.checks import Contents, Floats, Ints, Verdicts
from tolerate.errors import DataError
from tolerate.messages.catalogue import message
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

MEMBERS = 2
TENTH = 10  # one picture in so many is kept from each member, to set the floor
REFUSED = 0.03  # share of those that the floor may refuse; it is lower than one half where it must be


@dataclass(frozen=True)
class Reading:
    """What was read: labels [n], len(classes) for none, and the probability of the likeliest class [n]."""

    labels: Ints
    certainty: Floats
    classes: tuple[str, ...]

    def words(self) -> list[str]:
        """The readings by name."""
        names = [*self.classes, message("read.none")]
        return [names[label] for label in self.labels]


@dataclass(frozen=True)
class Reader:
    """Reads pictures of one shape."""

    networks: tuple[Network, ...]
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    floor: float  # a class is read if its probability reaches this
    pictures: int  # real ones it learned from
    course: Course

    def read(self, images: Contents) -> Reading:
        """Which class each picture shows, or none."""
        fitting(images, self.shape)
        votes = [probabilities(network, images) for network in self.networks]
        likely: Floats = np.mean(votes, axis=0)[:, : len(self.classes)]
        best = likely.max(axis=1, initial=0.0)
        labels = np.where(best >= self.floor, likely.argmax(axis=1), len(self.classes))
        return Reading(labels.astype(np.int64), best, self.classes)

    def __call__(self, contents: Contents, requests: Ints) -> Verdicts:
        """Loss 1 where a drawing is read as another class than was asked for, or as none."""
        reading = self.read(contents)
        return Verdicts((reading.labels != requests).astype(np.float64), reading.words())

    def save(self, path: Path) -> None:
        """Write the reader as one safetensors file."""
        about = {
            "classes": self.classes,
            "shape": self.shape,
            "floor": self.floor,
            "pictures": self.pictures,
            "course": vars(self.course),
        }
        save_networks(path, {str(place): network for place, network in enumerate(self.networks)}, about)


def fit_reader(
    images: Contents,
    labels: Ints,
    classes: Sequence[str],
    seed: int = 0,
    course: Course | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Reader:
    """Teach a reader on real pictures; the same for the same pictures and seed.

    Each network misses a tenth of them, and what it makes of that tenth sets the floor: one half, or
    less where pictures are so hard to read that one half would refuse more than three in a hundred.
    """
    if len(images) < 2 * TENTH:
        raise DataError(f"a reader cannot learn from {len(images)} pictures; expected {2 * TENTH} at least")
    course = course or course_for(len(images))
    fold = np.random.default_rng(seed).permutation(len(images)) % TENTH
    networks, kept = [], []
    for member in range(MEMBERS):
        rest = fold != member
        report = None if on_progress is None else _share(on_progress, member)
        mine = seed + 7919 * member
        network = teach(images[rest], labels[rest], len(classes), course, seed=mine, on_progress=report)
        kept.append(probabilities(network, images[~rest])[:, : len(classes)].max(axis=1))
        networks.append(network)
    floor = min(0.5, float(np.quantile(np.concatenate(kept), REFUSED)))
    channels, height, width = images.shape[1:]
    return Reader(tuple(networks), tuple(classes), (channels, height, width), floor, len(images), course)


def course_for(pictures: int) -> Course:
    """Short where there is little to learn from, longer where there is more."""
    return Course(steps=350, rate=6e-3) if pictures < 5000 else Course(steps=1100, rate=6e-3)


def _share(report: Callable[[float], None], member: int) -> Callable[[float], None]:
    """Progress of one member as progress of all."""
    return lambda share: report((member + share) / MEMBERS)


def load_reader(path: Path) -> Reader:
    """The reader that `save` wrote."""
    about = read_about(path)
    shape, classes, course = tuple(about["shape"]), tuple(about["classes"]), Course(**about["course"])
    outputs = len(classes) + course.nonsense
    networks = load_networks(path, shape, outputs, course)
    return Reader(tuple(networks.values()), classes, shape, about["floor"], about["pictures"], course)
