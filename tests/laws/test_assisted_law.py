"""Laws of judge-assisted estimates: valid whatever the judge says, and cheap when it says nothing."""

import math

import numpy as np
import pytest

from tolerate.stats.audit.assisted import JudgedAudit, assisted_upper
from tolerate.stats.audit.audit import Audit
from tolerate.stats.audit.draws import draw_order
from tolerate.stats.audit.optimal_plan import robust_plan

pytestmark = pytest.mark.law


def finish(audit, losses):  # type: ignore[no-untyped-def]
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    return audit


@pytest.mark.parametrize("judge", ["good", "useless", "hostile", "loud"])
@pytest.mark.parametrize("items", [60, 400])
def test_bad_batches_are_rarely_certified(judge: str, items: int) -> None:
    runs, confidence, tolerance, false = 600, 0.8, 0.1, 0
    wrong = items // 10 + 1
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        losses = (rng.permutation(items) < wrong).astype(float)
        chance = {"good": (0.9, 0.02), "useless": (0.1, 0.1), "hostile": (0.0, 0.2), "loud": (1.0, 0.5)}[
            judge
        ]
        flagged = rng.random(items) < np.where(losses == 1, *chance)
        false += finish(JudgedAudit(flagged, tolerance, confidence, seed, pilot=8), losses).certificate.proven
    assert false / runs <= 1 - confidence + 3 * math.sqrt(0.16 / runs)


def test_choosing_the_better_of_two_audits_is_caught() -> None:
    """The broken twin: run both designs in full and keep whichever certifies."""
    runs, items, false = 600, 60, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        losses = (rng.permutation(items) < 7).astype(float)
        flagged = rng.random(items) < np.where(losses == 1, 0.5, 0.2)
        plain = finish(Audit(items, 0.1, 0.8, seed=seed), losses).proven
        left = 6 - int(losses[flagged].sum())
        rest = [i for i in draw_order(items, seed + 10_000) if not flagged[i]]
        plan, wrong, proven = robust_plan(len(rest), max(left, 0), 0.8), 0, False
        for t, item in enumerate(rest, start=1):
            wrong += int(losses[item])
            verdict = plan.verdict(t, wrong)
            if verdict != "open":
                proven = verdict == "proven" and left >= 0
                break
        false += plain or proven
    assert false / runs > 0.2 + 3 * math.sqrt(0.16 / runs)


@pytest.mark.parametrize("judge", ["good", "useless", "hostile", "constant"])
@pytest.mark.parametrize("n", [50, 400])
def test_assisted_bounds_hold(judge: str, n: int) -> None:
    runs, broken = 400, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        losses = (rng.random(5000) < 0.05).astype(float) * rng.random(5000)
        guess = {
            "good": np.clip(losses + rng.normal(0, 0.03, 5000), 0, 1),
            "useless": rng.random(5000),
            "hostile": 1 - losses,
            "constant": np.full(5000, 0.3),
        }[judge]
        some = rng.integers(0, 5000, n)
        broken += assisted_upper(losses[some], guess[some], float(guess.mean()), 0.8) < losses.mean()
    assert broken / runs <= 0.2 + 3 * math.sqrt(0.16 / runs)


@pytest.mark.parametrize("rate", [0.005, 0.01])
@pytest.mark.parametrize("caught", [0.0, 0.04])
def test_useless_and_hostile_judges_cost_at_most_a_tenth(rate: float, caught: float) -> None:
    judged, plain = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        losses = (rng.permutation(10_000) < round(rate * 10_000)).astype(float)
        flagged = rng.random(10_000) < np.where(losses == 1, caught, 0.04)
        judged.append(finish(JudgedAudit(flagged, 0.02, seed=seed), losses).labels)
        plain.append(finish(Audit(10_000, 0.02, seed=seed), losses).labels)
    assert np.mean(judged) <= 1.1 * np.mean(plain)
