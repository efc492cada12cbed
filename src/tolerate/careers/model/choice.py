"""The choice for a task - released, reviewed, human or undecided - from bounds on its measured error.

An exposure index is never used. With T hours by hand, review share r, detection d, rework share f, error p of the
machine, ph of the person, and harm H of an uncaught error, one piece of work costs in hours

    released  p H          reviewed  r T + p (1 - d) H + p d f T          human  T + ph H

A tolerance is the largest p at which a way costs no more than the next safer one. Work of severity 3 or more must
also not be worse than a person's, and work that is wrong more often than right is never released.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from tolerate.careers.data.atlas import Figure
from tolerate.careers.model.severity import Harm, Severity
from tolerate.errors import OptionError
from tolerate.records import Floats
from tolerate.stats.bounds import binomial_lower, binomial_upper

RELEASED, REVIEWED, HUMAN, UNDECIDED = "released", "reviewed", "human", "undecided"
CHOICES = (RELEASED, REVIEWED, HUMAN, UNDECIDED)
GATES = ("licensed", "irreversible", "physical", "personal")  # each allows review at most
MIN_POSTERIOR = 0.8  # of "human"; below it the choice is undecided
POSTERIOR_DRAWS = 2000
SERIOUS_SEVERITY = 3.0
MAX_RELEASE_TOLERANCE = 0.5  # work that is wrong more often than right is not released, whatever it costs
MAX_USEFUL_LABELS = 20_000  # more labels than anyone will collect


@dataclass(frozen=True)
class ManualWork:
    """A task done by hand: hours a piece, and shares of them for review and for rework. human_error: a person's."""

    hours: float = 1.0
    review: float = 0.15
    rework: float = 0.5
    human_error: float = 0.02
    assumed: tuple[str, ...] = ()  # names of the values that were not answered

    def __post_init__(self) -> None:
        if self.hours <= 0:
            raise OptionError(f"hours = {self.hours:g} of a task; expected a number above 0")
        for name in ("review", "rework", "human_error"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} = {getattr(self, name):g}; expected a share between 0 and 1")


@dataclass(frozen=True)
class TaskEvidence:
    """The measured errors of a machine at a task: from a certificate, a labelled table, or typed in.

    errors of n, where n counts independent units. upper: the bound that a certificate proves for the share it
    releases. matter: the share of the errors that matter; 1 if the verdicts already count only those.
    """

    errors: float
    n: int
    source: str
    upper: float | None = None
    confidence: float = 0.95
    share: float = 1.0
    matter: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.n:
            raise OptionError(f"{self.errors:g} errors of {self.n} checked; expected 0 <= errors <= checked")

    def bound(self, confidence: float) -> float:
        """An upper bound on the rate of errors that matter: the certificate's, or the exact binomial one."""
        if self.upper is not None:
            return self.upper * self.matter
        return self.matter * float(binomial_upper(self.errors, self.n, confidence)) if self.n else 1.0

    def draws(self, rng: np.random.Generator) -> Floats:
        """Draws of the error rate from its posterior under Jeffreys' prior."""
        return np.asarray(
            self.matter * rng.beta(self.errors + 0.5, self.n - self.errors + 0.5, POSTERIOR_DRAWS)
        )


