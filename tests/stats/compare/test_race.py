"""A race for labels: it finds the cheapest safe strategy, takes only what it asked for, and says when it is over."""

import numpy as np
import pytest

from tolerate.errors import DataError, OptionError
from tolerate.stats.alpha_wealth import ErrorBudget
from tolerate.stats.compare.race import LabelRequest, Race

RISKS = {"tiny": 0.3, "small": 0.02, "large": 0.005}
COSTS = {"tiny": 1.0, "small": 3.0, "large": 30.0}


def run(race: Race, seed: int = 0) -> list[LabelRequest]:
    rng, requests = np.random.default_rng(seed), []
    while race.open:
        ask = race.next()
        assert race.next() == ask
        requests.append(ask)
        race.record(ask, loss=float(rng.random() < RISKS[ask.strategy]))
    return requests


def race(labels: int = 2000, **more: object) -> Race:
    return Race(COSTS, labels=labels, tolerance=0.05, review=50.0, **more)  # type: ignore[arg-type]


def test_the_cheapest_safe_one_is_found_with_few_labels_of_the_others() -> None:
    ours = race(seed=1)
    requests = run(ours, 1)
    assert ours.best is not None and ours.best.name == "small" and ours.used == len(requests) < 2000
    assert sum(ask.strategy == "tiny" for ask in requests) < 60
    rows = ours.rows
    assert rows[0].name == "small" and rows[0].cost == 3.0
    assert {row.cost for row in rows if not row.certificate.proven} == {50.0}
    assert rows[0].certificate.risk_bound == 0.05 and rows[0].certificate.scope == "all"


def test_the_same_seed_and_verdicts_ask_the_same() -> None:
    assert run(race(seed=4)) == run(race(seed=4))


def test_every_label_is_of_a_fresh_item() -> None:
    items = [ask.item for ask in run(race(labels=900, items=700))]
    assert len(items) <= 700 and len(set(items)) == len(items) and max(items) < 700


def test_the_last_verdict_changes_nothing_before_it() -> None:
    """The first 300 questions are the same whatever the 300th answer is."""
    paths = []
    for last in (0.0, 1.0):
        ours, rng = race(), np.random.default_rng(5)
        path = []
        for step in range(300):
            ask = ours.next()
            path.append(ask)
            ours.record(ask, loss=last if step == 299 else float(rng.random() < RISKS[ask.strategy]))
        paths.append(path)
    assert paths[0] == paths[1]


def test_graded_losses_are_taken_when_announced() -> None:
    ours, rng = race(labels=4000, graded=True), np.random.default_rng(0)
    while ours.open:
        name, size = ours.next_batch
        ours.tell(rng.beta(1, 40, size) if name != "tiny" else rng.random(size))
    assert ours.best is not None and ours.best.name == "small"
    with pytest.raises(DataError, match="graded=True"):
        race().record(race().next(), loss=0.5)


def test_nothing_is_proven_when_nothing_is_safe() -> None:
    ours = Race({"a": 1.0, "b": 2.0}, labels=600, tolerance=0.05, review=9.0)
    while ours.open:
        ours.record(ours.next(), loss=1.0)
    assert ours.best is None and all(row.cost == 9.0 for row in ours.rows)


def test_labels_that_were_not_asked_for_are_refused() -> None:
    ours = race()
    ask = ours.next()
    other = next(name for name in COSTS if name != ask.strategy)
    with pytest.raises(DataError, match="was asked for"):
        ours.record(LabelRequest(other, ask.item), loss=0)
    with pytest.raises(DataError, match='no strategy "smal"'):
        ours.record("smal", loss=0)
    with pytest.raises(DataError, match="outside"):
        ours.record(ask, loss=2)
    with pytest.raises(OptionError, match="labels is 0"):
        race(labels=0)
    with pytest.raises(OptionError, match="no cost|below 0"):
        Race({"a": -1.0}, labels=10, tolerance=0.05, review=1.0)


def test_a_race_that_is_over_says_so() -> None:
    ours = race(labels=100)
    run(ours)
    with pytest.raises(OptionError, match="the race is over"):
        ours.next()


def test_an_error_budget_pays_no_more_than_it_holds() -> None:
    budget = ErrorBudget(0.05).spend(0.04).forfeit()
    with pytest.raises(OptionError, match="cannot be spent"):
        budget.spend(0.02)
    assert budget.available == pytest.approx(0.01)
