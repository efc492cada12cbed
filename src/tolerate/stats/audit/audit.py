"""May this batch go out? Label items in an order the library draws until it is proven, or hopeless.

For 0/1 losses the stopping rule is the exact optimum of `plan.py`; for graded losses it is a betting
e-process without replacement. Either is fixed before the first label, so one may look after every
label and stop at any time. Nothing is assumed about the items: the draw alone makes it valid.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.errors import DataError, OptionError
from tolerate.messages.catalogue import joined, message
from tolerate.records import Certificate
from tolerate.stats.audit.mending import mended_plan
from tolerate.stats.audit.parts import Part, nested_parts
from tolerate.stats.audit.search import (
    START,
    Chain,
    budget_plan,
    growing_chains,
)
from tolerate.stats.audit.second_reader import Agreement, agreement, drawn_again
from tolerate.stats.audit.stopping_plan import (
    Forecast,
    Plan,
    allowed_wrong,
    power_plan,
    robust_plan,
)
from tolerate.stats.audit.trials import PATIENCE, Betting, Counting, Trial
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.certify.advice import LADDER
from tolerate.stats.sequential import (
    checked,
)

Ints = NDArray[np.int64]


def draw_order(items: int, seed: int) -> Ints:
    """[items] the order in which items are labelled: all orders equally likely over seeds.

    Items sorted by the raw 64-bit stream of Philox, which NumPy keeps stable between versions, so that anyone
    can draw the same order again.

    >>> draw_order(5, seed=1).tolist()
    [2, 0, 1, 4, 3]
    """
    keys = np.random.Philox(seed).random_raw(items)
    return np.argsort(np.atleast_1d(keys), kind="stable")


@dataclass(frozen=True)
class Reading:
    """One person's loss for one item; `corrects` replaces what was read before, else the stricter counts.

    `second`: by the second person, who does not know the first verdict.
    """

    item: int
    loss: float
    reader: str = ""
    corrects: bool = False
    second: bool = False


class Audit:
    """Labels a finished batch one item at a time until it is proven, or cannot be.

    P(a batch whose risk exceeds `tolerance` is certified) <= 1 - `confidence`, however often one looks. It is
    exact: for 0/1 losses the error is enumerated, not bounded.

    items: size of the batch. seed: draws the order; None draws a seed and keeps it.
    expected, power: give up when a batch with this share wrong would be proven with this probability
    (e.g. 0.005 and 0.9); without them the audit never gives up while proof is possible.
    graded: losses anywhere in [0, 1] instead of 0 or 1.
    scores, withhold: find which part of the batch can go out, by leaving out the lowest scores (`nested_parts`).
    scores, budget: the largest part that at most so many labels can prove, growing from the best-scored `start`
    of the batch (`audit_search`); choose `start` from an earlier batch, never from these labels.
    mend: what is found wrong is mended or taken out before the batch goes out, and the promise is on the rest:
    it takes fewer labels, and a batch with too many wrong can still be saved (`mending`). 0/1 losses, no scores.
    second: share of the items, drawn by lot beforehand, that a second person reads too once they are labelled;
    the worse verdict counts, and nothing is certified while one of them is `waiting`.

    >>> audit = Audit(items=1000, tolerance=0.05, seed=7)
    >>> while audit.open:
    ...     audit.record(audit.next(), loss=0)
    >>> audit.labels, audit.certificate.scope
    (69, 'all')
    """

    def __init__(
        self,
        items: int,
        tolerance: float,
        confidence: float = 0.95,
        seed: int | None = None,
        *,
        expected: float | None = None,
        power: float | None = None,
        graded: bool = False,
        scores: ArrayLike | None = None,
        withhold: Sequence[float] | None = None,
        budget: int | None = None,
        start: float = START,
        mend: bool = False,
        second: float | None = None,
        losses_by: str = "",
    ) -> None:
        _refuse_nonsense(items, tolerance, confidence, expected, power, graded)
        _refuse_budget(budget, scores, withhold, power)
        if mend and (graded or power is not None or scores is not None):
            raise OptionError(
                "mending is for 0/1 losses and whole batches; leave out graded, and power and scores "
                "(--power, --score)"
            )
        if second is not None and not 0 < second <= 1:
            raise OptionError(f"second is {second}; expected a share of the items above 0, e.g. 0.1")
        self.items, self.tolerance, self.confidence = items, float(tolerance), float(confidence)
        self.seed = secrets.randbits(53) if seed is None else int(seed)
        self.expected, self.power, self.graded = expected, power, graded
        self.withhold, self.losses_by = None if withhold is None else tuple(withhold), losses_by
        self.mend = bool(mend)
        self.budget, self.start = None if budget is None else int(budget), float(start)
        self._scores_sha256 = None if scores is None else _fingerprint(scores)
        self._chains = self._chained(scores)
        self._order = draw_order(items, self.seed)
        self.second = second
        self._again = [] if second is None else drawn_again(items, second, self.seed).tolist()
        self._readings: list[Reading] = []
        self._firsts: dict[int, float] = {}
        self._seconds: dict[int, float] = {}
        self._begin()

    def _chained(self, scores: ArrayLike | None) -> list[Chain]:
        """The sequences of parts that are tried."""
        if scores is None:
            return [Chain((Part(None, np.ones(self.items, bool)),), self.confidence)]
        if self.budget is not None:
            return growing_chains(scores, self.items, self.confidence, self.start)
        return [Chain(tuple(nested_parts(scores, self.items, self.withhold)), self.confidence)]

    def _begin(self) -> None:
        self._losses: dict[int, float] = {}
        self._trials = [self._trial(0, 0)]
        self._settle()

    def _trial(self, chain: int, place: int) -> "Trial":
        part = self._chains[chain].parts[place]
        return Trial(chain, place, part, self._test(part, self._chains[chain].confidence))

    def _test(self, part: Part, confidence: float) -> "Counting | Betting":
        order = self._order[part.members[self._order]]
        if self.graded:
            return Betting(order, self.tolerance, confidence)
        return Counting(order, self._plan(len(order), confidence))

    def _plan(self, size: int, confidence: float) -> Plan:
        if self.mend:
            return mended_plan(size, self.tolerance, confidence)
        allowed = allowed_wrong(size, self.tolerance)
        if self.budget is not None:
            return budget_plan(size, allowed, confidence, self.budget)
        if self.power is None or self.expected is None:
            return robust_plan(size, allowed, self.confidence)
        hoped = min(round(self.expected * size), allowed)
        return power_plan(size, allowed, self.confidence, hoped, self.power)

    # Asking

    @property
    def _current(self) -> "Counting | Betting":
        return self._trials[-1].test

    @property
    def open(self) -> bool:
        """Whether another label is wanted."""
        return self._current.verdict == "open" and self._left() > 0

    def _left(self) -> int:
        """Labels that may still be asked for."""
        return (self.items if self.budget is None else self.budget) - len(self._losses)

    def next(self) -> int:
        """The item to label now; the same one until its loss is recorded."""
        if not self.open:
            raise OptionError("this audit is closed: ask `audit.certificate`, or start one for another batch")
        return self._current.next()

    def upcoming(self, count: int) -> list[int]:
        """The items that will be asked for as long as the tested part stays the same; `next` is the first of them.

        For people who label at the same time: a label given ahead is recorded when the order comes to its item, or
        never.

        >>> audit = Audit(items=1000, tolerance=0.05, seed=7)
        >>> audit.upcoming(3)[0] == audit.next(), len(audit.upcoming(3))
        (True, 3)
        """
        if not self.open:
            return []
        ahead = (
            int(item) for item in self._current.order[self._current.used :] if int(item) not in self._losses
        )
        return list(islice(ahead, min(count, self._left())))

    def record(self, item: int, loss: float, reader: str = "", *, second: bool = False) -> None:
        """Take in the loss of the item that `next` named, or a further reading of one already labelled.

        Of several readings of one item the strictest counts, so that a second reader can only
        make a certificate harder to get. `second`: by the second person, of an item that is `waiting`.
        """
        item, loss = int(item), self._checked(loss)
        if second:
            self._refuse_unless_drawn(item)
        if item not in self._losses and (not self.open or item != self.next()):
            wanted = f"item {self.next()}" if self.open else "none: the audit is closed"
            raise DataError(
                f"a loss came for item {item}, but the order asks for {wanted}; label items in the order drawn"
            )
        self._take(Reading(item, loss, reader, second=second))

    def correct(self, item: int, loss: float, reader: str = "", *, second: bool = False) -> None:
        """Replace what was read of a labelled item, after a mistake was found.

        The evidence is rebuilt from the first label as if the item had been read right at once. That keeps
        the promise, because whether a batch is certified then depends on the true losses and the draw alone -
        as long as mistakes are looked for in both directions. The certificate states how many were lowered.
        """
        item, loss = int(item), self._checked(loss)
        if item not in self._losses:
            raise DataError(f"item {item} has no loss to correct; it was never labelled")
        if second:
            self._refuse_unless_drawn(item)
        self._take(Reading(item, loss, reader, corrects=True, second=second))

    def _refuse_unless_drawn(self, item: int) -> None:
        if item not in self._again or item not in self._losses:
            raise DataError(
                f"a second verdict came for item {item}, which was not drawn for the second person; ask `waiting`"
            )

    def _checked(self, loss: float) -> float:
        value = checked(float(loss))
        if not self.graded and value not in (0.0, 1.0):
            raise DataError(
                f"loss {loss} is neither 0 nor 1; open the audit with graded=True, or count it as 1 (the strict side)"
            )
        return value

    def _take(self, reading: Reading) -> None:
        self._readings.append(reading)
        said = self._seconds if reading.second else self._firsts
        before, known = said.get(reading.item), self._losses.get(reading.item)
        said[reading.item] = reading.loss if before is None or reading.corrects else max(before, reading.loss)
        loss = max(self._firsts[reading.item], self._seconds.get(reading.item, 0.0))
        if known is None:
            self._losses[reading.item] = loss
            self._settle()
        elif loss != known:
            losses = {**self._losses, reading.item: loss}
            self._begin()
            self._losses = losses
            self._settle()

    def _settle(self) -> None:
        """Push the evidence as far as the labels reach, on to a larger part once one is proven."""
        self._current.advance(self._losses)
        self._leave_if_dear()
        while (following := self._following()) is not None:
            self._trials.append(following)
            self._current.advance(self._losses)
            self._leave_if_dear()

    def _following(self) -> "Trial | None":
        """The next part: a larger one after a proven one, the other chain if the first proved nothing."""
        now = self._trials[-1]
        if now.test.verdict == "proven" and now.place + 1 < len(self._chains[now.chain].parts):
            return self._trial(now.chain, now.place + 1)
        stuck = now.test.verdict == "hopeless" and now.place == 0 and now.chain + 1 < len(self._chains)
        return self._trial(now.chain + 1, 0) if stuck else None

    def _leave_if_dear(self) -> None:
        """Leave a part that costs more than it is worth, or that the labels left will hardly prove."""
        now = self._trials[-1]
        if now.test.verdict != "open":
            return
        if self.budget is None and now.place > 0:
            now.test.stop_if_longer_than(PATIENCE * self._trials[-2].test.used, self._losses)
        if (
            self.budget is not None and now.place == 0
        ):  # nothing is proven yet: do not spend all of it on hope
            now.test.leave_if_unlikely(self._left(), self.budget)

    # Answering

    @property
    def labels(self) -> int:
        """Items labelled so far."""
        return len(self._losses)

    @property
    def waiting(self) -> tuple[int, ...]:
        """Labelled items that the lot gave to the second person, and that are not read yet; theirs is this order."""
        return tuple(item for item in self._again if item in self._losses and item not in self._seconds)

    def said(self, item: int, *, second: bool = False) -> float:
        """The loss that the first person gave to an item, or the second."""
        return (self._seconds if second else self._firsts)[item]

    def reading(self, item: int, *, second: bool = False) -> float | None:
        """The same, or None if there is none."""
        return (self._seconds if second else self._firsts).get(item)

    @property
    def agreement(self) -> Agreement:
        """What the two people said of the items that both have read."""
        return agreement((self._firsts[item], loss) for item, loss in self._seconds.items())

    @property
    def losses(self) -> Mapping[int, float]:
        """Item -> the loss that counts."""
        return dict(self._losses)

    @property
    def proven(self) -> bool:
        """Whether the batch, or a part of it, is certified; not while a second verdict is wanted."""
        return self._proven_trial() is not None

    @property
    def hopeless(self) -> str | None:
        """Why nothing can be proven any more; None while it still can, or once it is."""
        if self.open or self._proven_by_first() is not None:
            return None
        return self._current.why(self)

    @property
    def outlook(self) -> str:
        """One line on how far it is."""
        if self.open:
            more = self._current.at_best(self._losses)
            if self.labels + more >= self.items:
                return message("audit.every_item")
            return message("audit.at_best", labels=more)
        if self.waiting and self._proven_by_first() is not None:
            return message("audit.waiting", items=len(self.waiting))
        return self.hopeless or message("audit.proven")

    def plan(self, rates: Sequence[float] | None = None) -> tuple[Forecast, ...]:
        """What the audit costs at several true rates, known before the first label.

        rates: shares of wrong items; default from none to three quarters of the tolerance. Exact for 0/1
        losses. For graded losses: 100 simulated batches (fixed seed) whose losses are 0 or 1, the hardest kind.
        With scores the figures are those of the first part alone.

        >>> [round(f.mean) for f in Audit(10_000, 0.02, seed=1).plan(rates=(0, 0.005, 0.01))]
        [190, 368, 909]
        """
        hoped = (0, 0.125, 0.25, 0.5, 0.75, *((1, 1.5) if self.mend else ()))
        shares = [min(1.0, self.tolerance * f) for f in hoped] if rates is None else list(rates)
        if self.expected is not None and rates is None:
            shares = sorted({*shares, self.expected})
        first = self._trial(0, 0).test
        return tuple(first.forecast(round(share * len(first.order))) for share in shares)

    @property
    def certificate(self) -> Certificate:
        """The promise as it stands; scope "nothing" until something is proven."""
        trial = self._proven_trial()
        part = None if trial is None else trial.part
        seen = [loss for item, loss in self._losses.items() if part is not None and part.members[item]]
        return Certificate(
            tolerance=self.tolerance,
            confidence=self.confidence,
            scope="nothing" if part is None else "all" if part.threshold is None else "above",
            threshold=None if part is None else part.threshold,
            coverage=0.0 if part is None else float(part.members.mean()),
            risk_bound=None if trial is None else trial.test.bound(self.tolerance),
            risk_seen=float(np.mean(seen)) if seen else None,
            labels=self.labels,
            clusters=self.labels,
            released=len(seen),
            method=self._method(),
            assumptions=self._assumptions(),
            advice=self._advice(),
            losses_by=self._readers(),
            options=self._options(),
        )

    def _advice(self) -> tuple[str, ...]:
        """What would be needed, and what the second person's verdicts say of the first's."""
        told = () if self.proven else (self.outlook, *self._provable())
        return (*told, *self.agreement.advice())

    def _provable(self) -> tuple[str, ...]:
        """Once it is hopeless: the tolerance that a batch with so many wrong labels would probably meet."""
        if self.hopeless is None or self.graded or self.budget is not None:
            return ()
        upper = float(binomial_upper(sum(self._losses.values()), self.labels, self.confidence))
        rung = next((rung for rung in LADDER if rung >= upper), None)
        return () if rung is None else (message("audit.again", tolerance=rung),)

    def _readers(self) -> str:
        """Who gave the losses, and how far two people agreed."""
        second = "" if self.second is None else self.agreement.said()
        return joined([self.losses_by, second])

    def _proven_trial(self) -> "Trial | None":
        """The largest part proven; none while a second verdict is wanted."""
        return None if self.waiting else self._proven_by_first()

    def _proven_by_first(self) -> "Trial | None":
        proven = [trial for trial in self._trials if trial.test.verdict == "proven"]
        return proven[-1] if proven else None

    def _method(self) -> str:
        if self.graded:
            return "audit without replacement, betting e-process (Waudby-Smith and Ramdas 2006.04347)"
        if self.budget is not None:
            return f"audit without replacement of growing parts, exact, at most {self.budget:,} labels (LTT 2110.01052)"
        if self.mend:
            return "audit without replacement, exact stopping, what is found wrong mended or taken out"
        kind = "never gives up" if self.power is None else f"power {self.power:g} at {self.expected:g} wrong"
        return f"audit without replacement, exact optimal stopping ({kind})"

    def _assumptions(self) -> tuple[str, ...]:
        lowered = sum(
            1 for place, reading in enumerate(self._readings) if reading.corrects and self._lowers(place)
        )
        lines = [message("audit.order", seed=self.seed), message("assume.losses")]
        if self.mend:
            lines.append(message("audit.mended", errors=round(sum(self._losses.values()))))
        if lowered:
            lines.append(message("audit.lowered", count=lowered))
        return tuple(lines)

    def _lowers(self, place: int) -> bool:
        now = self._readings[place]
        earlier = [r.loss for r in self._readings[:place] if (r.item, r.second) == (now.item, now.second)]
        return self._readings[place].loss < max(earlier, default=0.0)

    # Keeping

    def _options(self) -> dict[str, Any]:
        return {
            "kind": "audit",
            "items": self.items,
            "tolerance": self.tolerance,
            "confidence": self.confidence,
            "seed": self.seed,
            "expected": self.expected,
            "power": self.power,
            "graded": self.graded,
            "withhold": None if self.withhold is None else list(self.withhold),
            "budget": self.budget,
            "start": self.start,
            "mend": self.mend,
            "second": self.second,
            "losses_by": self.losses_by,
            "scores_sha256": self._scores_sha256,
        }

    def to_json(self) -> dict[str, Any]:
        """Everything needed to go on later: the options and the readings, as plain JSON values."""
        readings = [[r.item, r.loss, r.reader, r.corrects] + [True] * r.second for r in self._readings]
        return {**self._options(), "readings": readings}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], scores: ArrayLike | None = None) -> Self:
        """The audit that `to_json` wrote, rebuilt by replaying its readings; with scores, give them again."""
        try:
            options = {k: v for k, v in record.items() if k not in ("kind", "readings", "scores_sha256")}
            readings = [
                Reading(int(i), float(x), str(by), bool(c), any(second))
                for i, x, by, c, *second in record["readings"]
            ]
            wanted = record["scores_sha256"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"this is not the record of an audit: {error!r}; expected what `to_json` wrote"
            ) from None
        if wanted != (None if scores is None else _fingerprint(scores)):
            raise DataError(
                "the scores are not those the audit began with; give the same scores in the same order"
            )
        audit = cls(scores=scores, **options)
        for reading in readings:
            take = audit.correct if reading.corrects else audit.record
            take(reading.item, reading.loss, reading.reader, second=reading.second)
        return audit


def _fingerprint(scores: ArrayLike) -> str:
    return hashlib.sha256(np.ascontiguousarray(scores, np.float64).tobytes()).hexdigest()


def _refuse_nonsense(
    items: int, tolerance: float, confidence: float, expected: float | None, power: float | None, graded: bool
) -> None:
    if items < 1:
        raise OptionError(f"a batch of {items} items cannot be audited; expected at least one")
    if not 0 <= tolerance < 1:
        raise OptionError(f"tolerance is {tolerance}; expected a share from 0 to below 1, e.g. 0.02")
    if not 0 < confidence < 1:
        raise OptionError(f"confidence is {confidence}; expected a probability between 0 and 1, e.g. 0.95")
    if (expected is None) != (power is None):
        raise OptionError(
            "expected and power go together: give both (0.005 and 0.9) to give up early, or neither"
        )
    if expected is not None and not 0 <= expected <= tolerance:
        raise OptionError(
            f"expected is {expected}; expected a share of wrong items up to the tolerance {tolerance}"
        )
    if graded and power is not None:
        raise OptionError("giving up early is for 0/1 losses; leave out expected and power with graded=True")
    if graded and tolerance == 0:
        raise OptionError("with graded losses the tolerance must be above 0, e.g. 0.001")


def _refuse_budget(budget: int | None, scores: Any, withhold: Any, power: float | None) -> None:
    if budget is None:
        return
    if budget < 1:
        raise OptionError(f"a budget of {budget} labels proves nothing; expected at least one, e.g. 1000")
    if scores is None:
        raise OptionError(
            "a budget searches for the part that can go out, and needs scores= (--score) to order the items"
        )
    if withhold is not None or power is not None:
        raise OptionError("a budget finds the part by itself; leave out withhold, expected and power")
