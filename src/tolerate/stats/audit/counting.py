"""The test of one part of a batch with 0/1 losses: counts of wrong labels beside an exact stopping plan."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.messages.catalogue import message
from tolerate.stats.audit.options import AuditOptions
from tolerate.stats.audit.stopping_plan import Forecast, StoppingPlan, Verdict, chance_of_proof, forecast

Ints = NDArray[np.int64]

TRIED_SHARE = 0.1  # of a budget that is spent on a part before it may be given up
MIN_CHANCE = 0.03  # of a proof within the budget; the first part of a sequence is given up below it


@dataclass(eq=False)
class CountingTest:
    """Counts the wrong labels of a part and compares them with its plan (`trials.PartTest`)."""

    order: Ints
    plan: StoppingPlan
    used: int = 0  # leading items of the order that have been counted
    wrong: int = 0
    verdict: Verdict = "open"

    def __post_init__(self) -> None:
        self.verdict = self.plan.verdict(0, 0)

    def next(self) -> int:
        """The item whose label is read next."""
        return int(self.order[self.used])

    def advance(self, losses: Mapping[int, float]) -> None:
        """Count the labelled items that come next in the order, until the plan decides."""
        while self.verdict == "open" and (loss := losses.get(int(self.order[self.used]))) is not None:
            self.used += 1
            self.wrong += int(loss)
            self.verdict = self.plan.verdict(self.used, self.wrong)

    def labels_at_best(self, losses: Mapping[int, float]) -> int:
        """Further labels until the part is proven if every one of them is fine."""
        wrong, last = self.wrong, int(self.plan.certify_at[self.wrong])
        position = self.used
        while position < last:  # items labelled for a smaller part count as soon as the order reaches them
            wrong += int(losses.get(int(self.order[position]), 0.0))
            last = int(self.plan.certify_at[min(wrong, len(self.plan.certify_at) - 1)])
            position += 1
        return sum(int(item) not in losses for item in self.order[self.used : last])

    def stop_if_longer_than(self, labels: float, losses: Mapping[int, float]) -> None:
        """Give the part up if even fine labels would have to be more than this many."""
        if self.labels_at_best(losses) > labels:
            self.verdict = "hopeless"

    def stop_if_unlikely(self, labels_left: int, budget: int) -> None:
        """Give the part up once the labels left of a budget will hardly prove it."""
        tried = self.used >= budget * TRIED_SHARE or labels_left == 0
        if tried and chance_of_proof(self.plan, self.used, self.wrong, labels_left) < MIN_CHANCE:
            self.verdict = "hopeless"

    def forecast(self, wrong: int) -> Forecast:
        """The exact forecast of labels and proof on a part with so many wrong items."""
        return forecast(self.plan, wrong)

    def bound(self, tolerance: float) -> float:
        """Upper bound on the risk of a proven part: the exact share once all is labelled."""
        size, may_hold = len(self.order), self.plan.may_hold
        if may_hold is not None:
            remaining = 0 if self.used == size else int(may_hold[self.wrong]) - self.wrong
            return min(remaining / max(1, size - self.wrong), tolerance)
        return self.wrong / size if self.used == size else min(self.plan.allowed / size, tolerance)

    def reason(self, options: AuditOptions) -> str:
        """The reason why the part is not proven: the budget, too many wrong items, or the plan that gave up."""
        plan = self.plan
        if options.budget is not None:
            return message(
                "audit.budget",
                wrong=self.wrong,
                labels=self.used,
                items=plan.items,
                budget=options.budget,
            )
        if self.wrong > plan.allowed:
            return message("audit.too_many", wrong=self.wrong, allowed=plan.allowed, items=plan.items)
        return message(
            "audit.gave_up",
            wrong=self.wrong,
            labels=self.used,
            share=options.expected or 0.0,
            power=options.power or 0.0,
        )
