"""The cheapest stopping rule for a finished batch: the exact optimum, computed in a fraction of a second.

The boundary that costs least is found by dynamic programming, one level of `k` (wrong labels so far) at a time.
Write Q for the probability of one path under the batches one hopes for, P0 for the one that must not pass, and
W(t, k) for Q times the best expected cost from (t, k) on:

    W(t, k) = min( mu P0(t, k),  lam Q(t, k),  Q(t, k) + W(t+1, k) + W(t+1, k+1) )

The multiplier `mu` prices a false certificate, `lam` giving up. Along one level this is a reversed
cumulative sum and a reversed running minimum, so the whole table is a few hundred vector operations
where the plain recursion walks two million states.
"""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tolerate.errors import OptionError
from tolerate.stats.audit.stopping_plan import (
    StoppingPlan,
    counting_plan,
    exact_error,
    false_certificate,
    forecast,
)
from tolerate.stats.hypergeometric import (
    Floats,
    Ints,
    hypergeometric_cdf,
    log_factorials,
    proven_by_counting,
    zero_failure,
)

# What the robust plan hopes for: share of the tolerance that is really wrong -> how much that case counts.
ROBUST_WEIGHTS: Mapping[float, float] = {
    0.0: 0.7,
    0.125: 1.0,
    0.25: 1.5,
    0.375: 1.0,
    0.5: 1.6,
    0.625: 0.6,
    0.75: 0.4,
}

_MAX_LEVELS = 240  # optimised numbers of wrong items; beyond them a few pre-planned looks
_GRID_POINTS = 10_000  # times of the dynamic programme; longer plans are designed on a coarser clock
_RESERVE_SHARE = 0.02  # of the allowed error, pays for the looks beyond the last level


