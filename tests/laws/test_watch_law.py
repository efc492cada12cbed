"""Laws of the watch: false alarms stay rare for ever, on every kind of stream that keeps the promise."""

import math

import numpy as np
import pytest

from tolerate.stats.monitor.watch import Watch, anytime_upper

pytestmark = pytest.mark.law
LENGTH = 30_000


def within(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Losses whose conditional mean never exceeds 5%."""
    t = np.arange(LENGTH)
    if kind == "steady":
        return (rng.random(LENGTH) < 0.05).astype(float)
    if kind == "seasons":
        return (rng.random(LENGTH) < 0.05 * (t // 700 % 2)).astype(float)
    if kind == "graded":
        return 0.1 * rng.random(LENGTH)
    if kind == "heavy":
        return np.where(rng.random(LENGTH) < 0.01, 1.0, rng.random(LENGTH) * 0.08)
    losses = np.zeros(LENGTH)  # "baiting": as bad as allowed after a wrong item, else perfect for a while
    u, hot = rng.random(LENGTH), 0
    for i in range(LENGTH):
        losses[i] = u[i] < (0.05 if hot or i % 3 == 0 else 0.0)
        hot = 40 if losses[i] else max(0, hot - 1)
    return losses


@pytest.mark.parametrize("kind", ["steady", "seasons", "graded", "heavy", "baiting"])
@pytest.mark.parametrize("confidence", [0.7, 0.95])
def test_false_alarms_over_a_long_time(kind: str, confidence: float) -> None:
    runs, false = 300, 0
    for seed in range(runs):
        watch = Watch(tolerance=0.05, confidence=confidence)
        watch.update_many(within(kind, np.random.default_rng(seed)))
        false += watch.alarm is not None
    assert false / runs <= 1 - confidence + 3 * math.sqrt(confidence * (1 - confidence) / runs)


def test_slices_share_one_promise() -> None:
    runs, false = 300, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        watch = Watch(tolerance=0.05, confidence=0.8, slices=("a", "b", "c"))
        watch.update_many((rng.random(6000) < 0.05).astype(float), slices=rng.choice(["a", "b", "c"], 6000))
        false += watch.alarm is not None
    assert false / runs <= 0.2 + 3 * math.sqrt(0.16 / runs)


@pytest.mark.parametrize("run_length", [100.0, 1000.0])
def test_average_run_length(run_length: float) -> None:
    first = []
    for seed in range(300):
        watch = Watch(tolerance=0.1, run_length=run_length)
        watch.update_many((np.random.default_rng(seed).random(LENGTH) < 0.1).astype(float))
        first.append(watch.alarm.labels if watch.alarm else LENGTH)
    assert np.mean(first) >= run_length


def test_mean_delay() -> None:
    """1% wrong for 2,000 labels, then 4%; tolerance 2%, 5% false alarm for ever."""
    delays, early = [], 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        losses = (rng.random(20_000) < np.where(np.arange(20_000) < 2000, 0.01, 0.04)).astype(float)
        watch = Watch(tolerance=0.02, confidence=0.95)
        watch.update_many(losses)
        labels = watch.alarm.labels if watch.alarm else 20_000
        early += labels <= 2000
        delays.append(labels - 2000)
    assert np.mean(delays) <= 1350
    assert early / 400 <= 0.05


def test_peeking_at_a_normal_test_is_caught() -> None:
    """The broken twin: the fixed-sample test looked at after every label."""
    runs, false = 200, 0
    t = np.arange(1, 5001)
    for seed in range(runs):
        losses = np.random.default_rng(seed).random(5000) < 0.05
        z = (np.cumsum(losses) - 0.05 * t) / np.sqrt(0.0475 * t)
        false += bool((z[30:] > 1.645).any())
    assert false / runs > 0.05 + 5 * math.sqrt(0.0475 / runs)


@pytest.mark.parametrize("kind", ["steady", "seasons", "graded", "heavy"])
def test_bound_covers_the_average_risk_at_every_look(kind: str) -> None:
    runs, broken = 150, 0
    t = np.arange(1, LENGTH + 1)
    means = {
        "steady": np.full(LENGTH, 0.05),
        "seasons": np.cumsum(0.05 * ((t - 1) // 700 % 2)) / t,
        "graded": np.full(LENGTH, 0.05),
        "heavy": np.full(LENGTH, 0.01 + 0.99 * 0.04),
    }[kind]
    looks = np.unique(np.geomspace(1, LENGTH, 60).astype(int))
    for seed in range(runs):
        sums = np.cumsum(within(kind, np.random.default_rng(seed)))
        broken += any(anytime_upper(sums[n - 1], int(n), 0.8) < means[n - 1] for n in looks)
    assert broken / runs <= 0.2 + 3 * math.sqrt(0.16 / runs)
