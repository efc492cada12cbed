"""The check of pictures: a reader that says which class a picture shows, or that it shows none.

Two small networks (Lakshminarayanan et al. 2017, Simple and Scalable Predictive Uncertainty
Estimation using Deep Ensembles) learn from real pictures that no generator, judge or metric has
seen, and from nonsense made of them. Together they read a class if it is likelier than all else
together, and none otherwise. A drawing is wrong if it is read as another class than was requested,
or as none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.checks import Verdicts
from tolerate.errors import DataError
from tolerate.messages.catalogue import message
from tolerate.models.pictures.evaluation.classifier import (
    ClassifierOptions,
    ReportShare,
    class_probabilities,
    image_shape,
    train_classifier,
)
from tolerate.models.pictures.evaluation.networks import PictureNetworks

MEMBERS = 2
FOLDS = 10  # each member does not learn from one of them, which sets the floor
REFUSED_SHARE = (
    0.03  # of those pictures that the floor may refuse; it is lower than one half where it must be
)
MEMBER_SEEDS = 7919  # from one member's seed to the next


@dataclass(frozen=True)
class PicturesRead:
    """Labels read from pictures [n], len(classes) for none, and the probability of the likeliest class [n]."""

    labels: Ints
    certainty: Floats
    classes: tuple[str, ...]

    def names(self) -> list[str]:
        """The labels by name."""
        names = [*self.classes, message("read.none")]
        return [names[label] for label in self.labels]


@dataclass(frozen=True)
class PictureReader(PictureNetworks):
    """Reads pictures of one shape."""

    names = tuple(str(member) for member in range(MEMBERS))

    floor: float  # a class is read if its probability reaches this
    pictures: int  # real ones it learned from

    def read(self, images: Contents) -> PicturesRead:
        """Read the class that each picture shows, or none."""
        self.check_shape(images)
        votes = [class_probabilities(network, images) for network in self.networks]
        probabilities: Floats = np.mean(votes, axis=0)[:, : len(self.classes)]
        best = probabilities.max(axis=1, initial=0.0)
        labels = np.where(best >= self.floor, probabilities.argmax(axis=1), len(self.classes))
        return PicturesRead(labels.astype(np.int64), best, self.classes)

    def __call__(self, contents: Contents, requests: Ints) -> Verdicts:
        """Loss 1 where a drawing is read as another class than the requested one, or as none."""
        read = self.read(contents)
        return Verdicts((read.labels != requests).astype(np.float64), read.names())


def fit_reader(
    images: Contents,
    labels: Ints,
    classes: Sequence[str],
    seed: int = 0,
    options: ClassifierOptions | None = None,
    on_progress: ReportShare | None = None,
) -> PictureReader:
    """Train a reader on real pictures; the same for the same pictures and seed.

    Each network learns from nine tenths of them; its probabilities on the last tenth set the floor: one half, or
    less where pictures are so hard to read that one half would refuse more than three in a hundred.
    """
    if len(images) < 2 * FOLDS:
        raise DataError(f"a reader cannot learn from {len(images)} pictures; expected {2 * FOLDS} at least")
    options = options or reader_options(len(images))
    folds = np.random.default_rng(seed).permutation(len(images)) % FOLDS
    networks, certainties = [], []
    for member in range(MEMBERS):
        rest = folds != member
        report = None if on_progress is None else _member_progress(on_progress, member)
        member_seed = seed + MEMBER_SEEDS * member
        network = train_classifier(images[rest], labels[rest], len(classes), options, member_seed, report)
        certainties.append(class_probabilities(network, images[~rest])[:, : len(classes)].max(axis=1))
        networks.append(network)
    floor = min(0.5, float(np.quantile(np.concatenate(certainties), REFUSED_SHARE)))
    shape = image_shape(images)
    return PictureReader(tuple(networks), tuple(classes), shape, options, floor, len(images))


def reader_options(pictures: int) -> ClassifierOptions:
    """A short training where there is little to learn from, a longer one where there is more."""
    return ClassifierOptions(steps=350 if pictures < 5000 else 1100, rate=6e-3)


def _member_progress(report: ReportShare, member: int) -> ReportShare:
    """Progress of one member as progress of all."""
    return lambda share: report((member + share) / MEMBERS)
