"""Rows that stand alone: prefixes of the ranking, tested from a start chosen beforehand.

Let v be the (k+1)-th largest score of n independent rows. Given v, the rows scored above v are an
independent sample of what "release above v" releases; for 0/1 losses the binomial test of their
errors is exact. Everything is tested first, at an eighth of the level, because a set that is fine as
a whole should not hang on its first steps; the walk has the rest.

Why the walk is valid although its prefixes depend on the scores: only the first unsafe prefix
of the walk matters. Cut the ranking where the running risk crosses the tolerance; between two
cuts the mean loss is exactly the tolerance. Given how many rows fall between the cuts - which
says where the first unsafe prefix is - its losses are therefore distributed as, or worse than, independent
losses of mean `tolerance`. docs/ideas/threshold.md gives the proof in full, with ties.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tolerate.records import Scope
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.certify.counts import Ints
from tolerate.stats.certify.first_test import History, best_start
from tolerate.stats.certify.fixed_sequence import Sizes, critical, sizes, thinned, walk, zero_failure_size
from tolerate.stats.certify.ranked import Ranked, Scores, lower, ranked_scores
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.totals import EVERY_ROW, totals

EVERYTHING_SHARE = 0.12  # of the level, for the test of everything at once
GRADED_STEP = 1.05  # graded losses: each test reads its rows anew, so prefixes are wider apart
BINOMIAL = "exact binomial tests of score prefixes, fixed sequence (LTT, arXiv 2110.01052)"
BETTING = "betting tests (arXiv 2010.09686) of score prefixes, fixed sequence (LTT, arXiv 2110.01052)"

Tolerances = Mapping[str, float]
Order = Callable[[Ints], Ranked]  # ranks -> running totals that are exact there


@dataclass(frozen=True)
class Found:
    """What a walk found: the edge above which is released, and how it was proven."""

    scope: Scope
    edge: float | None  # release what is scored above it; None unless scope is "above"
    method: str
    level: float | None = None  # of the test of everything, where that is what proved it
    bound: float | None = None  # on the risk, where it is proven sharper than the tolerance


@dataclass(frozen=True)
class Steps:
    """The prefixes of a walk: how many rows each asks for, the edge it lies above, and the rows it gets."""

    sizes: Sizes  # asked for
    edges: Scores
    rows: Ints  # got, increasing; other than asked for where scores are tied or missing
    n: int

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Which steps release everything, rows without a score included."""
        return np.asarray(self.sizes == self.n)


def walk_rows(
    roughly: Ranked, order: Order, tolerances: Tolerances, delta: float, history: History | None
) -> Found:
    """Exact tests of 0/1 losses. `roughly` knows the totals; `order` tells more, at the ranks asked for."""
    found = _walk(
        order,
        roughly,
        tolerances,
        delta,
        history,
        BINOMIAL,
        lambda known, steps, level: _binomial(known, steps, tolerances, level),
    )
    if found.level is None or len(tolerances) > 1:
        return found
    wrong = int(next(iter(roughly.wrong.values()))[-1])
    return replace(found, bound=float(binomial_upper(wrong, len(roughly), 1 - found.level)))


def walk_graded(
    given: Sample,
    tolerances: Tolerances,
    delta: float,
    history: History | None,
    rng: np.random.Generator,
    largest: float | None,
) -> Found:
    """Betting tests of graded or weighted losses."""
    order = ranked_scores(given)
    units = totals(given, rng, largest)

    def passes(known: Ranked, steps: Steps, level: float) -> Callable[[int], bool]:
        edges = np.where(steps.whole, EVERY_ROW, steps.edges)
        return lambda step: units.safe(float(edges[step]), tolerances, level)

    return _walk(lambda ranks: order, order, tolerances, delta, history, BETTING, passes, GRADED_STEP)


def _walk(
    order: Order,
    roughly: Ranked,
    tolerances: Tolerances,
    delta: float,
    history: History | None,
    method: str,
    passes: Callable[[Ranked, Steps, float], Callable[[int], bool]],
    spread: float = 1.0,
) -> Found:
    """Everything first, then prefixes from the start on, until one fails."""
    n, hardest = len(roughly), min(tolerances.values())
    first = _first_level(roughly, hardest, delta)
    if first and passes(roughly, _steps(roughly, np.array([n])), first)(0):
        return Found("all", None, method, level=first)
    if first == delta:
        return Found("nothing", None, method)
    level = delta - first
    tried = thinned(sizes(n, hardest, level), spread)
    if not len(tried):
        return Found("nothing", None, method)
    known = order(np.unique(np.concatenate([n - 1 - tried[tried < n], n - tried])))
    steps = _steps(known, tried)
    share = best_start(n, hardest, level, history)
    start = _possible(int(np.searchsorted(steps.rows, share * n - 0.5)), steps, hardest, level)
    last = walk(len(steps.sizes), start, passes(known, steps, level))
    return _found(last, steps, method)


def _first_level(order: Ranked, tolerance: float, delta: float) -> float:
    """The level for everything at once: a share of it, all of it without scores, none if it could not pass."""
    if order.scores[-1] == -np.inf:
        return delta
    share = delta * EVERYTHING_SHARE
    return share if len(order) >= zero_failure_size(tolerance, share) else 0.0


def _steps(order: Ranked, tried: Sizes) -> Steps:
    """The prefixes of these sizes; where a size cuts a group of tied scores, the rows above it and with it."""
    n = len(order)
    above = order.edges(tried)
    inside = order.edges(tried - 1)  # the score of the last row asked for
    tied = (tried < n) & (inside == above) & (inside > -np.inf)
    edges = np.concatenate([above, lower(inside[tied])])
    asked = np.concatenate([tried, tried[tied]])
    rows = np.where(asked == n, n, order.above(edges))
    _, first = np.unique(rows, return_index=True)
    return Steps(asked[first], edges[first], rows[first], n)


def _binomial(order: Ranked, steps: Steps, tolerances: Tolerances, level: float) -> Callable[[int], bool]:
    good = np.ones(len(steps.sizes), bool)
    for name, tolerance in tolerances.items():
        errors = np.where(steps.whole, order.wrong[name][-1], order.errors(name, steps.edges))
        good &= errors <= critical(steps.rows, tolerance, level)
    return lambda step: bool(good[step])


def _possible(start: int, steps: Steps, tolerance: float, level: float) -> int:
    """The first step, from the start on, with rows enough to pass at all: ties can leave a prefix too few."""
    able = steps.rows[start:] >= zero_failure_size(tolerance, level)
    return start + int(np.argmax(able)) if able.any() else len(steps.sizes)


def _found(last: int | None, steps: Steps, method: str) -> Found:
    if last is None:
        return Found("nothing", None, method)
    if steps.whole[last]:
        return Found("all", None, method)
    return Found("above", float(steps.edges[last]), method)
