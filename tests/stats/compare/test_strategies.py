"""The cheapest of several strategies: the promise holds for the one that is chosen, after choosing."""

import numpy as np
import pytest

from tolerate.errors import DataError, OptionError
from tolerate.records import Decision, Table
from tolerate.stats.certify.threshold import certify
from tolerate.stats.compare.cascade import Cascade, answer_line, cascade_text
from tolerate.stats.compare.strategies import compare

TOLERANCE, CONFIDENCE, MANY_STRATEGIES = 0.05, 0.9, 8


def tables(rng: np.random.Generator, rate: float, n: int = 200) -> dict[str, Table]:
    return {f"s{k}": Table(losses=(rng.random(n) < rate).astype(float)) for k in range(MANY_STRATEGIES)}


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
    costs = {f"s{k}": 1.0 for k in range(MANY_STRATEGIES)}
    for _ in range(rounds):
        drawn = tables(rng, rate=TOLERANCE + 1e-9)
        best = compare(drawn, costs, tolerance=TOLERANCE, confidence=CONFIDENCE, review=5.0)[0]
        broken += best.certificate.proven
        naive += any(certify(t, tolerance=TOLERANCE, confidence=CONFIDENCE).proven for t in drawn.values())
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


# One sample for all strategies, and cascades


def columns(n: int = 3000, seed: int = 0) -> tuple[dict, dict]:
    """A cheap model whose score is worth something, and a dear one that is right in 98 of 100."""
    rng = np.random.default_rng(seed)
    sure = rng.random(n)
    losses = {"small": rng.random(n) > sure**0.2, "large": rng.random(n) < 0.02}
    return losses, {"small": sure, "large": rng.random(n)}


COSTS = {"small": 1.0, "large": 10.0}


def test_a_cascade_is_cheaper_than_its_tiers_and_decides_by_its_rule() -> None:
    losses, scores = columns()
    best, *others = compare(
        losses=losses,
        scores=scores,
        costs=COSTS,
        cascades=[("small", "large")],
        tolerance=0.05,
        review=50.0,
    )
    cascade = best.certificate
    assert isinstance(cascade, Cascade) and best.cost < min(row.cost for row in others)
    first, second = cascade.tiers
    assert first.threshold is not None and second.rule == "all" and cascade.coverage == 1
    assert cascade.decide(first.threshold) == Decision.RELEASE
    assert cascade.decide(np.nextafter(first.threshold, 0)) == Decision.ESCALATE == cascade.decide(None)
    assert cascade.decide(None, 0.1) == Decision.RELEASE
    assert (cascade.asks(), cascade.asks(0.0), cascade.asks(1.0)) == ("small", "large", None)
    # What it says of the sample is what the rule does with it.
    released = scores["small"] >= first.threshold
    risk = np.where(released, losses["small"], losses["large"]).mean()
    assert cascade.certificate.risk_seen == pytest.approx(risk)
    assert best.cost == pytest.approx(1 + 10 * (1 - released.mean()))


def test_a_cascade_travels_as_json_and_speaks_two_languages() -> None:
    losses, scores = columns()
    row = compare(
        losses=losses, scores=scores, costs=COSTS, cascades=[("small", "large")], tolerance=0.05, review=50
    )[0]
    again = Cascade.loads(row.certificate.dumps())
    assert again == row.certificate and again.decide(0.0) == Decision.ESCALATE
    english, chinese = cascade_text(again), cascade_text(again, "zh")
    assert "small: releases a score of" in english and "with 95% confidence" in english
    assert "放行到达的全部内容" in chinese and "95%" in chinese
    assert "small >= " in answer_line(again) and "错误不超过 5%" in answer_line(again, "zh")


