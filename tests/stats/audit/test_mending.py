"""Mend what you find: fewer labels, and the promise on what is left, counted exactly."""

import itertools

import numpy as np
import pytest

import tolerate.stats.audit.mending as mending
from tolerate.errors import OptionError
from tolerate.messages.certificates import certificate_text
from tolerate.stats.audit.audit import Audit
from tolerate.stats.audit.mending import mended_plan
from tolerate.stats.audit.optimal_plan import robust_plan
from tolerate.stats.audit.stopping_plan import StoppingPlan, false_certificate, forecast
from tolerate.stats.hypergeometric import allowed_wrong


def broken(plan: StoppingPlan, tolerance: float, wrong: int) -> float:
    """Chance that what goes out has too many wrong, from the definition: states (labels, found) one by one."""
    alive, chance = {0: 1.0}, 0.0
    for t in range(plan.items + 1):
        for k in [k for k in alive if plan.verdict(t, k) == "proven"]:
            mass, left = alive.pop(k), plan.items - k
            chance += mass * (wrong - k > tolerance * left * (1 + 1e-12))
        after: dict[int, float] = {}
        for k, mass in alive.items():
            bad = (wrong - k) / (plan.items - t) if t < plan.items else 0.0
            for more, share in ((1, bad), (0, 1 - bad)):
                after[k + more] = after.get(k + more, 0.0) + mass * share
        alive = after
    return chance


GRID = [(9, 0.2, 0.7), (30, 0.1, 0.9), (80, 0.05, 0.8), (80, 0.3, 0.95), (150, 0.02, 0.9), (60, 0.0, 0.9)]


@pytest.mark.parametrize("items, tolerance, confidence", GRID)
def test_the_promise_breaks_no_oftener_than_it_says_whatever_the_batch_holds(
    items: int, tolerance: float, confidence: float
) -> None:
    plan = mended_plan(items, tolerance, confidence)
    worst = max(broken(plan, tolerance, wrong) for wrong in range(items + 1))
    assert worst <= (1 - confidence) * (1 + 1e-9)
    assert worst == pytest.approx(false_certificate(plan), abs=1e-9)


@pytest.mark.law
@pytest.mark.parametrize("items", [50, 200, 500])
@pytest.mark.parametrize("tolerance", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_promise_over_a_grid(items: int, tolerance: float, confidence: float) -> None:
    plan = mended_plan(items, tolerance, confidence)
    few = sorted({*range(allowed_wrong(items, tolerance) + 1, items, max(1, items // 40)), items})
    assert max(broken(plan, tolerance, wrong) for wrong in few) <= (1 - confidence) * (1 + 1e-9)


@pytest.mark.parametrize("items, tolerance", [(500, 0.02), (1000, 0.05), (10_000, 0.02)])
def test_large_plans_keep_their_error(items: int, tolerance: float) -> None:
    error = false_certificate(mended_plan(items, tolerance, 0.95))
    assert 0.04 < error <= 0.05 * (1 + 1e-9)


def test_every_order_of_small_batches() -> None:
    """Through the audit itself: 6 items, all places of the wrong ones, all 720 orders at once by symmetry."""
    plan = mended_plan(6, 0.2, 0.6)
    for wrong in range(7):
        orders = list(itertools.combinations(range(6), wrong))
        bad = 0
        for places in orders:
            path, k, t = [int(i in places) for i in range(6)], 0, 0
            while plan.verdict(t, k) != "proven":
                k, t = k + path[t], t + 1
            bad += wrong - k > 0.2 * (6 - k)
        assert bad / len(orders) <= 0.4 + 1e-12


def test_a_plan_that_forgives_too_much_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: each wrong item found is credited twice."""
    honest = mending._boundary
    monkeypatch.setattr(
        mending,
        "_boundary",
        lambda items, may_hold, sure, targets: honest(
            items, np.minimum(items - 1, may_hold + np.arange(items + 1)), sure, targets
        ),
    )
    plan = mended_plan.__wrapped__(150, 0.05, 0.9)
    assert max(broken(plan, 0.05, wrong) for wrong in range(150)) > 0.1


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_mending_saves_labels(share: float) -> None:
    plain, mended = robust_plan(10_000, 200, 0.95), mended_plan(10_000, 0.02, 0.95)
    wrong = round(200 * share)
    assert (
        forecast(mended, wrong).mean < {0.25: 0.97, 0.5: 0.8, 0.75: 0.45}[share] * forecast(plain, wrong).mean
    )


def test_a_forecast_against_audits() -> None:
    plan, used = mended_plan(400, 0.05, 0.9), []
    for seed in range(300):
        losses = (np.random.default_rng(seed).permutation(400) < 15).astype(float)
        audit = Audit(400, 0.05, 0.9, seed=seed, mend=True)
        while audit.open:
            item = audit.next()
            audit.record(item, losses[item])
        used.append(audit.labels)
    error = np.std(used) / np.sqrt(300)
    assert abs(np.mean(used) - forecast(plan, 15).mean) < 4 * error


def test_a_batch_beyond_the_tolerance_is_saved_by_mending() -> None:
    losses = (np.random.default_rng(0).permutation(600) < 40).astype(float)  # 6.7% wrong, 5% tolerated
    audit = Audit(600, 0.05, 0.9, seed=3, mend=True)
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    wrong = sum(audit.losses.values())
    assert audit.proven and audit.labels < 500
    assert (40 - wrong) / (600 - wrong) <= 0.05
    assert not Audit(600, 0.05, 0.9, seed=3).mend
    assert "mended or taken out before" in str(audit.certificate)
    assert "改正或剔除" in certificate_text(audit.certificate, "zh")
    assert audit.certificate.risk_bound is not None and audit.certificate.risk_bound <= 0.05


def test_it_goes_on_where_it_was_stopped() -> None:
    audit = Audit(300, 0.05, seed=1, mend=True)
    for _ in range(30):
        audit.record(audit.next(), 0.0)
    again = Audit.from_json(audit.to_json())
    assert again.mend and again.next() == audit.next()


@pytest.mark.parametrize(
    "options", [{"graded": True}, {"scores": np.arange(50.0)}, {"expected": 0.01, "power": 0.9}]
)
def test_what_mending_cannot_do_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="mending is for"):
        Audit(50, 0.1, mend=True, **options)  # type: ignore[arg-type]
