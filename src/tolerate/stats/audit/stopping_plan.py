"""Stopping rules for a finished batch, and their exact error and cost.

A batch has `items` items; `allowed` of them may be wrong. Items are labelled in random order
without replacement. After `t` labels with `k` wrong ones a plan says: proven, hopeless, or go on.

Every plan here has the same shape: with `k` wrong so far the batch is proven from `certify_at[k]`
labels on. Then (1) the worst batch that must not be certified holds `allowed + 1` wrong items: turning
a fine item into a wrong one only raises `k` along the path; and (2) the number of label sequences
that leave at each state does not depend on what the batch holds, so that one forward pass gives the
exact false-certificate probability and the exact cost for every batch.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tolerate.stats.hypergeometric import Floats, Ints, hypergeometric_cdf, log_path, proven_by_counting

Verdict = Literal["open", "proven", "hopeless"]


@dataclass(frozen=True, eq=False)
class StoppingPlan:
    """When a batch is proven, and when to give up: a stopping rule fixed before the first label.

    certify_at: [allowed + 1] labels from which `k` wrong ones prove the batch (non-decreasing).
    give_up_at: [<= allowed + 1] a k-th wrong item among the first `give_up_at[k]` labels ends it; -1: never.
    levels: the leading part of `certify_at` that the exact forward pass covers.
    may_hold: [k] wrong items that a batch proven after k wrong labels may have held; None if always `allowed`
    (a batch that goes out as it is; otherwise the wrong items found are mended, see `mending`).
    """

    items: int
    allowed: int
    confidence: float
    certify_at: Ints
    give_up_at: Ints
    levels: int
    may_hold: Ints | None = None

    @cached_property
    def exits(self) -> "Exits":
        """The number of label sequences that end at each state, up to the last level: an exact forward pass."""
        rows = list(_exits_by_level(self))
        t, k, log_count, proven = (np.concatenate(column) for column in zip(*rows, strict=True))
        keep = log_count > -np.inf
        return Exits(t[keep], k[keep], log_count[keep], proven[keep])

    def verdict(self, labels: int, wrong: int) -> Verdict:
        """The plan's verdict after `labels` labels of which `wrong` are wrong.

        >>> from tolerate.stats.audit.optimal_plan import robust_plan
        >>> robust_plan(10, 1, 0.95).verdict(10, 1)
        'proven'
        """
        if wrong > self.allowed and self.may_hold is None:
            return "hopeless"
        if labels >= self.certify_at[wrong]:
            return "proven"
        given_up = wrong < len(self.give_up_at) and labels <= self.give_up_at[wrong]
        return "hopeless" if given_up else "open"


@dataclass(frozen=True)
class Forecast:
    """The cost of a plan on a batch with a given number of wrong items.

    mean: expected labels; p90: labels that suffice in nine cases of ten; proven: chance of a certificate.
    """

    wrong: int
    mean: float
    p90: int
    proven: float


def false_certificate(plan: StoppingPlan, wrong: int | None = None) -> float:
    """Exact probability that a batch with `wrong` wrong items is certified falsely; default: the worst batch.

    Summed over all label sequences by a forward recursion that only adds positive terms. Where a plan has
    looks beyond its last level, those enter by their union bound, so the figure is an upper bound.
    """
    if plan.may_hold is not None:
        held = plan.may_hold[: plan.levels]
        batches = np.unique(held + 1).tolist() if wrong is None else [wrong]
        return max(_broken_promise(plan, held, batch) for batch in batches)
    wrong = plan.allowed + 1 if wrong is None else wrong
    if wrong > plan.items:
        return 0.0
    return exact_error(plan, wrong) + sum(chance for _, chance in _late_look_chances(plan, wrong))


def exact_error(plan: StoppingPlan, wrong: int) -> float:
    """Probability of a certificate up to the last level."""
    exits = plan.exits
    return float(exits.probability(plan.items, wrong)[exits.proven].sum())


def forecast(plan: StoppingPlan, wrong: int) -> Forecast:
    """Expected labels, their 90th percentile and the chance of a certificate, by exact enumeration.

    With looks beyond the last level (large batches close to the tolerance) the rest is taken
    from the marginal law at each look, which is an approximation of the cost only.
    """
    labels, chance, proven = _outcomes(plan, wrong)
    order = np.argsort(labels)
    cumulative = np.cumsum(chance[order])
    p90 = labels[order][min(int(np.searchsorted(cumulative, 0.9)), len(order) - 1)]
    return Forecast(wrong, float(labels @ chance), int(p90), float(chance[proven].sum()))


def chance_of_proof(plan: StoppingPlan, labels: int, wrong: int, more_labels: int) -> float:
    """Roughly how likely a part is proven within `more_labels` further labels, judged by its labels so far.

    Used to leave a part that will not be proven; no promise rests on it.
    """
    end = min(plan.items, labels + more_labels)
    provable = int(np.searchsorted(plan.certify_at, end, side="right")) - 1
    if provable < wrong:
        return 0.0
    rate, coming = (wrong + 0.5) / (labels + 1), end - labels
    spread = math.sqrt(rate * (1 - rate) * coming * (1 + coming / (labels + 1))) + 1e-9
    return float(ndtr((provable + 0.5 - wrong - coming * rate) / spread))


def counting_plan(items: int, allowed: int, confidence: float, levels: int) -> StoppingPlan:
    """The plan that certifies only once the rest of the batch can no longer matter."""
    return StoppingPlan(
        items, allowed, confidence, proven_by_counting(items, allowed), np.empty(0, np.int64), levels
    )


@dataclass(frozen=True)
class Exits:
    """States at which sequences leave: t, k, ln(number of sequences), whether as proven."""

    t: Ints
    k: Ints
    log_count: Floats
    proven: NDArray[np.bool_]

    def probability(self, items: int, wrong: int) -> Floats:
        """Probability of each exit from a batch with `wrong` wrong items."""
        return np.exp(self.log_count + log_path(items, wrong, self.t, self.k))


def _broken_promise(plan: StoppingPlan, held: Ints, wrong: int) -> float:
    """Chance that a mended batch is proven with too few wrong labels for the wrong items it holds."""
    if wrong > plan.items:
        return 0.0
    exits = plan.exits
    false = exits.proven & (held[np.minimum(exits.k, len(held) - 1)] < wrong)
    return float(exits.probability(plan.items, wrong)[false].sum())


def _exits_by_level(plan: StoppingPlan) -> Iterator[tuple[Ints, Ints, Floats, NDArray[np.bool_]]]:
    """Level by level: sequences enter level k with their k-th wrong item, and leave proven or given up."""
    if plan.levels == 0:
        labels = plan.certify_at[:1]
        yield labels, np.zeros(1, np.int64), np.zeros(1), np.ones(1, bool)
        return
    entering, shift = np.ones(1), 0.0  # entering[t] * e^shift sequences reach (t, k) by a wrong item
    for k in range(plan.levels):
        last = int(plan.certify_at[k])
        arriving = np.zeros(last + 1)
        arriving[: len(entering)] = entering[: last + 1]
        give_up_until = int(plan.give_up_at[k]) if k < len(plan.give_up_at) else -1
        if give_up_until >= 0:
            times = np.flatnonzero(arriving[: give_up_until + 1])
            yield times, np.full_like(times, k), shift + np.log(arriving[times]), np.zeros(len(times), bool)
            arriving[: give_up_until + 1] = 0
        alive = np.cumsum(arriving)
        if alive[-1] <= 0:
            return
        yield (
            np.array([last]),
            np.array([k]),
            np.array([shift + math.log(alive[-1])]),
            np.ones(1, bool),
        )
        entering = np.concatenate(([0.0], alive[:-1] / alive[-1]))
        shift += math.log(alive[-1])
    if plan.levels == plan.allowed + 1 and plan.may_hold is None:  # one wrong item too many: hopeless
        times = np.flatnonzero(entering)
        yield (
            times,
            np.full_like(times, plan.levels),
            shift + np.log(entering[times]),
            np.zeros(len(times), bool),
        )


def _looks(plan: StoppingPlan) -> list[tuple[int, int]]:
    """(labels, most wrong) of the looks beyond the last level; none if reaching it means giving up."""
    if plan.levels == 0 or len(plan.give_up_at) > plan.levels or plan.may_hold is not None:
        return []
    late = plan.certify_at[plan.levels :]
    ends = np.flatnonzero(np.diff(np.append(late, plan.items + 1)))
    return [(int(late[i]), plan.levels + int(i)) for i in ends]


def _late_look_chances(plan: StoppingPlan, wrong: int) -> list[tuple[int, float]]:
    """(labels, chance of at most so many wrong) of each look beyond the last level."""
    return [(t, hypergeometric_cdf(plan.items, wrong, t, k)) for t, k in _looks(plan)]


def _outcomes(plan: StoppingPlan, wrong: int) -> tuple[Ints, Floats, NDArray[np.bool_]]:
    """Every way an audit can end: after how many labels, how likely, whether proven."""
    exits = plan.exits
    labels, chance, proven = exits.t, exits.probability(plan.items, wrong), exits.proven
    reached = float(chance.sum())
    for t, below in _late_look_chances(plan, wrong):
        extra = max(0.0, below - reached)
        labels, chance, proven = np.append(labels, t), np.append(chance, extra), np.append(proven, True)
        reached += extra
    remaining = max(0.0, 1.0 - reached)  # beyond the last level: one wrong item too many
    if plan.may_hold is not None:  # or mended so many that only counting proves it
        after = int(plan.certify_at[min(plan.levels, plan.items)])
        return np.append(labels, after), np.append(chance, remaining), np.append(proven, True)
    end = round((plan.allowed + 1) * (plan.items + 1) / (wrong + 1)) if wrong > plan.allowed else plan.items
    return np.append(labels, end), np.append(chance, remaining), np.append(proven, False)
