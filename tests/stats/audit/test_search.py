"""What part of a batch can go out: parts that grow under a budget of labels, and the exact plan of each."""

import itertools

import numpy as np
import pytest

import tolerate.stats.audit.audit as audit_module
from tolerate.errors import OptionError
from tolerate.stats.audit.audit import Audit
from tolerate.stats.audit.search import budget_plan, growing_chains
from tolerate.stats.audit.stopping_plan import false_certificate


def run_to_end(losses: np.ndarray, scores: np.ndarray, **options: object) -> Audit:
    audit = Audit(len(losses), scores=scores, **options)  # type: ignore[arg-type]
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    return audit


def released(audit: Audit, scores: np.ndarray) -> np.ndarray:
    certificate = audit.certificate
    return (
        np.full(len(scores), certificate.proven)
        if certificate.threshold is None
        else scores >= certificate.threshold
    )


@pytest.mark.parametrize(
    "items, tolerance, budget", [(2000, 0.05, 300), (500, 0.02, 500), (10_000, 0.01, 900), (90, 0.1, 40)]
)
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_a_plan_proves_a_bad_part_no_oftener_than_it_says(
    items: int, tolerance: float, budget: int, confidence: float
) -> None:
    allowed = int(items * tolerance)
    plan = budget_plan(items, allowed, confidence, budget)
    error = false_certificate(plan)
    assert 0.5 * (1 - confidence) < error <= (1 - confidence) * (1 + 1e-9)
    assert (np.diff(plan.certify_at) >= 0).all()


def test_a_plan_against_a_slow_recursion() -> None:
    """Chance of proof from the definition: every path of 12 labels, counted one by one."""
    plan, wrong = budget_plan(30, 4, 0.8, 12), 5
    chance = 0.0
    for path in itertools.product((0, 1), repeat=12):
        probability, bad = 1.0, 0
        for t, label in enumerate(path):
            share = (wrong - bad) / (30 - t)
            probability *= share if label else 1 - share
            bad += label
        wrong_so_far = np.cumsum(path)
        chance += probability * any(plan.verdict(t + 1, int(wrong_so_far[t])) == "proven" for t in range(12))
    assert chance <= 0.2
    late = budget_plan(30, 4, 0.8, 12).certify_at > 12
    assert late.any() and chance == pytest.approx(sum(_reach(plan.certify_at, wrong, 30, 12)), rel=1e-9)


def _reach(certify_at: np.ndarray, wrong: int, items: int, until: int) -> list[float]:
    alive, proven = {0: 1.0}, []
    for t in range(until):
        after: dict[int, float] = {}
        for k, mass in alive.items():
            share = (wrong - k) / (items - t)
            for label, part in ((0, 1 - share), (1, share)):
                after[k + label] = after.get(k + label, 0.0) + mass * part
        proven += [mass for k, mass in after.items() if certify_at[min(k, 4)] <= t + 1 and k <= 4]
        alive = {k: mass for k, mass in after.items() if not (k <= 4 and certify_at[k] <= t + 1)}
    return proven


