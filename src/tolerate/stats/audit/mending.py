"""Audits whose wrong items are mended or taken out before release: the exact stopping plan.

A batch of `items` holds W wrong ones. Stopped after k of them were found, it goes out without those: at
most `tolerance` of the other items - k may be wrong. So it may have held as many as

    A(k) = k + floor(tolerance * (items - k))

and each wrong item found makes the promise easier to keep. A plan that is proven with k wrong from
`certify_at[k]` labels on breaks it only for a batch with W > A(k), at a level k at which it stops. Hence

    P(broken) = P_W(stop at a level k with A(k) < W) <= 1 - confidence   for every W,

and as A never falls and rises by at most one a level, it is enough to hold the sum over the levels up to k at
W = A(k) + 1, for each k: beyond the last level more wrong items only make a stop rarer. The boundary is found
level by level: the earliest time that keeps the sum below a target, which follows the spending of the plan for
a batch that goes out as it is (`optimal_plan.robust_plan`). Everything is counted exactly (hypergeometric paths).

Not to be combined with parts that grow: there one level covers a sequence of tests because each part is either
good or bad beforehand; with mending that depends on what was found, and the errors would add up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from tolerate.messages.catalogue import message
from tolerate.stats.audit.counting import CountingTest
from tolerate.stats.audit.optimal_plan import robust_plan
from tolerate.stats.audit.options import AuditOptions
from tolerate.stats.audit.parts import Chain, whole_batch
from tolerate.stats.audit.stopping_plan import StoppingPlan
from tolerate.stats.audit.trials import PartTest, Trial
from tolerate.stats.hypergeometric import Floats, Ints, log_path

MAX_LEVELS = 400  # numbers of wrong items with a boundary of their own; more are proven by counting
MAX_TIMES = 2000  # tried a level: fewer than all in very large batches
SPENDING_EXPONENT = 0.8  # exponent on the spending of the unmended plan: a little more for early levels


@dataclass(frozen=True)
class MendedBatch:
    """The whole batch, of which every wrong item found is mended or taken out (`trials.AuditMode`)."""

    options: AuditOptions

    @cached_property
    def chains(self) -> Sequence[Chain]:
        """The chains of parts: one, of all items."""
        return [Chain((whole_batch(self.options.items),), self.options.confidence)]

    @property
    def max_labels(self) -> int:
        """The most labels: every item may be labelled."""
        return self.options.items

    @property
    def method(self) -> str:
        """Name of the test, and what becomes of wrong items."""
        return "audit without replacement, exact stopping, what is found wrong mended or taken out"

    @property
    def forecast_rates(self) -> tuple[float, ...]:
        """Also at the tolerance and above it, where a batch can still be saved."""
        return (0, 0.125, 0.25, 0.5, 0.75, 1, 1.5)

    def test(self, order: Ints, confidence: float) -> PartTest:
        """An exact test by the plan of a mended batch."""
        return CountingTest(order, mended_plan(len(order), self.options.tolerance, confidence))

    def give_up(self, trials: Sequence[Trial], losses: Mapping[int, float]) -> None:
        """Never: there is one part, and its plan does not give up."""

    def assumptions(self, losses: Mapping[int, float]) -> tuple[str, ...]:
        """The assumption that the wrong items found are mended or taken out."""
        return (message("audit.mended", errors=round(sum(losses.values()))),)


@lru_cache(maxsize=64)
def mended_plan(items: int, tolerance: float, confidence: float) -> StoppingPlan:
    """The plan of a batch whose wrong labels are mended or taken out before it is released.

    With one wrong item in a hundred, tolerance 2%: 692 labels instead of 909; and a batch with more wrong
    than tolerated can go out all the same, once enough of it was mended.

    >>> mended_plan(10_000, 0.02, 0.95).certify_at[:3]
    array([182, 311, 400])
    """
    may_hold = np.arange(items + 1) + _allowed(items - np.arange(items + 1), tolerance)
    certify_at = items - (may_hold - np.arange(items + 1))  # by counting: the rest is too small to matter
    allowed = int(may_hold[0])
    if allowed >= items:
        return StoppingPlan(items, allowed, confidence, certify_at, np.empty(0, np.int64), 0, may_hold)
    head = _boundary(items, may_hold, certify_at, _targets(items, allowed, confidence))
    certify_at[: len(head)] = head
    certify_at, levels = np.maximum.accumulate(certify_at), max(1, len(head))
    return StoppingPlan(items, allowed, confidence, certify_at, np.empty(0, np.int64), levels, may_hold)


def _allowed(items: Ints, tolerance: float) -> Ints:
    """`allowed_wrong` of every size, largest first."""
    exact = tolerance * items
    nearest = np.rint(exact)
    close = np.abs(exact - nearest) <= 1e-12 * np.maximum(exact, nearest)
    allowed: Ints = np.where(close, nearest, np.floor(exact)).astype(np.int64)
    return allowed


def _targets(items: int, allowed: int, confidence: float) -> Floats:
    """[MAX_LEVELS] chance of a broken promise that may be spent up to each level."""
    error = 1 - confidence
    exits = robust_plan(items, allowed, confidence).exits
    spent = np.zeros(MAX_LEVELS)
    inside = exits.proven & (exits.k < MAX_LEVELS)
    np.add.at(spent, exits.k[inside], exits.probability(items, allowed + 1)[inside])
    share = np.minimum(1.0, np.cumsum(spent) / error) ** SPENDING_EXPONENT
    share[min(allowed + 1, MAX_LEVELS) :] = 1.0
    return np.asarray(error * share)


def _boundary(items: int, may_hold: Ints, by_counting: Ints, targets: Floats) -> Ints:
    """[<= MAX_LEVELS] the earliest label from which each level is proven within its target."""
    # entering[t] * e^shift sequences reach (t, k) by a wrong item
    entering, shift, before = np.ones(1), 0.0, 0
    boundary: list[int] = []
    log_counts: list[float] = []  # ln of the number of sequences that stop at each level
    for k in range(min(MAX_LEVELS, items)):
        wrong, last = (
            int(may_hold[k]) + 1,
            min(int(by_counting[k]), before + _window(k, items, int(may_hold[0]))),
        )
        arriving = np.zeros(last + 1)
        arriving[: len(entering)] = entering[: last + 1]
        alive = np.cumsum(arriving)
        if alive[-1] <= 0 or wrong > items:
            break
        t = np.arange(before, last + 1, max(1, (last - before) // MAX_TIMES))
        with np.errstate(divide="ignore"):
            stops = np.exp(shift + np.log(alive[t]) + log_path(items, wrong, t, k))
        fits = np.flatnonzero(_error_spent(items, wrong, boundary, log_counts) + stops <= targets[k])
        if not len(fits):
            break
        before = int(t[fits[0]])
        boundary.append(before)
        if alive[before] <= 0:
            log_counts.append(-math.inf)
            break
        log_counts.append(shift + math.log(alive[before]))
        entering, shift = np.concatenate(([0.0], alive[:before] / alive[before])), log_counts[-1]
    return np.array(boundary, np.int64)


def _window(k: int, items: int, allowed: int) -> int:
    """Labels beyond the boundary of the level before, within which a level's own lies."""
    return math.ceil((6 * math.sqrt(k + 1) + 12) * items / (allowed + 1))


def _error_spent(items: int, wrong: int, boundary: list[int], log_counts: list[float]) -> float:
    """Probability of a stop at an earlier level, for a batch with so many wrong items."""
    t, k = np.array(boundary, np.int64), np.arange(len(boundary))
    return float(np.exp(np.array(log_counts) + log_path(items, wrong, t, k)).sum()) if len(boundary) else 0.0
