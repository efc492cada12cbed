"""E-processes: evidence about a risk that stays valid however often one looks.

An e-process is a bet against the claim one wants to refute (the null). Its wealth starts at 1 and, while
the null is true, never grows on average; so by Ville's inequality the chance that it ever
reaches 1 / (1 - confidence) is at most 1 - confidence. One may look after every loss, stop, and go on.

Each entry of `EPROCESSES` makes an `EProcess`: three pure functions with explicit state.

    state = process.start()
    state = process.step(state, loss)      # the old state is left as it was
    process.log_wealth(state)              # natural logarithm of the evidence

`against` says which null is bet against: "above" (the risk exceeds the tolerance; an audit wants to
refute it) or "within" (the risk keeps the tolerance; a watch wants to notice when it is refuted).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from tolerate.errors import DataError, OptionError
from tolerate.stats.hypergeometric import allowed_wrong, log_sequences

Floats = NDArray[np.float64]
State = TypeVar("State")

# Shares of the largest possible bet. 1 is ruined by one full loss; small ones survive many.
BETS: Floats = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02])


class Capital(NamedTuple):
    """State of a betting process: number of losses, their sum, and ln wealth of each bettor."""

    labels: int
    total: float
    logs: Floats


class LabelCounts(NamedTuple):
    """State of a process on 0/1 losses that depends on the counts alone."""

    labels: int
    wrong: int


@dataclass(frozen=True)
class EProcess(Generic[State]):
    """Evidence that grows by betting: `start`, `step` and `log_wealth`, all pure.

    binary: takes only losses 0 and 1. items: size of the batch drawn from without replacement;
    None for independent draws (or any draws whose conditional mean obeys the null).
    """

    start: Callable[[], State]
    step: Callable[[State, float], State]
    log_wealth: Callable[[State], float]
    against: Literal["above", "within"]
    binary: bool
    items: int | None

    def run(self, losses: Floats | list[float]) -> list[float]:
        """The natural logarithm of the wealth after each loss.

        >>> [round(w, 3) for w in betting(0.5, bets=np.ones(1)).run([0.0] * 3)]
        [0.693, 1.386, 2.079]
        """
        state, path = self.start(), []
        for loss in losses:
            state = self.step(state, float(loss))
            path.append(self.log_wealth(state))
        return path


def betting(tolerance: float, *, bets: Floats = BETS) -> EProcess[Capital]:
    """Bets against "the risk exceeds the tolerance", for independent losses in [0, 1].

    Each bettor multiplies its wealth by 1 + bet (tolerance - loss) / (1 - tolerance); the wealth is their
    mean. Valid whenever each loss has conditional mean at least `tolerance` under the null. One-sided capital
    process of Waudby-Smith and Ramdas (2010.09686), with fixed bets instead of a running estimate.
    With the single bet 1 it is Kaplan and Markov's product.
    """
    _refuse_tolerance(tolerance)

    def step(state: Capital, loss: float) -> Capital:
        return _bet(state, checked_loss(loss), tolerance, bets)

    return EProcess(lambda: _start_capital(bets), step, _mean_wealth, "above", False, None)


def betting_without_replacement(
    tolerance: float, items: int, *, bets: Floats = BETS, total: float | None = None
) -> EProcess[Capital]:
    """Bets against "the batch's risk exceeds the tolerance" while items are drawn without replacement.

    After t losses with sum S the rest of the batch has, under the null, a mean of at least
    m = (items x tolerance - S) / (items - t): each bettor plays against that moving mean.
    Valid for losses in [0, 1] in random order. Waudby-Smith and Ramdas (2006.04347; 2010.09686, section 5).
    `total` is the smallest sum of losses under the null (default items x tolerance).
    """
    _refuse_tolerance(tolerance)
    null_total = tolerance * items if total is None else total

    def step(state: Capital, loss: float) -> Capital:
        return _bet(
            state, checked_loss(loss), _mean_of_rest(null_total - state.total, items - state.labels), bets
        )

    return EProcess(lambda: _start_capital(bets), step, _mean_wealth, "above", False, items)


def hypergeometric_mixture(
    tolerance: float, items: int, *, hoped: tuple[int, ...] | None = None
) -> EProcess[LabelCounts]:
    """Likelihood of hoped-for batches over that of the best batch which must not pass; 0/1 losses.

    The likelihood of a sequence depends on its counts only, so the state is (labels, wrong). Exact for
    sampling without replacement. `hoped` are the numbers of wrong items mixed with equal weight;
    default: five between none and three quarters of what is allowed.
    """
    _refuse_tolerance(tolerance)
    bad = allowed_wrong(items, tolerance) + 1
    good = (
        np.unique([round(bad * share) for share in (0, 0.2, 0.4, 0.6, 0.75)])
        if hoped is None
        else np.array(hoped)
    )
    if bad > items:
        raise OptionError(f"with tolerance {tolerance} no batch of {items} items is too bad; nothing to test")

    def log_wealth(state: LabelCounts) -> float:
        t, k = state
        null = log_sequences(items, np.array([bad]), t, k)[0]
        if null == -np.inf:  # impossible under the null: one way or the other
            return math.inf if k < bad else -math.inf
        return log_sum(log_sequences(items, good, t, k)) - math.log(len(good)) - float(null)

    return EProcess(lambda: LabelCounts(0, 0), _count, log_wealth, "above", True, items)


def alpha_fixed(tolerance: float, items: int, *, hoped: float | None = None) -> EProcess[Capital]:
    """ALPHA with a fixed alternative: bets as if the batch's risk were `hoped`.

    Default: a quarter of the tolerance. On 0/1 losses it is the hypergeometric likelihood ratio.
    Stark (2201.02707), section 2.
    """
    _refuse_tolerance(tolerance)
    target = tolerance / 4 if hoped is None else hoped

    def step(state: Capital, loss: float) -> Capital:
        unlabelled = items - state.labels
        null = _mean_of_rest(tolerance * items - state.total, unlabelled)
        aim = _mean_of_rest(target * items - state.total, unlabelled)
        return _alpha_step(state, checked_loss(loss), null, min(max(aim, 0.0), null))

    return EProcess(lambda: _start_capital(np.ones(1)), step, _mean_wealth, "above", False, items)


def alpha_shrink(
    tolerance: float, items: int, *, hoped: float | None = None, strength: float = 100
) -> EProcess[Capital]:
    """ALPHA with the shrink-truncate estimate: bets on a running mean, pulled towards `hoped`.

    `hoped` (default a quarter of the tolerance) counts as `strength` earlier losses. The bet for a
    loss uses only earlier ones. Stark (2201.02707), section 2.5.2.
    """
    _refuse_tolerance(tolerance)
    target = tolerance / 4 if hoped is None else hoped

    def step(state: Capital, loss: float) -> Capital:
        null = _mean_of_rest(tolerance * items - state.total, items - state.labels)
        aim = (strength * target + state.total) / (strength + state.labels)
        slack = (tolerance - target) / 2 / math.sqrt(strength + state.labels)
        return _alpha_step(state, checked_loss(loss), null, min(max(aim, 0.0), max(null - slack, 0.0)))

    return EProcess(lambda: _start_capital(np.ones(1)), step, _mean_wealth, "above", False, items)


def beta_mixture(tolerance: float, *, wrong: float = 0.5, fine: float = 25.0) -> EProcess[LabelCounts]:
    """Mixes the likelihood ratio over all rates below the tolerance; independent 0/1 losses.

    The weight is Beta(wrong, fine) cut off at the tolerance, so the wealth has a closed form in the
    counts (Robbins 1970; one-sided beta-binomial mixture of Howard et al. 1810.08240).
    """
    _refuse_tolerance(tolerance)
    scale = betaln(wrong, fine) + math.log(betainc(wrong, fine, tolerance))

    def log_wealth(state: LabelCounts) -> float:
        a, b = wrong + state.wrong, fine + state.labels - state.wrong
        below = float(betainc(a, b, tolerance))
        if below <= 0:
            return -math.inf
        null = state.wrong * math.log(tolerance) + (state.labels - state.wrong) * math.log1p(-tolerance)
        return float(betaln(a, b) + math.log(below) - scale - null)

    return EProcess(lambda: LabelCounts(0, 0), _count, log_wealth, "above", True, None)


def alarm_betting(tolerance: float, *, bets: Floats | None = None) -> EProcess[Capital]:
    """Bets against "the risk keeps the tolerance": evidence that a promise broke.

    Each bettor multiplies its wealth by 1 + bet (loss - tolerance) / tolerance. Valid whenever each loss has
    conditional mean at most `tolerance`, whatever else the stream does. Mirror of `betting`.
    """
    _refuse_tolerance(tolerance)
    stakes = tolerance * np.array([0.5, 1.0, 2.0, 4.0]) / (1 - tolerance) if bets is None else bets
    stakes = np.minimum(stakes, 1.0)

    def step(state: Capital, loss: float) -> Capital:
        loss = checked_loss(loss)
        with np.errstate(divide="ignore"):
            logs = state.logs + np.log1p(stakes * ((loss - tolerance) / tolerance))
        return Capital(state.labels + 1, state.total + loss, logs)

    return EProcess(lambda: _start_capital(stakes), step, _mean_wealth, "within", False, None)


EPROCESSES: dict[str, Callable[..., EProcess[Capital]] | Callable[..., EProcess[LabelCounts]]] = {
    "betting": betting,
    "betting_without_replacement": betting_without_replacement,
    "hypergeometric_mixture": hypergeometric_mixture,
    "alpha_fixed": alpha_fixed,
    "alpha_shrink": alpha_shrink,
    "beta_mixture": beta_mixture,
    "alarm_betting": alarm_betting,
}


def checked_loss(loss: float) -> float:
    """The loss as a float; raises DataError unless it is in [0, 1]."""
    if not 0 <= loss <= 1:
        raise DataError(f"loss {loss} is outside [0, 1]; divide by the largest possible loss first")
    return float(loss)


def threshold(confidence: float) -> float:
    """Ln wealth at which the null is refuted with this confidence.

    >>> round(threshold(0.95), 3)
    2.996
    """
    return -math.log(1 - confidence)


def _refuse_tolerance(tolerance: float) -> None:
    if not 0 < tolerance < 1:
        raise OptionError(f"tolerance is {tolerance}; expected a share above 0 and below 1, e.g. 0.02")


def _start_capital(bets: Floats) -> Capital:
    return Capital(0, 0.0, np.zeros(len(bets)))


def _mean_wealth(state: Capital) -> float:
    if np.max(state.logs) == np.inf:
        return math.inf
    return log_sum(state.logs) - math.log(len(state.logs))


def log_sum(logs: Floats) -> float:
    """ln of a sum of exponentials; for a dozen terms ten times faster than SciPy's.

    >>> round(log_sum(np.log([1.0, 2.0, 4.0])) - math.log(7), 12)
    0.0
    """
    top = float(logs.max())
    return top if top == -math.inf else top + math.log(float(np.exp(logs - top).sum()))


def _mean_of_rest(total: float, items: int) -> float:
    """Mean of the items not yet drawn if they sum to `total`; below 0 or above 1 if that cannot be."""
    if items <= 0:
        raise DataError("every item of the batch has been drawn; there is nothing left to bet on")
    return total / items


def _bet(state: Capital, loss: float, null: float, bets: Floats) -> Capital:
    """The bettors' capital after one loss, where the null says that its mean is `null`."""
    if null < 0:  # more has been lost than the null needs: it is true for certain
        logs = np.full_like(state.logs, -np.inf)
    elif null >= 1:  # the null needs a total loss on every item left
        logs = state.logs if loss == 1 and null == 1 else np.full_like(state.logs, np.inf)
    else:
        with np.errstate(divide="ignore"):
            logs = state.logs + np.log1p(bets * ((null - loss) / (1 - null)))
    return Capital(state.labels + 1, state.total + loss, logs)


def _alpha_step(state: Capital, loss: float, null: float, aim: float) -> Capital:
    """ALPHA's factor, for a loss with null mean `null` and hoped-for mean `aim` <= null."""
    if not 0 < null < 1:
        return (
            _bet(state, loss, null, np.ones(1))
            if null != 0
            else _bet(state, loss, -float(loss > 0), np.zeros(1))
        )
    factor = loss * aim / null + (1 - loss) * (1 - aim) / (1 - null)
    logs = state.logs + (math.log(factor) if factor > 0 else -math.inf)
    return Capital(state.labels + 1, state.total + loss, logs)


def _count(state: LabelCounts, loss: float) -> LabelCounts:
    if loss not in (0, 1):
        raise DataError(f"loss {loss} is neither 0 nor 1; for graded losses use a betting process")
    return LabelCounts(state.labels + 1, state.wrong + int(loss))
