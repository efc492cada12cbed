"""Simulated people with known error rates: how often is a task released whose error exceeds its tolerance?

Truth: the severity of a task scatters around its occupation's, the person answers about it with an error, and the rates
of the machine and the reviewer are drawn from wide ranges. Evidence: binomial counts of ten to five thousand checks, as
from a certificate or typed in. The choice of `choose` is then compared with the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tolerate.careers.data.atlas import Figure
from tolerate.careers.model.choice import (
    CHOICES,
    RELEASED,
    Detection,
    ManualWork,
    TaskChoice,
    TaskEvidence,
    choose,
    release_tolerance,
)
from tolerate.careers.model.severity import ANSWER_SPREAD, TASK_SPREAD, Harm, Severity, task_severity

Chooser = Callable[[Severity, Harm, ManualWork, TaskEvidence, Detection], TaskChoice]


@dataclass(frozen=True)
class SimulationResult:
    """Tasks by choice. exceeding: released ones whose true error exceeds the tolerance; releasable: of all tasks."""

    counts: dict[str, int]
    exceeding: int
    releasable: int

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return sum(self.counts.values())

    @property
    def wrong_share(self) -> float:
        """The share of the released tasks whose error exceeds the tolerance."""
        return self.exceeding / max(self.counts[RELEASED], 1)


def choose_naively(
    severity: Severity, harm: Harm, work: ManualWork, evidence: TaskEvidence, detection: Detection
) -> TaskChoice:
    """A broken twin of `choose`: released if the observed error is within the point estimate of the tolerance."""
    choice = choose(severity, harm, work, evidence, detection)
    if choice.error is not None and choice.error.value <= choice.release.value and not choice.shut:
        return replace(choice, choice=RELEASED)
    return choice


def simulate(people: int, tasks: int = 5, seed: int = 0, chooser: Chooser = choose) -> SimulationResult:
    """Choices and truth for this number of people with so many tasks each."""
    rng = np.random.default_rng(seed)
    counts, exceeding, releasable = dict.fromkeys(CHOICES, 0), 0, 0
    for _ in range(people):
        occupation = float(np.clip(rng.normal(2.8, 0.7), 1, 5))
        harm = Harm(*sorted(np.exp(rng.normal([-0.7, 4.5], 0.8)).tolist()))
        for _ in range(tasks):
            choice, is_releasable = _simulate_task(rng, occupation, harm, chooser)
            counts[choice.choice] += 1
            releasable += is_releasable
            exceeding += choice.choice == RELEASED and not is_releasable
    return SimulationResult(counts, exceeding, releasable)


def _simulate_task(
    rng: np.random.Generator, occupation: float, harm: Harm, chooser: Chooser
) -> tuple[TaskChoice, bool]:
    """The choice for one simulated task, and whether its true error is within the tolerance."""
    true_severity = float(np.clip(rng.normal(occupation, TASK_SPREAD), 1, 5))
    answer = float(np.clip(round(rng.normal(true_severity, ANSWER_SPREAD)), 1, 5))
    work = ManualWork(
        float(np.exp(rng.normal(0, 0.7))),
        float(rng.uniform(0.05, 0.4)),
        float(rng.uniform(0.2, 0.8)),
        float(rng.uniform(0.002, 0.06)),
    )
    true_error, true_detection = float(10 ** rng.uniform(-3.5, -0.4)), float(rng.uniform(0.3, 0.99))
    n, seeded = int(10 ** rng.uniform(1, 3.7)), int(rng.choice([0, 20, 100]))
    evidence = TaskEvidence(int(rng.binomial(n, true_error)), n, "simulated")
    detection = Detection(int(rng.binomial(seeded, true_detection)), seeded)
    severity = task_severity(Figure.from_measurement(occupation), answer)
    tolerance = release_tolerance(harm.hours(true_severity), work, true_detection, true_severity)
    return chooser(severity, harm, work, evidence, detection), true_error <= float(tolerance)
