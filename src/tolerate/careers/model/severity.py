"""Severity of an uncaught error of a task, and the harm in hours that follows from it.

Severity runs from 1 (not serious) to 5 (extremely serious), *given* a mistake that is not corrected. It is no error
rate, and an occupation's figure says little about one of its tasks (rank correlation 0.13 with experts' ratings):
a task's own severity is the person's answer shrunk to the occupation's figure, with the interval that this leaves.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tolerate.careers.data.atlas import Figure
from tolerate.errors import OptionError
from tolerate.records import Floats

TASK_SPREAD = 0.6  # standard deviation of tasks within an occupation: 0.5 to 0.7 on experts' ratings
ANSWER_SPREAD = 0.8  # standard deviation of an answer about a task: experts disagree by 0.7 to 1.0
Z90 = 1.645
SLIP_SEVERITY, WORST_SEVERITY = 2.0, 5.0  # the severities of the two questions on the scale


@dataclass(frozen=True)
class Severity:
    """A normal posterior of a task's severity; figures and quantiles are clipped to 1 to 5."""

    mean: float
    spread: float
    answered: bool

    @property
    def figure(self) -> Figure:
        """The posterior mean with its 90% interval."""
        low, high = (_clip(self.mean + side * Z90 * self.spread) for side in (-1, 1))
        return Figure(round(_clip(self.mean), 2), round(low, 2), round(high, 2), estimated=not self.answered)

    def quantile(self, chance: float) -> float:
        """The value that severity does not exceed with this probability."""
        from scipy.special import ndtri

        return _clip(self.mean + self.spread * float(ndtri(chance)))


def task_severity(
    occupation: Figure | None,
    answer: float | None = None,
    between: float = TASK_SPREAD,
    spread: float = ANSWER_SPREAD,
) -> Severity:
    """A task's severity: the answer (1 to 5, or None) shrunk to its occupation's figure.

    Assumes that tasks scatter normally about their occupation (`between`), answers about the task (`spread`).

    >>> task_severity(Figure.from_measurement(3.0), answer=5).figure
    Figure(value=3.72, low=2.93, high=4.51, estimated=False)
    """
    if answer is not None and not 1 <= answer <= 5:
        raise OptionError(f"severity {answer:g} is outside 1 to 5; 1 is not serious, 5 extremely serious")
    middle = occupation or Figure(3.0, 1.0, 5.0, estimated=True)
    prior = between**2 + ((middle.high - middle.low) / (2 * Z90)) ** 2
    if answer is None:
        return Severity(middle.value, math.sqrt(prior), answered=False)
    weight = prior / (prior + spread**2)
    return Severity(
        middle.value + weight * (answer - middle.value), math.sqrt(weight) * spread, answered=True
    )


def _clip(value: float) -> float:
    return min(5.0, max(1.0, value))


def share_that_matters(exactness: float | None) -> float:
    """The share of raw slips that matter, from how important exactness is (1 to 5): a fifth to all of them.

    >>> share_that_matters(5), round(share_that_matters(3), 2), share_that_matters(None)
    (1.0, 0.6, 1.0)
    """
    return 1.0 if exactness is None else 0.2 + 0.8 * (min(5.0, max(1.0, exactness)) - 1) / 4


@dataclass(frozen=True)
class Harm:
    """The cost of an uncaught error in hours of work: H = h0 * b**(severity - 1), fixed by two answers.

    slip: hours that a typical slip costs (severity 2); worst: hours that the worst one costs (severity 5).
    """

    slip: float = 0.5
    worst: float = 200.0

    def __post_init__(self) -> None:
        if not 0 < self.slip < self.worst:
            raise OptionError(
                f"a slip of {self.slip:g} hours and a worst error "
                f"of {self.worst:g} hours do not fit; expected "
                "0 < slip < worst: what a typical slip costs, and what the worst uncaught error costs"
            )

    @property
    def base(self) -> float:
        """b: how many times worse one step of the scale is."""
        return float((self.worst / self.slip) ** (1 / (WORST_SEVERITY - SLIP_SEVERITY)))

    def hours(self, severity: ArrayLike) -> Floats:
        """Hours that one uncaught error of this severity costs.

        >>> [round(float(Harm(0.5, 200).hours(c)), 2) for c in (1, 2, 5)]
        [0.07, 0.5, 200.0]
        """
        return np.asarray(self.slip * self.base ** (np.asarray(severity, float) - SLIP_SEVERITY))
