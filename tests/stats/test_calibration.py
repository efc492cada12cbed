"""Calibration: known values, an estimator without bias and a twin that has one."""

import numpy as np
import pytest

from tolerate.errors import DataError
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.calibration import calibration, equal_mass


def test_known_values() -> None:
    """Two bins of 50: claimed .3 and .9, right .2 and .8. Gaps of .1; debiased by .16/49 in both."""
    scores = np.repeat([0.3, 0.9], 50)
    right = np.concatenate([np.arange(50) < 10, np.arange(50) < 40])
    result = calibration(scores, right)
    assert [part.items for part in result.bins] == [50, 50]
    assert result.plain == pytest.approx(0.1)
    assert result.error == pytest.approx((0.1**2 - 0.2 * 0.8 / 49) ** 0.5)
    low, high = result.bins[0].low, result.bins[0].high
    assert high == pytest.approx(float(binomial_upper(10, 50, 0.975)))
    assert low == pytest.approx(0.1003, abs=1e-4) and high == pytest.approx(
        0.3372, abs=1e-4
    )  # Clopper-Pearson


def squared_errors(seed: int, trials: int = 4000) -> tuple[float, float, float]:
    """The true squared error of two bins that are .05 too sure; what is found debiased and as it comes, on average."""
    rng = np.random.default_rng(seed)
    claimed = np.repeat([0.35, 0.85], 30)
    debiased = plain = 0.0
    for _ in range(trials):
        right = rng.random(60) < claimed - 0.05
        bins = [(claimed[part].mean(), right[part].mean(), len(part)) for part in equal_mass(claimed, 2)]
        gaps = [(score - so) ** 2 for score, so, _ in bins]
        spread = [so * (1 - so) / (n - 1) for _, so, n in bins]
        plain += np.mean(gaps) / trials
        debiased += (np.mean(gaps) - np.mean(spread)) / trials
    return 0.05**2, debiased, plain


def test_the_squared_error_has_no_bias_and_its_twin_has() -> None:
    """4,000 trials, standard error about .0001; the plain one is .006 too large: chance alone opens gaps."""
    true, debiased, plain = squared_errors(1)
    assert abs(debiased - true) < 0.0005
    assert plain - true > 0.004


def test_a_score_that_keeps_its_word_is_seen_to() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(4000)
    honest, vain = calibration(chance, rng.random(4000) < chance), calibration(chance, rng.random(4000) < 0.5)
    assert honest.error < 0.03 < 0.2 < vain.error
    inside = [part.low <= part.claimed <= part.high for part in honest.bins]
    assert sum(inside) >= 8 and len(inside) == 10


def test_equal_scores_stay_together() -> None:
    bins = equal_mass(np.repeat([0.0, 1.0], [95, 5]), 10)
    assert [len(part) for part in bins] == [95, 5]
    assert len(calibration(np.full(100, 0.4), np.ones(100, dtype=bool)).bins) == 1


def test_missing_scores_claim_nothing() -> None:
    result = calibration(np.array([np.nan, 0.5, 0.5]), np.array([True, True, False]))
    assert result.items == 2 and result.right == 0.5


@pytest.mark.parametrize("scores", [[np.nan], [], [1.2], [-0.1]])
def test_what_is_no_chance_is_refused(scores: list[float]) -> None:
    with pytest.raises(DataError):
        calibration(np.array(scores), np.ones(len(scores), dtype=bool))
