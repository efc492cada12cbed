"""Laws of the service: whatever ends it, however streams are cut, whoever withdraws what, the promise is kept."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.crashes import power_losses
from tests.support.deployments import TOLERANCE, allowed, at_the_tolerance, certified, deploy, expected_delay
from tests.support.kills import kills
from tests.support.streams import fuzz

pytestmark = pytest.mark.law


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_kills(url: str, tmp_path: Path, seed: int) -> None:
    """250 kills (-9) in each of four runs: no answer without its row, no verdict lost or doubled, one chain."""
    wrong, observed = kills(url, tmp_path, times=250, seed=seed)
    assert wrong == [] and len(observed.answers) > 250 and len(observed.verdicts) > 25


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_power_losses(tmp_path: Path, seed: int) -> None:
    """Fifty places in each of four logs; unsynced sectors come to the disk or not, by chance."""
    assert power_losses(tmp_path, losses=50, seed=seed, count=480) == []


@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_streams(url: str, tmp_path: Path, seed: int) -> None:
    """10,000 fuzzed streams in each of ten runs: no token before the committed row that releases it."""
    wrong, outcomes = fuzz(url, tmp_path, 10_000, seed=100 + seed)
    assert wrong == [] and min(outcomes["release"], outcomes["review"], outcomes["failed"]) > 500


def test_promises_are_kept_in_deployments(tmp_path: Path) -> None:
    """200 certificates from 2,000 fresh labels each, served: too much risk is released in at most 5% of them."""
    deployments = [
        deploy(None, tmp_path, seed, certified(np.random.default_rng(seed), 2000), items=50)
        for seed in range(200)
    ]
    assert sum(
        deployment.risk > TOLERANCE and deployment.released > 0 for deployment in deployments
    ) <= allowed(200, 0.05)
    assert sum(deployment.released > 0 for deployment in deployments) > 100 and not any(
        deployment.faults for deployment in deployments
    )


def test_a_promise_that_is_just_true_is_rarely_withdrawn(tmp_path: Path) -> None:
    """200 deployments at the tolerance itself, 500 reviews each: false alarms within their 5%."""
    deployments = [deploy(None, tmp_path, 1000 + seed, at_the_tolerance(), items=500) for seed in range(200)]
    assert sum(deployment.alarm is not None for deployment in deployments) <= allowed(200, 0.05)


def test_drift_is_found_as_soon_as_theory_says(tmp_path: Path) -> None:
    """100 deployments, twice the tolerance from review 200 on: the mean delay is within Wald's bound."""
    deployments = [
        deploy(None, tmp_path, 2000 + seed, at_the_tolerance(), items=4000, drift=200) for seed in range(100)
    ]
    assert all(deployment.alarm is not None for deployment in deployments)
    late = [
        deployment.alarm - 200
        for deployment in deployments
        if deployment.alarm is not None and deployment.alarm > 200
    ]
    assert len(late) >= 95 and np.mean(late) <= expected_delay(200)
