"""Upper bounds on a mean loss, and p-values for the claim that it is above a tolerance.

A bound is a function `(losses, confidence) -> upper bound on their mean`; a p-value is a function
`(losses, tolerance) -> p`, small when the losses speak against "the mean is above the tolerance".
Both are valid for any number of labels. `BOUNDS` and `P_VALUES` list them; the shared tests take
every entry through the same laws.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv, ndtri, xlogy

from tolerate.errors import DataError, OptionError
from tolerate.records import Floats

Bound = Callable[[Floats, float], float]
PValue = Callable[[Floats, float], float]

STAKE_CHANGES = 100  # times at which a test with a deadline sets its stake anew
CAREFUL_STAKE = 0.8  # of the largest stake that cannot ruin it: one total loss leaves a fifth
BOLD_STAKE = 0.9999  # of it, where nothing less could still reach the goal, even by gains alone


def binomial_p(errors: ArrayLike, n: ArrayLike, tolerance: ArrayLike) -> Floats:
    """Chance of at most this many errors among n labels if the error rate were exactly the tolerance.

    A p-value for "the error rate is at least the tolerance", exact and most powerful for
    independent 0/1 losses. Vectorised; n = 0 gives 1.

    >>> round(float(binomial_p(0, 45, 0.05)), 8)
    0.09944026
    """
    errors, n = np.asarray(errors, np.float64), np.asarray(n, np.float64)
    capped = np.clip(errors, 0, np.maximum(n - 1, 0))
    # Not SciPy's bdtr: at a thousand million labels it returns 0.62 for 0.50, and beyond 2^31 it fails.
    p = betainc(np.maximum(n - capped, 1), capped + 1, 1 - np.asarray(tolerance, np.float64))
    return np.where(errors >= n, 1.0, np.where(errors < 0, 0.0, p))


def binomial_upper(errors: ArrayLike, n: ArrayLike, confidence: ArrayLike) -> Floats:
    """Upper bound on the error rate: the largest one that so few errors among n labels do not rule out.

    Holds with probability at least `confidence` for independent 0/1 losses. Clopper & Pearson (1934).

    >>> round(float(binomial_upper(3, 200, 0.95)), 10)
    0.0383097085
    """
    errors, n = np.asarray(errors, np.float64), np.asarray(n, np.float64)
    inside = errors < n
    upper = betaincinv(errors + 1.0, np.where(inside, n - errors, 1.0), confidence)
    return np.where(inside, upper, 1.0)


def binomial_lower(errors: float, n: int, confidence: float) -> float:
    """Lower bound on the error rate: the smallest one that so many errors among n labels do not rule out.

    Holds with probability at least `confidence` for independent 0/1 losses. Clopper & Pearson (1934).

    >>> round(binomial_lower(3, 200, 0.95), 6)
    0.004101
    """
    return float(betaincinv(errors, n - errors + 1, 1 - confidence)) if errors else 0.0


def binomial_interval(errors: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of the error rate behind so many errors among n labels; (0, 1) where n is 0.

    Each end is missed with probability (1 - confidence) / 2 at most, for independent 0/1 losses.
    Clopper & Pearson (1934).

    >>> [round(bound, 4) for bound in binomial_interval(3, 200)]
    [0.0031, 0.0432]
    """
    side = (1 + confidence) / 2
    return 1 - float(binomial_upper(n - errors, n, side)), float(binomial_upper(errors, n, side))


def clopper_pearson(losses: Floats, confidence: float) -> float:
    """Upper bound on the mean of 0/1 losses: the exact binomial one.

    Assumes independent losses with one common mean. Clopper & Pearson (1934).

    >>> round(clopper_pearson(np.zeros(149), 0.95), 6)
    0.019905
    """
    losses = _checked(losses, confidence)
    if np.any((losses != 0) & (losses != 1)):
        raise DataError("clopper_pearson takes losses of 0 or 1; for graded losses use wsr")
    return float(binomial_upper(losses.sum(), len(losses), confidence))


def hoeffding(losses: Floats, confidence: float) -> float:
    """Upper bound on the mean loss: the average plus a width set by the number of labels.

    Holds with probability `confidence` for independent losses in [0, 1] with one common mean,
    whatever their distribution. Hoeffding (1963), Theorem 1.

    >>> round(hoeffding(np.zeros(1000), 0.95), 4)
    0.0387
    """
    losses = _checked(losses, confidence)
    return float(min(1.0, losses.mean() + np.sqrt(-np.log1p(-confidence) / (2 * len(losses)))))


