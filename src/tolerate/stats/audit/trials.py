"""The tests of one part of a batch: counts beside an exact plan, or bets on graded losses.

Both read the labels of a part in the part's own random order (`advance`), say how they stand (`verdict`), what a
certificate may promise (`bound`) and, once closed, why nothing is proven (`why`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from tolerate.messages.catalogue import message
from tolerate.stats.audit.parts import Part
from tolerate.stats.audit.search import UNLIKELY, chance_of_proof
from tolerate.stats.audit.stopping_plan import Forecast, Plan, Verdict, forecast
from tolerate.stats.sequential import BETS, Capital, EProcess, betting_without_replacement, threshold

if TYPE_CHECKING:
    from tolerate.stats.audit.audit import Audit

Ints = NDArray[np.int64]

ENOUGH = 0.1  # share of a budget that is spent on a part before it may be given up
PATIENCE = 0.25  # a larger part is tried while it may cost at most this share of the labels so far


@dataclass(frozen=True, eq=False)
class Trial:
    """One part under test: its place in its chain, and the test."""

    chain: int
    place: int
    part: Part
    test: "Counting | Betting"


@dataclass(eq=False)
class Counting:
    """The test of one part with 0/1 losses: counts, and a plan to compare them with."""

    order: Ints
    rule: Plan
    used: int = 0  # leading items of the order that have been counted
    wrong: int = 0
    verdict: Verdict = "open"
    stopped: bool = False

    def __post_init__(self) -> None:
        self.verdict = self.rule.verdict(0, 0)

    def next(self) -> int:
        return int(self.order[self.used])

    def advance(self, losses: Mapping[int, float]) -> None:
        """Count the labelled items that come next in the order, until the plan decides."""
        while self.verdict == "open" and (loss := losses.get(int(self.order[self.used]))) is not None:
            self.used += 1
            self.wrong += int(loss)
            self.verdict = self.rule.verdict(self.used, self.wrong)

    def at_best(self, losses: Mapping[int, float]) -> int:
        """Further labels until it is proven if every one of them is fine."""
        wrong, last = self.wrong, int(self.rule.certify_at[self.wrong])
        place = self.used
        while place < last:  # items labelled for a smaller part count as soon as the order reaches them
            wrong += int(losses.get(int(self.order[place]), 0.0))
            last = int(self.rule.certify_at[min(wrong, len(self.rule.certify_at) - 1)])
            place += 1
        return sum(int(item) not in losses for item in self.order[self.used : last])

    def stop_if_longer_than(self, labels: float, losses: Mapping[int, float]) -> None:
        if self.at_best(losses) > labels:
            self.verdict, self.stopped = "hopeless", True

    def leave_if_unlikely(self, left: int, budget: int) -> None:
        """Give the part up once the labels left will hardly prove it."""
        tried = self.used >= budget * ENOUGH or left == 0
        if tried and chance_of_proof(self.rule, self.used, self.wrong, left) < UNLIKELY:
            self.verdict, self.stopped = "hopeless", True

    def forecast(self, wrong: int) -> Forecast:
        return forecast(self.rule, wrong)

    def bound(self, tolerance: float) -> float:
        """What is proven of the risk: the exact share once all is labelled."""
        size, held = len(self.order), self.rule.may_hold
        if held is not None:
            left = 0 if self.used == size else int(held[self.wrong]) - self.wrong
            return min(left / max(1, size - self.wrong), tolerance)
        return self.wrong / size if self.used == size else min(self.rule.allowed / size, tolerance)

    def why(self, audit: "Audit") -> str:
        rule = self.rule
        if audit.budget is not None:
            return message(
                "audit.budget", wrong=self.wrong, labels=self.used, items=rule.items, budget=audit.budget
            )
        if self.wrong > rule.allowed:
            return message("audit.too_many", wrong=self.wrong, allowed=rule.allowed, items=rule.items)
        return message(
            "audit.gave_up",
            wrong=self.wrong,
            labels=self.used,
            share=audit.expected or 0.0,
            power=audit.power or 0.0,
        )


@dataclass(eq=False)
class Betting:
    """The test of one part with graded losses: an e-process and the wealth it has to reach."""

    order: Ints
    tolerance: float
    confidence: float
    used: int = 0
    verdict: Verdict = "open"
    process: EProcess[Capital] = field(init=False)
    state: Capital = field(init=False)

    def __post_init__(self) -> None:
        self.process = betting_without_replacement(self.tolerance, len(self.order))
        self.state = self.process.start()

    def next(self) -> int:
        return int(self.order[self.used])

    def advance(self, losses: Mapping[int, float]) -> None:
        while self.verdict == "open" and (loss := losses.get(int(self.order[self.used]))) is not None:
            self.used += 1
            self.state = self.process.step(self.state, loss)
            self.verdict = self._judge()

    def _judge(self) -> Verdict:
        most = self.tolerance * len(self.order) * (1 + 1e-12)
        if self.state.total > most:
            return "hopeless"
        if self.used == len(self.order) or self.process.log_wealth(self.state) >= threshold(self.confidence):
            return "proven"
        return "open"

    def at_best(self, losses: Mapping[int, float]) -> int:
        """Further labels until it is proven if every one of them is fine."""
        twin = Betting(self.order, self.tolerance, self.confidence, self.used, self.verdict)
        twin.state, fresh = self.state, 0
        while twin.verdict == "open":
            item = int(self.order[twin.used])
            fresh += item not in losses
            twin.advance({item: losses.get(item, 0.0)})
        return fresh

    def stop_if_longer_than(self, labels: float, losses: Mapping[int, float]) -> None:
        if self.at_best(losses) > labels:
            self.verdict = "hopeless"

    def leave_if_unlikely(self, left: int, budget: int) -> None:
        """Give the part up once its losses are above what may be lost so far, after a good share of the budget."""
        if self.used >= budget * PATIENCE and self.state.total > self.tolerance * self.used:
            self.verdict = "hopeless"

    def forecast(self, wrong: int, runs: int = 100) -> Forecast:
        used, proven = _simulate(len(self.order), self.tolerance, self.confidence, wrong, runs)
        p90 = int(np.quantile(used, 0.9, method="higher"))
        return Forecast(wrong, float(used.mean()), p90, float(proven.mean()))

    def bound(self, tolerance: float) -> float:
        size = len(self.order)
        return min(self.state.total / size, tolerance) if self.used == size else tolerance

    def why(self, audit: "Audit") -> str:
        allowed = self.tolerance * len(self.order)
        return message("audit.lost", total=float(self.state.total), allowed=allowed)


def _simulate(
    items: int, tolerance: float, confidence: float, wrong: int, runs: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """Labels used and whether proven, for `runs` batches with `wrong` losses of 1 and the rest 0."""
    rng, target = np.random.default_rng(0), threshold(confidence) + np.log(len(BETS))
    logs, left = np.zeros((runs, len(BETS))), np.full(runs, wrong)
    used, proven = np.full(runs, items), np.full(runs, wrong <= tolerance * items)
    running = np.arange(runs)
    for t in range(items):
        null = (tolerance * items - (wrong - left[running])) / (items - t)
        bad = rng.random(len(running)) < left[running] / (items - t)
        left[running] -= bad
        with np.errstate(divide="ignore"):
            factor = np.log1p(BETS * ((null - bad) / np.maximum(1 - null, 1e-12))[:, None])
        logs[running] += factor
        sure, lost = null >= 1, wrong - left[running] > tolerance * items * (1 + 1e-12)
        done = lost | sure | (logsumexp(logs[running], axis=1) >= target)
        used[running[done]], proven[running[done]] = t + 1, ~lost[done]
        running = running[~done]
        if not len(running):
            break
    return used, proven