@dataclass(frozen=True)
class Detection:
    """Seeded errors: how many a reviewer was given without knowing it, and how many were caught."""

    caught: int = 0
    seeded: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.caught <= self.seeded:
            raise OptionError(
                f"{self.caught} caught of {self.seeded} seeded errors; expected 0 <= caught <= seeded"
            )

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Lower and upper bound on the share detected; (0, 1) without seeded errors."""
        if not self.seeded:
            return 0.0, 1.0
        low = binomial_lower(self.caught, self.seeded, confidence)
        return low, float(binomial_upper(self.caught, self.seeded, confidence))

    def draws(self, rng: np.random.Generator) -> Floats:
        """Draws of the share detected from its posterior."""
        return np.asarray(rng.beta(self.caught + 0.5, self.seeded - self.caught + 0.5, POSTERIOR_DRAWS))


@dataclass(frozen=True)
class TaskChoice:
    """The recommended way to do a task, the numbers behind it, and what would change it. Fields are keys of --json."""

    choice: str
    release: Figure  # required ETR for release: at the estimated severity, and at the ends of its interval
    review: Figure  # required ETR for review
    error: Figure | None  # the machine's error: observed, and its 95% interval
    shut: tuple[str, ...]  # gates
    chances: dict[str, float]  # posterior probability of each way being the cheapest within its tolerance
    costs: dict[str, float]  # expected hours of each way
    labels: dict[str, float] = field(
        default_factory=dict
    )  # that prove a release: "clean" if none is wrong, "likely" at the observed rate
    detection: float | None = None  # share that a reviewer would have to detect
    share: float = 1.0  # the part released


# Tolerances


def release_tolerance(harm: ArrayLike, work: ManualWork, detection: ArrayLike, severity: ArrayLike) -> Floats:
    """The largest error at which releasing costs no more than review or doing it by hand.

    harm: hours of an uncaught error. From severity 3 on never above a person's own error.
    """
    harm, d = np.asarray(harm, float), np.asarray(detection, float)
    gain = d * (harm - work.rework * work.hours)
    with np.errstate(divide="ignore", invalid="ignore"):
        against_review = np.where(gain > 0, work.review * work.hours / gain, np.inf)
    against_hand = work.hours / harm + work.human_error
    tolerance = np.minimum(MAX_RELEASE_TOLERANCE, np.minimum(against_review, against_hand))
    return np.asarray(
        np.where(np.asarray(severity) >= SERIOUS_SEVERITY, np.minimum(tolerance, work.human_error), tolerance)
    )


def review_tolerance(harm: ArrayLike, work: ManualWork, detection: ArrayLike, severity: ArrayLike) -> Floats:
    """The largest error at which review costs no more than doing it by hand."""
    harm, d = np.asarray(harm, float), np.asarray(detection, float)
    missed = (1 - d) * harm + d * work.rework * work.hours
    with np.errstate(divide="ignore"):
        tolerance = np.minimum(1.0, (work.hours * (1 - work.review) + work.human_error * harm) / missed)
        no_worse = np.where(d < 1, work.human_error / (1 - d), 1.0)
    return np.asarray(
        np.where(np.asarray(severity) >= SERIOUS_SEVERITY, np.minimum(tolerance, no_worse), tolerance)
    )


def cost_hours(p: ArrayLike, harm: ArrayLike, work: ManualWork, detection: ArrayLike) -> dict[str, Floats]:
    """The hours that one piece of work costs each way, at the machine's error p."""
    p, h, d = (np.asarray(x, float) for x in (p, harm, detection))
    return {
        RELEASED: p * h,
        REVIEWED: work.review * work.hours + p * (1 - d) * h + p * d * work.rework * work.hours,
        HUMAN: work.hours + work.human_error * h,
    }


# The choice


def choose(
    severity: Severity,
    harm: Harm,
    work: ManualWork,
    evidence: TaskEvidence | None = None,
    detection: Detection | None = None,
    gates: Sequence[str] = (),
    confidence: float = 0.95,
) -> TaskChoice:
    """Choose the cheapest way to do a task that stays within its required tolerance: release, review or by hand.

    Promise: a task is called released though its true error is above its true tolerance with probability at most
    1 - confidence, if the posterior of severity and the bound of the evidence hold; each gets half of the error
    probability. Otherwise it is reviewed, if the bounds on error, detection and severity allow that; human, if
    the posterior probability that neither pays is 80%; else undecided.
    """
    _check_gates(gates)
    detection = detection or Detection()
    half = 1 - (1 - confidence) / 2
    strict = severity.quantile(half)
    low, high = detection.bounds(half)
    release = _tolerance_figure(release_tolerance, severity, harm, work, detection, high)
    review = _tolerance_figure(review_tolerance, severity, harm, work, detection, low)
    chances, hours = _posterior(severity, harm, work, evidence, detection, gates)
    strict_harm = float(harm.hours(strict))
    limits = (
        float(release_tolerance(strict_harm, work, high, strict)),
        float(review_tolerance(strict_harm, work, low, strict)),
    )
    bound = 1.0 if evidence is None else evidence.bound(half)
    choice = _choose_way(evidence, bound, limits, gates, chances)
    return TaskChoice(
        choice,
        release,
        review,
        None if evidence is None else _error_figure(evidence, half),
        tuple(gates),
        chances,
        hours,
        labels_needed(limits[0], evidence, half),
        _detection_needed(bound, strict_harm, work, strict) if evidence is not None else None,
        evidence.share if evidence is not None and choice == RELEASED else 1.0,
    )


def _check_gates(gates: Sequence[str]) -> None:
    for gate in gates:
        if gate not in GATES:
            raise OptionError(f'"{gate}" is not a gate; choose from {", ".join(GATES)}')


