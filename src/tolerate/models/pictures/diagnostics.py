"""Failures of trained generators, detected by comparing what they draw with real pictures."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tolerate.models.base import TrainingDiagnosis

PICTURES_PER_CLASS = 64  # that are compared, at most
MIN_PICTURES = 8  # of a class, for it to be compared
MAX_CLASSES = 20  # that are compared
FAILED_SHARE = 0.1  # of the real pictures' variety, below which draws have collapsed or ignore their class


@torch.no_grad()
def diagnose_draws(
    draw: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
) -> list[TrainingDiagnosis]:
    """Whether `draw` makes as various pictures as the real ones, and different ones for different classes."""
    real = _pictures_by_class(images, labels)
    if not real:
        return []
    requests = torch.tensor([label for label, pictures in real.items() for _ in pictures])
    pictures = draw(requests)
    drawn = {label: pictures[requests == label] for label in real}
    return [*_collapsed_classes(drawn, real), *_ignored_classes(drawn, real)]


def _pictures_by_class(images: Tensor, labels: Tensor) -> dict[int, Tensor]:
    """The first pictures of the first classes, without classes that have too few."""
    pictures_by_class = {}
    for label in sorted(set(labels.tolist()))[:MAX_CLASSES]:
        pictures = images[labels == label][:PICTURES_PER_CLASS].cpu()
        if len(pictures) >= MIN_PICTURES:
            pictures_by_class[label] = pictures
    return pictures_by_class


def _collapsed_classes(drawn: Mapping[int, Tensor], real: Mapping[int, Tensor]) -> list[TrainingDiagnosis]:
    """Classes whose draws lie far closer to each other than their real pictures do."""
    shares = {
        label: _median_nearest(drawn[label]) / max(_median_nearest(real[label]), 1e-12) for label in real
    }
    collapsed = [label for label, share in shares.items() if share < FAILED_SHARE]
    if not collapsed:
        return []
    names = ", ".join(map(str, collapsed[:5])) + (" and others" if len(collapsed) > 5 else "")
    saw = (
        f"draws of class {names} are nearly all alike: the typical distance to the nearest other draw is "
        f"{shares[collapsed[0]]:.1%} of that between real pictures"
    )
    advice = (
        "more latent variables or a smaller beta; for adversarial models R1 and R2, larger batches, or r3gan"
    )
    return [TrainingDiagnosis("collapse", saw, advice)]


def _median_nearest(pictures: Tensor) -> float:
    """The median distance of a picture to the nearest other one."""
    flat = pictures.flatten(1)
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return float(distances.fill_diagonal_(math.inf).min(1).values.median())


def _ignored_classes(drawn: Mapping[int, Tensor], real: Mapping[int, Tensor]) -> list[TrainingDiagnosis]:
    """Draws whose mean hardly differs between classes, where that of the real pictures does."""
    if len(real) < 2:
        return []
    share = _variance_between_classes(drawn) / max(_variance_between_classes(real), 1e-12)
    if share >= FAILED_SHARE:
        return []
    saw = (
        f"the means of different classes' draws differ by {share:.1%} of what the real ones do (in variance)"
    )
    advice = "longer training, or check that labels belong to their pictures"
    return [TrainingDiagnosis("ignores-class", saw, advice)]


def _variance_between_classes(pictures_by_class: Mapping[int, Tensor]) -> float:
    """The variance of the classes' mean pictures, summed over pixels."""
    means = torch.stack([pictures.mean(0).flatten() for pictures in pictures_by_class.values()])
    return float(means.var(0).sum())
