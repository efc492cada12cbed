"""A check by rule: a drawing of a class has about as much ink as real ones of that class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.checks import Verdicts
from tolerate.messages.catalogue import message

SLACK = 0.25  # of the range seen on real pictures, allowed beyond each end


@dataclass(frozen=True)
class Ink:
    """Mean brightness that each class may have: [classes] from low to high, in [0, 1]."""

    low: Floats
    high: Floats

    def __call__(self, contents: Contents, requests: Ints) -> Verdicts:
        """Wrong is a picture with much less or much more ink than real ones of the class asked for."""
        ink = _ink(contents)
        less, more = ink < self.low[requests], ink > self.high[requests]
        usual = message("read.usual_ink")
        reads = [
            message("read.little_ink") if too_little else message("read.much_ink") if too_much else usual
            for too_little, too_much in zip(less, more, strict=True)
        ]
        return Verdicts((less | more).astype(np.float64), reads)


def fit_ink(images: Contents, labels: Ints, classes: Sequence[str], seed: int = 0) -> Ink:
    """Learn how much ink real pictures of each class have.

    >>> images, labels = np.full((4, 1, 2, 2), 0.5), np.array([0, 0, 1, 1])
    >>> fit_ink(images, labels, ["a", "b"])(np.zeros((1, 1, 2, 2)), np.array([1])).reads
    ['too little ink']
    """
    ink = _ink(images)
    low = np.array([ink[labels == label].min() for label in range(len(classes))])
    high = np.array([ink[labels == label].max() for label in range(len(classes))])
    room = SLACK * (high - low)
    return Ink(low - room, high + room)


def _ink(images: NDArray[np.generic]) -> Floats:
    scale = 255 if images.dtype == np.uint8 else 1
    return np.asarray(images.reshape(len(images), -1).mean(axis=1, dtype=np.float64) / scale)