def test_every_order_of_every_small_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact: over all 120 orders of labelling, each of the 32 batches of 5 breaks its promise in at most half of them."""
    orders = [np.array(order) for order in itertools.permutations(range(5))]
    scores, worst = np.arange(5.0), 0.0
    drawn = [orders[0]]
    monkeypatch.setattr(audit_module, "draw_order", lambda items, seed: drawn[0])
    for batch in itertools.product((0.0, 1.0), repeat=5):
        losses, broken = np.array(batch), 0
        for order in orders:
            drawn[0] = order
            out = released(
                run_to_end(losses, scores, tolerance=0.3, confidence=0.5, seed=0, budget=3), scores
            )
            broken += bool(out.any() and losses[out].mean() > 0.3)
        worst = max(worst, broken / len(orders))
    assert 0 < worst <= 0.5


def test_chains_grow_from_the_start_and_the_reserve_lies_below() -> None:
    scores = np.random.default_rng(0).random(3000)
    main, reserve = growing_chains(scores, 3000, 0.9, start=0.3)
    sizes = [int(part.members.sum()) for part in main.parts]
    assert sizes[0] == 900 and sizes[-1] == 3000 and main.parts[-1].threshold is None
    assert max(int(part.members.sum()) for part in reserve.parts) < 900
    for chain in (main, reserve):
        for part, larger in itertools.pairwise(chain.parts):
            assert (part.members <= larger.members).all() and part.members.sum() < larger.members.sum()
    assert (1 - main.confidence) + (1 - reserve.confidence) == pytest.approx(0.1)


def test_ties_and_missing_scores_stay_together() -> None:
    scores = np.repeat([0.9, 0.5, np.nan, 0.1], 250)
    for chain in growing_chains(scores, 1000, 0.9):
        for part in chain.parts[:-1] if chain.parts[-1].threshold is None else chain.parts:
            assert not part.members[np.isnan(scores)].any()
            assert len({bool(part.members[i]) for i in range(250)}) == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_part_is_found_and_the_budget_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(4000)
    losses = (rng.random(4000) < 1 - scores**0.25).astype(float)
    audit = run_to_end(losses, scores, tolerance=0.05, confidence=0.9, seed=seed, budget=600)
    certificate = audit.certificate
    assert audit.labels <= 600 and 0.15 < certificate.coverage < 0.36 and certificate.scope == "above"
    assert certificate.risk_bound is not None and certificate.risk_bound <= 0.05
    assert losses[scores >= certificate.threshold].mean() <= 0.05


def test_it_goes_on_where_it_was_stopped() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(2000)
    losses = (rng.random(2000) < 1 - scores**0.25).astype(float)
    whole = run_to_end(losses, scores, tolerance=0.05, seed=5, budget=400)
    part = Audit(2000, 0.05, seed=5, scores=scores, budget=400)
    for _ in range(123):
        item = part.next()
        part.record(item, losses[item])
    part = Audit.from_json(part.to_json(), scores=scores)
    while part.open:
        item = part.next()
        part.record(item, losses[item])
    assert part.certificate == whole.certificate


def test_a_strict_job_falls_back_on_the_reserve() -> None:
    """At 1% the best fifth is too bad; a smaller part is found all the same."""
    rng = np.random.default_rng(1)
    scores = rng.random(10_000)
    losses = (rng.random(10_000) < 1 - scores**0.25).astype(float)
    certificate = run_to_end(losses, scores, tolerance=0.01, confidence=0.9, seed=1, budget=1000).certificate
    assert 0.02 <= certificate.coverage < 0.2 and losses[scores >= certificate.threshold].mean() <= 0.01


def test_a_hopeless_batch_says_so_before_the_budget_is_gone() -> None:
    scores = np.random.default_rng(0).random(5000)
    audit = run_to_end(np.ones(5000), scores, tolerance=0.05, seed=0, budget=1000)
    assert not audit.proven and audit.labels < 300
    assert audit.hopeless is not None and "were wrong" in audit.hopeless


def test_graded_losses_are_searched_too() -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(3000)
    losses = np.clip((1 - scores) * 0.2 * rng.random(3000), 0, 1)
    audit = run_to_end(losses, scores, tolerance=0.05, seed=2, budget=800, graded=True)
    out = released(audit, scores)
    assert out.mean() > 0.3 and losses[out].mean() <= 0.05


@pytest.mark.parametrize(
    "options, text",
    [
        ({"budget": 100}, "needs scores="),
        ({"budget": 0, "scores": np.arange(50.0)}, "at least one"),
        ({"budget": 9, "scores": np.arange(50.0), "withhold": (0.1,)}, "leave out withhold"),
        ({"budget": 9, "scores": np.arange(50.0), "start": 0.0}, "start is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        Audit(50, 0.1, **options)  # type: ignore[arg-type]
