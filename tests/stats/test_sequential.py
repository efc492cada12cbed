"""Every e-process obeys the same laws: it never grows on average under its null, and never looks ahead."""

import inspect
import itertools
import math

import numpy as np
import pytest

from tolerate.errors import DataError, OptionError
from tolerate.stats.hypergeometric import allowed_wrong
from tolerate.stats.sequential import (
    EPROCESSES,
    EProcess,
    alpha_fixed,
    alpha_shrink,
    beta_mixture,
    betting,
    betting_without_replacement,
    hypergeometric_mixture,
    threshold,
)

TOLERANCES = (0.1, 0.3, 0.5)


def make(name: str, tolerance: float, items: int) -> EProcess:
    maker = EPROCESSES[name]
    return maker(tolerance, items) if "items" in inspect.signature(maker).parameters else maker(tolerance)


def wealth(process: EProcess, losses: tuple[float, ...]) -> float:
    return math.exp(process.run(list(losses))[-1]) if losses else 1.0


def worst_growth_independent(process: EProcess, tolerance: float, n: int) -> float:
    """Largest growth of the mean wealth over all prefixes of two-point losses with mean = tolerance."""
    pairs = [(0.0, 1.0)] if process.binary else [(0.0, 1.0), (tolerance / 2, 1.0), (0.0, (1 + tolerance) / 2)]
    worst = -math.inf
    for low, high in pairs:
        chance = (tolerance - low) / (high - low)
        for length in range(n):
            for prefix in itertools.product((low, high), repeat=length):
                before = wealth(process, prefix)
                after = chance * wealth(process, (*prefix, high)) + (1 - chance) * wealth(
                    process, (*prefix, low)
                )
                worst = max(worst, after - before * (1 + 1e-12))
    return worst


def worst_growth_batch(process: EProcess, population: tuple[float, ...]) -> float:
    """The same for draws without replacement from one population: every prefix, every next draw."""
    worst = -math.inf
    for length in range(len(population)):
        for prefix in set(itertools.permutations(population, length)):
            rest = list(population)
            for loss in prefix:
                rest.remove(loss)
            before = wealth(process, prefix)
            after = np.mean([wealth(process, (*prefix, loss)) for loss in rest])
            worst = max(worst, float(after) - before * (1 + 1e-12))
    return worst


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("name", EPROCESSES)
def test_wealth_does_not_grow_under_the_null(name: str, tolerance: float) -> None:
    process = make(name, tolerance, 7)
    if process.items is None:
        assert worst_growth_independent(process, tolerance, 6) <= 1e-12
        return
    bad = allowed_wrong(7, tolerance) + 1
    assert worst_growth_batch(process, (1.0,) * bad + (0.0,) * (7 - bad)) <= 1e-12
    if not process.binary:
        graded = (7 * tolerance / 4,) * 4 + (0.0,) * 3
        assert worst_growth_batch(process, graded) <= 1e-12


@pytest.mark.parametrize("name", EPROCESSES)
def test_the_null_stays_safe_away_from_its_edge(name: str) -> None:
    """A batch far beyond the tolerance, or a stream well within it, feeds the evidence even less."""
    process = make(name, 0.3, 7)
    if process.items is not None:
        assert worst_growth_batch(process, (1.0,) * 5 + (0.0,) * 2) <= 1e-12
    else:
        inside = 0.1 if process.against == "within" else 0.6
        grown = [
            inside * wealth(process, (*p, 1.0))
            + (1 - inside) * wealth(process, (*p, 0.0))
            - wealth(process, p)
            for length in range(6)
            for p in itertools.product((0.0, 1.0), repeat=length)
        ]
        assert max(grown) <= 1e-12


@pytest.mark.parametrize("name", EPROCESSES)
def test_nothing_before_a_draw_moves_when_it_changes(name: str) -> None:
    process = make(name, 0.3, 40)
    losses = np.zeros(20)
    losses[11] = 1
    other = losses.copy()
    other[-1] = 1 - other[-1]
    first, second = process.run(losses), process.run(other)
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]


