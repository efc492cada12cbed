"""People made up, whose true error rates are known: is a task ever called released though it exceeds its tolerance?

Truth: severity of a task scatters about its occupation's, the person answers about it with an error, the machine's and
the reviewer's rates are drawn wide. Evidence: binomial counts of a few to thousands of checks, as a certificate or a
typed-in count gives them. What is asked of `choose` is then compared with the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tolerate.careers.data.atlas import Figure
from tolerate.careers.model.choice import (
    CHOICES,
    RELEASED,
    Choice,
    Detection,
    Evidence,
    Work,
    choose,
    release_tolerance,
)
from tolerate.careers.model.severity import ANSWER, BETWEEN, Harm, severity

Chooser = Callable[..., Choice]


@dataclass(frozen=True)
class Outcome:
    """Tasks by choice; of the released ones how many truly exceed; and how many tasks truly could be released."""

    counts: dict[str, int]
    exceed: int
    could: int

    @property
    def tasks(self) -> int:
        """All tasks."""
        return sum(self.counts.values())

    @property
    def wrong(self) -> float:
        """Share of the tasks called released that exceed their tolerance."""
        return self.exceed / max(self.counts[RELEASED], 1)


def naive(*given: object, **_: object) -> Choice:
    """The broken twin: `choose`, but released as soon as the error seen is within the tolerance as it looks."""
    found = choose(*given)  # type: ignore[arg-type]
    seen = found.error is not None and found.error.value <= found.release.value and not found.shut
    return replace(found, choice=RELEASED if seen else found.choice)


def simulate(people: int, tasks: int = 5, seed: int = 0, choice: Chooser = choose) -> Outcome:
    """The outcome for this many people with so many tasks each."""
    rng = np.random.default_rng(seed)
    counts, exceed, could = dict.fromkeys(CHOICES, 0), 0, 0
    for _ in range(people):
        occupation = float(np.clip(rng.normal(2.8, 0.7), 1, 5))
        harm = Harm(*sorted(np.exp(rng.normal([-0.7, 4.5], 0.8)).tolist()))
        for _ in range(tasks):
            found, truly = _task(rng, occupation, harm, choice)
            counts[found.choice] += 1
            could += truly
            exceed += found.choice == RELEASED and not truly
    return Outcome(counts, exceed, could)


def _task(rng: np.random.Generator, occupation: float, harm: Harm, choice: Chooser) -> tuple[Choice, bool]:
    """What is chosen for one task, and whether it truly may be released."""
    at = float(np.clip(rng.normal(occupation, BETWEEN), 1, 5))
    answer = float(np.clip(round(rng.normal(at, ANSWER)), 1, 5))
    work = Work(
        float(np.exp(rng.normal(0, 0.7))),
        float(rng.uniform(0.05, 0.4)),
        float(rng.uniform(0.2, 0.8)),
        float(rng.uniform(0.002, 0.06)),
    )
    error, detect = float(10 ** rng.uniform(-3.5, -0.4)), float(rng.uniform(0.3, 0.99))
    n, seeded = int(10 ** rng.uniform(1, 3.7)), int(rng.choice([0, 20, 100]))
    evidence = Evidence(int(rng.binomial(n, error)), n, "simulated")
    seen = Detection(int(rng.binomial(seeded, detect)), seeded)
    found = choice(severity(Figure.measured(occupation), answer), harm, work, evidence, seen)
    return found, error <= float(release_tolerance(harm.hours(at), work, detect, at))
