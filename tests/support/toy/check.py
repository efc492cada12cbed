"""A check of melodies: every note is one that real melodies of the scale have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.support.toy.modality import NOTES
from tolerate.base.arrays import Bools, Contents, Ints
from tolerate.checks import Verdicts


@dataclass(frozen=True)
class ScaleCheck:
    """allowed: [scales, notes]."""

    allowed: Bools

    def __call__(self, melodies: Contents, scales: Ints) -> Verdicts:
        wrong = ~self.allowed[scales[:, None], melodies].all(1)
        return Verdicts(wrong.astype(float), ["out of scale" if fault else "in scale" for fault in wrong])


def fit_scales(melodies: Contents, scales: Ints, names: Sequence[str], seed: int) -> ScaleCheck:
    """Learn which notes each scale has."""
    allowed = np.zeros((len(names), len(NOTES)), dtype=bool)
    for scale, melody in zip(scales, melodies, strict=True):
        allowed[scale, melody] = True
    return ScaleCheck(allowed)
