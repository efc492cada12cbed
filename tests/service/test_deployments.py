"""A short version of the laws of deployments: a drift is found, a promise that holds is left alone."""

from pathlib import Path

import numpy as np

from tests.support.deployments import (
    TOLERANCE,
    allowed,
    at_the_tolerance,
    certified,
    deploy,
    expected_delay,
    naive,
    true_risk,
)


def test_a_drift_to_twice_the_tolerance_is_found(url: str, tmp_path: Path) -> None:
    outcome = deploy(url, tmp_path, 3, at_the_tolerance(), items=2000, drift=200)
    assert outcome.alarm is not None and 200 < outcome.alarm < 200 + 3 * expected_delay(200)
    assert outcome.faults == [] and outcome.released < 2000


def test_a_certificate_from_labels_is_kept(url: str, tmp_path: Path) -> None:
    outcome = deploy(url, tmp_path, 1, certified(np.random.default_rng(2), 1500), items=150)
    assert outcome.released == outcome.reviews == 150 and outcome.alarm is None and outcome.risk <= TOLERANCE
    assert outcome.faults == []


def test_thresholds_without_confidence_are_caught() -> None:
    broken = sum(true_risk(naive(np.random.default_rng(seed), 1500)) > TOLERANCE for seed in range(60))
    assert broken > allowed(60, 0.05)
