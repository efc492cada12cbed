"""The service's promises at length: a thousand kills, two hundred losses of power, a hundred thousand streams.

And simulated deployments: while the promise is true the watch withdraws it at most as often as its level allows;
when the risk doubles it is found.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.service_checks import fuzz_streams, kills, power_losses
from tests.service_fakes import Upstream, certificate, upstream
from tests.test_gateway_promises import Life
from tolerate.gateway.watching import watcher
from tolerate.store import Database, connect, promises, queue
from tolerate.store.schema import prepare

pytestmark = pytest.mark.law


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    with upstream() as fake:
        yield fake


def test_a_thousand_kills(model: Upstream, tmp_path: Path) -> None:
    """No released item without its row, no verdict lost or doubled, the chain verifies."""
    for part in range(10):
        folder = tmp_path / str(part)
        folder.mkdir()
        heard = kills(100, folder, model.url, seed=part)
        assert heard.released and heard.verdicts
        shutil.rmtree(folder)


def test_two_hundred_losses_of_power(tmp_path: Path) -> None:
    assert power_losses(200, tmp_path) > 1000


def test_a_hundred_thousand_streams(tmp_path: Path) -> None:
    released, held = asyncio.run(fuzz_streams(100_000, tmp_path))
    assert released + held == 100_000 and released > 5000


def test_every_order_of_events() -> None:
    many = settings(
        max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Life, settings=many)


def deployment(risks: np.ndarray, seed: int) -> int | None:
    """Reviews of a released random share with these risks, through the service's own watch; when it withdrew."""
    rng = np.random.default_rng(seed)
    db: Database = connect(":memory:")
    prepare(db)
    id = promises.install(db, "support", "main", certificate(tolerance=0.05), {}, "ann", 1.0)
    settled = watcher(time.time, told := [])
    for place, wrong in enumerate(rng.random(len(risks)) < risks):
        item = queue.Item(str(place), "support", 1.0, "q", "a", "main", id, decision="release", drawn=1)
        db.run("BEGIN")
        settled(db, queue.Settled(item, float(wrong), "delivered"))
        db.run("COMMIT")
        if told:
            db.close()
            return place + 1
    db.close()
    return None


def test_promises_kept_are_rarely_withdrawn() -> None:
    """200 deployments at the tolerance itself, 400 reviews each: at most 5% may alarm; more than 21 has chance < .001."""
    alarms = sum(deployment(np.full(400, 0.05), seed) is not None for seed in range(200))
    assert alarms <= 21


def test_drift_to_twice_the_tolerance_is_found() -> None:
    """2% wrong for 200 reviews, then 10% at a tolerance of 5%. Theory: ln(20) + ln(1/weight) over the best bet's growth,
    kl(.1, .05) = .0167 nats a review: about 180 for ln 20 alone; the weights and the mixture cost the rest."""
    risks = np.concatenate([np.full(200, 0.02), np.full(1800, 0.10)])
    found = [deployment(risks, 1000 + seed) for seed in range(40)]
    delays = [at - 200 for at in found if at is not None and at > 200]
    assert len(delays) >= 37 and float(np.mean(delays)) < 650
