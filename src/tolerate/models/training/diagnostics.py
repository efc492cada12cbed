"""The usual failures of training, noticed and named, each with what to try."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tolerate.models.base import Model, draws

Kind = Literal["not-finite", "collapse", "ignores-class", "discriminator-wins"]
EACH = 64  # pictures of a class that are looked at
CLASSES = 20  # classes that are looked at
FEW = 0.1  # share of the real pictures' variety below which draws count as collapsed
WON = 0.98  # share told apart above which a discriminator has won, if its opponent is losing too


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong: what was seen, and what to try."""

    kind: Kind
    saw: str
    advice: str
    step: int = 0

    def to_json(self) -> dict[str, Any]:
        """The finding as plain JSON values."""
        return asdict(self)


def not_finite(line: Mapping[str, float], model: nn.Module, step: int) -> Finding | None:
    """A loss or a weight that is no number any more; the training goes back to the last good weights."""
    losses = [name for name, value in line.items() if not math.isfinite(value)]
    weights = [name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())]
    if not losses and not weights:
        return None
    what = f"the loss {losses[0]}" if losses else f"the weight {weights[0]}"
    return Finding(
        "not-finite",
        f"{what} became infinite or no number by step {step}; the weights of the log line before were kept",
        "a lower learning rate, float32 instead of bf16, or pictures scaled to [0, 1]",
        step,
    )


def discriminator_wins(history: Sequence[Mapping[str, float]]) -> list[Finding]:
    """A discriminator that tells everything apart while the generator's loss does not fall.

    >>> lost = [{"step": n, "d_accuracy": 1.0, "g_loss": float(n)} for n in range(20)]
    >>> [finding.kind for finding in discriminator_wins(lost)]
    ['discriminator-wins']
    """
    lines = [line for line in history if "d_accuracy" in line and "g_loss" in line]
    quarter = len(lines) // 4
    if not quarter:
        return []
    late, before = lines[-quarter:], lines[-2 * quarter : -quarter]
    accuracy = _mean(late, "d_accuracy")
    if accuracy < WON or _mean(late, "g_loss") < _mean(before, "g_loss"):
        return []
    saw = (
        f"the discriminator told {accuracy:.1%} of pictures apart in the last quarter, and the generator's "
        f"loss went from {_mean(before, 'g_loss'):.3g} to {_mean(late, 'g_loss'):.3g}"
    )
    advice = "a lower learning rate for the discriminator, R1 regularisation, smoothed labels, or r3gan"
    return [Finding("discriminator-wins", saw, advice, int(late[-1]["step"]))]


def _mean(lines: Iterable[Mapping[str, float]], name: str) -> float:
    values = [line[name] for line in lines]
    return sum(values) / len(values)


@torch.no_grad()
def weigh_draws(model: Model, images: Tensor, labels: Tensor, seed: int) -> list[Finding]:
    """Does a trained model draw as variously as its pictures, and another thing for another class?"""
    real = _some_of_each(images, labels)
    if not real:
        return []
    wanted = torch.tensor([label for label, pictures in real.items() for _ in pictures])
    drawn = draws(model, wanted, seed=seed)
    made = {label: drawn[wanted == label] for label in real}
    return [*_collapsed(made, real), *_ignores_class(made, real)]


def _some_of_each(images: Tensor, labels: Tensor) -> dict[int, Tensor]:
    """The first pictures of the first classes, those with too few to judge left out."""
    found = {}
    for label in sorted(set(labels.tolist()))[:CLASSES]:
        pictures = images[labels == label][:EACH].cpu()
        if len(pictures) >= 8:
            found[label] = pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
    return found


def _collapsed(made: Mapping[int, Tensor], real: Mapping[int, Tensor]) -> list[Finding]:
    """Classes of which the draws lie far closer to each other than the real pictures do."""
    shares = {label: _nearest(made[label]) / max(_nearest(real[label]), 1e-12) for label in real}
    few = [label for label, share in shares.items() if share < FEW]
    if not few:
        return []
    names = ", ".join(map(str, few[:5])) + (" and others" if len(few) > 5 else "")
    saw = (
        f"draws of class {names} are nearly all alike: the typical distance to the nearest other draw is "
        f"{shares[few[0]]:.1%} of that between real pictures"
    )
    advice = (
        "more latent variables or a smaller beta; for adversarial models R1 and R2, larger batches, or r3gan"
    )
    return [Finding("collapse", saw, advice)]


def _nearest(pictures: Tensor) -> float:
    """The median distance of a picture to the nearest other one."""
    flat = pictures.flatten(1)
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return float(distances.fill_diagonal_(math.inf).min(1).values.median())


def _ignores_class(made: Mapping[int, Tensor], real: Mapping[int, Tensor]) -> list[Finding]:
    """Draws of different classes that hardly differ in the mean, where the real ones do."""
    if len(real) < 2:
        return []
    share = _spread(made) / max(_spread(real), 1e-12)
    if share >= FEW:
        return []
    saw = (
        f"the means of different classes' draws differ by {share:.1%} of what the real ones do (in variance)"
    )
    return [Finding("ignores-class", saw, "longer training, or check that labels belong to their pictures")]


def _spread(pictures: Mapping[int, Tensor]) -> float:
    """The variance of the classes' mean pictures, summed over pixels."""
    means = torch.stack([group.mean(0).flatten() for group in pictures.values()])
    return float(means.var(0).sum())
