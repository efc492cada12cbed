"""Axes: scales and their ticks."""

import math

import pytest

from tolerate.report import svg
from tolerate.report.svg import Axis


def test_a_log_axis_puts_equal_ratios_at_equal_distances() -> None:
    axis = Axis(0.2, 0.001, 100, 900, log=True)
    assert (axis.pixel(0.2), axis.pixel(0.001)) == (100, 900)
    assert axis.pixel(0.02) - axis.pixel(0.2) == pytest.approx(axis.pixel(0.002) - axis.pixel(0.02))
    assert axis.pixel(0.02) - axis.pixel(0.2) == pytest.approx(800 / math.log10(200))
    assert Axis(0, 10, 0, 100).pixel(2.5) == 25


@pytest.mark.parametrize(("low", "high"), [(0.001, 0.2), (1e-6, 1e5), (0.03, 0.04), (1, 2), (0.5, 0.5)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    for ticks in (svg.log_ticks(low, high, 6), svg.linear_ticks(low, high, 6)):
        assert len(ticks) <= 8
        assert all(low - 1e-9 * high <= tick <= high * (1 + 1e-9) for tick in ticks)
        assert ticks == sorted(set(ticks))