def test_a_cascade_that_proves_nothing_reviews_everything() -> None:
    losses = {"a": np.ones(200), "b": np.ones(200)}
    rows = compare(losses=losses, costs={"a": 1, "b": 2}, cascades=[("a", "b")], tolerance=0.05, review=9)
    assert all(row.cost == 9 and not row.certificate.proven for row in rows)
    cascade = next(row.certificate for row in rows if isinstance(row.certificate, Cascade))
    assert cascade.decide() == cascade.decide(1.0) == cascade.decide(1.0, 1.0) == Decision.REVIEW
    assert "Nothing may be released" in str(cascade)


def test_shared_items_make_the_better_of_two_roads_and_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    risks = np.concatenate([[0.018], np.full(29, 0.2)])
    grid = (rng.random((500, 30)) < risks).astype(float)
    costs = np.linspace(2, 1, 30)
    best = compare(losses=grid, costs=costs, tolerance=0.05, review=20.0)[0]
    tables = {str(i): Table(losses=grid[:, i]) for i in range(30)}
    apart = compare(tables, dict(zip(tables, costs, strict=True)), tolerance=0.05, review=20.0)[0]
    assert best.name == "0" and best.certificate.proven  # found by the plan
    assert apart.cost >= best.cost
    turned = {name: Table(losses=table.losses[::-1]) for name, table in tables.items()}
    backwards = compare(
        turned,
        dict(zip(tables, costs, strict=True)),
        items=dict.fromkeys(tables, np.arange(500)[::-1]),
        tolerance=0.05,
        review=20.0,
    )[0]
    assert (backwards.name, backwards.cost) == (best.name, best.cost)


def test_clusters_are_dealt_and_tested_whole() -> None:
    losses, scores = columns(1200)
    rows = compare(
        losses=losses,
        scores=scores,
        clusters=np.arange(1200) // 4,
        costs=COSTS,
        cascades=[("small", "large")],
        tolerance=0.1,
        review=50.0,
    )
    cascade = next(row.certificate for row in rows if isinstance(row.certificate, Cascade))
    assert cascade.proven and cascade.certificate.clusters == 300
    assert any("no cluster to come is larger than 4" in line for line in cascade.certificate.assumptions)


def test_what_cannot_be_a_cascade_is_named() -> None:
    losses, _ = columns(100)
    arguments: dict = {"costs": COSTS, "tolerance": 0.05, "review": 5.0}
    with pytest.raises(OptionError, match="know which rows show the same item"):
        compare(
            {n: Table(losses=column) for n, column in losses.items()},
            cascades=[("small", "large")],
            **arguments,
        )
    with pytest.raises(OptionError, match='no strategy "smal".*Did you mean "small"'):
        compare(losses=losses, cascades=[("smal", "large")], **arguments)
    with pytest.raises(OptionError, match="two or more different"):
        compare(losses=losses, cascades=[("small",)], **arguments)
    with pytest.raises(DataError, match="several lengths"):
        compare(losses={"small": np.zeros(3), "large": np.zeros(4)}, **arguments)
    with pytest.raises(DataError, match="several rows of one item"):
        compare(
            {n: Table(losses=column.astype(float)) for n, column in losses.items()},
            items=dict.fromkeys(losses, np.zeros(100)),
            cascades=[("small", "large")],
            **arguments,
        )
    rows = compare(losses=losses, cascades=[("small", "large")], **arguments)
    cascade = next(row.certificate for row in rows if isinstance(row.certificate, Cascade))
    with pytest.raises(DataError, match="at most 2"):
        cascade.decide(1, 2, 3)


def test_holm_returns_shares_where_each_strategy_is_one_test() -> None:
    """Two strategies: 59 fine labels prove 5% alone; at half the level it takes 72. The second gets the first's share."""
    tables = {"long": Table(losses=np.zeros(100)), "short": Table(losses=np.zeros(60))}
    rows = compare(tables, {"long": 1.0, "short": 1.0}, tolerance=0.05, review=9.0)
    assert all(row.certificate.proven for row in rows)
    assert not certify(tables["short"], tolerance=0.05, comparisons=2).proven