@lru_cache(maxsize=64)
def robust_plan(
    items: int,
    allowed: int,
    confidence: float,
    rates: tuple[tuple[float, float], ...] = tuple(ROBUST_WEIGHTS.items()),
) -> StoppingPlan:
    """The plan that never gives up and is cheap for every true rate at once.

    It minimises the sum over `rates` of (weight x expected labels / what that rate costs at best)
    subject to an exact false-certificate probability of at most 1 - confidence.

    >>> robust_plan(10_000, 200, 0.95).certify_at[:3]
    array([190, 312, 404])
    """
    _refuse_nonsense(items, allowed, confidence)
    if allowed >= items:
        return counting_plan(items, items, confidence, levels=0)
    clock = _clock(items, allowed)
    search = _RobustSearch(items // clock, allowed, confidence, dict(rates))
    return search.best() if clock == 1 else _stretched_plan(items, clock, search)


@lru_cache(maxsize=64)
def power_plan(items: int, allowed: int, confidence: float, hoped: int, power: float) -> StoppingPlan:
    """The cheapest plan that proves a batch with `hoped` wrong items with probability `power`, or gives up.

    >>> plan = power_plan(10_000, 200, 0.95, hoped=50, power=0.9)
    >>> forecast(plan, 50).mean < 285
    True
    """
    _refuse_nonsense(items, allowed, confidence)
    if not 0 <= hoped <= allowed:
        raise OptionError(
            f"{hoped} wrong items are expected, but only {allowed} are allowed; "
            "expect fewer, or raise the tolerance"
        )
    if not 0 < power < 1:
        raise OptionError(f"power is {power}; expected a probability between 0 and 1, e.g. 0.9")
    if allowed >= items:
        return counting_plan(items, items, confidence, levels=0)
    return _PowerSearch(items, allowed, confidence, hoped, power).best()


def _refuse_nonsense(items: int, allowed: int, confidence: float) -> None:
    if items < 1:
        raise OptionError(f"a batch of {items} items cannot be audited; expected at least one")
    if allowed < 0:
        raise OptionError(f"{allowed} allowed wrong items; expected 0 or more")
    if not 0 < confidence < 1:
        raise OptionError(f"confidence is {confidence}; expected a probability between 0 and 1, e.g. 0.95")


def _horizon(items: int, allowed: int) -> int:
    """Labels after which a plan is no longer optimised."""
    levels = min(allowed + 1, _MAX_LEVELS)
    return min(items, math.ceil(1.7 * (levels + 5) * items / (allowed + 1)))


def _clock(items: int, allowed: int) -> int:
    """Labels a tick of the design's clock: 1 unless the plan would be too long for the grid."""
    return max(1, math.ceil(_horizon(items, allowed) / _GRID_POINTS))


def _stretched_plan(items: int, clock: int, search: "_RobustSearch") -> StoppingPlan:
    """A plan designed on a coarser clock, stretched until its exact error on the real one fits."""
    search_on_items = _RobustSearch(items, search.allowed, search.confidence, {}, design=False)
    ticks = search.best().certify_at[: search.levels]
    for stretch in range(100):
        head = np.ceil(ticks * (clock * (1 + 0.002 * stretch))).astype(np.int64)
        plan = search_on_items._plan(search_on_items._with_looks(head))
        if exact_error(plan, search.allowed + 1) <= search.budget:
            return plan
    return counting_plan(items, search.allowed, search.confidence, search.levels)


class _RobustSearch:
    """Search for the price `mu` of a false certificate at which the optimal plan spends just the allowed error."""

    def __init__(
        self,
        items: int,
        allowed: int,
        confidence: float,
        rates: Mapping[float, float],
        *,
        design: bool = True,
    ) -> None:
        self.items, self.allowed, self.confidence = items, allowed, confidence
        self.error = 1 - confidence
        self.levels = min(allowed + 1, _MAX_LEVELS)
        self.budget = self.error * (1 - _RESERVE_SHARE) if self.levels <= allowed else self.error
        self.tail = self._looks() if self.levels <= allowed else np.empty(0, np.int64)
        if design:
            self.hoped, self.weights = _hoped_weights(items, allowed, confidence, rates)
            self.tables = _PathTables(items, allowed + 1, self.levels, _horizon(items, allowed))
            self.tables.set_hoped(self.hoped, self.weights)

    def best(self) -> StoppingPlan:
        """The cheapest of the candidates, whose exact error is within the budget."""
        head = (
            counting_plan(self.items, self.allowed, self.confidence, self.levels)
            .certify_at[: self.levels]
            .copy()
        )
        head[0] = zero_failure(self.items, self.allowed, self.confidence)
        cheapest = self._plan(self._with_looks(head))
        cost = self._cost(cheapest)
        if self.allowed == 0:
            return cheapest
        for plan in self._candidates():
            price = self._cost(plan)
            if price < cost:
                cheapest, cost = plan, price
        return cheapest

    def _candidates(self) -> Iterator[StoppingPlan]:
        """Plans within the budget, the multiplier closing in on it."""
        start = float(self.weights @ self._ideal()) / (self.error * -math.log(self.error))
        search = _MultiplierSearch(math.log(start), self.budget)
        while search.open:
            plan = self._plan(self._with_looks(self.tables.certify_at(math.exp(search.mu))))
            error = exact_error(plan, self.allowed + 1)
            if error <= self.budget:
                yield plan
            search.move(error)

    def _plan(self, certify_at: Ints) -> StoppingPlan:
        by_counting = proven_by_counting(self.items, self.allowed)
        certify_at = np.maximum.accumulate(np.minimum(certify_at, by_counting))
        return StoppingPlan(
            self.items, self.allowed, self.confidence, certify_at, np.empty(0, np.int64), self.levels
        )

    def _with_looks(self, head: Ints) -> Ints:
        return head if self.levels > self.allowed else np.concatenate([head, self.tail])

    def _looks(self) -> Ints:
        """Beyond the last level: looks a tenth apart in wrong items, sharing the reserve evenly."""
        ends = _look_ends(self.levels, self.allowed)
        share = self.error * _RESERVE_SHARE / len(ends)
        labels, looks = 0, []
        for end in ends:
            labels = _first_look(self.items, self.allowed + 1, end, share, labels)
            looks.append(labels)
        sizes = np.diff([self.levels - 1, *ends])
        return np.repeat(np.array(looks, np.int64), sizes)

    def _ideal(self) -> Floats:
        """Roughly what each hoped-for batch costs at best: ln(1/error) / Kullback-Leibler."""
        return _ideal_cost(self.items, self.allowed, self.confidence, self.hoped)

    def _cost(self, plan: StoppingPlan) -> float:
        """Weighted expected labels; what passes the last level is taken to cost the whole horizon."""
        exits = plan.exits
        chances = [exits.probability(self.items, wrong) for wrong in self.hoped]
        means = [chance @ exits.t + (1 - chance.sum()) * self.tables.t[-1] for chance in chances]
        return float(self.weights @ np.array(means))


class _MultiplierSearch:
    """Search for the ln(multiplier) that just keeps the error budget (the error falls like 1 / mu)."""

    def __init__(self, start: float, budget: float, tries: int = 12) -> None:
        self.mu, self.budget, self.tries = start, budget, tries
        self.low, self.high, self.stretch = -math.inf, math.inf, 1.0
        self.open = True

    def move(self, error: float) -> None:
        """Take in the error of the plan at `mu`, and choose the next `mu`."""
        fits = error <= self.budget
        self.low, self.high = (self.low, self.mu) if fits else (self.mu, self.high)
        self.tries -= 1
        narrow = self.high - self.low < 1e-3
        self.open = self.tries > 0 and not narrow and not 0.9985 * self.budget <= error <= self.budget
        jump = math.log(max(error, 1e-9) / self.budget)
        step = self.mu + self.stretch * (jump + math.copysign(1e-3, jump))
        self.stretch *= 2  # errors come in steps: leave a plateau by longer strides
        self.mu = step if self.low < step < self.high else (self.low + self.high) / 2


def _hoped_weights(
    items: int, allowed: int, confidence: float, rates: Mapping[float, float]
) -> tuple[list[int], Floats]:
    """Numbers of wrong items to be cheap at, and the weight of one label in each case."""
    weights: dict[int, float] = {}
    for share, weight in rates.items():
        wrong = min(round(share * (allowed + 1)), allowed)
        weights[wrong] = weights.get(wrong, 0.0) + weight
    hoped = list(weights)
    return hoped, np.array(list(weights.values())) / _ideal_cost(items, allowed, confidence, hoped)


def _ideal_cost(items: int, allowed: int, confidence: float, hoped: list[int]) -> Floats:
    limit = (allowed + 1) / items
    rate = np.array(hoped) / items
    with np.errstate(divide="ignore", invalid="ignore"):
        bad = np.where(rate > 0, rate * np.log(rate / limit), 0.0)
        fine = np.where(limit < 1, (1 - rate) * np.log((1 - rate) / (1 - limit)), np.inf)
    free = -math.log(1 - confidence) / np.maximum(bad + fine, 1e-300)
    cost: Floats = 1 / (1 / np.maximum(free, 1.0) + 1 / items)  # never more than the batch
    return cost


def _look_ends(levels: int, allowed: int) -> list[int]:
    """Most wrong items of each late look: a tenth more each time, the last one all that is allowed."""
    ends, end = [], levels
    while end < allowed:
        end = min(allowed, math.ceil(end * 1.1))
        ends.append(end)
    return ends or [allowed]


def _first_look(items: int, wrong: int, k: int, chance: float, earliest: int) -> int:
    """The fewest labels, at least `earliest`, of which at most k are wrong with at most this chance."""
    low, high = earliest, items - wrong + 1 + k  # at `high` it is impossible
    while low < high:
        middle = (low + high) // 2
        if hypergeometric_cdf(items, wrong, middle, k) <= chance:
            high = middle
        else:
            low = middle + 1
    return low


class _PathTables:
    """Path probabilities on a grid of (k, t), and the backward pass over them.

    Level k is scaled by (wrong / items)^-k, so that no entry that matters underflows.
    """

    def __init__(self, items: int, wrong: int, levels: int, horizon: int) -> None:
        self.items, self.levels = max(items, 1), levels
        self.t = np.arange(min(horizon, self.items) + 1)
        self.rate = wrong / self.items
        self.null = self._paths(min(wrong, self.items))

    def set_hoped(self, hoped: list[int], weights: Floats) -> None:
        """Set Q: the weighted mixture of the batches one hopes for."""
        self.hoped = np.zeros_like(self.null)
        for wrong, weight in zip(hoped, weights, strict=True):
            self.hoped += weight * self._paths(wrong)

    def _paths(self, wrong: int) -> Floats:
        """[levels, t] scaled probability of one path to (t, k)."""
        lf = log_factorials(self.items)
        remaining = self.items - self.t
        paths = np.zeros((self.levels, len(self.t)))
        for k in range(min(self.levels, wrong + 1)):
            size = int(np.searchsorted(-remaining, -(wrong - k), side="right"))  # where enough items are left
            n = remaining[:size]
            constant = (
                lf[self.items] - lf[wrong] - lf[self.items - wrong] + lf[wrong - k] + k * math.log(self.rate)
            )
            paths[k, :size] = np.exp(lf[n] - lf[n - (wrong - k)] - constant)
        return paths

    def certify_at(self, mu: float) -> Ints:
        """[levels] the optimal boundary of a plan that never gives up."""
        return self._backward(mu, math.inf)[0]

    def boundaries(self, mu: float, lam: float) -> tuple[Ints, Ints]:
        """[levels] the optimal boundaries of a plan that may give up at price `lam`."""
        return self._backward(mu, lam)

    def _backward(self, mu: float, lam: float) -> tuple[Ints, Ints]:
        certify_at, give_up_at = np.empty(self.levels, np.int64), np.full(self.levels, -1)
        beyond = min(lam, len(self.t) / 2)  # cost of a path that leaves the grid
        after = np.zeros(len(self.t))
        for k in range(self.levels - 1, -1, -1):
            prove, give_up = mu * self.null[k], self.hoped[k] * lam if lam < math.inf else None
            stop = prove if give_up is None else np.minimum(prove, give_up)
            step = self.hoped[k].copy()
            step[:-1] += self.rate * after[1:]
            step[-1] = beyond * self.hoped[k, -1]
            go_on = np.cumsum(step[::-1])[::-1]
            gain = stop - go_on
            best = np.minimum.accumulate(gain[::-1])[::-1]
            after = np.minimum(go_on + best, stop)
            certify_at[k], give_up_at[k] = _level_boundaries(gain <= best, prove, give_up)
        return certify_at, give_up_at


def _level_boundaries(stops: NDArray[np.bool_], prove: Floats, give_up: Floats | None) -> tuple[int, int]:
    """First time from which one certifies for good, and last time before it at which one gives up."""
    proves = stops if give_up is None else stops & (prove <= give_up)
    certify = len(proves) - int(np.argmin(proves[::-1])) if not proves.all() else 0
    if give_up is None:
        return certify, -1
    gives_up = np.flatnonzero(stops[:certify] & ~proves[:certify])
    return certify, int(gives_up[-1]) if len(gives_up) else -1


class _PowerSearch:
    """Search for the two prices at which the optimal plan just keeps the error and just reaches the power."""

    def __init__(self, items: int, allowed: int, confidence: float, hoped: int, power: float) -> None:
        self.items, self.allowed, self.confidence = items, allowed, confidence
        self.hoped, self.power, self.error = hoped, power, 1 - confidence
        horizon = min(items, self._horizon())
        rate = (allowed + 1) / items
        self.levels = min(allowed + 1, math.ceil(1.3 * horizon * rate) + 8)
        self.clock = max(1, math.ceil(horizon / _GRID_POINTS))
        self.tables = _PathTables(items // self.clock, allowed + 1, self.levels, horizon // self.clock)
        self.tables.set_hoped([hoped], np.ones(1))
        self.unit = float(_ideal_cost(items, allowed, confidence, [hoped])[0]) / self.clock

    def _horizon(self) -> int:
        """Three times the size of a fixed sample with this error and power (normal approximation)."""
        bad, good = (self.allowed + 1) / self.items, self.hoped / self.items
        spread = -ndtri(self.error) * math.sqrt(bad * (1 - bad)) + ndtri(self.power) * math.sqrt(
            good * (1 - good)
        )
        return math.ceil(3 * max(float(spread / (bad - good)) ** 2, 3 / bad)) + 10

    def best(self) -> StoppingPlan:
        """The cheapest plan that keeps both the error and the power; every item is labelled if none does."""
        cheapest = self._zero_failure()
        cost = forecast(cheapest, self.hoped).mean if self.hoped == 0 else float(self.items)
        low, high = math.log(0.2), math.log(1e4)  # ln of lam; both prices in units of the ideal cost
        lam, mu = math.log(4.0), math.log(1 / self.error)
        for _ in range(12):
            plan, mu = self._spend(lam, mu)
            outlook = forecast(plan, self.hoped)
            if outlook.proven >= self.power and outlook.mean < cost:
                cheapest, cost = plan, outlook.mean
            low, high = (low, min(high, lam)) if outlook.proven >= self.power else (max(low, lam), high)
            if high - low < 0.01 or self.power <= outlook.proven < self.power + 1e-3:
                break
            step = lam + math.log((1 - outlook.proven + 1e-9) / (1 - self.power))
            lam = step if low + 0.004 < step < high - 0.004 else (low + high) / 2
        return cheapest

    def _zero_failure(self) -> StoppingPlan:
        """Proven at the zero-failure size, or when all that could be wrong has been seen."""
        certify_at = counting_plan(self.items, self.allowed, self.confidence, self.levels).certify_at.copy()
        certify_at[0] = zero_failure(self.items, self.allowed, self.confidence)
        never = np.empty(0, np.int64)
        return StoppingPlan(self.items, self.allowed, self.confidence, certify_at, never, self.allowed + 1)

    def _spend(self, lam: float, mu: float) -> tuple[StoppingPlan, float]:
        """For one price of giving up: the plan that uses up the error budget, and its ln mu."""
        search, best = _MultiplierSearch(mu, self.error), None
        while search.open:
            plan = self._plan(self.unit * math.exp(lam), self.unit * math.exp(search.mu))
            error = false_certificate(plan)
            if error <= self.error:
                mu, best = search.mu, plan
            search.move(error)
        return best or counting_plan(self.items, self.allowed, self.confidence, self.levels), mu

    def _plan(self, lam: float, mu: float) -> StoppingPlan:
        certify, give_up = self.tables.boundaries(mu, lam)
        by_counting = proven_by_counting(self.items, self.allowed)
        certify_at = by_counting.copy()
        certify_at[: self.levels] = np.minimum(certify * self.clock, by_counting[: self.levels])
        give_up_at = np.where(give_up >= 0, give_up * self.clock, -1)
        give_up_at = np.append(give_up_at, self.items)[: self.allowed + 1]  # past the last level: hopeless
        return StoppingPlan(
            self.items,
            self.allowed,
            self.confidence,
            np.maximum.accumulate(certify_at),
            give_up_at,
            self.levels,
        )
