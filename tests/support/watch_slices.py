"""Many slices under one promise, simulated: false alarms of a job, drift in one slice, drift of scores; short and long."""

import math

import numpy as np

from tolerate.stats.monitor.drift import Drift, reference_of
from tolerate.stats.monitor.watch import EvidenceLine, Watch

TOLERANCE = 0.05


def allowed(runs: int, chance: float) -> float:
    """So many of the runs may fail, if each may with this chance, and three standard errors."""
    return runs * chance + 3 * math.sqrt(runs * chance * (1 - chance))


class FullLevel(Watch):
    """The broken twin: every slice gets the whole level."""

    def _new_line(self, name: str) -> EvidenceLine:
        line = super()._new_line(name)
        line.limit = -math.log(1 - self.confidence)
        return line


def false_alarms(kind: type[Watch], runs: int, slices: int, labels: int, confidence: float = 0.8) -> int:
    """Jobs with any alarm, where every slice has exactly the tolerated risk."""
    names = tuple(f"s{k}" for k in range(slices))
    count = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        watch = kind(tolerance=TOLERANCE, confidence=confidence, slices=names)
        watch.update_many(
            (rng.random(labels) < TOLERANCE).astype(float), slices=rng.choice(names, labels).tolist()
        )
        count += bool(watch.alarms)
    return count


def delay_in_a_slice(seed: int, slices: int, change: int) -> tuple[int | None, set[str]]:
    """Labels of the slice "s0" from its change to four times the tolerance until its alarm; and every slice alarmed."""
    names = tuple(f"s{k}" for k in range(slices))
    rng = np.random.default_rng(seed)
    labels = change + 1500 * slices
    of = rng.choice(names, labels)
    bad = (of == "s0") & (np.arange(labels) >= change)
    losses = (rng.random(labels) < np.where(bad, 4 * TOLERANCE, 0.2 * TOLERANCE)).astype(float)
    watch = Watch(tolerance=TOLERANCE, confidence=0.95, slices=names)
    watch.update_many(losses, slices=of.tolist())
    alarm = watch.lines["s0"].alarm
    early = int((of[:change] == "s0").sum())
    return None if alarm is None else alarm.labels - early, {a.slice for a in watch.alarms if a.slice}


def degraded_falsely(runs: int, items: int, level: float) -> int:
    """Services whose scores never change, found all the same; every change counts, however small."""
    count = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        drift = Drift(reference_of(rng.beta(5, 1, 1500), seed=seed), level, gap=0.0)
        count += drift.update(rng.beta(5, 1, items).tolist(), rng.random(items).tolist())
    return count


def degraded_after(seed: int, before: int, gap: float) -> int | None:
    """Scores until a change of this gap is found; 0 or less if falsely before it, None if not within 4,000."""
    rng = np.random.default_rng(seed)
    drift = Drift(reference_of(rng.random(2000), seed=seed))
    drift.update(rng.random(before).tolist(), rng.random(before).tolist())
    moved = rng.random(4000)
    moved = np.where(rng.random(4000) < 2 * gap, moved / 2, moved)  # so much of the upper half comes down
    drift.update(moved.tolist(), rng.random(4000).tolist())
    return drift.items - before if drift.detected else None