def _choose_way(
    evidence: TaskEvidence | None,
    bound: float,
    limits: tuple[float, float],
    gates: Sequence[str],
    chances: dict[str, float],
) -> str:
    if evidence is None:
        return UNDECIDED
    if bound <= limits[0] and not gates:
        return RELEASED
    if bound <= limits[1]:
        return REVIEWED
    return HUMAN if chances[HUMAN] >= MIN_POSTERIOR else UNDECIDED


def _tolerance_figure(
    tolerance: Callable[..., Floats],
    severity: Severity,
    harm: Harm,
    work: ManualWork,
    detection: Detection,
    unknown: float,
) -> Figure:
    """A tolerance at the estimated severity, and at both ends of its interval. unknown: detection if never measured."""
    d = (detection.caught + 0.5) / (detection.seeded + 1) if detection.seeded else unknown
    figure = severity.figure
    severities = np.array([figure.value, figure.high, figure.low])
    value, low, high = (float(v) for v in tolerance(harm.hours(severities), work, d, severities))
    return Figure(value, low, high, estimated=figure.estimated)


def _posterior(
    severity: Severity,
    harm: Harm,
    work: ManualWork,
    evidence: TaskEvidence | None,
    detection: Detection,
    gates: Sequence[str],
) -> tuple[dict[str, float], dict[str, float]]:
    """The posterior probability of each way being the right one, and its expected hours."""
    rng = np.random.default_rng(0)
    severities = np.clip(rng.normal(severity.mean, severity.spread, POSTERIOR_DRAWS), 1, 5)
    d = detection.draws(rng) if detection.seeded else rng.random(POSTERIOR_DRAWS)
    if evidence is None:
        return {}, {HUMAN: float(cost_hours(0, harm.hours(severities), work, d)[HUMAN].mean())}
    p, hours = evidence.draws(rng), harm.hours(severities)
    released = (p <= release_tolerance(hours, work, d, severities)) & (not gates)
    reviewed = ~released & (p <= review_tolerance(hours, work, d, severities))
    chances = {RELEASED: released.mean(), REVIEWED: reviewed.mean(), HUMAN: (~released & ~reviewed).mean()}
    hours_by_way = cost_hours(p, hours, work, d)
    return {k: float(v) for k, v in chances.items()}, {k: float(v.mean()) for k, v in hours_by_way.items()}


def _error_figure(evidence: TaskEvidence, half: float) -> Figure:
    rate = evidence.matter * (evidence.errors / evidence.n if evidence.n else 1.0)
    low = evidence.matter * binomial_lower(evidence.errors, evidence.n, half)
    bound = evidence.bound(half)
    return Figure(min(rate, bound), min(low, bound), bound)


# What would change the choice


def labels_needed(tolerance: float, evidence: TaskEvidence | None, confidence: float) -> dict[str, float]:
    """The labels that would prove the tolerance: "clean" if none is wrong, "likely" at the observed error rate.

    Without evidence "likely" assumes that half the tolerance is wrong. Infinite if no number suffices.
    """
    clean = (
        np.log1p(-confidence) / np.log1p(-tolerance)
        if 0 < tolerance < 1
        else (0.0 if tolerance >= 1 else np.inf)
    )
    matter = 1.0 if evidence is None else evidence.matter
    rate = (
        tolerance / 2
        if evidence is None or not evidence.n
        else evidence.matter * evidence.errors / evidence.n
    )
    if rate == 0:
        return {"clean": float(np.ceil(clean)), "likely": float(np.ceil(clean))}
    return {
        "clean": float(np.ceil(clean)),
        "likely": _labels_at_rate(tolerance / matter, rate / matter, confidence),
    }


def _labels_at_rate(tolerance: float, rate: float, confidence: float) -> float:
    """The number of labels, to a tenth, that proves the tolerance if the share `rate` of them is wrong."""
    if rate >= tolerance:
        return float("inf")
    if tolerance >= 1:
        return 0.0
    n = 1.0
    while n < 1e7:
        if binomial_upper(np.ceil(n * rate), n, confidence) <= tolerance:
            return float(np.ceil(n))
        n *= 1.1
    return float("inf")


def _detection_needed(bound: float, harm: float, work: ManualWork, severity: float) -> float | None:
    """The smallest share of errors that review must detect to be allowed; None if no reviewer is good enough."""
    grid = np.linspace(0, 1, 201)
    fits = bound <= review_tolerance(harm, work, grid, severity)
    return float(grid[np.argmax(fits)]) if fits.any() else None
