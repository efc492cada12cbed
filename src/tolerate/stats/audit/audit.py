"""Sequential audits of a finished batch: label items in an order the library draws until it is proven, or cannot be.

For 0/1 losses the stopping rule is the exact optimum of `optimal_plan`; for graded losses it is a betting
e-process without replacement. Either is fixed before the first label, so one may look after every
label and stop at any time. Nothing is assumed about the items: the draw alone makes it valid.

`Audit` takes labels and writes the certificate; which parts are tested, and how, is the business of its mode
(`trials.AuditMode`).
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from tolerate.base.json_types import JsonValue
from tolerate.errors import DataError, OptionError
from tolerate.messages.catalogue import joined, message
from tolerate.records import Certificate
from tolerate.stats.audit.draws import draw_order, draw_second_items
from tolerate.stats.audit.fixed_parts import FixedParts
from tolerate.stats.audit.graded import GradedLosses
from tolerate.stats.audit.mending import MendedBatch
from tolerate.stats.audit.options import START_SHARE, AuditOptions
from tolerate.stats.audit.parts import nested_parts, whole_batch
from tolerate.stats.audit.readings import AuditReading, ReadingLog
from tolerate.stats.audit.search import BudgetSearch
from tolerate.stats.audit.second_reader import Agreement
from tolerate.stats.audit.stopping_plan import Forecast
from tolerate.stats.audit.trials import AuditMode, Trial, TrialSequence
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.certify.advice import TOLERANCE_LADDER
from tolerate.stats.sequential import checked_loss


class Audit:
    """An audit of a finished batch: names items to label, one at a time, until the batch is proven or cannot be.

    P(a batch whose risk exceeds `tolerance` is certified) <= 1 - `confidence`, however often one looks. It is
    exact: for 0/1 losses the error is enumerated, not bounded.

    items: size of the batch. seed: of the order of labelling; None draws a seed and keeps it.
    expected, power: give up when a batch with this share wrong would be proven with this probability
    (e.g. 0.005 and 0.9); without them the audit never gives up while proof is possible.
    graded: losses anywhere in [0, 1] instead of 0 or 1.
    scores, withhold: find which part of the batch can go out, by leaving out the lowest scores (`parts`).
    scores, budget: the largest part that at most so many labels can prove, growing from the best-scored `start`
    of the batch (`search`); choose `start` from an earlier batch, never from these labels.
    mend: what is found wrong is mended or taken out before the batch goes out, and the promise is on the rest:
    it takes fewer labels, and a batch with too many wrong can still be saved (`mending`). 0/1 losses, no scores.
    second: share of the items, drawn at random beforehand, that a second person reads too once they are labelled;
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
        start: float = START_SHARE,
        mend: bool = False,
        second: float | None = None,
        losses_by: str = "",
    ) -> None:
        self._options = options = AuditOptions(
            items=items,
            tolerance=float(tolerance),
            confidence=float(confidence),
            seed=secrets.randbits(53) if seed is None else int(seed),
            expected=expected,
            power=power,
            graded=graded,
            withhold=None if withhold is None else tuple(withhold),
            budget=None if budget is None else int(budget),
            start=float(start),
            mend=bool(mend),
            second=second,
            losses_by=losses_by,
            scores_sha256=None if scores is None else _fingerprint(scores),
        )
        self.items, self.tolerance, self.confidence = options.items, options.tolerance, options.confidence
        self.seed, self.expected, self.power = options.seed, options.expected, options.power
        self.graded, self.withhold, self.budget = options.graded, options.withhold, options.budget
        self.start, self.mend, self.second = options.start, options.mend, options.second
        self.losses_by = options.losses_by
        self._mode = _mode_of(options, scores)
        self._trials = TrialSequence(self._mode, draw_order(items, options.seed))
        second_items = [] if second is None else draw_second_items(items, second, options.seed).tolist()
        self._log = ReadingLog(second_items)

    # Asking for labels

    @property
    def open(self) -> bool:
        """Whether another label is needed."""
        return self._trials.current.verdict == "open" and self._labels_left() > 0

    def _labels_left(self) -> int:
        """Labels that may still be asked for."""
        return self._mode.max_labels - self.labels

    def next(self) -> int:
        """The item to label now; the same one until its loss is recorded."""
        if not self.open:
            raise OptionError("this audit is closed: ask `audit.certificate`, or start one for another batch")
        return self._trials.current.next()

    def upcoming(self, count: int) -> list[int]:
        """The items that will be asked for as long as the tested part stays the same; `next` is the first of them.

        For people who label at the same time: a label made ahead is recorded when the order comes to its item, or
        never.

        >>> audit = Audit(items=1000, tolerance=0.05, seed=7)
        >>> audit.upcoming(3)[0] == audit.next(), len(audit.upcoming(3))
        (True, 3)
        """
        if not self.open:
            return []
        test = self._trials.current
        ahead = (int(item) for item in test.order[test.used :] if int(item) not in self._log.losses)
        return list(islice(ahead, min(count, self._labels_left())))

    def record(self, item: int, loss: float, reader: str = "", *, second: bool = False) -> None:
        """Take in the loss of the item that `next` named, or a further reading of one already labelled.

        Of several readings of one item the strictest counts, so that a second reader can only
        make a certificate harder to get. `second`: by the second person, of an item that is `waiting`.
        """
        item, loss = int(item), self._checked(loss)
        if second:
            self._refuse_unless_drawn(item)
        if item not in self._log.losses and (not self.open or item != self.next()):
            expected = f"item {self.next()}" if self.open else "none: the audit is closed"
            raise DataError(
                f"a loss came for item {item}, but the order asks for {expected}; label items in the order drawn"
            )
        self._add(AuditReading(item, loss, reader, second=second))

    def correct(self, item: int, loss: float, reader: str = "", *, second: bool = False) -> None:
        """Replace what was read of a labelled item, after a mistake was found.

        The evidence is rebuilt from the first label as if the item had been read right at once. That keeps
        the promise, because whether a batch is certified then depends on the true losses and the draw alone -
        as long as mistakes are looked for in both directions. The certificate states how many were lowered.
        """
        item, loss = int(item), self._checked(loss)
        if item not in self._log.losses:
            raise DataError(f"item {item} has no loss to correct; it was never labelled")
        if second:
            self._refuse_unless_drawn(item)
        self._add(AuditReading(item, loss, reader, corrects=True, second=second))

    def _refuse_unless_drawn(self, item: int) -> None:
        if not self._log.takes_second(item):
            raise DataError(
                f"a second verdict came for item {item}, which was not drawn for the second person; ask `waiting`"
            )

    def _checked(self, loss: float) -> float:
        value = checked_loss(float(loss))
        if not self.graded and value not in (0.0, 1.0):
            raise DataError(
                f"loss {loss} is neither 0 nor 1; open the audit with graded=True, or count it as 1 (the strict side)"
            )
        return value

    def _add(self, reading: AuditReading) -> None:
        if self._log.add(reading):
            self._trials.restart()
        self._trials.advance(self._log.losses)

    # Results

    @property
    def labels(self) -> int:
        """Items labelled so far."""
        return len(self._log.losses)

    @property
    def waiting(self) -> tuple[int, ...]:
        """Labelled items that were drawn for the second person and are not read yet, in the order of that reading."""
        return self._log.waiting

    def said(self, item: int, *, second: bool = False) -> float:
        """The loss that the first person gave to a labelled item, or the second."""
        loss = self._log.loss_by(item, second=second)
        if loss is None:
            raise KeyError(item)
        return loss

    def reading(self, item: int, *, second: bool = False) -> float | None:
        """The loss that the first person gave to an item, or the second; None if there is none."""
        return self._log.loss_by(item, second=second)

    @property
    def agreement(self) -> Agreement:
        """Counts of the two persons' verdicts on the items that both have read."""
        return self._log.agreement

    @property
    def losses(self) -> Mapping[int, float]:
        """Item -> the loss that counts."""
        return dict(self._log.losses)

    @property
    def proven(self) -> bool:
        """Whether the batch, or a part of it, is certified; not while a second verdict is missing."""
        return self._certified is not None

    @property
    def hopeless(self) -> str | None:
        """The reason why nothing can be proven any more; None while it still can, or once it is."""
        if self.open or self._trials.proven is not None:
            return None
        return self._trials.current.reason(self._options)

    @property
    def outlook(self) -> str:
        """One sentence on how many more labels it takes, or on how the audit ended."""
        if self.open:
            labels = self._trials.current.labels_at_best(self._log.losses)
            if self.labels + labels >= self.items:
                return message("audit.every_item")
            return message("audit.at_best", labels=labels)
        if self.waiting and self._trials.proven is not None:
            return message("audit.waiting", items=len(self.waiting))
        return self.hopeless or message("audit.proven")

    def plan(self, rates: Sequence[float] | None = None) -> tuple[Forecast, ...]:
        """The expected number of labels and the chance of a proof at several true rates, before the first label.

        rates: shares of wrong items; default from none to three quarters of the tolerance. Exact for 0/1
        losses. For graded losses: 100 simulated batches (fixed seed) whose losses are 0 or 1, the hardest kind.
        With scores the figures are those of the first part alone.

        >>> [round(f.mean) for f in Audit(10_000, 0.02, seed=1).plan(rates=(0, 0.005, 0.01))]
        [190, 368, 909]
        """
        shares = [min(1.0, self.tolerance * rate) for rate in self._mode.forecast_rates]
        if rates is not None:
            shares = list(rates)
        elif self.expected is not None:
            shares = sorted({*shares, self.expected})
        test = self._trials.trial(0, 0).test
        return tuple(test.forecast(round(share * len(test.order))) for share in shares)

    @property
    def certificate(self) -> Certificate:
        """The promise as it stands; scope "nothing" until something is proven."""
        trial = self._certified
        part = None if trial is None else trial.part
        released = [
            loss for item, loss in self._log.losses.items() if part is not None and part.members[item]
        ]
        return Certificate(
            tolerance=self.tolerance,
            confidence=self.confidence,
            scope="nothing" if part is None else "all" if part.threshold is None else "above",
            threshold=None if part is None else part.threshold,
            coverage=0.0 if part is None else float(part.members.mean()),
            risk_bound=None if trial is None else trial.test.bound(self.tolerance),
            risk_seen=float(np.mean(released)) if released else None,
            labels=self.labels,
            clusters=self.labels,
            released=len(released),
            method=self._mode.method,
            assumptions=self._assumptions(),
            advice=self._advice(),
            losses_by=self._losses_by(),
            options=self._options.to_json(),
        )

    @property
    def _certified(self) -> Trial | None:
        """The largest part proven; None while a second verdict is missing."""
        return None if self.waiting else self._trials.proven

    def _advice(self) -> tuple[str, ...]:
        """What would be needed, and what the second person's verdicts say of the first's."""
        needed = () if self.proven else (self.outlook, *self._provable_tolerance())
        return (*needed, *self.agreement.advice())

    def _provable_tolerance(self) -> tuple[str, ...]:
        """Once it is hopeless: the tolerance that a batch with so many wrong labels would probably meet."""
        if self.hopeless is None or self.graded or self.budget is not None:
            return ()
        upper = float(binomial_upper(sum(self._log.losses.values()), self.labels, self.confidence))
        tolerance = next((tolerance for tolerance in TOLERANCE_LADDER if tolerance >= upper), None)
        return () if tolerance is None else (message("audit.again", tolerance=tolerance),)

    def _losses_by(self) -> str:
        """Who gave the losses, and how far two people agreed."""
        second = "" if self.second is None else self.agreement.sentence()
        return joined([self.losses_by, second])

    def _assumptions(self) -> tuple[str, ...]:
        lowered = self._log.lowered
        return (
            message("audit.order", seed=self.seed),
            message("assume.losses"),
            *self._mode.assumptions(self._log.losses),
            *((message("audit.lowered", count=lowered),) if lowered else ()),
        )

    # Storing

    def to_json(self) -> dict[str, JsonValue]:
        """Everything needed to go on later: the options and the readings, as plain JSON values."""
        readings = [reading.to_json() for reading in self._log.readings]
        return {**self._options.to_json(), "readings": readings}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], scores: ArrayLike | None = None) -> Self:
        """The audit that `to_json` wrote, rebuilt by replaying its readings; with scores, give them again."""
        try:
            options = {k: v for k, v in record.items() if k not in ("kind", "readings", "scores_sha256")}
            readings = [
                AuditReading(int(item), float(loss), str(reader), bool(corrects), any(second))
                for item, loss, reader, corrects, *second in record["readings"]
            ]
            scores_sha256 = record["scores_sha256"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"this is not the record of an audit: {error!r}; expected what `to_json` wrote"
            ) from None
        if scores_sha256 != (None if scores is None else _fingerprint(scores)):
            raise DataError(
                "the scores are not those the audit began with; give the same scores in the same order"
            )
        audit = cls(scores=scores, **options)
        for reading in readings:
            add = audit.correct if reading.corrects else audit.record
            add(reading.item, reading.loss, reading.reader, second=reading.second)
        return audit


def _mode_of(options: AuditOptions, scores: ArrayLike | None) -> AuditMode:
    """The mode that these options ask for."""
    if options.mend:
        return MendedBatch(options)
    mode: AuditMode
    if scores is None:
        mode = FixedParts(options, (whole_batch(options.items),))
    elif options.budget is None:
        mode = FixedParts(options, tuple(nested_parts(scores, options.items, options.withhold)))
    else:
        mode = BudgetSearch(options, scores, options.budget)
    return GradedLosses(mode, options.tolerance) if options.graded else mode


def _fingerprint(scores: ArrayLike) -> str:
    return hashlib.sha256(np.ascontiguousarray(scores, np.float64).tobytes()).hexdigest()
