"""Laws of the service: whatever ends it, however streams are cut, whoever withdraws what, the promise is kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashes import power_losses
from tests.kills import kills
from tests.service_fakes import database
from tests.streams import fuzz

pytestmark = pytest.mark.law


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from database(request.param, tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_kills(url: str, tmp_path: Path, seed: int) -> None:
    """250 kills (-9) in each of four runs: no answer without its row, no verdict lost or doubled, one chain."""
    wrong, told = kills(url, tmp_path, times=250, seed=seed)
    assert wrong == [] and len(told.answers) > 250 and len(told.verdicts) > 25


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_power_losses(tmp_path: Path, seed: int) -> None:
    """Fifty places in each of four logs; unsynced sectors come to the disk or not, by chance."""
    assert power_losses(tmp_path, losses=50, seed=seed, count=480) == []


@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_streams(tmp_path: Path, seed: int) -> None:
    """10,000 fuzzed streams in each of ten runs: no token before the committed row that releases it."""
    wrong, said = fuzz(tmp_path, 10_000, seed=100 + seed)
    assert wrong == [] and min(said["release"], said["review"], said["failed"]) > 500
