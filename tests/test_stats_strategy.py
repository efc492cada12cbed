"""The cheapest of several strategies: the promise holds for the one that is chosen, after choosing."""

import numpy as np
import pytest

from tolerate.errors import DataError, OptionError
from tolerate.records import Table
from tolerate.stats import certify, compare

TOLERANCE, CONFIDENCE, MANY = 0.05, 0.9, 8


def tables(rng: np.random.Generator, rate: float, n: int = 200) -> dict[str, Table]:
    return {f"s{k}": Table(losses=(rng.random(n) < rate).astype(float)) for k in range(MANY)}


def test_the_cheapest_is_first_and_costs_add_up() -> None:
    rng = np.random.default_rng(0)
    good, bad = Table(losses=np.zeros(400)), Table(losses=(rng.random(400) < 0.5).astype(float))
    rows = compare(
        {"a": good, "b": good, "c": bad}, {"a": 2.0, "b": 1.0, "c": 0.1}, tolerance=0.05, review=9.0
    )
    assert [(row.name, row.cost) for row in rows] == [("b", 1.0), ("a", 2.0), ("c", 9.0)]
    assert not rows[-1].certificate.proven


def test_the_chosen_one_keeps_its_promise_and_an_uncorrected_choice_does_not() -> None:
    """Eight strategies that are all just too bad, 80 samples: choosing a winner breaks the promise at most one
    time in ten (3 standard errors allowed); picking any that passes by itself breaks it far more often."""
    rng = np.random.default_rng(1)
    rounds, broken, naive = 80, 0, 0
    costs = {f"s{k}": 1.0 for k in range(MANY)}
    for _ in range(rounds):
        found = tables(rng, rate=TOLERANCE + 1e-9)
        best = compare(found, costs, tolerance=TOLERANCE, confidence=CONFIDENCE, review=5.0)[0]
        broken += best.certificate.proven
        naive += any(certify(t, tolerance=TOLERANCE, confidence=CONFIDENCE).proven for t in found.values())
    allowed = (1 - CONFIDENCE) + 3 * np.sqrt(0.09 / rounds)
    assert broken / rounds <= allowed
    assert naive / rounds > 2 * allowed


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(DataError, match="no strategies"):
        compare({}, {}, tolerance=0.05, review=1.0)
    with pytest.raises(OptionError, match="no cost is given for b"):
        compare(dict.fromkeys(("a", "b"), Table(losses=np.zeros(9))), {"a": 1.0}, tolerance=0.05, review=1.0)
    with pytest.raises(OptionError, match="below 0"):
        compare({"a": Table(losses=np.zeros(9))}, {"a": -1.0}, tolerance=0.05, review=1.0)
