"""Usual failures of training, detected from losses and weights, each with what to try."""

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from tolerate.models.base import TrainingDiagnosis

WINNING_ACCURACY = 0.98  # above which a discriminator has won, if the generator's loss does not fall


def not_finite(line: Mapping[str, float], model: nn.Module, step: int) -> TrainingDiagnosis | None:
    """A loss or a weight that is infinite or not a number; the training returns to the last good weights."""
    losses = [name for name, value in line.items() if not math.isfinite(value)]
    weights = [name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())]
    if not losses and not weights:
        return None
    subject = f"the loss {losses[0]}" if losses else f"the weight {weights[0]}"
    return TrainingDiagnosis(
        "not-finite",
        f"{subject} became infinite or no number by step {step}; the weights of the log line before were kept",
        "a lower learning rate, float32 instead of bf16, or pictures scaled to [0, 1]",
        step,
    )


def discriminator_wins(history: Sequence[Mapping[str, float]]) -> list[TrainingDiagnosis]:
    """A discriminator that classifies nearly everything correctly while the generator's loss does not fall.

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
    if accuracy < WINNING_ACCURACY or _mean(late, "g_loss") < _mean(before, "g_loss"):
        return []
    saw = (
        f"the discriminator told {accuracy:.1%} of pictures apart in the last quarter, and the generator's "
        f"loss went from {_mean(before, 'g_loss'):.3g} to {_mean(late, 'g_loss'):.3g}"
    )
    advice = "a lower learning rate for the discriminator, R1 regularisation, smoothed labels, or r3gan"
    return [TrainingDiagnosis("discriminator-wins", saw, advice, int(late[-1]["step"]))]


def _mean(lines: Iterable[Mapping[str, float]], name: str) -> float:
    values = [line[name] for line in lines]
    return sum(values) / len(values)
