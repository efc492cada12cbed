"""Released, reviewed, human or undecided: chosen from bounds on what was measured, never from an exposure index.

Costs of one piece of work in hours, with T hours by hand, review share r, detection d, rework share f, error p of the
machine, ph of the person, and harm H of an uncaught error:

    released  p H          reviewed  r T + p (1 - d) H + p d f T          human  T + ph H

A tolerance is the largest p at which a way is no dearer than the next safer one. Work of severity 3 or more must
besides never be worse than a person's, and work that is wrong more often than right is never released.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from tolerate.careers.data.atlas import Figure
from tolerate.careers.model.severity import Harm, Severity
from tolerate.errors import OptionError
from tolerate.records import Floats
from tolerate.stats.bounds import binomial_upper

RELEASED, REVIEWED, HUMAN, UNDECIDED = "released", "reviewed", "human", "undecided"
CHOICES = (RELEASED, REVIEWED, HUMAN, UNDECIDED)
GATES = ("licensed", "irreversible", "physical", "personal")  # each allows review at most
SURE = 0.8  # of the posterior, or the choice is left open
DRAWS = 2000
SERIOUS = 3.0
CEILING = 0.5  # work that is wrong more often than right is not released, however little it costs
TOO_MANY = 20_000  # labels that nobody will give: beyond them, sampling settles nothing


@dataclass(frozen=True)
class Work:
    """How a task is done today: hours by hand, and shares of them for a look and for putting right."""

    hours: float = 1.0
    review: float = 0.15
    rework: float = 0.5
    human_error: float = 0.02
    assumed: tuple[str, ...] = ()  # which of these nobody gave

    def __post_init__(self) -> None:
        if self.hours <= 0:
            raise OptionError(f"hours = {self.hours:g} of a task; expected more than 0")
        for name in ("review", "rework", "human_error"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} = {getattr(self, name):g}; expected a share between 0 and 1")


@dataclass(frozen=True)
class Evidence:
    """What was measured of the machine's errors: from a certificate, a labelled table, or typed in.

    errors of n, n counting independent units. upper: what a certificate proves of the part it releases.
    share: that part. matter: share of the errors that matter, 1 where the verdicts already say so.
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
        """An upper bound on the error that matters: the certificate's own, or the exact binomial one."""
        if self.upper is not None:
            return self.upper * self.matter
        return self.matter * float(binomial_upper(self.errors, self.n, confidence)) if self.n else 1.0

    def draws(self, rng: np.random.Generator) -> Floats:
        """The error rate's posterior under Jeffreys' prior."""
        return np.asarray(self.matter * rng.beta(self.errors + 0.5, self.n - self.errors + 0.5, DRAWS))


