"""A short version of the laws of slices and of drift."""

import numpy as np

from tests.support.watch_slices import FullLevel, allowed, delay_in_a_slice, false_alarms
from tolerate.stats.monitor.watch import Watch


def test_false_alarms_of_a_job_stay_within_its_level() -> None:
    """Twenty slices, each just as bad as allowed; the whole job alarms falsely in at most 20%."""
    assert false_alarms(Watch, 60, slices=20, labels=3000) <= allowed(60, 0.2)


def test_slices_at_the_full_level_are_caught() -> None:
    assert false_alarms(FullLevel, 60, slices=40, labels=8000) > allowed(60, 0.2)


def test_drift_in_one_slice_is_found_in_that_slice() -> None:
    delays = [delay_in_a_slice(seed, slices=20, change=4000) for seed in range(10)]
    assert all(delay is not None for delay, _ in delays) and np.mean([delay for delay, _ in delays]) < 120
    assert sum(names != {"s0"} for _, names in delays) <= 2
