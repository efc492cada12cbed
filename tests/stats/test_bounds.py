"""Bounds and p-values: known values, exact validity by enumeration, and the faults seen elsewhere."""

from itertools import product

import numpy as np
import pytest
from scipy.special import bdtr

from tolerate.errors import DataError, OptionError
from tolerate.stats.bounds import (
    BOUNDS,
    P_VALUES,
    betting_p,
    binomial_p,
    binomial_upper,
    clopper_pearson,
    hoeffding_bentkus_p,
    wsr,
    wsr_p,
)

GRADED = sorted(set(BOUNDS) - {"clopper_pearson"})


@pytest.mark.parametrize(
    ("errors", "n", "confidence", "expected"),
    [
        (0, 149, 0.95, 0.0199048162),
        (3, 200, 0.95, 0.0383097085),
        (5, 100, 0.95, 0.1022533776),
        (10, 500, 0.90, 0.0306465524),
        (0, 598, 0.95, 0.0049970587),
    ],
)
def test_clopper_pearson_known_values(errors: int, n: int, confidence: float, expected: float) -> None:
    assert float(binomial_upper(errors, n, confidence)) == pytest.approx(expected, abs=5e-10)
    losses = np.r_[np.ones(errors), np.zeros(n - errors)]
    assert clopper_pearson(losses, confidence) == pytest.approx(expected, abs=5e-10)


@pytest.mark.parametrize(
    ("errors", "n", "tolerance", "expected"),
    [(10, 500, 0.05, 4.600071543e-4), (0, 45, 0.05, 0.09944026), (0, 44, 0.05, 0.10467395)],
)
def test_binomial_p_known_values(errors: int, n: int, tolerance: float, expected: float) -> None:
    assert float(binomial_p(errors, n, tolerance)) == pytest.approx(expected, rel=1e-7)


def test_binomial_p_edges() -> None:
    assert binomial_p([0, 3, 0], [0, 3, 0], 0.1).tolist() == [1.0, 1.0, 1.0]
    assert float(binomial_p(-1, 10, 0.1)) == 0.0


@pytest.mark.parametrize(
    ("mean", "n", "tolerance", "expected"),
    [
        (0.02, 500, 0.05, 1.2504290884e-3),
        (0.05, 1000, 0.1, 1.62965552e-8),
        (0.1, 200, 0.2, 2.879469800e-4),
        # Published code returns e * 0.95^100 = .0160936670 here: its relative entropy is NaN at mean 0.
        (0.0, 100, 0.05, 0.95**100),
    ],
)
def test_hoeffding_bentkus_known_values(mean: float, n: int, tolerance: float, expected: float) -> None:
    assert float(hoeffding_bentkus_p(mean, n, tolerance)) == pytest.approx(expected, rel=1e-8)


def test_bentkus_part_known_value() -> None:
    assert np.e * float(binomial_p(0, 100, 0.05)) == pytest.approx(0.0160936670, abs=5e-11)


@pytest.mark.parametrize(
    ("losses", "confidence", "expected"),
    [
        (np.zeros(100), 0.95, 0.0308625782),
        (np.zeros(500), 0.95, 0.0061379437),
        (np.array([0.0] * 9 + [1] + [0] * 10 + [0.5] + [0] * 29), 0.90, 0.1114102357),
    ],
)
def test_wsr_known_values(losses: np.ndarray, confidence: float, expected: float) -> None:
    assert wsr(losses, confidence) == pytest.approx(expected, abs=5e-9)


def test_wsr_against_a_slow_version_written_from_the_paper() -> None:
    losses = np.random.default_rng(4).choice([0.0, 0.25, 1.0], 30, p=[0.7, 0.2, 0.1])
    confidence = 0.9

    def most_won(mean: float) -> float:
        wealth, best, mu_sum, var_sum, variance = 1.0, 0.0, 0.5, 0.25, 0.25
        for i, loss in enumerate(losses, start=1):
            stake = min(1.0, float(np.sqrt(2 * np.log(1 / (1 - confidence)) / (len(losses) * variance))))
            wealth *= 1 - stake * (loss - mean)
            best = max(best, wealth)
            mu_sum += loss
            var_sum += (loss - mu_sum / (i + 1)) ** 2
            variance = var_sum / (i + 1)
        return best

    bound = wsr(losses, confidence)
    assert most_won(bound + 1e-6) >= 1 / (1 - confidence) > most_won(bound - 1e-6)