@dataclass(frozen=True)
class Detection:
    """Seeded errors: how many a reviewer was given unawares, and how many of them were caught."""

    caught: int = 0
    seeded: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.caught <= self.seeded:
            raise OptionError(
                f"{self.caught} caught of {self.seeded} seeded errors; expected 0 <= caught <= seeded"
            )

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Lower and upper bound on the share detected; (0, 1) where nothing was seeded."""
        if not self.seeded:
            return 0.0, 1.0
        low = (
            0.0
            if not self.caught
            else float(betaincinv(self.caught, self.seeded - self.caught + 1, 1 - confidence))
        )
        return low, float(binomial_upper(self.caught, self.seeded, confidence))

    def draws(self, rng: np.random.Generator) -> Floats:
        """The posterior of the share detected."""
        return np.asarray(rng.beta(self.caught + 0.5, self.seeded - self.caught + 0.5, DRAWS))


@dataclass(frozen=True)
class Choice:
    """What to do with a task today, what that rests on, and what would change it."""

    choice: str
    release: Figure  # required ETR for release: as things look, and at the strict and tolerant end
    review: Figure  # required ETR for review
    error: Figure | None  # the machine's error: seen, and its 95% interval
    shut: tuple[str, ...]  # gates
    chances: dict[str, float]  # posterior of each way being the cheapest within its tolerance
    costs: dict[str, float]  # expected hours of each way
    labels: dict[str, float] = field(default_factory=dict)  # "clean", "likely": labels that settle a release
    detection: float | None = None  # what a reviewer would have to detect
    share: float = 1.0  # the part released


# Tolerances


def release_tolerance(harm: ArrayLike, work: Work, detection: ArrayLike, at: ArrayLike) -> Floats:
    """The largest error at which releasing is no dearer than review or doing it by hand.

    harm: hours of an uncaught error; at: severity. Never above a person's own error from severity 3 on.
    """
    harm, d = np.asarray(harm, float), np.asarray(detection, float)
    gain = d * (harm - work.rework * work.hours)
    with np.errstate(divide="ignore", invalid="ignore"):
        against_review = np.where(gain > 0, work.review * work.hours / gain, np.inf)
    against_hand = work.hours / harm + work.human_error
    found = np.minimum(CEILING, np.minimum(against_review, against_hand))
    return np.asarray(np.where(np.asarray(at) >= SERIOUS, np.minimum(found, work.human_error), found))


def review_tolerance(harm: ArrayLike, work: Work, detection: ArrayLike, at: ArrayLike) -> Floats:
    """The largest error at which review is no dearer than doing it by hand."""
    harm, d = np.asarray(harm, float), np.asarray(detection, float)
    missed = (1 - d) * harm + d * work.rework * work.hours
    with np.errstate(divide="ignore"):
        found = np.minimum(1.0, (work.hours * (1 - work.review) + work.human_error * harm) / missed)
        kept = np.where(d < 1, work.human_error / (1 - d), 1.0)
    return np.asarray(np.where(np.asarray(at) >= SERIOUS, np.minimum(found, kept), found))


def costs(p: ArrayLike, harm: ArrayLike, work: Work, detection: ArrayLike) -> dict[str, Floats]:
    """Hours that one piece of work costs each way."""
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
    work: Work,
    evidence: Evidence | None = None,
    detection: Detection | None = None,
    gates: Sequence[str] = (),
    confidence: float = 0.95,
) -> Choice:
    """What to do with a task today.

    Promise: a task is called released though its true error is above its true tolerance with probability at most
    1 - confidence, if severity's posterior and the evidence's bound each hold; half the doubt goes to each. Then
    it is reviewed, if the bounds on error, on what review detects and on severity allow that; human, if
    the posterior says with 80% that neither pays; else undecided.
    """
    _known(gates)
    detection = detection or Detection()
    half = 1 - (1 - confidence) / 2
    strict = severity.quantile(half)
    low, high = detection.bounds(half)
    release = _tolerances(release_tolerance, severity, harm, work, detection, high)
    review = _tolerances(review_tolerance, severity, harm, work, detection, low)
    chances, hours = _posterior(severity, harm, work, evidence, detection, gates)
    strict_harm = float(harm.hours(strict))
    limits = (
        float(release_tolerance(strict_harm, work, high, strict)),
        float(review_tolerance(strict_harm, work, low, strict)),
    )
    bound = 1.0 if evidence is None else evidence.bound(half)
    choice = _pick(evidence, bound, limits, gates, chances)
    return Choice(
        choice,
        release,
        review,
        None if evidence is None else _error(evidence, half),
        tuple(gates),
        chances,
        hours,
        labels(limits[0], evidence, half),
        _detection_needed(bound, strict_harm, work, strict) if evidence is not None else None,
        evidence.share if evidence is not None and choice == RELEASED else 1.0,
    )


def _known(gates: Sequence[str]) -> None:
    for gate in gates:
        if gate not in GATES:
            raise OptionError(f'"{gate}" is no gate; known: {", ".join(GATES)}')


def _pick(
    evidence: Evidence | None,
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
    return HUMAN if chances[HUMAN] >= SURE else UNDECIDED


def _tolerances(
    tolerance: Callable[..., Floats],
    severity: Severity,
    harm: Harm,
    work: Work,
    detection: Detection,
    unknown: float,
) -> Figure:
    """A tolerance as things look, and at both ends of the severity's interval."""
    d = (detection.caught + 0.5) / (detection.seeded + 1) if detection.seeded else unknown
    figure = severity.figure
    at = np.array([figure.value, figure.high, figure.low])
    value, low, high = (float(v) for v in tolerance(harm.hours(at), work, d, at))
    return Figure(value, low, high, estimated=figure.estimated)


def _posterior(
    severity: Severity,
    harm: Harm,
    work: Work,
    evidence: Evidence | None,
    detection: Detection,
    gates: Sequence[str],
) -> tuple[dict[str, float], dict[str, float]]:
    """How probable it is that each way is the right one, and what each costs on average."""
    rng = np.random.default_rng(0)
    at = np.clip(rng.normal(severity.mean, severity.spread, DRAWS), 1, 5)
    d = detection.draws(rng) if detection.seeded else rng.random(DRAWS)
    if evidence is None:
        return {}, {HUMAN: float(costs(0, harm.hours(at), work, d)[HUMAN].mean())}
    p, hours = evidence.draws(rng), harm.hours(at)
    free = (p <= release_tolerance(hours, work, d, at)) & (not gates)
    looked = ~free & (p <= review_tolerance(hours, work, d, at))
    chances = {RELEASED: free.mean(), REVIEWED: looked.mean(), HUMAN: (~free & ~looked).mean()}
    spent = costs(p, hours, work, d)
    return {k: float(v) for k, v in chances.items()}, {k: float(v.mean()) for k, v in spent.items()}


def _error(evidence: Evidence, half: float) -> Figure:
    seen = evidence.matter * (evidence.errors / evidence.n if evidence.n else 1.0)
    low = 0.0
    if evidence.errors:
        low = evidence.matter * float(betaincinv(evidence.errors, evidence.n - evidence.errors + 1, 1 - half))
    bound = evidence.bound(half)
    return Figure(min(seen, bound), min(low, bound), bound)


# What would settle it


def labels(tolerance: float, evidence: Evidence | None, confidence: float) -> dict[str, float]:
    """Labels that would prove an error within the tolerance: if none is wrong, and if errors go on as seen.

    Without evidence "likely" supposes that half the tolerance is wrong. Infinite where no number will do.
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
    return {"clean": float(np.ceil(clean)), "likely": _fewest(tolerance / matter, rate / matter, confidence)}


def _fewest(tolerance: float, rate: float, confidence: float) -> float:
    """The fewest labels, to a tenth, that prove the tolerance when the share `rate` of them is wrong."""
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


def _detection_needed(bound: float, harm: float, work: Work, at: float) -> float | None:
    """The smallest share of errors that review must detect to be allowed; None if no reviewer will do."""
    grid = np.linspace(0, 1, 201)
    fits = bound <= review_tolerance(harm, work, grid, at)
    return float(grid[np.argmax(fits)]) if fits.any() else None
