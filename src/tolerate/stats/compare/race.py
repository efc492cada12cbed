"""Which strategy is the cheapest that is safe, when every label costs? Labels go where they decide.

Equal labels for a hundred strategies waste most of them: on the hopeless, and on those that are dearer than
one that is proven already. A race asks for one label at a time and says of which strategy, in turns of

1. **looking** (Thompson sampling): draw a plausible risk of each strategy from what was seen of it, and label the
   cheapest whose drawn risk could be proven. What is clearly unsafe or clearly dearer gets no more labels;
2. **proving**: a test of the strategy that promises to save most, with labels of its own. It stops as soon as it has
   passed or hardly can any more. Then a cheaper one, as long as labels and the purse of error (`purse.py`) last.

The promise: with probability at least the confidence *none* of the strategies proven has a risk above the
tolerance, so the cheapest of them may be taken. It rests on the tests alone: each is exact (`looks.py`; graded
losses by betting, valid at any look) and uses only labels asked for after it was chosen, every label of a fresh
item. What was seen while looking decides only what is tested. A wrong guess costs labels, never the promise.

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
from tolerate.stats.alpha_wealth import Purse
from tolerate.stats.certify.fixed_sequence import critical, zero_failure_size
from tolerate.stats.certify.samples import share
from tolerate.stats.compare.compared import Compared, cheapest_first, checked_costs
from tolerate.stats.compare.stopping import Looks, looks
from tolerate.stats.sequential import BETS, checked_loss
from tolerate.version import __version__

LOOKING = 0.6  # of all labels, before the first test; times k / (k + FEW) for k strategies
FEW = 3
AGAIN = 0.25  # of the labels left, between two tests
BATCH = 10  # labels of one strategy between two drawings of plausible risks
MARGIN = 4.0  # standard errors by which a risk must be below the tolerance to be called provable
STAKE = 0.5  # of the purse, on every test but the last: one that failed leaves half for the next
WRONG, FINE = (
    0.5,
    0.25,
)  # what every strategy is credited with before its first label; FINE over the tolerance
PLACES: Floats = (np.arange(24) + 0.5) / 24  # quantiles that stand for what is plausible of a risk
EFFORTS = (0.08, 0.15, 0.3, 0.55)  # shares of the labels left that a test may take: some stay for another
NEARLY = 0.97  # of the largest expected saving: the smallest effort that has this much is made
HARDLY = 0.01  # strategies that are safe with less than this chance get no more labels
UNLIKELY = 0.05  # strategies that are safe with less than this chance are not tested
HOPELESS = 0.02  # a test gives up when its chance to pass is below this
OFTEN = (
    5  # errands, or half as many as there are strategies, between two questions whether all is clear already
)
CLEAR = (
    0.95  # of the saving that could be hoped for: a test that is expected to bring this much is made at once
)
ENOUGH = 0.01  # of the cost: what a test is expected to save at least, or the race ends
METHOD = "race: exact tests with early stopping after Thompson sampling, stakes returned (arXiv 1910.04900)"
METHOD_GRADED = (
    "race: betting tests (arXiv 2010.09686) after Thompson sampling, stakes returned (arXiv 1910.04900)"
)


class Ask(NamedTuple):
    """What to label next: this item, as this strategy makes it."""

    strategy: str
    item: int


class Bet(NamedTuple):
    """A test that might be made: of which strategy, with how many labels, at which level."""

    gain: float  # expected saving
    arm: int
    labels: int
    level: float


@dataclass
class Proof:
    """A test that is running, with labels of its own."""

    arm: int
    level: float
    plan: Looks
    losses: list[float]

    @property
    def due(self) -> int:
        """Labels until the next look."""
        return int(self.plan.sizes[np.searchsorted(self.plan.sizes, len(self.losses), "right")]) - len(
            self.losses
        )

    @property
    def spare(self) -> float:
        """How many wrong labels more than so far would still pass at the last look."""
        return float(self.plan.most[-1] - sum(self.losses))

    @property
    def left(self) -> int:
        """Labels until the last look."""
        return int(self.plan.sizes[-1]) - len(self.losses)


class Race:
    """Find the cheapest safe strategy with few labels: `next` says what to label, `record` takes the verdict.

    costs: of one item, by strategy. labels: how many you can afford at most. review: price of a person's
        look at one item, paid where nothing is proven. graded: losses between 0 and 1 may come.
    items: how many different items there are to draw from; None if requests keep coming: then `Ask.item` counts them.
        Every label takes a fresh item.

    >>> rng = np.random.default_rng(1)
    >>> risks = {"tiny": 0.3, "small": 0.02, "large": 0.01}
    >>> race = Race({"tiny": 1, "small": 3, "large": 30}, labels=1000, tolerance=0.05, review=50)
    >>> while race.open:
    ...     ask = race.next()
    ...     race.record(ask, loss=rng.random() < risks[ask.strategy])
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
        self.seen: NDArray[np.int64] = np.zeros(len(self.names), np.int64)  # labels of each strategy
        self.wrong: Floats = np.zeros(len(self.names))  # their summed losses
        self._rng = np.random.default_rng(seed)
        self._budget = _whole(labels, "labels")
        if items is not None:
            self._budget = min(self._budget, _whole(items, "items"))
        self._items = None if items is None else self._rng.permutation(items)
        self._purse = Purse(1 - self.confidence)
        self._proven: dict[int, Proof] = {}
        self._proof: Proof | None = None
        self._look = int(LOOKING * self._budget * len(self.names) / (len(self.names) + FEW))
        self._errands = 0
        self._arm, self._due = 0, 0  # the errand: so many labels of this strategy, then the race decides anew
        self.open = True
        self._decide()

    def next(self) -> Ask:
        """What to label next; asking twice without a verdict gives the same answer."""
        if not self.open:
            raise OptionError("the race is over; read its rows, or start another with more labels")
        item = self.used if self._items is None else int(self._items[self.used])
        return Ask(self.names[self._arm], item)

    def record(self, ask: Ask | str, loss: float) -> None:
        """Take the verdict on what was asked: 0 fine ... 1 wrong."""
        name = ask.strategy if isinstance(ask, Ask) else ask
        if name not in self.names:
            raise DataError(f'there is no strategy "{name}" in this race. {hint(name, self.names)}')
        if (isinstance(ask, Ask) and ask != self.next()) or name != self.names[self._arm]:
            raise DataError(
                f"the verdict is on {ask}, but {self.next()} was asked for; "
                "labels that were not asked for prove nothing here"
            )
        self.tell([checked_loss(float(loss))])

    @property
    def errand(self) -> tuple[str, int]:
        """Of which strategy, and how many labels may be fetched in one go before the race decides anew."""
        return self.names[self._arm], self._due

    def tell(self, losses: Floats | list[float]) -> None:
        """Take several verdicts on the strategy of `errand`, at most as many as are due."""
        if not self.open or not 0 < len(losses) <= self._due:
            raise DataError(
                f"{len(losses)} losses came; expected 1 to {self._due} of {self.names[self._arm]}"
            )
        if not self.graded and any(loss not in (0, 1) for loss in losses):
            raise DataError("a loss is neither 0 nor 1; for graded losses start the race with graded=True")
        self.used, self._due = self.used + len(losses), self._due - len(losses)
        self.seen[self._arm] += len(losses)
        self.wrong[self._arm] += float(np.sum(losses))
        if self._proof is not None:
            self._proof.losses.extend(map(float, losses))
        if self._due == 0:
            self._decide()

    @property
    def rows(self) -> list[Compared]:
        """All strategies with their certificates, the cheapest first; all the promises hold together."""
        rows = [self._row(arm) for arm in range(len(self.names))]
        return cheapest_first(rows)

    @property
    def best(self) -> Compared | None:
        """The cheapest strategy that is proven; None while there is none."""
        row = self.rows[0]
        return row if row.certificate.proven else None

    # Deciding

    @property
    def left(self) -> int:
        """Labels that may still be asked for."""
        return self._budget - self.used

    def _decide(self) -> None:
        """An errand is done: what it means, and which one is next."""
        if self._proof is not None and not self._over(self._proof):
            return self._send(self._proof.arm, self._proof.due)
        self.open = self._purse.left > 0 and (self._look_on() or self._prove())
        return None

    def _send(self, arm: int, labels: int) -> None:
        self._arm, self._due = arm, labels

    def _over(self, proof: Proof) -> bool:
        """Whether a test has ended; the purse is told."""
        passed = self._passed(proof)
        if not passed and proof.left and self._chance(proof) >= HOPELESS:
            return False
        self._purse = self._purse.won() if passed else self._purse.lost()
        if passed:
            self._proven[proof.arm] = proof
        self._proof, self._look = None, int(AGAIN * self.left)
        return True

    def _passed(self, proof: Proof) -> bool:
        if self.graded:
            return _most_wealth(np.array(proof.losses), self.tolerance) >= -math.log(proof.level)
        look = int(np.searchsorted(proof.plan.sizes, len(proof.losses)))
        return sum(proof.losses) <= int(proof.plan.most[look])

    def _chance(self, proof: Proof) -> float:
        """The foreseen chance that a running test still passes; decides only whether it goes on."""
        if proof.spare < 0:
            return 0.0
        return float(bdtr(int(proof.spare), proof.left, self._plausible(np.array([proof.arm]))).mean())

    def _look_on(self) -> bool:
        """Send for labels of what is cheapest in a plausible world; False if there is nothing to look at."""
        cheaper = self._able(HARDLY)
        if min(self._look, self.left) < 1 or not len(cheaper) or self._clear():
            return False
        tests = max(1.0, (self.left - self._look) * EFFORTS[-1])
        error = np.sqrt(self.tolerance * (1 - self.tolerance) / tests)
        provable = max(self.tolerance - MARGIN * error, self.tolerance / 3)
        risks = self._rng.beta(*self._belief(cheaper))
        fine = risks <= provable
        place = np.argmin(np.where(fine, self.costs[cheaper], np.inf)) if fine.any() else np.argmin(risks)
        self._send(int(cheaper[place]), min(BATCH, self._look, self.left))
        self._look -= self._due
        return True

    def _clear(self) -> bool:
        """Whether a test made now saves nearly as much as one could hope for; asked every so often."""
        self._errands += 1
        if self._errands % max(OFTEN, len(self.names) // 2):
            return False
        bet = self._best_bet()
        hope = self._price() - self.costs[self._able(UNLIKELY)].min(initial=np.inf)
        return bet is not None and bet.gain >= CLEAR * hope

    def _prove(self) -> bool:
        """Start the test that promises to save most; False if none is worth its labels."""
        bet = self._best_bet()
        if bet is None or bet.gain < ENOUGH * self._price() or bet.gain <= 0:
            return False
        self._purse = self._purse.stake(bet.level)
        self._proof = Proof(bet.arm, bet.level, looks(bet.labels, self.tolerance, bet.level), [])
        self._send(bet.arm, self._proof.due)
        return True

    def _best_bet(self) -> Bet | None:
        """The smallest effort of those that save nearly most on average over plausible risks."""
        arms = self._able(UNLIKELY)
        # Where no second test could follow, the first may stake all that is left.
        half = zero_failure_size(self.tolerance, STAKE * self._purse.left)
        level = (1.0 if self.left < 2 * half else STAKE) * self._purse.left
        least = zero_failure_size(self.tolerance, level)
        efforts = [labels for effort in EFFORTS if (labels := int(effort * self.left)) >= least]
        if not len(arms) or not efforts:
            return None
        plausible = self._plausible(arms)
        bets = [self._bet(arms, plausible, labels, level) for labels in efforts]
        most = max(bet.gain for bet in bets)
        return next(bet for bet in bets if bet.gain >= NEARLY * most)

    def _bet(self, arms: NDArray[np.int64], plausible: Floats, labels: int, level: float) -> Bet:
        most = int(critical([labels], self.tolerance, level)[0])
        gains = bdtr(most, labels, plausible).mean(axis=1) * (self._price() - self.costs[arms])
        place = int(np.argmax(gains))
        return Bet(float(gains[place]), int(arms[place]), labels, level)

    def _price(self) -> float:
        """What an accepted item costs by what is proven so far; a person's look if nothing is."""
        return float(min([self.review, *self.costs[list(self._proven)]]))

    def _able(self, chance: float) -> NDArray[np.int64]:
        """Strategies that are cheaper than what is proven, and safe with more than this chance."""
        cheaper = np.flatnonzero(self.costs < self._price())
        safe = np.asarray(betainc(*self._belief(cheaper), self.tolerance), np.float64)
        return cheaper[safe > chance]

    def _belief(self, arms: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Beta distributions of risks: what was seen, and a little that every strategy is credited with."""
        wrong, fine = self.wrong[arms], self.seen[arms] - self.wrong[arms]
        return WRONG + wrong, FINE / self.tolerance + fine

    def _plausible(self, arms: NDArray[np.int64]) -> Floats:
        """[arms, places] risks that are plausible, equally weighted."""
        wrong, fine = self._belief(arms)
        return np.asarray(betaincinv(wrong[:, None], fine[:, None], PLACES), np.float64)

    # Telling

    def _row(self, arm: int) -> Compared:
        proof = self._proven.get(arm)
        cost = self.review if proof is None else float(self.costs[arm])
        return Compared(self.names[arm], self._certificate(arm, proof), cost)

    def _certificate(self, arm: int, proof: Proof | None) -> Certificate:
        labels = int(self.seen[arm]) if proof is None else len(proof.losses)
        seen = None if proof is None else float(np.mean(proof.losses))
        return Certificate(
            tolerance=self.tolerance,
            confidence=self.confidence,
            scope="nothing" if proof is None else "all",
            threshold=None,
            coverage=0.0 if proof is None else 1.0,
            risk_bound=None if proof is None else self.tolerance,
            risk_seen=seen,
            labels=labels,
            clusters=labels,
            released=0 if proof is None else labels,
            method=METHOD_GRADED if self.graded else METHOD,
            assumptions=(
                message("assume.same_population"),
                message("assume.rows"),
                message("assume.strategies"),
                message("assume.losses"),
            ),
            options={
                "race": {"level": None if proof is None else proof.level, "strategies": len(self.names)}
            },
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
        )


def _most_wealth(losses: Floats, tolerance: float) -> float:
    """Ln of the most that betting against "the risk exceeds the tolerance" ever won (sequential.betting)."""
    with np.errstate(divide="ignore"):
        steps = np.log1p(np.multiply.outer((tolerance - losses) / (1 - tolerance), BETS))
    wealth = np.logaddexp.reduce(np.cumsum(steps, axis=0), axis=1) - np.log(len(BETS))
    return float(wealth.max())


def _whole(count: int, name: str) -> int:
    if not (isinstance(count, int | np.integer) and count >= 1):
        raise OptionError(f"{name} is {count!r}; expected a whole number, 1 or more")
    return int(count)
