"""The largest part of a batch that a fixed number of labels can prove: parts that grow, and the plan of each.

The first part is the best-scored `start` of the batch;
its items are labelled in the order drawn until it is proven, then the part grows by a few percent. Labels
already given count for the larger part as far as its own order reaches, so that growing costs only the band that
came in. The budget ends on the largest part that the labels can prove.

Why it may be looked at after every label: a part's labels are always read in the part's own random
order, whatever else was labelled before, so they are a sample without replacement of it (the choice of
the next part cannot change that); each part has an exact plan against looking too often (`budget_plan`); and
parts are tested in a fixed sequence, each only after the one before, so that one level covers all of
them (LTT, arXiv 2110.01052). A second sequence of smaller parts has a level of its own, kept for
batches whose first part is too bad; by the union bound the two together keep the confidence.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike

from tolerate.errors import OptionError
from tolerate.stats.audit.counting import CountingTest
from tolerate.stats.audit.options import START_SHARE, AuditOptions
from tolerate.stats.audit.parts import Chain, nested_parts
from tolerate.stats.audit.stopping_plan import StoppingPlan
from tolerate.stats.audit.trials import PartTest, Trial
from tolerate.stats.hypergeometric import Floats, Ints, allowed_wrong, proven_by_counting

GROWTH_RATIO = 1.04  # each part has so many times the items of the one before
RESERVE_SHARE = 0.15  # of the level, for the sequence of parts smaller than the first
SMALLEST_SHARE = 0.02  # of the batch, in the smallest part of that sequence
SPENDING_EXPONENT = 1.5  # the error is spent like (labels / budget)^1.5: late looks are the powerful ones


@dataclass(frozen=True, eq=False)
class BudgetSearch:
    """The largest part that a fixed number of labels can prove (`trials.AuditMode`)."""

    options: AuditOptions
    scores: ArrayLike
    budget: int

    @cached_property
    def chains(self) -> Sequence[Chain]:
        """Parts that grow from the start to the whole batch, and smaller ones in reserve."""
        return growing_chains(self.scores, self.options.items, self.options.confidence, self.options.start)

    @property
    def max_labels(self) -> int:
        """The most labels: the budget."""
        return self.budget

    @property
    def method(self) -> str:
        """Name and source of the test, and the budget."""
        return f"audit without replacement of growing parts, exact, at most {self.budget:,} labels (LTT 2110.01052)"

    @property
    def forecast_rates(self) -> tuple[float, ...]:
        """The true rates of forecasts: from none to three quarters of the tolerance."""
        return (0, 0.125, 0.25, 0.5, 0.75)

    def test(self, order: Ints, confidence: float) -> PartTest:
        """An exact test that spends its error late."""
        allowed = allowed_wrong(len(order), self.options.tolerance)
        return CountingTest(order, budget_plan(len(order), allowed, confidence, self.budget))

    def give_up(self, trials: Sequence[Trial], losses: Mapping[int, float]) -> None:
        """Leave the first part of a chain if the budget will hardly prove it; nothing is proven yet by then."""
        if trials[-1].index == 0:
            trials[-1].test.stop_if_unlikely(self.budget - len(losses), self.budget)

    def assumptions(self, losses: Mapping[int, float]) -> tuple[str, ...]:
        """The assumptions beside those of every audit: none."""
        return ()


def growing_chains(
    scores: ArrayLike,
    items: int,
    confidence: float,
    start: float = START_SHARE,
    reserve: float = RESERVE_SHARE,
) -> list[Chain]:
    """Two chains of parts: from the first part to the whole batch, and the smaller ones in reserve.

    >>> chains = growing_chains(np.arange(1000), 1000, confidence=0.9)
    >>> [int(part.members.sum()) for part in chains[0].parts[:3]], round(chains[0].confidence, 3)
    ([200, 208, 216], 0.915)
    >>> [int(part.members.sum()) for part in chains[1].parts[:3]], round(chains[1].confidence, 3)
    ([20, 21, 22], 0.985)
    """
    if not 0 < start <= 1:
        raise OptionError(f"start is {start}; expected a share of the batch above 0 and up to 1, e.g. 0.2")
    risk = 1 - confidence
    large = nested_parts(scores, items, [1 - share for share in _shares(items, start, 1.0)])
    small = nested_parts(
        scores, items, [1 - share for share in _shares(items, SMALLEST_SHARE, start)] or [0.0]
    )
    first = int(large[0].members.sum())
    small = [part for part in small if int(part.members.sum()) < first]
    if not small:
        return [Chain(tuple(large), confidence)]
    return [Chain(tuple(large), 1 - risk * (1 - reserve)), Chain(tuple(small), 1 - risk * reserve)]


def _shares(items: int, first: float, last: float) -> list[float]:
    """Shares from `first` on, below `last`, the whole batch (1.0) included where it is the end."""
    sizes = [max(1, round(first * items))]
    while sizes[-1] < round(last * items):
        sizes.append(min(items, max(sizes[-1] + 1, math.floor(sizes[-1] * GROWTH_RATIO + 0.5))))
    return [size / items for size in sizes if size / items < last or last == 1.0]


@lru_cache(maxsize=512)
def budget_plan(items: int, allowed: int, confidence: float, budget: int) -> StoppingPlan:
    """A plan for at most `budget` labels that spends nearly all of its error on late, powerful looks.

    After t labels a part is proven with at most b(t) wrong ones, the largest b for which the exact
    probability that a batch with `allowed` + 1 wrong items has been proven by then is at most
    (1 - confidence) * (t / budget)^1.5 (spending function of Lan and DeMets 1983, power family; hypergeometric
    counts, nothing asymptotic). After the budget it is proven only by counting: when the rest no longer matters.

    >>> plan = budget_plan(2000, 100, 0.9, budget=500)
    >>> plan.verdict(500, 17), plan.verdict(500, 18)
    ('proven', 'open')
    """
    by_counting = proven_by_counting(items, allowed)
    if allowed >= items:
        return StoppingPlan(items, items, confidence, np.zeros(items + 1, np.int64), np.empty(0, np.int64), 0)
    first = _first_proof(items, allowed + 1, 1 - confidence, min(budget, items))[: allowed + 1]
    certify_at = by_counting.copy()
    certify_at[: len(first)] = np.minimum(first, by_counting[: len(first)])
    certify_at = np.maximum.accumulate(certify_at)
    return StoppingPlan(items, allowed, confidence, certify_at, np.empty(0, np.int64), max(1, len(first)))


def _first_proof(items: int, wrong: int, error: float, horizon: int) -> Ints:
    """[levels] labels from which k wrong ones prove the part; k beyond are not provable within the horizon."""
    alive: Floats = np.ones(1)  # [k - low] chance of k wrong labels, still unproven, with `wrong` wrong items
    low, spent = 0, 0.0
    proofs: list[int] = []
    for t in range(horizon):
        k = low + np.arange(len(alive))
        wrong_next = alive * np.clip((wrong - k) / (items - t), 0, 1)
        alive = np.append(alive - wrong_next, 0.0)
        alive[1:] += wrong_next
        allowance = error * ((t + 1) / horizon) ** SPENDING_EXPONENT
        while len(alive) and spent + alive[0] <= allowance:
            spent += float(alive[0])
            alive, low = alive[1:], low + 1
            proofs.append(t + 1)
        if not len(alive):
            break
        if alive[-1] < 1e-18:  # far above: such a part is never proven
            alive = alive[:-1]
    return np.array(proofs, np.int64)
