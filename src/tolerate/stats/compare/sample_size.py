"""Numbers of labels that a comparison needs, estimated before any is made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from tolerate.messages.comparisons import comparison_text
from tolerate.messages.numbers import percent
from tolerate.stats.certify.fixed_sequence import max_errors, sharp_sizes
from tolerate.stats.compare.design_split import DESIGN_SHARE

RISK_SHARES = (0.2, 0.5, 0.7)  # true risks that labels are named for, in tolerances
POWER = 0.9  # chance that so many labels prove such a strategy


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels of each strategy that prove one with this risk, nine times in ten."""

    risk: float
    alone: int  # if it were the only one
    shares: int  # with an equal share of the level for every strategy (Bonferroni)
    plan: int  # with a design part that picks it out


def labels_needed(strategies: int, tolerance: float, confidence: float = 0.95) -> list[LabelsNeeded]:
    """Labels of each strategy needed to prove one of them, by its true risk.

    >>> [(need.alone, need.shares) for need in labels_needed(100, 0.05, 0.9)]
    [(105, 356), (377, 1138), (1180, 3524)]
    """
    delta = 1 - confidence
    return [
        LabelsNeeded(
            risk=share * tolerance,
            alone=labels_for(share * tolerance, tolerance, delta),
            shares=labels_for(share * tolerance, tolerance, delta / strategies),
            plan=int(np.ceil(labels_for(share * tolerance, tolerance, delta / 2) / (1 - DESIGN_SHARE))),
        )
        for share in RISK_SHARES
    ]


def labels_for(risk: float, tolerance: float, level: float, power: float = POWER) -> int:
    """The fewest labels that prove a strategy of this risk with this chance, at this level (exact binomial)."""
    errors = np.arange(4000)
    sizes = sharp_sizes(errors, tolerance, level)
    powerful = bdtr(errors, sizes, risk) >= power
    if not powerful.any():
        allowed = max_errors(sizes[-1:], tolerance, level)
        return int(sizes[-1]) if allowed[0] >= 0 else 0
    return int(sizes[int(np.argmax(powerful))])


def labels_needed_lines(rows: Sequence[LabelsNeeded], lang: str = "en") -> list[str]:
    """A line a risk, in English ("en") or Chinese ("zh")."""
    head = comparison_text("labels", lang)
    return [head, *(f"{percent(n.risk):>6} {n.alone:8,} {n.shares:8,} {n.plan:8,}" for n in rows)]
