"""Faults seen in respected packages, one test each: ours passes, and a twin with the fault is caught.

The figures in the docstrings are those seen in the packages (MAPIE 1.6, ltt, SHANGRLA, Trust or
Escalate, SUPG, LOTUS, ppi_py, GLIDE, truescore, Inspect AI); the twins repeat the fault in a few lines.
"""

import math

import numpy as np
import pytest
from scipy.stats import binom

from tolerate.records import Decision
from tolerate.stats.audit.assisted import JudgedAudit, assisted_upper, prediction_powered
from tolerate.stats.audit.audit import Audit
from tolerate.stats.bounds import BOUNDS, P_VALUES, betting_p, binomial_p, clopper_pearson, wsr
from tolerate.stats.certify.samples import sample
from tolerate.stats.certify.threshold import certify
from tolerate.stats.certify.totals import RELEASE_ALL_EDGE, unit_totals
from tolerate.stats.monitor.watch import Watch
from tolerate.stats.sequential import EPROCESSES, betting

Array = np.ndarray
STRAY = 1e-4  # chance that a simulated test cries wolf about a valid method


def allowed(runs: int, delta: float) -> float:
    """What a valid method's simulated share of misses stays below, but for a chance of STRAY."""
    return float(binom.ppf(1 - STRAY, runs, delta)) / runs


# MAPIE, WSR bound: the sample is split, and the two running maxima are added. Misses .14 for a promised .10.