def hoeffding_bentkus_p(mean: ArrayLike, n: ArrayLike, tolerance: ArrayLike) -> Floats:
    """P-value for "the mean is above the tolerance" from the mean of n losses in [0, 1].

    The smaller of Hoeffding's (relative entropy) and e times the binomial tail (Bentkus 2004).
    Assumes independent losses with one common mean. Bates et al. 2101.02703, Section 3.1.

    >>> round(float(hoeffding_bentkus_p(0.02, 500, 0.05)), 12)
    0.001250429088
    """
    mean, n, tolerance = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (mean, n, tolerance)))
    below = np.minimum(mean, tolerance)
    divergence = _entropy(below, tolerance)
    # The guard keeps 0.02 * 500 = 10.000000000000002 from counting as eleven errors.
    errors = np.ceil(np.round(n * mean, 9))
    bentkus = np.e * binomial_p(errors, n, tolerance)
    return np.minimum(1.0, np.minimum(np.exp(-n * divergence), bentkus))


def hoeffding_bentkus(losses: Floats, confidence: float) -> float:
    """Upper bound on the mean loss: the largest mean that the Hoeffding-Bentkus test does not reject.

    Assumes independent losses in [0, 1] with one common mean. Bates et al. 2101.02703.

    >>> round(hoeffding_bentkus(np.zeros(100), 0.95), 5)
    0.02951
    """
    losses = _checked(losses, confidence)
    mean, n = float(losses.mean()), len(losses)
    return _largest_not_rejected(lambda t: float(hoeffding_bentkus_p(mean, n, t)) > 1 - confidence, mean)


def wsr(losses: Floats, confidence: float) -> float:
    """Upper bound on the mean loss by betting against it: adapts to the losses' variance.

    Assumes independent losses in [0, 1] with one common mean, in an order that does not depend on
    them. Waudby-Smith & Ramdas 2010.09686; the stakes of Bates et al. 2101.02703, Proposition 5.

    >>> round(wsr(np.zeros(100), 0.95), 10)
    0.0308625782
    """
    losses = _checked(losses, confidence)
    stakes = _wsr_stakes(losses, confidence)
    need = -np.log1p(-confidence)

    def stands(mean: float) -> bool:
        return bool(np.cumsum(np.log1p(-stakes * (losses - mean))).max() < need)

    return _largest_not_rejected(stands, 0.0)


def wsr_p(losses: Floats, tolerance: float) -> float:
    """P-value for "the mean is above the tolerance": one over the most that betting against it won.

    One-sided: large losses never count against the claim. Valid however often one looks (Ville).
    Assumes losses in [0, 1] in an order that does not depend on them. Waudby-Smith & Ramdas 2010.09686.

    >>> wsr_p(np.ones(50), 0.1)
    1.0
    """
    losses = _checked(losses, 0.9)
    return betting_p(losses - tolerance, 1 - tolerance, delta=0.05, variance=tolerance / 2)


def betting_p(gains: Floats, cap: float, *, delta: float, variance: float, trust: float = 2.0) -> float:
    """P-value for "the mean of these gains is at least 0", for gains that never exceed `cap`.

    A gambler stakes a share of his wealth on each gain being negative: factor 1 - stake * gain.
    Under the claim the wealth is a nonnegative supermartingale, so the chance that it ever reaches
    1/p is at most p (Ville 1939). Gains may be as negative as they like. `delta` is the level the
    stakes aim at; `variance` and `trust` a guess of the gains' variance and its worth in
    observations. All three change the power only. The order must not depend on the gains.
    Waudby-Smith & Ramdas 2010.09686, Sections 4.1 and B.
    """
    if not len(gains):
        return 1.0
    stakes = np.sqrt(-2 * np.log(delta) / (len(gains) * _variances(gains, variance, trust)))
    wealth = np.cumsum(np.log1p(-np.minimum(stakes, 0.95 / cap) * gains))
    return float(np.exp(-max(0.0, wealth.max())))


