"""How many labels a comparison needs, before any is made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from tolerate.messages.comparisons import comparison_text
from tolerate.messages.numbers import percent
from tolerate.stats.certify.fixed_sequence import critical, sharp_sizes
from tolerate.stats.compare.design_split import DESIGN

SHARES = (0.2, 0.5, 0.7)  # true risks that labels are named for, in tolerances
SURE = 0.9  # chance that so many labels prove such a strategy


@dataclass(frozen=True)
class Need:
    """Labels of each strategy that prove one with this risk, nine times in ten."""

    risk: float
    alone: int  # if it were the only one
    shares: int  # with an equal share of the level for every strategy (Bonferroni)
    plan: int  # with a design part that picks it out


def needs(strategies: int, tolerance: float, confidence: float = 0.95) -> list[Need]:
    """Labels of each strategy needed to prove one of them, by its true risk.

    >>> [(need.alone, need.shares) for need in needs(100, 0.05, 0.9)]
    [(105, 356), (377, 1138), (1180, 3524)]
    """
    delta = 1 - confidence
    return [
        Need(
            risk=share * tolerance,
            alone=labels_for(share * tolerance, tolerance, delta),
            shares=labels_for(share * tolerance, tolerance, delta / strategies),
            plan=int(np.ceil(labels_for(share * tolerance, tolerance, delta / 2) / (1 - DESIGN))),
        )
        for share in SHARES
    ]


def labels_for(risk: float, tolerance: float, level: float, power: float = SURE) -> int:
    """The fewest labels that prove a strategy of this risk with this chance, at this level (exact binomial)."""
    errors = np.arange(4000)
    sizes = sharp_sizes(errors, tolerance, level)
    enough = bdtr(errors, sizes, risk) >= power
    if not enough.any():
        most = critical(sizes[-1:], tolerance, level)
        return int(sizes[-1]) if most[0] >= 0 else 0
    return int(sizes[int(np.argmax(enough))])


def say_needs(rows: Sequence[Need], lang: str = "en") -> list[str]:
    """A line a risk, in English ("en") or Chinese ("zh")."""
    head = comparison_text("labels", lang)
    return [head, *(f"{percent(n.risk):>6} {n.alone:8,} {n.shares:8,} {n.plan:8,}" for n in rows)]
