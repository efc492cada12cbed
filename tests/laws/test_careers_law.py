"""Simulated people with known truth: released tasks exceed their tolerance in at most 5% of cases; a twin breaks it."""

import pytest

from tolerate.careers.data import skills
from tolerate.careers.model import path, simulate

pytestmark = pytest.mark.law


def test_released_tasks_exceed_their_tolerance_rarely() -> None:
    """About 2,700 released of 10,000 tasks: the standard error of a share of 5% is 0.4%."""
    honest = simulate.simulate(2000, seed=11)
    assert honest.counts["released"] > 2000 and honest.wrong_share <= 0.05
    assert honest.counts["undecided"] > 0


def test_a_choice_from_point_estimates_breaks_it() -> None:
    assert simulate.simulate(1000, seed=11, chooser=simulate.choose_naively).wrong_share > 0.05


def test_paths_reach_the_exact_optimum() -> None:
    hours, delays = path.compare_with_exact(skills.graph(), trials=150, seed=2)
    assert max(hours) <= 1 + 1e-9 and max(delays) <= 1.05
