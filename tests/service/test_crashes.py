"""Short versions of the laws of the service's ends: kills under load and power losses (long ones: `make laws`)."""

from pathlib import Path

import pytest

from tests.support.crashes import power_losses
from tests.support.kills import kills


def test_kills_lose_and_double_nothing(url: str, tmp_path: Path) -> None:
    wrong, seen_by_clients = kills(url, tmp_path, times=4, seed=1)
    assert wrong == [] and seen_by_clients.answers and seen_by_clients.verdicts


def test_an_answer_before_its_commit_is_caught(tmp_path: Path) -> None:
    """The broken twin: rows are written a little later, as a background flush would."""
    wrong, _ = kills(str(tmp_path / "t.db"), tmp_path, times=2, seed=1, early=True)
    assert any("has no such row" in fault for fault in wrong)


def test_power_losses_lose_nothing(tmp_path: Path) -> None:
    assert power_losses(tmp_path, losses=20, seed=1) == []


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_weaker_commits_are_caught(tmp_path: Path, synchronous: str) -> None:
    """The broken twins: SQLite's weaker settings lose rows that were answered."""
    assert power_losses(tmp_path, losses=20, seed=1, synchronous=synchronous)
