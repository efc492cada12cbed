"""Laws of the search under a budget: what it releases keeps the promise, whatever the scores; twins are caught."""

import math
from collections.abc import Callable

import numpy as np
import pytest

import tolerate.stats.audit.search as search_module
from tolerate.stats.audit.audit import Audit
from tolerate.stats.audit.parts import Chain
from tolerate.stats.audit.search import growing_chains
from tolerate.stats.bounds import binomial_p

Curve = Callable[[np.ndarray], np.ndarray]  # error rate by the share ranked above, 0 (best) to 1


def evenly(v: np.ndarray) -> np.ndarray:
    """Every part of the batch has just more than a tenth wrong: the worst case of each test at once."""
    rank = np.argsort(np.argsort(v)) + 0.0
    return np.floor((rank + 1) * 0.101 + 0.95) - np.floor(rank * 0.101 + 0.95)


POPULATIONS: dict[str, tuple[Curve, float]] = {  # the curve, and the tolerance that makes it hard
    "evenly too bad": (evenly, 0.1),
    "flat, good": (lambda v: np.full_like(v, 0.06), 0.1),
    "calibrated": (lambda v: 1 - (1 - v) ** 0.25, 0.05),
    "overconfident top": (lambda v: np.where(v < 0.02, 0.15, 0.004 + 0.22 * v**1.5), 0.05),
    "the best are the worst": (lambda v: 0.3 * (1 - v) ** 2, 0.1),
    "a cliff after the start": (lambda v: np.where(v < 0.22, 0.08, 0.3), 0.1),
    "rare errors": (lambda v: 0.004 + 0.02 * v, 0.01),
}


def ties(scores: np.ndarray) -> np.ndarray:
    return np.round(scores, 1)


def share_broken(
    curve: Curve, tolerance: float, items: int, budget: int, runs: int, **options: object
) -> float:
    broken = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        scores = rng.random(items)
        losses = (rng.random(items) < curve(1 - scores)).astype(float)
        if options.get("graded"):
            losses = losses * rng.random(items)
        scores = ties(scores) if options.get("tied") else scores
        audit = Audit(
            items, tolerance, 0.9, seed, scores=scores, budget=budget, graded=bool(options.get("graded"))
        )
        while audit.open:
            item = audit.next()
            audit.record(item, losses[item])
        certificate = audit.certificate
        out = (
            scores >= certificate.threshold
            if certificate.threshold is not None
            else np.full(items, certificate.proven)
        )
        broken += bool(out.any() and losses[out].mean() > tolerance)
    return broken / runs


def most(runs: int) -> float:
    """The promise, plus three standard errors of the simulation."""
    return 0.1 + 3 * math.sqrt(0.09 / runs)


@pytest.mark.law
@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("items, budget", [(50, 40), (300, 150), (5000, 500)])
@pytest.mark.parametrize("tied", [False, True])
def test_what_is_released_keeps_the_promise(name: str, items: int, budget: int, tied: bool) -> None:
    curve, tolerance = POPULATIONS[name]
    assert share_broken(curve, tolerance, items, budget, 600, tied=tied) <= most(600)


@pytest.mark.law
@pytest.mark.parametrize("name", ["evenly too bad", "calibrated", "a cliff after the start"])
def test_graded_losses_keep_the_promise(name: str) -> None:
    curve, tolerance = POPULATIONS[name]
    assert share_broken(curve, tolerance / 2, 400, 200, 400, graded=True) <= most(400)


def test_what_is_released_keeps_the_promise_in_short() -> None:
    """The hardest cases with 200 batches each."""
    for name in ("evenly too bad", "a cliff after the start"):
        assert share_broken(*POPULATIONS[name], 300, 150, 200) <= most(200)


def peeking_proofs(items: int, wrong: int, error: float, horizon: int) -> np.ndarray:
    """The twin: a fixed sample's exact test, looked at after each label."""
    t = np.arange(1, horizon + 1)
    proofs: list[int] = []
    while (good := np.flatnonzero(binomial_p(np.full(horizon, len(proofs)), t, wrong / items) <= error)).size:
        proofs.append(int(t[good[0]]))
    return np.array(proofs)


def test_peeking_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "_first_proof", peeking_proofs)
    search_module.budget_plan.cache_clear()
    broken = share_broken(*POPULATIONS["evenly too bad"], 20_000, 400, 100)
    search_module.budget_plan.cache_clear()
    assert broken > most(100)


def test_every_part_a_chance_of_its_own_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: no fixed sequence; some parts side by side, each at the full confidence."""

    def side_by_side(scores: np.ndarray, items: int, confidence: float, start: float) -> list[Chain]:
        parts = growing_chains(scores, items, confidence, start=0.03)[0].parts
        return [Chain((part,), confidence) for part in parts[::18]]  # each about twice the one before

    monkeypatch.setattr(search_module, "growing_chains", side_by_side)
    assert share_broken(*POPULATIONS["evenly too bad"], 10_000, 2000, 100) > most(100)


@pytest.mark.law
def test_sharpness_under_a_budget() -> None:
    """1,000 labels of 10,000 items, tolerance 5%, confidence 90%: the shares that the project promises."""
    targets = {"A": (lambda v: 1 - (1 - v) ** 0.25, 0.27), "B": (lambda v: 0.01 + 0.09 * v**2, 0.92)}
    targets["C"] = (POPULATIONS["overconfident top"][0], 0.43)
    for curve, target in targets.values():
        shares = []
        for seed in range(100):
            rng = np.random.default_rng(seed)
            scores = rng.random(10_000)
            losses = (rng.random(10_000) < curve(1 - scores)).astype(float)
            audit = Audit(10_000, 0.05, 0.9, seed, scores=scores, budget=1000)
            while audit.open:
                item = audit.next()
                audit.record(item, losses[item])
            shares.append(audit.certificate.coverage)
        assert np.mean(shares) >= target
