"""Independent rows: prefixes of the ranking, tested from a start chosen beforehand.

Let v be the (k+1)-th largest score of n independent rows. Given v, the rows scored above v are an
independent sample of what "release above v" releases; for 0/1 losses the binomial test of their
errors is exact. The whole sample is tested first, at an eighth of the level, because a set that is fine as
a whole should not depend on its first prefixes; the sequence has the rest.

Why the sequence is valid although its prefixes depend on the scores: only the first unsafe prefix
of the sequence matters. Cut the ranking where the running risk crosses the tolerance; between two
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
from tolerate.stats.certify.fixed_sequence import (
    Sizes,
    last_passing,
    max_errors,
    prefix_sizes,
    thin_sizes,
    zero_failure_size,
)
from tolerate.stats.certify.ranked import Ranked, next_lower, ranked_scores
from tolerate.stats.certify.samples import Sample, Scores
from tolerate.stats.certify.totals import RELEASE_ALL_EDGE, unit_totals

WHOLE_LEVEL_SHARE = 0.12  # of the level, for the test of everything at once
GRADED_RATIO = 1.05  # graded losses: each test reads its rows anew, so prefixes are wider apart
BINOMIAL_METHOD = "exact binomial tests of score prefixes, fixed sequence (LTT, arXiv 2110.01052)"
BETTING_METHOD = "betting tests (arXiv 2010.09686) of score prefixes, fixed sequence (LTT, arXiv 2110.01052)"

Tolerances = Mapping[str, float]
RankedAt = Callable[[Ints], Ranked]  # ranks -> running totals that are exact there


@dataclass(frozen=True)
class ReleaseRule:
    """The edge above which rows are released, and how it was proven."""

    scope: Scope
    edge: float | None  # release what is scored above it; None unless scope is "above"
    method: str
    level: float | None = None  # of the test of everything, where that is what proved it
    bound: float | None = None  # on the risk, where it is proven sharper than the tolerance


@dataclass(frozen=True)
class PrefixSteps:
    """The prefixes of a sequence: the size requested of each, the edge it lies above, and the rows that it has."""

    sizes: Sizes  # requested
    edges: Scores
    rows: Ints  # increasing; other than requested where scores are tied or missing
    n: int

    @property
    def releases_all(self) -> NDArray[np.bool_]:
        """[steps] whether each releases everything, rows without a score included."""
        return np.asarray(self.sizes == self.n)


def find_by_counts(
    approximate: Ranked, ranked_at: RankedAt, tolerances: Tolerances, delta: float, history: History | None
) -> ReleaseRule:
    """The largest part that passes exact tests of 0/1 losses.

    approximate: running totals, exact at the ends. ranked_at: the same, exact at the ranks passed to it.
    """
    rule = _find(
        ranked_at,
        approximate,
        tolerances,
        delta,
        history,
        BINOMIAL_METHOD,
        lambda ranked, steps, level: _binomial_passes(ranked, steps, tolerances, level),
    )
    if rule.level is None or len(tolerances) > 1:
        return rule
    wrong = int(next(iter(approximate.wrong.values()))[-1])
    return replace(rule, bound=float(binomial_upper(wrong, len(approximate), 1 - rule.level)))


def find_by_bets(
    sample: Sample,
    tolerances: Tolerances,
    delta: float,
    history: History | None,
    rng: np.random.Generator,
    largest: float | None,
) -> ReleaseRule:
    """The largest part that passes betting tests of graded or weighted losses."""
    order = ranked_scores(sample)
    units = unit_totals(sample, rng, largest)

    def passes(ranked: Ranked, steps: PrefixSteps, level: float) -> Callable[[int], bool]:
        edges = np.where(steps.releases_all, RELEASE_ALL_EDGE, steps.edges)
        return lambda step: units.safe(float(edges[step]), tolerances, level)

    return _find(lambda ranks: order, order, tolerances, delta, history, BETTING_METHOD, passes, GRADED_RATIO)


def _find(
    ranked_at: RankedAt,
    approximate: Ranked,
    tolerances: Tolerances,
    delta: float,
    history: History | None,
    method: str,
    passes: Callable[[Ranked, PrefixSteps, float], Callable[[int], bool]],
    ratio: float = 1.0,
) -> ReleaseRule:
    """Test everything, then prefixes from the start on, until one fails."""
    n, hardest = len(approximate), min(tolerances.values())
    first = _whole_level(approximate, hardest, delta)
    if first and passes(approximate, _steps(approximate, np.array([n])), first)(0):
        return ReleaseRule("all", None, method, level=first)
    if first == delta:
        return ReleaseRule("nothing", None, method)
    level = delta - first
    sizes = thin_sizes(prefix_sizes(n, hardest, level), ratio)
    if not len(sizes):
        return ReleaseRule("nothing", None, method)
    ranked = ranked_at(np.unique(np.concatenate([n - 1 - sizes[sizes < n], n - sizes])))
    steps = _steps(ranked, sizes)
    share = best_start(n, hardest, level, history)
    start = _first_possible(int(np.searchsorted(steps.rows, share * n - 0.5)), steps, hardest, level)
    last = last_passing(len(steps.sizes), start, passes(ranked, steps, level))
    return _release_rule(last, steps, method)


def _whole_level(ranked: Ranked, tolerance: float, delta: float) -> float:
    """The level for the test of everything: a share of delta, all of it without scores, 0 if it could not pass."""
    if ranked.scores[-1] == -np.inf:
        return delta
    share = delta * WHOLE_LEVEL_SHARE
    return share if len(ranked) >= zero_failure_size(tolerance, share) else 0.0


def _steps(ranked: Ranked, sizes: Sizes) -> PrefixSteps:
    """The prefixes of these sizes; where a size cuts a group of tied scores, the rows above it and with it."""
    n = len(ranked)
    above = ranked.edges(sizes)
    inside = ranked.edges(sizes - 1)  # the score of the last row asked for
    tied = (sizes < n) & (inside == above) & (inside > -np.inf)
    edges = np.concatenate([above, next_lower(inside[tied])])
    requested = np.concatenate([sizes, sizes[tied]])
    rows = np.where(requested == n, n, ranked.above(edges))
    _, first = np.unique(rows, return_index=True)
    return PrefixSteps(requested[first], edges[first], rows[first], n)


def _binomial_passes(
    ranked: Ranked, steps: PrefixSteps, tolerances: Tolerances, level: float
) -> Callable[[int], bool]:
    good = np.ones(len(steps.sizes), bool)
    for name, tolerance in tolerances.items():
        errors = np.where(steps.releases_all, ranked.wrong[name][-1], ranked.errors(name, steps.edges))
        good &= errors <= max_errors(steps.rows, tolerance, level)
    return lambda step: bool(good[step])


def _first_possible(start: int, steps: PrefixSteps, tolerance: float, level: float) -> int:
    """The first step, from the start on, with rows enough to pass at all: ties can leave a prefix too few."""
    possible = steps.rows[start:] >= zero_failure_size(tolerance, level)
    return start + int(np.argmax(possible)) if possible.any() else len(steps.sizes)


def _release_rule(last: int | None, steps: PrefixSteps, method: str) -> ReleaseRule:
    if last is None:
        return ReleaseRule("nothing", None, method)
    if steps.releases_all[last]:
        return ReleaseRule("all", None, method)
    return ReleaseRule("above", float(steps.edges[last]), method)
