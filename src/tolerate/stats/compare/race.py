"""Find the cheapest safe strategy with few labels: labels are asked for one by one, where they decide most.

Equal labels for a hundred strategies waste most of them: on the hopeless, and on those that cost more than
one that is proven already. A race asks for one label at a time and names the strategy, in turns of

1. **looking** (Thompson sampling): draw a plausible risk of each strategy from its labels so far, and label the
   cheapest whose drawn risk could be proven. What is clearly unsafe or clearly more expensive gets no more labels;
2. **proving**: a test of the strategy that promises to save most, with labels of its own. It stops as soon as it has
   passed or hardly can any more. Then a cheaper one, as long as labels and the error budget (`alpha_wealth`) last.

The promise: with probability at least the confidence *none* of the strategies proven has a risk above the
tolerance, so the cheapest of them may be taken. It rests on the tests alone: each is exact (`stopping`; graded
losses by betting, valid at any look) and uses only labels asked for after it was chosen, every label of a fresh
item. The labels of looking decide only what is tested. A wrong guess costs labels, never the promise.

Thompson 1933; Russo 1602.08448 (finding the best arm); Laufer-Goldshtein et al. 2210.07913 (Pareto testing).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betainc, betaincinv

from tolerate.errors import DataError, OptionError, hint
from tolerate.messages.catalogue import message
from tolerate.records import Certificate, Floats
from tolerate.stats.alpha_wealth import ErrorBudget
from tolerate.stats.certify.fixed_sequence import max_errors, zero_failure_size
from tolerate.stats.certify.samples import share
from tolerate.stats.compare.compared import ComparedStrategy, cheapest_first, checked_costs
from tolerate.stats.compare.stopping import GroupSequentialTest, group_sequential_test
from tolerate.stats.sequential import BETS, checked_loss
from tolerate.version import __version__

LOOK_SHARE = 0.6  # of all labels, before the first test; times k / (k + LOOK_STRATEGIES) for k strategies
LOOK_STRATEGIES = 3
NEXT_LOOK_SHARE = 0.25  # of the remaining labels, between two tests
BATCH_LABELS = 10  # labels of one strategy between two drawings of plausible risks
MARGIN_ERRORS = 4.0  # standard errors by which a risk must be below the tolerance to be called provable
SPENT_SHARE = 0.5  # of the error budget, on every test but the last: one that failed leaves half for the next
# Every strategy is credited with so many wrong and fine labels before its first; the fine ones over the tolerance.
PRIOR_WRONG, PRIOR_FINE = 0.5, 0.25
QUANTILES: Floats = (np.arange(24) + 0.5) / 24  # of a plausible risk, to average over
EFFORT_SHARES = (0.08, 0.15, 0.3, 0.55)  # of the remaining labels that a test may take: some stay for another
NEARLY_BEST_SHARE = 0.97  # of the largest expected saving: the smallest effort that has so much is taken
MIN_LOOK_CHANCE = 0.01  # strategies that are safe with less than this chance get no more labels
MIN_TEST_CHANCE = 0.05  # strategies that are safe with less than this chance are not tested
MIN_PASS_CHANCE = 0.02  # a test gives up when its chance to pass is below this
CHECK_INTERVAL = (
    5  # batches, or half as many as there are strategies, between two checks whether to test at once
)
CLEAR_SHARE = (
    0.95  # of the saving that could be hoped for: a test that is expected to save so much is made at once
)
MIN_SAVING_SHARE = 0.01  # of the cost: what a test is expected to save at least, or the race ends
EXACT_METHOD = (
    "race: exact tests with early stopping after Thompson sampling, stakes returned (arXiv 1910.04900)"
)
GRADED_METHOD = (
    "race: betting tests (arXiv 2010.09686) after Thompson sampling, stakes returned (arXiv 1910.04900)"
)


class LabelRequest(NamedTuple):
    """The item to label next, as this strategy makes it."""

    strategy: str
    item: int


class CandidateTest(NamedTuple):
    """A test that might be made: its strategy, number of labels and level."""

    gain: float  # expected saving
    arm: int
    labels: int
    level: float


@dataclass
class RunningTest:
    """A test in progress, with labels of its own."""

    arm: int
    level: float
    plan: GroupSequentialTest
    losses: list[float]

    @property
    def labels_to_look(self) -> int:
        """The number of labels until the next look."""
        return int(self.plan.sizes[np.searchsorted(self.plan.sizes, len(self.losses), "right")]) - len(
            self.losses
        )

    @property
    def spare(self) -> float:
        """Further wrong labels with which the last look would still pass."""
        return float(self.plan.max_wrong[-1] - sum(self.losses))

    @property
    def labels_to_end(self) -> int:
        """The number of labels until the last look."""
        return int(self.plan.sizes[-1]) - len(self.losses)


class Race:
    """A search for the cheapest safe strategy with few labels: `next` says what to label, `record` takes the verdict.

    costs: of one item, by strategy. labels: how many you can afford at most. review: price of a person's
        look at one item, paid where nothing is proven. graded: losses between 0 and 1 may come.
    items: how many different items there are to draw from; None if requests keep coming: then `LabelRequest.item`
        counts them. Every label takes a fresh item.

    >>> rng = np.random.default_rng(1)
    >>> risks = {"tiny": 0.3, "small": 0.02, "large": 0.01}
    >>> race = Race({"tiny": 1, "small": 3, "large": 30}, labels=1000, tolerance=0.05, review=50)
    >>> while race.open:
    ...     request = race.next()
    ...     race.record(request, loss=rng.random() < risks[request.strategy])
    >>> race.best.name, race.used < 1000
    ('small', True)
    """

    def __init__(
        self,
        costs: Mapping[str, float],
        *,
        labels: int,
        tolerance: float,
        confidence: float = 0.95,
        review: float,
        graded: bool = False,
        items: int | None = None,
        seed: int = 0,
    ) -> None:
        self.names = [str(name) for name in costs]
        self.costs = checked_costs(costs, self.names, review)
        self.review = float(review)
        self.tolerance = share(tolerance, "tolerance", 0.05)
        self.confidence = share(confidence, "confidence", 0.95)
        self.graded = graded
        self.used = 0
        self.labels_by_strategy: NDArray[np.int64] = np.zeros(len(self.names), np.int64)
        self.wrong: Floats = np.zeros(len(self.names))  # summed losses, by strategy
        self._rng = np.random.default_rng(seed)
        self._max_labels = _whole_number(labels, "labels")
        if items is not None:
            self._max_labels = min(self._max_labels, _whole_number(items, "items"))
        self._items = None if items is None else self._rng.permutation(items)
        self._error_budget = ErrorBudget(1 - self.confidence)
        self._proven: dict[int, RunningTest] = {}
        self._running_test: RunningTest | None = None
        self._look_labels = int(
            LOOK_SHARE * self._max_labels * len(self.names) / (len(self.names) + LOOK_STRATEGIES)
        )
        self._checks = 0
        self._arm, self._remaining = 0, 0  # so many labels of this strategy, then the race decides anew
        self.open = True
        self._decide()

    def next(self) -> LabelRequest:
        """The item to label next; the same one until its loss is recorded."""
        if not self.open:
            raise OptionError("the race is over; read its rows, or start another with more labels")
        item = self.used if self._items is None else int(self._items[self.used])
        return LabelRequest(self.names[self._arm], item)

    def record(self, request: LabelRequest | str, loss: float) -> None:
        """Take in the loss of the requested item: from 0 (fine) to 1 (wrong)."""
        name = request.strategy if isinstance(request, LabelRequest) else request
        if name not in self.names:
            raise DataError(f'there is no strategy "{name}" in this race. {hint(name, self.names)}')
        if (isinstance(request, LabelRequest) and request != self.next()) or name != self.names[self._arm]:
            raise DataError(
                f"the verdict is on {request}, but {self.next()} was asked for; "
                "labels that were not asked for prove nothing here"
            )
        self.tell([checked_loss(float(loss))])

    @property
    def next_batch(self) -> tuple[str, int]:
        """The strategy to label next, and how many labels of it before the race decides anew."""
        return self.names[self._arm], self._remaining

    def tell(self, losses: Floats | list[float]) -> None:
        """Take several verdicts on the strategy of `next_batch`, at most as many as it names."""
        if not self.open or not 0 < len(losses) <= self._remaining:
            raise DataError(
                f"{len(losses)} losses came; expected 1 to {self._remaining} of {self.names[self._arm]}"
            )
        if not self.graded and any(loss not in (0, 1) for loss in losses):
            raise DataError("a loss is neither 0 nor 1; for graded losses start the race with graded=True")
        self.used, self._remaining = self.used + len(losses), self._remaining - len(losses)
        self.labels_by_strategy[self._arm] += len(losses)
        self.wrong[self._arm] += float(np.sum(losses))
        if self._running_test is not None:
            self._running_test.losses.extend(map(float, losses))
        if self._remaining == 0:
            self._decide()

    @property
    def rows(self) -> list[ComparedStrategy]:
        """The strategies with their certificates, the cheapest first; all the promises hold together."""
        rows = [self._row(arm) for arm in range(len(self.names))]
        return cheapest_first(rows)

    @property
    def best(self) -> ComparedStrategy | None:
        """The cheapest strategy that is proven; None while there is none."""
        row = self.rows[0]
        return row if row.certificate.proven else None

    # Deciding

    @property
    def left(self) -> int:
        """Labels that may still be asked for."""
        return self._max_labels - self.used

    def _decide(self) -> None:
        """Conclude a finished batch and choose the next."""
        if self._running_test is not None and not self._ended(self._running_test):
            return self._ask_for(self._running_test.arm, self._running_test.labels_to_look)
        self.open = self._error_budget.available > 0 and (self._look() or self._start_test())
        return None

    def _ask_for(self, arm: int, labels: int) -> None:
        self._arm, self._remaining = arm, labels

    def _ended(self, test: RunningTest) -> bool:
        """Whether a test has ended; the error budget is updated then."""
        passed = self._passed(test)
        if not passed and test.labels_to_end and self._chance(test) >= MIN_PASS_CHANCE:
            return False
        self._error_budget = self._error_budget.recover() if passed else self._error_budget.forfeit()
        if passed:
            self._proven[test.arm] = test
        self._running_test, self._look_labels = None, int(NEXT_LOOK_SHARE * self.left)
        return True

    def _passed(self, test: RunningTest) -> bool:
        if self.graded:
            return _max_log_wealth(np.array(test.losses), self.tolerance) >= -math.log(test.level)
        look = int(np.searchsorted(test.plan.sizes, len(test.losses)))
        return sum(test.losses) <= int(test.plan.max_wrong[look])

    def _chance(self, test: RunningTest) -> float:
        """The estimated chance that a running test still passes; decides only whether it goes on."""
        if test.spare < 0:
            return 0.0
        return float(bdtr(int(test.spare), test.labels_to_end, self._plausible(np.array([test.arm]))).mean())

    def _look(self) -> bool:
        """Ask for labels of the cheapest strategy in a plausible world; False if none needs labels."""
        cheaper = self._worthwhile(MIN_LOOK_CHANCE)
        if min(self._look_labels, self.left) < 1 or not len(cheaper) or self._should_test():
            return False
        tests = max(1.0, (self.left - self._look_labels) * EFFORT_SHARES[-1])
        error = np.sqrt(self.tolerance * (1 - self.tolerance) / tests)
        provable = max(self.tolerance - MARGIN_ERRORS * error, self.tolerance / 3)
        risks = self._rng.beta(*self._belief(cheaper))
        provable_now = risks <= provable
        index = (
            np.argmin(np.where(provable_now, self.costs[cheaper], np.inf))
            if provable_now.any()
            else np.argmin(risks)
        )
        self._ask_for(int(cheaper[index]), min(BATCH_LABELS, self._look_labels, self.left))
        self._look_labels -= self._remaining
        return True

    def _should_test(self) -> bool:
        """Whether a test made now saves nearly as much as one could hope for; checked every few batches."""
        self._checks += 1
        if self._checks % max(CHECK_INTERVAL, len(self.names) // 2):
            return False
        test = self._best_test()
        hope = self._proven_cost() - self.costs[self._worthwhile(MIN_TEST_CHANCE)].min(initial=np.inf)
        return test is not None and test.gain >= CLEAR_SHARE * hope

    def _start_test(self) -> bool:
        """Start the test that is expected to save most; False if none is worth its labels."""
        test = self._best_test()
        if test is None or test.gain < MIN_SAVING_SHARE * self._proven_cost() or test.gain <= 0:
            return False
        self._error_budget = self._error_budget.spend(test.level)
        self._running_test = RunningTest(
            test.arm, test.level, group_sequential_test(test.labels, self.tolerance, test.level), []
        )
        self._ask_for(test.arm, self._running_test.labels_to_look)
        return True

    def _best_test(self) -> CandidateTest | None:
        """The smallest test that saves nearly most on average over plausible risks."""
        arms = self._worthwhile(MIN_TEST_CHANCE)
        # Where no second test could follow, the first may spend the whole budget.
        half = zero_failure_size(self.tolerance, SPENT_SHARE * self._error_budget.available)
        level = (1.0 if self.left < 2 * half else SPENT_SHARE) * self._error_budget.available
        min_labels = zero_failure_size(self.tolerance, level)
        efforts = [labels for effort in EFFORT_SHARES if (labels := int(effort * self.left)) >= min_labels]
        if not len(arms) or not efforts:
            return None
        plausible = self._plausible(arms)
        tests = [self._candidate(arms, plausible, labels, level) for labels in efforts]
        largest_gain = max(test.gain for test in tests)
        return next(test for test in tests if test.gain >= NEARLY_BEST_SHARE * largest_gain)

    def _candidate(
        self, arms: NDArray[np.int64], plausible: Floats, labels: int, level: float
    ) -> CandidateTest:
        max_wrong = int(max_errors([labels], self.tolerance, level)[0])
        gains = bdtr(max_wrong, labels, plausible).mean(axis=1) * (self._proven_cost() - self.costs[arms])
        index = int(np.argmax(gains))
        return CandidateTest(float(gains[index]), int(arms[index]), labels, level)

    def _proven_cost(self) -> float:
        """Cost of an accepted item by the strategies proven so far; of a person's review if there are none."""
        return float(min([self.review, *self.costs[list(self._proven)]]))

    def _worthwhile(self, chance: float) -> NDArray[np.int64]:
        """Strategies that are cheaper than what is proven, and safe with more than this chance."""
        cheaper = np.flatnonzero(self.costs < self._proven_cost())
        safe = np.asarray(betainc(*self._belief(cheaper), self.tolerance), np.float64)
        return cheaper[safe > chance]

    def _belief(self, arms: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Parameters of the strategies' beta distributions of risk: labels so far and the prior."""
        wrong, fine = self.wrong[arms], self.labels_by_strategy[arms] - self.wrong[arms]
        return PRIOR_WRONG + wrong, PRIOR_FINE / self.tolerance + fine

    def _plausible(self, arms: NDArray[np.int64]) -> Floats:
        """[arms, quantiles] plausible risks, equally weighted."""
        wrong, fine = self._belief(arms)
        return np.asarray(betaincinv(wrong[:, None], fine[:, None], QUANTILES), np.float64)

    # Results

    def _row(self, arm: int) -> ComparedStrategy:
        test = self._proven.get(arm)
        cost = self.review if test is None else float(self.costs[arm])
        return ComparedStrategy(self.names[arm], self._certificate(arm, test), cost)

    def _certificate(self, arm: int, test: RunningTest | None) -> Certificate:
        labels = int(self.labels_by_strategy[arm]) if test is None else len(test.losses)
        risk_seen = None if test is None else float(np.mean(test.losses))
        return Certificate(
            tolerance=self.tolerance,
            confidence=self.confidence,
            scope="nothing" if test is None else "all",
            threshold=None,
            coverage=0.0 if test is None else 1.0,
            risk_bound=None if test is None else self.tolerance,
            risk_seen=risk_seen,
            labels=labels,
            clusters=labels,
            released=0 if test is None else labels,
            method=GRADED_METHOD if self.graded else EXACT_METHOD,
            assumptions=(
                message("assume.same_population"),
                message("assume.rows"),
                message("assume.strategies"),
                message("assume.losses"),
            ),
            options={"race": {"level": None if test is None else test.level, "strategies": len(self.names)}},
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
        )


def _max_log_wealth(losses: Floats, tolerance: float) -> float:
    """ln of the largest wealth in betting against "the risk exceeds the tolerance" (`sequential.betting`)."""
    with np.errstate(divide="ignore"):
        steps = np.log1p(np.multiply.outer((tolerance - losses) / (1 - tolerance), BETS))
    wealth = np.logaddexp.reduce(np.cumsum(steps, axis=0), axis=1) - np.log(len(BETS))
    return float(wealth.max())


def _whole_number(count: int, name: str) -> int:
    if not (isinstance(count, int | np.integer) and count >= 1):
        raise OptionError(f"{name} is {count!r}; expected a whole number, 1 or more")
    return int(count)
