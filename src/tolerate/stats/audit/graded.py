"""Audits of graded losses: a betting e-process without replacement takes the place of the exact plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from tolerate.messages.catalogue import message
from tolerate.stats.audit.options import AuditOptions
from tolerate.stats.audit.parts import Chain
from tolerate.stats.audit.stopping_plan import Forecast, Verdict
from tolerate.stats.audit.trials import AuditMode, PartTest, Trial
from tolerate.stats.sequential import BETS, Capital, EProcess, betting_without_replacement, threshold

Ints = NDArray[np.int64]

TRIED_SHARE = 0.25  # of a budget that is spent on a part before it may be given up
FORECAST_BATCHES = 100  # simulated for a forecast


@dataclass(frozen=True)
class GradedLosses:
    """Losses anywhere in [0, 1]: the parts of another mode, each tested by betting (`trials.AuditMode`)."""

    mode: AuditMode
    tolerance: float

    @property
    def chains(self) -> Sequence[Chain]:
        """Those of the wrapped mode."""
        return self.mode.chains

    @property
    def max_labels(self) -> int:
        """The most labels, as of the wrapped mode."""
        return self.mode.max_labels

    @property
    def method(self) -> str:
        """Name and source of the test."""
        return "audit without replacement, betting e-process (Waudby-Smith and Ramdas 2006.04347)"

    @property
    def forecast_rates(self) -> tuple[float, ...]:
        """Those of the wrapped mode."""
        return self.mode.forecast_rates

    def test(self, order: Ints, confidence: float) -> PartTest:
        """A betting test of a part."""
        return BettingTest(order, self.tolerance, confidence)

    def give_up(self, trials: Sequence[Trial], losses: Mapping[int, float]) -> None:
        """Close the last trial where the wrapped mode would."""
        self.mode.give_up(trials, losses)

    def assumptions(self, losses: Mapping[int, float]) -> tuple[str, ...]:
        """Those of the wrapped mode."""
        return self.mode.assumptions(losses)


@dataclass(eq=False)
class BettingTest:
    """An e-process on the losses of a part, and the wealth that it has to reach (`trials.PartTest`)."""

    order: Ints
    tolerance: float
    confidence: float
    used: int = 0  # leading items of the order that have been bet on
    verdict: Verdict = "open"
    process: EProcess[Capital] = field(init=False)
    state: Capital = field(init=False)

    def __post_init__(self) -> None:
        self.process = betting_without_replacement(self.tolerance, len(self.order))
        self.state = self.process.start()

    def next(self) -> int:
        """The item whose loss is bet on next."""
        return int(self.order[self.used])

    def advance(self, losses: Mapping[int, float]) -> None:
        """Bet on the labelled items that come next in the order, until the test decides."""
        while self.verdict == "open" and (loss := losses.get(int(self.order[self.used]))) is not None:
            self.used += 1
            self.state = self.process.step(self.state, loss)
            self.verdict = self._decide()

    def _decide(self) -> Verdict:
        largest_total = self.tolerance * len(self.order) * (1 + 1e-12)
        if self.state.total > largest_total:
            return "hopeless"
        if self.used == len(self.order) or self.process.log_wealth(self.state) >= threshold(self.confidence):
            return "proven"
        return "open"

    def labels_at_best(self, losses: Mapping[int, float]) -> int:
        """Further labels until the part is proven if every one of them is fine."""
        twin = BettingTest(self.order, self.tolerance, self.confidence, self.used, self.verdict)
        twin.state, labels = self.state, 0
        while twin.verdict == "open":
            item = int(self.order[twin.used])
            labels += item not in losses
            twin.advance({item: losses.get(item, 0.0)})
        return labels

    def stop_if_longer_than(self, labels: float, losses: Mapping[int, float]) -> None:
        """Give the part up if even fine labels would have to be more than this many."""
        if self.labels_at_best(losses) > labels:
            self.verdict = "hopeless"

    def stop_if_unlikely(self, labels_left: int, budget: int) -> None:
        """Give the part up once its losses are above the tolerance after a good share of the budget."""
        if self.used >= budget * TRIED_SHARE and self.state.total > self.tolerance * self.used:
            self.verdict = "hopeless"

    def forecast(self, wrong: int) -> Forecast:
        """The forecast for a part with so many losses of 1 and the rest 0, by simulation with a fixed seed."""
        used, proven = _simulate(len(self.order), self.tolerance, self.confidence, wrong, FORECAST_BATCHES)
        p90 = int(np.quantile(used, 0.9, method="higher"))
        return Forecast(wrong, float(used.mean()), p90, float(proven.mean()))

    def bound(self, tolerance: float) -> float:
        """Upper bound on the risk of a proven part: the exact mean once all is labelled."""
        size = len(self.order)
        return min(self.state.total / size, tolerance) if self.used == size else tolerance

    def reason(self, options: AuditOptions) -> str:
        """The reason why the part is not proven: its losses beside what is allowed."""
        allowed = options.tolerance * len(self.order)
        return message("audit.lost", total=float(self.state.total), allowed=allowed)


def _simulate(
    items: int, tolerance: float, confidence: float, wrong: int, runs: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """Labels used and whether proven, for `runs` batches with `wrong` losses of 1 and the rest 0."""
    rng, target = np.random.default_rng(0), threshold(confidence) + np.log(len(BETS))
    logs, wrong_left = np.zeros((runs, len(BETS))), np.full(runs, wrong)
    used, proven = np.full(runs, items), np.full(runs, wrong <= tolerance * items)
    running = np.arange(runs)
    for t in range(items):
        null = (tolerance * items - (wrong - wrong_left[running])) / (items - t)
        bad = rng.random(len(running)) < wrong_left[running] / (items - t)
        wrong_left[running] -= bad
        with np.errstate(divide="ignore"):
            factor = np.log1p(BETS * ((null - bad) / np.maximum(1 - null, 1e-12))[:, None])
        logs[running] += factor
        certain, lost = null >= 1, wrong - wrong_left[running] > tolerance * items * (1 + 1e-12)
        done = lost | certain | (logsumexp(logs[running], axis=1) >= target)
        used[running[done]], proven[running[done]] = t + 1, ~lost[done]
        running = running[~done]
        if not len(running):
            break
    return used, proven
