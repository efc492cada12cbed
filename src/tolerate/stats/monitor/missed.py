"""The risk with what reviewers miss: a second blind reading of a random share, or seeded errors.

A reviewer who overlooks errors makes every number from their verdicts too good. Two things measure it.

**A second reading.** Each item is read again with a known chance s, drawn beside everything else, by somebody who
does not know the first verdict; where the two differ a third decides. With L1 the first loss, L the final one and M =
max(0, L - L1) what the first missed,

    risk = E[L] <= E[L1] + E[M],        M can be seen on the share that was read again: E[1{again} M / s] = E[M].

Two bounds of (1 - confidence) / 2 each, valid at all times at once, add up to one on the risk (`with_missed`). To
certify, each item's loss becomes L1 + 1{again} M / s, which has the mean of L1 + M and lies in [0, 1/s]: divided by
its range it is an ordinary graded loss, and so is the tolerance (`losses_with_missed`).

Assumes: the draw of the items is blind, and of an item that was read twice the final verdict is the truth. What both
miss is not counted.

**Seeded errors.** If real errors are found at least as often as seeded ones, E[found] >= detection x risk, so that
risk <= (bound on what is found) / (lower bound on the detection) (`with_seeded`). Losses 0 or 1 only, and an
assumption about people that nothing here can test.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import DataError
from tolerate.stats.monitor.watch import anytime_upper

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RiskWithMissed:
    """Upper bounds on a risk: by the first reviewers, of what they missed, and of both together.

    again: items read twice; missed: the sum of losses that the first reader of those missed.
    """

    reviewed: float
    missed_at_most: float
    bound: float
    again: int
    missed: float


def with_missed(
    first: Sequence[float], final: Sequence[float], chances: Sequence[float], confidence: float
) -> RiskWithMissed:
    """Upper bounds on the risk of items with a first loss each, some of them read again.

    final: the loss after the second reading, NaN where there was none. chances: of having been read again, above 0.
    With probability `confidence` `bound` is never below the average of the items' true conditional risks, however often
    one looks.

    >>> again = np.where(np.arange(1000) % 5, np.nan, 0.0)
    >>> risk = with_missed(np.zeros(1000), again, np.full(1000, 0.2), 0.95)
    >>> round(risk.reviewed, 4), round(risk.bound, 4)
    (0.0051, 0.0307)
    """
    first_losses, final_losses, share = _checked_columns(first, final, chances)
    if not len(first_losses):
        return RiskWithMissed(1.0, 1.0, 1.0, 0, 0.0)
    missed, half = _missed_losses(first_losses, final_losses), (1 + confidence) / 2
    smallest = float(share.min())
    reviewed = anytime_upper(float(first_losses.sum()), len(first_losses), half)
    missed_bound = anytime_upper(float((missed * smallest / share).sum()), len(first_losses), half) / smallest
    again = int((~np.isnan(final_losses)).sum())
    return RiskWithMissed(
        reviewed, min(1.0, missed_bound), min(1.0, reviewed + missed_bound), again, float(missed.sum())
    )


def losses_with_missed(
    first: Sequence[float], final: Sequence[float], chances: Sequence[float]
) -> tuple[Floats, float]:
    """Losses that count what the first readers missed, divided by `scale`; certify them at tolerance / scale.

    >>> losses, scale = losses_with_missed([0, 1, 0], [1, float("nan"), float("nan")], [0.5, 0.5, 0.5])
    >>> losses.tolist(), scale
    ([1.0, 0.5, 0.0], 2.0)
    """
    first_losses, final_losses, share = _checked_columns(first, final, chances)
    losses = first_losses + _missed_losses(first_losses, final_losses) / share
    scale = float(1 / share.min()) if len(share) else 1.0
    return np.asarray(np.minimum(losses / scale, 1.0)), scale


def with_seeded(total: float, items: int, caught: int, seeded: int, confidence: float) -> float:
    """Upper bound on the risk if real errors are found at least as often as seeded ones.

    total: sum of the losses found among `items`; caught: of `seeded` errors that were found.

    >>> round(with_seeded(10, 1000, caught=90, seeded=100, confidence=0.95), 4)
    0.0308
    """
    half = (1 + confidence) / 2
    detection = 1 - anytime_upper(float(seeded - caught), seeded, half) if seeded else 0.0
    reviewed = anytime_upper(total, items, half) if items else 1.0
    return min(1.0, reviewed / detection) if detection > 0 else 1.0


def _checked_columns(
    first: Sequence[float], final: Sequence[float], chances: Sequence[float]
) -> tuple[Floats, Floats, Floats]:
    first_losses, final_losses = np.asarray(first, np.float64), np.asarray(final, np.float64)
    share = np.asarray(chances, np.float64)
    if not first_losses.shape == final_losses.shape == share.shape or first_losses.ndim != 1:
        raise DataError(
            f"{first_losses.shape} first losses came with {final_losses.shape} final ones and {share.shape} chances"
        )
    if not ((share > 0) & (share <= 1)).all():
        raise DataError("a chance of a second reading is outside (0, 1]; leave out items that had none")
    if (
        not ((first_losses >= 0) & (first_losses <= 1)).all()
        or not ((final_losses >= 0) & (final_losses <= 1) | np.isnan(final_losses)).all()
    ):
        raise DataError("a loss is outside [0, 1]; divide by the largest possible loss first")
    return first_losses, final_losses, share


def _missed_losses(first: Floats, final: Floats) -> Floats:
    missed: Floats = np.where(np.isnan(final), 0.0, np.maximum(0.0, np.nan_to_num(final) - first))
    return missed
