"""Laws of the service's watch: many slices share one level, drift of scores is found falsely at most as often as it says."""

import numpy as np
import pytest

from tests.support.watch_slices import (
    FullLevel,
    allowed,
    degraded_after,
    degraded_falsely,
    delay_in_a_slice,
    false_alarms,
)
from tolerate.stats.monitor.watch import Watch

pytestmark = pytest.mark.law


@pytest.mark.parametrize("slices", [5, 50])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_slices_share_one_level(slices: int, confidence: float) -> None:
    assert false_alarms(Watch, 400, slices, 20_000, confidence) <= allowed(400, 1 - confidence)


def test_slices_at_the_full_level_are_caught() -> None:
    assert false_alarms(FullLevel, 400, 50, 20_000, 0.95) > allowed(400, 0.05)


def test_drift_in_one_of_fifty_slices() -> None:
    delays = [delay_in_a_slice(seed, 50, 20_000)[0] for seed in range(40)]
    assert all(delay is not None for delay in delays) and np.mean(delays) < 120


def test_degraded_falsely_within_the_level() -> None:
    """300 services of 3,000 scores each, at 5%: three standard errors are 3.8%."""
    assert degraded_falsely(300, 3000, 0.05) <= allowed(300, 0.05)


@pytest.mark.parametrize(("before", "gap", "most"), [(0, 0.2, 150), (5000, 0.2, 250), (5000, 0.3, 120)])
def test_a_change_of_scores_is_found_soon(before: int, gap: float, most: float) -> None:
    delays = [degraded_after(seed, before, gap) for seed in range(40)]
    late = [delay for delay in delays if delay is not None and delay > 0]
    early = sum(delay is not None and delay <= 0 for delay in delays)
    assert None not in delays and early <= allowed(40, 0.05) and np.mean(late) <= most