def two_maxima(losses: Array, mean: float, confidence: float) -> bool:
    """The faulty bound misses this mean: best moment of the first half plus best moment of the second."""
    n, need = len(losses), -math.log1p(-confidence)
    means = (0.5 + np.cumsum(losses)) / (1 + np.arange(1, n + 1))
    variances = (0.25 + np.cumsum((losses - means) ** 2)) / (1 + np.arange(1, n + 1))
    stakes = np.minimum(1, np.sqrt(2 * need / (n * np.concatenate([[0.25], variances[:-1]]))))
    logs = np.log1p(-stakes * (losses - mean))
    return bool(np.cumsum(logs[: n // 2]).max() + np.cumsum(logs[n // 2 :]).max() >= need)


@pytest.mark.parametrize("n", [100, 200])
@pytest.mark.parametrize("mean", [0.05, 0.2])
def test_the_betting_bound_keeps_its_level_at_100_and_200_labels(n: int, mean: float) -> None:
    runs, rng = 600, np.random.default_rng([n, round(100 * mean)])
    draws = (rng.random((runs, n)) < mean).astype(float)
    missed = np.mean([wsr(losses, 0.9) < mean for losses in draws])
    assert missed <= allowed(runs, 0.1)
    assert np.mean([two_maxima(losses, mean, 0.9) for losses in draws]) > allowed(runs, 0.1)


# MAPIE, fixed sequence: a first threshold above every score gives p = NaN, and the walk ends with nothing.


def test_an_empty_threshold_proves_nothing_and_ends_nothing() -> None:
    assert float(binomial_p(0, 0, 0.05)) == 1.0
    assert betting_p(np.empty(0), 1.0, delta=0.1, variance=0.1) == 1.0
    units = unit_totals(
        sample(None, np.zeros(9), np.arange(9.0), np.arange(9) // 3, None, None),
        np.random.default_rng(0),
        None,
    )
    assert not units.refuted("loss", 1e9, 0.05, 0.1)


@pytest.mark.parametrize("clusters", [False, True])
def test_a_set_whose_top_is_thin_is_still_released(clusters: bool) -> None:
    """Two rows far above all others, as a grid of 100 thresholds between 0 and 1 would find them."""
    scores = np.concatenate([[0.999, 0.9989], np.linspace(0, 0.5, 1998)])
    names = np.arange(2000) // 2 if clusters else None
    certificate = certify(
        losses=np.zeros(2000), scores=scores, clusters=names, tolerance=0.05, confidence=0.9
    )
    assert certificate.coverage == 1.0


# ltt, wsr_p_value: a two-sided test for a one-sided claim. All losses 1 gave p = 8e-94 for "within tolerance".


@pytest.mark.parametrize("name", sorted(P_VALUES))
@pytest.mark.parametrize("n", [1, 50, 500])
def test_all_wrong_is_no_evidence_that_all_is_fine(name: str, n: int) -> None:
    assert P_VALUES[name](np.ones(n), 0.1) == 1.0


@pytest.mark.parametrize("kind", ["rows", "graded", "clusters", "weights"])
def test_all_wrong_releases_nothing(kind: str) -> None:
    losses = np.full(400, 0.97) if kind == "graded" else np.ones(400)
    columns = {
        "clusters": np.arange(400) // 4 if kind == "clusters" else None,
        "weights": 1 + np.arange(400) % 3 if kind == "weights" else None,
    }
    cert = certify(losses=losses, scores=np.arange(400), tolerance=0.1, **columns)  # type: ignore[arg-type]
    assert cert.scope == "nothing" and cert.risk_bound is None


# SHANGRLA, mix_betting_mart: the tested mean is dropped on the way. With the null true, p = 4e-37.


def harshest(name: str, tolerance: float, losses: Array) -> float:
    """The most that an e-process ever claims, as ln wealth."""
    make = EPROCESSES[name]
    sized = "items" in make.__code__.co_varnames[: make.__code__.co_argcount]  # type: ignore[union-attr]
    process = make(tolerance, len(losses)) if sized else make(tolerance)
    return max(process.run(losses[:-1]))


@pytest.mark.parametrize("name", sorted(set(EPROCESSES) - {"alarm_betting"}))
@pytest.mark.parametrize("tolerance", [0.02, 0.1, 0.3])
def test_a_true_null_is_never_ruled_out_by_far(name: str, tolerance: float) -> None:
    """30 orders of a batch with just more wrong than tolerated; Ville: chance of e^12 below 1e-5 each."""
    rng, items = np.random.default_rng(7), 400
    losses = (np.arange(items) < tolerance * items + 1).astype(float)
    assert max(harshest(name, tolerance, rng.permutation(losses)) for _ in range(30)) < 12


def test_the_twin_that_forgets_what_it_tests() -> None:
    losses = np.random.default_rng(7).permutation((np.arange(400) < 41).astype(float))
    assert max(betting(0.5).run(losses)) > 60  # asked about 10%, tested against 50%


# Trust or Escalate, lambda_hat: where every bin fails, the strictest is used. Broken in 69 to 100% of runs on C.


def overconfident(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """The most confident 2% are the worst: 15% wrong."""
    u = rng.random(n)
    return u, (rng.random(n) < np.where(u > 0.98, 0.15, 0.004 + 0.22 * (1 - u) ** 1.5)).astype(float)


def strictest_anyway(losses: Array, scores: Array) -> bool:
    """The faulty rule breaks the promise: release the strictest bin that passes, else the strictest of all."""
    for share in np.arange(0.02, 1.0, 0.02):
        rows = scores > 1 - share
        if binomial_p(losses[rows].sum(), rows.sum(), 0.05) <= 0.1:
            return bool(share < 0.08)  # the mean loss of the top passes 5% for shares below .08
    return True


def test_a_failed_strictest_bin_releases_nothing() -> None:
    scores = np.arange(600)
    cert = certify(losses=(scores % 10 == 0).astype(float), scores=scores, tolerance=0.02)
    assert cert.scope == "nothing" and cert.threshold is None and cert.coverage == 0
    assert cert.decide(float("inf")) == Decision.REVIEW


def test_an_overconfident_top_breaks_no_promise() -> None:
    runs, rng, broken, twin = 150, np.random.default_rng(5), 0, 0
    for _ in range(runs):
        scores, losses = overconfident(rng, 500)
        certificate = certify(losses=losses, scores=scores, tolerance=0.05, confidence=0.9)
        edge = {"all": 0.0, "nothing": 1.0}.get(certificate.scope, certificate.threshold or 0.0)
        broken += edge < 1 and _risk_above(edge) > 0.05
        twin += strictest_anyway(losses[:100], scores[:100])
    assert broken / runs <= allowed(runs, 0.1)
    assert twin / runs > 0.5


def _risk_above(edge: float) -> float:
    u = np.linspace(edge, 1, 2001)
    return float(np.where(u > 0.98, 0.15, 0.004 + 0.22 * (1 - u) ** 1.5).mean())


# SUPG, uniform precision: the upper bound stands where the lower belongs. 81 to 99% broken.


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_a_bound_lies_on_the_safe_side_and_further_out_when_surer(name: str) -> None:
    losses = (np.arange(300) % 15 == 0).astype(float)
    bounds = [BOUNDS[name](losses, confidence) for confidence in (0.6, 0.9, 0.99)]
    assert losses.mean() < bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_bounds_hold_where_the_wrong_side_would_not(name: str) -> None:
    runs, rng = 200, np.random.default_rng(3)
    draws = (rng.random((runs, 150)) < 0.06).astype(float)
    bounds = np.array([BOUNDS[name](losses, 0.9) for losses in draws])
    mirrored = np.maximum(0, 2 * draws.mean(axis=1) - bounds)  # as far below the mean as the bound is above
    assert np.mean(bounds < 0.06) <= allowed(runs, 0.1)
    assert np.mean(mirrored < 0.06) > 0.5


# LOTUS cascades: a normal interval with the sample's deviation; no errors give certainty. 44 to 52% on C.


def deviation_of_the_sample(losses: Array, confidence: float) -> float:
    return float(losses.mean() + 1.2816 * losses.std() / math.sqrt(len(losses)))


def test_no_errors_are_no_certainty() -> None:
    assert deviation_of_the_sample(np.zeros(20), 0.9) == 0.0
    for name, bound in BOUNDS.items():
        assert bound(np.zeros(20), 0.9) > 0.1, name
    for names in (None, np.arange(20) // 2):
        cert = certify(losses=np.zeros(20), scores=np.arange(20), clusters=names, tolerance=0.05)
        assert cert.scope == "nothing"
    assert certify(losses=np.full(20, 1e-9), scores=np.arange(20), tolerance=0.05).scope == "nothing"


def test_no_errors_prove_an_audit_at_its_zero_failure_size_and_no_earlier() -> None:
    for make in (
        lambda: Audit(10_000, 0.02, seed=1),
        lambda: JudgedAudit(np.arange(10_000) % 50 == 0, 0.02, seed=1),
    ):
        audit = make()
        for _ in range(146):
            assert audit.open
            audit.record(audit.next(), 0.0)
        assert not audit.certificate.proven
    watch = Watch(tolerance=0.02, confidence=0.95)
    watch.update_many(np.zeros(50))
    assert watch.alarm is None and watch.bound > 0.02


# ppi_py, GLIDE, truescore: a normal curve for rare errors. 13.9 to 18.2% false certificates at n = 150, promised 5%.


def rare(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """2.01% wrong, and a judge that catches half of it."""
    wrong = rng.random(n) < 0.0201
    return wrong.astype(float), (rng.random(n) < np.where(wrong, 0.5, 0.02)).astype(float)


def test_rare_errors_fool_the_normal_curve_and_not_the_exact_methods() -> None:
    runs, rng, exact, betted, normal = 400, np.random.default_rng(4), 0, 0, 0
    for _ in range(runs):
        losses, guesses = rare(rng, 10_150)
        some, guessed, rest = losses[:150], guesses[:150], guesses[150:]
        exact += clopper_pearson(some, 0.95) <= 0.02
        betted += assisted_upper(some, guessed, float(guesses.mean()), 0.95) <= 0.02
        normal += prediction_powered(some, guessed, rest, 0.9).high <= 0.02
    assert exact / runs <= allowed(runs, 0.05) and betted / runs <= allowed(runs, 0.05)
    assert normal / runs > allowed(runs, 0.05)


def test_an_interval_of_the_normal_curve_says_so() -> None:
    losses, guesses = rare(np.random.default_rng(1), 10_150)
    estimate = prediction_powered(losses[:150], guesses[:150], guesses[150:], 0.9)
    assert estimate.asymptotic


# Inspect AI, ci(): 500 of 500 right gives [1, 1].


def test_500_of_500_right_may_still_be_one_in_167_wrong() -> None:
    assert clopper_pearson(np.zeros(500), 0.95) == pytest.approx(0.00597, abs=1e-5)
    cert = certify(losses=np.zeros(500), tolerance=0.01)
    assert cert.scope == "all" and 0.005 < (cert.risk_bound or 0) < 0.007
    units = unit_totals(sample(None, np.zeros(500), None, None, None, None), np.random.default_rng(0), None)
    assert not units.refuted("loss", RELEASE_ALL_EDGE, 0.005, 0.05) and units.refuted(
        "loss", RELEASE_ALL_EDGE, 0.007, 0.05
    )