def betting_test(
    gains: Floats, cap: float, win: float, *, delta: float, variance: float, trust: float = 20.0
) -> bool:
    """Whether "the mean of these gains is at least 0" is refuted at level delta; no gain exceeds `cap`.

    The gambler of `betting_p`, with a goal and a deadline: he wants 1/delta times his money by the last gain,
    and stakes what would bring that about most often if the gains were normal (Kulldorff 1993). Far behind
    he stakes more, close to the goal less, and so loses little against the most powerful test of a fixed number
    of gains (stakes that aim anew: Voracek 2505.22422). Valid whatever the stakes, since each is fixed
    before the gains that it is put on; `win` (no gain is below -`win`), `variance` and `trust` change the power only.
    The order must not depend on the gains.
    """
    goal, wealth, total, squares = -float(np.log(delta)), 0.0, 0.0, 0.0  # wealth in logarithms
    size = max(1, -(-len(gains) // STAKE_CHANGES))
    for start in range(0, len(gains), size):
        remaining, block = len(gains) - start, gains[start : start + size]
        spread = max(0.0, squares - total * total / max(start, 1))
        estimate = (trust * variance + spread) / (trust + start) + 1e-300
        need = (goal - wealth) / remaining  # of each gain that is left
        if need > math.log1p(BOLD_STAKE * win / cap):
            return False  # out of reach, even if nothing is lost any more
        share = CAREFUL_STAKE if math.log1p(CAREFUL_STAKE * win / cap) >= need else BOLD_STAKE
        stake = min(_urge(wealth - goal) / np.sqrt(remaining * estimate), share / cap)
        path = wealth + np.cumsum(np.log1p(-stake * block))
        if path.max() >= goal:
            return True
        wealth = float(path[-1])
        total, squares = total + float(block.sum()), squares + float((block * block).sum())
    return False


def _urge(behind: float) -> float:
    """The stake, in standard deviations of all gains to come, of a gambler whose wealth is exp(behind) of his goal."""
    if behind < -14:
        return float(np.sqrt(-2 * behind))  # what the next line tends to
    z = float(ndtri(np.exp(behind)))
    return float(np.exp(-z * z / 2 - behind) / np.sqrt(2 * np.pi))


def _variances(gains: Floats, variance: float, trust: float) -> Floats:
    """[n] the variance estimated before each gain: mean square around the running mean, with a prior."""
    n = np.arange(len(gains))
    sums = np.concatenate([[0.0], np.cumsum(gains)[:-1]])
    squares = np.concatenate([[0.0], np.cumsum(gains * gains)[:-1]])
    spread = np.maximum(0.0, squares - sums * sums / np.maximum(n, 1))
    variances: Floats = (trust * variance + spread) / (trust + n) + 1e-300
    return variances


def _wsr_stakes(losses: Floats, confidence: float) -> Floats:
    count = np.arange(1, len(losses) + 1)
    means = (0.5 + np.cumsum(losses)) / (1 + count)
    variances = (0.25 + np.cumsum((losses - means) ** 2)) / (1 + count)
    earlier = np.concatenate([[0.25], variances[:-1]])
    stakes: Floats = np.sqrt(-2 * np.log1p(-confidence) / (len(losses) * earlier))
    return np.minimum(1.0, stakes)


def _entropy(a: Floats, b: Floats) -> Floats:
    """Relative entropy of a coin of bias a against one of bias b."""
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy: Floats = xlogy(a, a / b) + xlogy(1 - a, (1 - a) / (1 - b))
    return entropy


def _largest_not_rejected(stands: Callable[[float], bool], low: float) -> float:
    """The largest mean that stands, by bisection; `low` stands, and above the answer every mean is ruled out."""
    high = 1.0
    if stands(high - 1e-12):
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if stands(middle) else (low, middle)
    return high


def _checked(losses: Floats, confidence: float) -> Floats:
    losses = np.asarray(losses, np.float64)
    if losses.ndim != 1 or not len(losses):
        raise DataError(f"expected a row of at least one loss, got an array of shape {losses.shape}")
    if not bool(np.all((losses >= 0) & (losses <= 1))):
        raise DataError("every loss must be a number in [0, 1]; divide by the largest possible loss first")
    if not 0 < confidence < 1:
        raise OptionError(f"confidence {confidence} is outside (0, 1); try 0.95")
    return losses


def _binomial_p_of(losses: Floats, tolerance: float) -> float:
    return float(binomial_p(np.sum(losses), len(losses), tolerance))


def _hoeffding_bentkus_p_of(losses: Floats, tolerance: float) -> float:
    return float(hoeffding_bentkus_p(np.mean(losses), len(losses), tolerance))


BOUNDS: dict[str, Bound] = {  # all but clopper_pearson take graded losses
    "clopper_pearson": clopper_pearson,
    "hoeffding": hoeffding,
    "hoeffding_bentkus": hoeffding_bentkus,
    "wsr": wsr,
}
P_VALUES: dict[str, PValue] = {
    "binomial": _binomial_p_of,
    "hoeffding_bentkus": _hoeffding_bentkus_p_of,
    "wsr": wsr_p,
}
