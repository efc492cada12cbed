"""Laws of the batch audit: the error is exact for every size, parts are released honestly, twins are caught."""

import math
from fractions import Fraction

import numpy as np
import pytest

from tolerate.stats.audit.audit import Audit
from tolerate.stats.audit.optimal_plan import power_plan, robust_plan
from tolerate.stats.audit.stopping_plan import StoppingPlan, false_certificate, forecast
from tolerate.stats.hypergeometric import allowed_wrong

pytestmark = pytest.mark.law
NOBODY = np.empty(0, np.int64)


def finish(audit: Audit, losses: np.ndarray) -> Audit:
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    return audit


def slow_error(plan: StoppingPlan, wrong: int) -> Fraction:
    """Chance of a certificate in exact integers: first passages through the boundary (never giving up)."""
    boundary, first = plan.certify_at[:wrong].tolist(), []
    for k, t in enumerate(boundary):
        first.append(
            math.comb(t, k) - sum(f * math.comb(t - boundary[j], k - j) for j, f in enumerate(first))
        )
    ways = sum(
        f * math.comb(plan.items - t, wrong - k) for k, (f, t) in enumerate(zip(first, boundary, strict=True))
    )
    return Fraction(ways, math.comb(plan.items, wrong))


@pytest.mark.parametrize("items", [10, 50, 200, 1000, 5000])
@pytest.mark.parametrize("tolerance", [0.001, 0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_error_of_every_plan_in_exact_integers(items: int, tolerance: float, confidence: float) -> None:
    allowed = allowed_wrong(items, tolerance)
    plan = robust_plan(items, allowed, confidence)
    assert false_certificate(plan) <= (1 - confidence) * (1 + 1e-9)
    if plan.levels == allowed + 1:
        exact = slow_error(plan, allowed + 1)
        assert exact <= Fraction(1 - confidence) * (1 + Fraction(1, 10**9))
        assert float(exact) == pytest.approx(false_certificate(plan), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("items", [50, 300, 2000])
@pytest.mark.parametrize("tolerance", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("power", [0.5, 0.9])
def test_plans_that_give_up_keep_error_and_power(items: int, tolerance: float, power: float) -> None:
    """Against a plain recursion over (t, k), written from the definition."""
    allowed = allowed_wrong(items, tolerance)
    plan = power_plan(items, allowed, 0.9, allowed // 3, power)

    def proven(wrong: int) -> float:
        reach, total = {0: 1.0}, 0.0
        for t in range(items):
            following: dict[int, float] = {}
            for k, chance in reach.items():
                bad = (wrong - k) / (items - t)
                for more, p in ((1, bad), (0, 1 - bad)):
                    if p > 0:
                        following[k + more] = following.get(k + more, 0.0) + chance * p
            verdicts = {k: plan.verdict(t + 1, k) for k in following}
            total += sum(chance for k, chance in following.items() if verdicts[k] == "proven")
            reach = {k: chance for k, chance in following.items() if verdicts[k] == "open"}
        return total

    assert proven(allowed + 1) <= 0.1 * (1 + 1e-9)
    assert proven(allowed + 1) == pytest.approx(false_certificate(plan), abs=1e-9)
    assert proven(allowed // 3) >= power * (1 - 1e-9)
    assert proven(allowed // 3) == pytest.approx(forecast(plan, allowed // 3).proven, abs=1e-9)


def test_large_plans_by_simulation() -> None:
    """Beyond the enumerated levels the error is a union bound; simulate what it bounds (2,000 batches)."""
    plan, rng, certified = robust_plan(200_000, 4_000, 0.9), np.random.default_rng(1), 0
    ends = np.unique(plan.certify_at[plan.certify_at < 150_000])
    for _ in range(2000):
        is_certified, left, bad, k, before = False, 200_000, 4_001, 0, 0
        for t in ends:
            k += rng.hypergeometric(bad - k, left - (bad - k), t - before)
            left, before = 200_000 - t, t
            if k <= 4_000 and plan.certify_at[k] <= t:
                is_certified = True
                break
        certified += is_certified
    assert certified / 2000 <= 0.1 + 3 * math.sqrt(0.09 / 2000)


@pytest.mark.parametrize("kind", ["uniform", "rare and total", "two sizes", "almost constant"])
@pytest.mark.parametrize("confidence", [0.7, 0.95])
def test_graded_audits_of_bad_batches(kind: str, confidence: float) -> None:
    rng, items, tolerance, runs = np.random.default_rng(3), 300, 0.1, 600
    shape = {
        "uniform": rng.random(items),
        "rare and total": (np.arange(items) < 31).astype(float),
        "two sizes": np.where(np.arange(items) < 40, 0.7, 0.01),
        "almost constant": np.full(items, 0.1),
    }[kind]
    losses = np.clip(shape * (tolerance * 1.003 * items / shape.sum()), 0, 1)
    assert losses.mean() > tolerance
    false = sum(
        finish(Audit(items, tolerance, confidence, seed=s, graded=True), losses).proven for s in range(runs)
    )
    assert false / runs <= 1 - confidence + 3 * math.sqrt(confidence * (1 - confidence) / runs)


@pytest.mark.parametrize("judge", ["good", "useless", "hostile", "blind to half"])
@pytest.mark.parametrize("rate", [0.08, 0.1, 0.12, 0.2])
def test_released_parts_keep_the_promise_whatever_the_judge(judge: str, rate: float) -> None:
    runs, items, tolerance, confidence, broken = 400, 400, 0.08, 0.8, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        losses = (rng.permutation(items) < rate * items).astype(float)
        scores = {
            "good": -losses + 0.3 * rng.normal(size=items),
            "useless": rng.normal(size=items),
            "hostile": losses + 0.3 * rng.normal(size=items),
            "blind to half": -losses * (np.arange(items) % 2) + 0.3 * rng.normal(size=items),
        }[judge]
        audit = Audit(
            items, tolerance, confidence, seed=seed, scores=scores, withhold=(0.3, 0.2, 0.1, 0.05, 0)
        )
        cert = finish(audit, losses).certificate
        out = scores >= (-np.inf if cert.threshold is None else cert.threshold)
        broken += cert.proven and losses[out].mean() > tolerance
    assert broken / runs <= 1 - confidence + 3 * math.sqrt(confidence * (1 - confidence) / runs)


def test_choosing_the_part_after_looking_is_caught() -> None:
    """The broken twin: each part tested alone at full confidence, and the largest success released."""
    runs, items, tolerance, broken = 400, 400, 0.08, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        losses = (rng.permutation(items) < 0.085 * items).astype(float)
        scores, failed = rng.normal(size=items), False
        for share in (0.0, 0.2, 0.4, 0.6):
            chosen = np.flatnonzero(scores >= np.quantile(scores, share))
            audit = Audit(len(chosen), tolerance, 0.8, seed=seed + 7000 * round(10 * share))
            if finish(audit, losses[chosen]).proven:
                failed = losses[chosen].mean() > tolerance
                break
        broken += failed
    assert broken / runs > 0.2 + 3 * math.sqrt(0.16 / runs)


def test_targets_with_a_judge_that_withholds() -> None:
    used, released = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        losses = (rng.permutation(10_000) < 200).astype(float)
        flagged = rng.random(10_000) < np.where(losses == 1, 0.95, 0.02)
        audit = finish(Audit(10_000, 0.02, seed=seed, scores=1.0 - flagged), losses)
        used.append(audit.labels)
        released.append(audit.certificate.coverage)
    assert np.mean(used) <= 240
    assert np.mean(released) >= 0.96


@pytest.mark.parametrize("rate", [0.0025, 0.005, 0.01])
def test_a_useless_judge_costs_at_most_a_tenth(rate: float) -> None:
    judged, plain = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        losses = (rng.permutation(10_000) < round(rate * 10_000)).astype(float)
        judged.append(finish(Audit(10_000, 0.02, seed=seed, scores=rng.random(10_000)), losses).labels)
        plain.append(finish(Audit(10_000, 0.02, seed=seed), losses).labels)
    assert np.mean(judged) <= 1.1 * np.mean(plain)