@pytest.mark.parametrize("name", EPROCESSES)
def test_a_step_leaves_the_old_state_as_it_was(name: str) -> None:
    process = make(name, 0.3, 40)
    state = process.step(process.start(), 0.0)
    before = process.log_wealth(state)
    process.step(state, 1.0)
    assert process.log_wealth(state) == before
    assert process.log_wealth(process.start()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", EPROCESSES)
def test_evidence_points_the_right_way(name: str) -> None:
    process = make(name, 0.2, 200)
    good, bad = process.run([0.0] * 60)[-1], process.run([1.0, 0.0] * 30)[-1]
    assert (good > 0 > bad) if process.against == "above" else (bad > 0 > good)


@pytest.mark.parametrize("name", EPROCESSES)
def test_what_is_no_loss_is_refused(name: str) -> None:
    process = make(name, 0.2, 20)
    for loss in (-0.1, 1.1, math.nan):
        with pytest.raises(DataError):
            process.step(process.start(), loss)
    with pytest.raises(OptionError):
        make(name, 1.5, 20)


def test_a_graded_loss_lies_between_fine_and_wrong() -> None:
    for process in (betting(0.2), betting_without_replacement(0.2, 50), alpha_shrink(0.2, 50)):
        fine, half, wrong = (process.run([loss])[0] for loss in (0.0, 0.5, 1.0))
        assert fine > half > wrong


def test_known_values() -> None:
    kaplan_markov = betting(0.5, bets=np.ones(1)).run([0.0] * 5)[-1]
    assert math.exp(-kaplan_markov) == pytest.approx(2**-5)
    alpha = alpha_fixed(0.5, 1000, hoped=0.25).run([0.0] * 8)
    assert alpha[6] < threshold(0.95) <= alpha[7]


def test_alpha_with_a_fixed_alternative_is_the_hypergeometric_likelihood_ratio() -> None:
    """Stark (2201.02707): the same evidence, computed in two ways."""
    losses = [0.0] * 30 + [1.0] + [0.0] * 20 + [1.0]
    ratio = hypergeometric_mixture(0.1, 100, hoped=(4,))  # null: 11 wrong
    alpha = alpha_fixed(0.11, 100, hoped=0.04)
    assert alpha.run(losses) == pytest.approx(ratio.run(losses), abs=1e-9)


def test_beta_mixture_equals_the_integral_it_stands_for() -> None:
    """A slow sum over rates, straight from the definition."""
    rates = (np.arange(200_000) + 0.5) / 200_000 * 0.1
    weight = rates ** (0.5 - 1) * (1 - rates) ** (25 - 1)
    ratio = (rates / 0.1) ** 2 * ((1 - rates) / 0.9) ** 58
    slow = float((weight * ratio).sum() / weight.sum())
    assert wealth(beta_mixture(0.1), (0.0,) * 58 + (1.0,) * 2) == pytest.approx(slow, rel=2e-3)


def test_wealth_is_certain_once_nothing_can_change_it() -> None:
    process = betting_without_replacement(0.5, 10)
    assert process.run([0.0] * 6)[-1] == math.inf
    assert process.run([1.0] * 7)[-1] == -math.inf
    exact = hypergeometric_mixture(0.5, 10)
    assert exact.run([0.0] * 6)[-1] == math.inf
    assert exact.run([1.0] * 6)[-1] == -math.inf


class TestBrokenTwins:
    """Faults seen in the field; the suite above must notice each of them."""

    def test_a_two_sided_bet_is_caught(self) -> None:
        def two_sided(tolerance: float) -> EProcess:
            honest = betting(tolerance)
            return EProcess(
                honest.start,
                lambda state, loss: state._replace(
                    labels=state.labels + 1,
                    logs=np.logaddexp(
                        state.logs + np.log1p(0.5 * (tolerance - loss)),
                        state.logs + np.log1p(0.5 * (loss - tolerance)),
                    )
                    - np.log(2)
                    + 0.05 * abs(loss - tolerance),
                ),
                honest.log_wealth,
                "above",
                False,
                None,
            )

        assert worst_growth_independent(two_sided(0.3), 0.3, 4) > 1e-3

    def test_a_bet_that_sees_its_own_loss_is_caught(self) -> None:
        def peeking(tolerance: float) -> EProcess:
            honest = betting(tolerance)

            def step(state, loss):  # type: ignore[no-untyped-def]
                bet = 1.0 if loss < tolerance else 0.1
                return state._replace(
                    labels=state.labels + 1,
                    logs=state.logs + np.log1p(bet * (tolerance - loss) / (1 - tolerance)),
                )

            return EProcess(honest.start, step, honest.log_wealth, "above", False, None)

        assert worst_growth_independent(peeking(0.3), 0.3, 4) > 1e-3

    def test_a_null_mean_that_forgets_what_was_drawn_is_caught(self) -> None:
        """SHANGRLA's dropped argument: the mean of the rest never moves."""
        forgetful = betting(0.3)
        twin = EProcess(forgetful.start, forgetful.step, forgetful.log_wealth, "above", False, 7)
        assert worst_growth_batch(twin, (1.0,) * 3 + (0.0,) * 4) > 1e-3