@pytest.mark.parametrize("name", sorted(BOUNDS))
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_bounds_hold_exactly_for_0_1_losses(name: str, confidence: float) -> None:
    """All 2^8 sequences: the chance that the true mean lies above the bound is at most 1 - confidence."""
    n = 8
    sequences = np.array(list(product([0.0, 1.0], repeat=n)))
    uppers = np.array([BOUNDS[name](losses, confidence) for losses in sequences])
    errors = sequences.sum(axis=1)
    for mean in np.linspace(0.01, 0.99, 50):
        chance = mean**errors * (1 - mean) ** (n - errors)
        assert chance[uppers < mean].sum() <= 1 - confidence + 1e-12


@pytest.mark.parametrize("name", GRADED)
def test_bounds_hold_exactly_for_graded_losses(name: str) -> None:
    """All 3^6 sequences of losses 0, .3 and 1."""
    values, n, confidence = np.array([0.0, 0.3, 1.0]), 6, 0.8
    places = np.array(list(product(range(3), repeat=n)))
    uppers = np.array([BOUNDS[name](values[place], confidence) for place in places])
    for chances in product([0.05, 0.3, 0.6, 0.9], repeat=2):
        if sum(chances) <= 1:
            law = np.array([1 - sum(chances), *chances])
            assert law[places].prod(axis=1)[uppers < law @ values - 1e-12].sum() <= 1 - confidence + 1e-12


@pytest.mark.parametrize("name", sorted(P_VALUES))
def test_p_values_are_valid_exactly(name: str) -> None:
    n, tolerance = 8, 0.3
    sequences = np.array(list(product([0.0, 1.0], repeat=n)))
    p = np.array([P_VALUES[name](losses, tolerance) for losses in sequences])
    errors = sequences.sum(axis=1)
    for mean in (0.3, 0.4, 0.7):
        chance = mean**errors * (1 - mean) ** (n - errors)
        for level in (0.01, 0.05, 0.1, 0.2, 0.5):
            assert chance[p <= level].sum() <= level + 1e-12


@pytest.mark.parametrize("name", sorted(P_VALUES))
def test_p_values_are_one_sided(name: str) -> None:
    """A two-sided test calls 'all wrong' a proof of quality; ours does not."""
    assert P_VALUES[name](np.ones(60), 0.1) == pytest.approx(1.0)
    assert P_VALUES[name](np.zeros(200), 0.1) < 1e-3


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_no_errors_give_no_certainty(name: str) -> None:
    assert 0 < BOUNDS[name](np.zeros(500), 0.95) < 0.06


def test_the_last_loss_moves_nothing_before_it() -> None:
    """Bets are placed before the loss is seen: with the last loss changed, the best earlier wealth stands."""
    gains = np.array([-0.1] * 60 + [0.9])
    other = np.array([-0.1] * 61)
    first, second = (betting_p(row, 0.9, delta=0.05, variance=0.05) for row in (gains, other))
    assert second <= first <= betting_p(gains[:-1], 0.9, delta=0.05, variance=0.05) * 1.2


def test_betting_wins_nothing_on_gains_of_mean_zero() -> None:
    """E[wealth] = 1: over all 2^10 sequences of +-1 gains the chance of p <= level is at most the level."""
    sequences = np.array(list(product([-1.0, 1.0], repeat=10)))
    p = np.array([betting_p(row, 1.0, delta=0.1, variance=0.5) for row in sequences])
    for level in (0.05, 0.1, 0.2):
        assert (p <= level).mean() <= level


def test_wsr_p_decreases_with_fewer_errors() -> None:
    few, many = np.zeros(300), np.zeros(300)
    few[::100], many[::20] = 1, 1
    assert wsr_p(few, 0.05) < wsr_p(many, 0.05)


def test_the_exact_binomial_is_at_least_as_sharp_as_hoeffding_bentkus() -> None:
    errors = np.arange(0, 40)
    assert np.all(bdtr(errors, 500, 0.05) <= hoeffding_bentkus_p(errors / 500, 500, 0.05) + 1e-12)


@pytest.mark.parametrize("bad", [[], [0.5, 1.5], [np.nan], [-0.1]])
def test_bad_losses_are_refused(bad: list[float]) -> None:
    with pytest.raises(DataError):
        wsr(np.array(bad), 0.95)


def test_bad_options_are_refused() -> None:
    with pytest.raises(OptionError, match="confidence"):
        wsr(np.zeros(3), 95)
    with pytest.raises(DataError, match="graded"):
        clopper_pearson(np.array([0.5]), 0.95)
