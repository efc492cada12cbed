"""Real sets as populations: whole clusters are drawn, and the promise breaks in at most 5% of the draws.

The short version takes two sets with many rows a cluster; `make laws` takes all of them, and
`python -m benchmarks.real_data` sets the peers beside. Absent data: skipped.
"""

from pathlib import Path

import pytest
from benchmarks.real_data import SCORES, Labelled, by_cluster, by_row, load, measure, tolerances
from scipy.stats import binom

STRAY = 1e-4  # chance that a law cries wolf about a valid method


def allowed(runs: int) -> int:
    """The most broken promises of a method that keeps 95%, but for a chance of STRAY."""
    return int(binom.ppf(1 - STRAY, runs, 0.05))


def load_labelled(name: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Labelled:
    monkeypatch.setenv("TOLERATE_SHARED", str(shared))
    if not (shared / "labelled" / f"{name}.csv.gz").exists() and name != "tagging_coco":
        pytest.skip(f"{name} is not among the shared data")
    return load(name)


@pytest.mark.parametrize("name", ["judge_llmbar", "video_fetv"])
def test_short(name: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_labelled(name, shared, monkeypatch)
    for tolerance in tolerances(data)[1:3]:
        line = measure(data, by_cluster, tolerance, 30)
        assert line.broken <= allowed(30) and line.released > 0.1


def test_the_twin_that_counts_rows_is_caught(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_labelled("judge_llmbar", shared, monkeypatch)
    assert measure(data, by_row, tolerances(data)[1], 40).broken > allowed(40)


@pytest.mark.law
@pytest.mark.parametrize("name", sorted(SCORES))
def test_every_set(name: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_labelled(name, shared, monkeypatch)
    for tolerance in tolerances(data)[:3]:  # at the fourth the whole set is fine and nothing can break
        assert measure(data, by_cluster, tolerance, 60).broken <= allowed(60)
