"""Audits and estimates that a cheap judge makes shorter, and that stay valid if the judge is useless.

- `JudgedAudit`: certifies a batch as it is, deciding from a small pilot whether to label all flagged items
  first; exact, and a useless or hostile judge costs little more than the pilot.
- `stratified_mixture`: evidence from any adaptive sampling of strata, exact for 0/1 losses.
- `assisted_upper`: graded losses corrected by predictions; valid at any sample size.
- `prediction_powered`: the usual interval; short, but only asymptotic, and marked so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from tolerate.base.json_types import JsonValue
from tolerate.errors import DataError, OptionError
from tolerate.messages.catalogue import message
from tolerate.records import Certificate
from tolerate.stats.audit.counting import CountingTest
from tolerate.stats.audit.draws import draw_order, draw_pilot
from tolerate.stats.audit.optimal_plan import robust_plan
from tolerate.stats.audit.stopping_plan import Verdict, forecast
from tolerate.stats.hypergeometric import allowed_wrong, log_sequences
from tolerate.stats.sequential import BETS, Floats, checked_loss, log_sum, threshold

Ints = NDArray[np.int64]

PILOT_ITEMS = 20
_MISSED_PER_FLAGGED = 0.1  # wrong items taken to be unflagged for each flagged one, when the pilot is weighed
_MAX_COST_SHARE = 0.85  # labelling all flagged items first must promise to cost at most this share
# Rates to be good at once the flagged items are known: little should be left.
_LOW_RATES = ((0.0, 1.0), (0.125, 1.0), (0.25, 1.0), (0.5, 0.7))

# Trust in the predictions that the bettors try, and how much each counts; mostly none.
TRUST_WEIGHTS = ((0.0, 0.75), (0.5, 0.1), (1.0, 0.15))


class JudgedAudit:
    """An audit of a whole batch with the help of a judge that flags some items; losses 0 or 1.

    First a pilot labels `pilot` flagged items, drawn apart. If the flags are informative enough, all flagged items are
    labelled and the rest is audited against what is left of the allowance; else the batch is audited as if
    there were no judge. P(a bad batch is certified) <= 1 - confidence whatever the judge does: given the
    pilot, either design is an exact audit in an order that the pilot knows nothing about.

    >>> audit = JudgedAudit(flagged=[True] * 50 + [False] * 950, tolerance=0.05, seed=1)
    >>> while audit.open:
    ...     audit.record(audit.next(), loss=0)
    >>> audit.design, audit.certificate.scope
    ('uniform', 'all')
    """

    def __init__(
        self,
        flagged: ArrayLike,
        tolerance: float,
        confidence: float = 0.95,
        seed: int = 0,
        *,
        pilot: int = PILOT_ITEMS,
        losses_by: str = "",
    ) -> None:
        flags = np.asarray(flagged)
        _refuse_nonsense(flags, tolerance, confidence, pilot)
        self.flagged = flags.astype(bool)
        self.items, self.tolerance, self.confidence, self.seed = (
            len(flags),
            float(tolerance),
            float(confidence),
            seed,
        )
        self.pilot, self.losses_by = min(pilot, int(self.flagged.sum())), losses_by
        self.allowed = allowed_wrong(self.items, tolerance)
        self._order = draw_order(self.items, seed)
        self._losses: dict[int, float] = {}
        self._first = draw_pilot(self.flagged, self.pilot, seed).tolist()
        self._test: CountingTest | None = None
        self.design: str | None = None
        self._settle()

    @property
    def open(self) -> bool:
        """Whether another label is needed."""
        return self._verdict == "open"

    @property
    def _verdict(self) -> Verdict:
        if sum(self._losses.values()) > self.allowed:
            return "hopeless"
        return "open" if self._test is None else self._test.verdict

    @property
    def labels(self) -> int:
        """Items labelled so far."""
        return len(self._losses)

    def next(self) -> int:
        """The item to label now."""
        if not self.open:
            raise OptionError("this audit is closed: ask `audit.certificate`, or start one for another batch")
        return self._first[0] if self._test is None else self._test.next()

    def record(self, item: int, loss: float) -> None:
        """Take in the loss, 0 or 1, of the item that `next` named."""
        if not self.open or int(item) != self.next():
            expected = f"item {self.next()}" if self.open else "none: the audit is closed"
            raise DataError(f"a loss came for item {item}, but the order asks for {expected}")
        if loss not in (0, 1):
            raise DataError(f"loss {loss} is neither 0 nor 1; count a partial one as 1 (the strict side)")
        self._losses[int(item)] = float(loss)
        self._settle()

    def _settle(self) -> None:
        self._first = [item for item in self._first if item not in self._losses] if self._test is None else []
        if self._test is None and not self._first:
            self._choose_test()
        if self._test is not None:
            self._test.advance(self._losses)

    def _choose_test(self) -> None:
        """Choose the next test, once the pilot or all flagged items are labelled."""
        if self.design is None:
            self.design = "flagged first" if self._flags_pay() else "uniform"
            if self.design == "flagged first":
                order = self._order[self.flagged[self._order]]
                self._first = [int(item) for item in order if int(item) not in self._losses]
        if self.design == "uniform":
            self._test = CountingTest(self._order, robust_plan(self.items, self.allowed, self.confidence))
        elif not self._first and self._verdict == "open":
            unflagged = self._order[~self.flagged[self._order]]
            remaining = self.allowed - int(sum(self._losses.values()))
            self._test = CountingTest(
                unflagged, robust_plan(len(unflagged), remaining, self.confidence, _LOW_RATES)
            )

    def _flags_pay(self) -> bool:
        """Whether the pilot promises that labelling every flagged item first saves labels."""
        flagged = int(self.flagged.sum())
        if not self.pilot or flagged == self.items:
            return False
        wrong = (sum(self._losses.values()) + 0.5) / (self.pilot + 1) * flagged
        missed = wrong * _MISSED_PER_FLAGGED
        remaining = self.allowed - math.ceil(wrong)
        if remaining < missed:
            return False
        plain = robust_plan(self.items, self.allowed, self.confidence)
        after = robust_plan(self.items - flagged, remaining, self.confidence, _LOW_RATES)
        cost = flagged - self.pilot + forecast(after, round(missed)).mean
        return cost < _MAX_COST_SHARE * forecast(plain, min(round(wrong + missed), self.allowed)).mean

    @property
    def certificate(self) -> Certificate:
        """The promise as it stands; scope "nothing" until the batch is proven."""
        proven = self._verdict == "proven"
        return Certificate(
            tolerance=self.tolerance,
            confidence=self.confidence,
            scope="all" if proven else "nothing",
            threshold=None,
            coverage=float(proven),
            risk_bound=self.tolerance if proven else None,
            risk_seen=sum(self._losses.values()) / self.labels if proven and self.labels else None,
            labels=self.labels,
            clusters=self.labels,
            released=self.labels if proven else 0,
            method=f"judged audit without replacement, exact optimal stopping ({self.design or 'pilot'})",
            assumptions=(message("audit.order", seed=self.seed), message("assume.losses")),
            losses_by=self.losses_by,
            options={"kind": "judged audit", "items": self.items, "seed": self.seed, "pilot": self.pilot},
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Everything needed to go on later, given the same flags."""
        return {
            "tolerance": self.tolerance,
            "confidence": self.confidence,
            "seed": self.seed,
            "pilot": self.pilot,
            "losses_by": self.losses_by,
            "readings": [[item, loss] for item, loss in self._losses.items()],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any], flagged: ArrayLike) -> Self:
        """The audit that `to_json` wrote, rebuilt by replaying its readings."""
        if "readings" not in record:
            raise DataError("this is not the record of a judged audit; expected what `to_json` wrote")
        audit = cls(flagged, **{key: value for key, value in record.items() if key != "readings"})
        for item, loss in record["readings"]:
            audit.record(item, loss)
        return audit


def _refuse_nonsense(flags: NDArray[np.generic], tolerance: float, confidence: float, pilot: int) -> None:
    if flags.ndim != 1 or not len(flags) or not np.isin(flags, (0, 1)).all():
        raise DataError(
            "flagged must hold one True or False per item; turn a score into a flag with score < cut"
        )
    if not 0 <= tolerance < 1:
        raise OptionError(f"tolerance is {tolerance}; expected a share from 0 to below 1, e.g. 0.02")
    if not 0 < confidence < 1:
        raise OptionError(f"confidence is {confidence}; expected a probability between 0 and 1, e.g. 0.95")
    if pilot < 0:
        raise OptionError(f"pilot is {pilot}; expected 0 or more flagged items to label first")


class Strata(NamedTuple):
    """State of `stratified_mixture`: labels and wrong items per stratum."""

    labels: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True)
class StratifiedEvidence:
    """Bets against "the batch's risk exceeds the tolerance", from strata sampled as one likes; 0/1 losses.

    The wealth is the likelihood of the labels under a mixture of hoped-for batches, over its maximum under all
    batches with one wrong item too many, however those are spread over the strata. For each such batch that
    ratio is at most a nonnegative martingale, so the next stratum may be chosen from everything seen (Wasserman, Ramdas
    and Balakrishnan 1912.11436, universal inference; Spertus and Stark 2207.03379, stratified audits).

    sizes: items per stratum. hoped: rates of wrong items that each stratum's mixture is spread over.
    """

    sizes: tuple[int, ...]
    tolerance: float
    hoped: tuple[float, ...]

    def start(self) -> Strata:
        """The state before the first label."""
        return Strata((0,) * len(self.sizes), (0,) * len(self.sizes))

    def step(self, state: Strata, stratum: int, loss: float) -> Strata:
        """The state after one label in one stratum, drawn there without replacement."""
        if loss not in (0, 1):
            raise DataError(f"loss {loss} is neither 0 nor 1; for graded losses use `assisted_upper`")
        if state.labels[stratum] >= self.sizes[stratum]:
            raise DataError(f"all {self.sizes[stratum]} items of stratum {stratum} are labelled already")
        labels, wrong = list(state.labels), list(state.wrong)
        labels[stratum] += 1
        wrong[stratum] += int(loss)
        return Strata(tuple(labels), tuple(wrong))

    def log_wealth(self, state: Strata) -> float:
        """ln of the evidence."""
        bad = allowed_wrong(sum(self.sizes), self.tolerance) + 1
        null, hope = np.zeros(1), 0.0
        for size, labels, wrong in zip(self.sizes, state.labels, state.wrong, strict=True):
            max_wrong = min(size, bad)
            logs = log_sequences(size, np.arange(max_wrong + 1), labels, wrong)
            null = _best_spread(null, logs)[: bad + 1]
            chosen = np.unique([min(size, round(rate * size)) for rate in self.hoped])
            hope += log_sum(log_sequences(size, chosen, labels, wrong)) - math.log(len(chosen))
        worst = float(null[bad]) if len(null) > bad else -math.inf
        if worst == -math.inf:
            return -math.inf if sum(state.wrong) >= bad else math.inf
        return hope - worst


def stratified_mixture(
    sizes: Sequence[int], tolerance: float, hoped: Sequence[float] = (0.0, 0.002, 0.005, 0.01, 0.05, 0.2, 0.4)
) -> StratifiedEvidence:
    """Evidence against a batch that is too bad, from strata sampled in any adaptive way.

    >>> process = stratified_mixture((20, 80), tolerance=0.05)
    >>> state = process.start()
    >>> for _ in range(60):
    ...     state = process.step(state, 1, 0)
    >>> process.log_wealth(state) < threshold(0.95)  # the other stratum may hide all that is wrong
    True
    """
    if not sizes or min(sizes) < 1:
        raise OptionError(f"stratum sizes {tuple(sizes)} must be 1 or more; leave out empty strata")
    if not 0 < tolerance < 1:
        raise OptionError(f"tolerance is {tolerance}; expected a share above 0 and below 1, e.g. 0.02")
    return StratifiedEvidence(tuple(sizes), tolerance, tuple(hoped))


def _best_spread(first: Floats, second: Floats) -> Floats:
    """[m] the largest first[i] + second[m - i]: how best to spread m wrong items over two parts."""
    best = np.full(len(first) + len(second) - 1, -np.inf)
    for index in np.flatnonzero(first > -np.inf):
        span = slice(index, index + len(second))
        best[span] = np.maximum(best[span], first[index] + second)
    return best


def assisted_upper(
    losses: ArrayLike, predictions: ArrayLike, mean_prediction: float, confidence: float
) -> float:
    """Upper bound on the mean loss from labelled items and a judge's predictions, at any sample size.

    A corrected loss is loss - trust (prediction - mean_prediction): the same mean, less spread if the
    predictions are any good. Bettors with no trust at all hold three quarters of the wealth, so that a useless or
    hostile judge costs at most ln(4/3) of evidence: a tenth of what 95% needs. The bound is the largest mean that
    the bettors cannot refute; valid however often one looks, for independent draws, `mean_prediction` being the mean
    prediction over all that is drawn from (R-AutoEval+, 2505.18659; the bets of Waudby-Smith and Ramdas 2010.09686).

    >>> upper = assisted_upper([0.0] * 200, [0.1] * 200, mean_prediction=0.1, confidence=0.95)
    >>> 0.015 < upper < 0.04
    True
    """
    x, g = _paired(losses, predictions)
    trust = np.array([t for t, _ in TRUST_WEIGHTS])
    corrected = x[:, None] - trust * (g[:, None] - checked_loss(mean_prediction))  # [n, trust]
    largest = 1 + trust * mean_prediction  # the largest corrected loss
    shares = np.log([[share] for _, share in TRUST_WEIGHTS]) - math.log(len(BETS))

    def refuted(mean: float) -> bool:
        gains = (mean - corrected) / (largest - mean)
        with np.errstate(divide="ignore"):
            wealth = np.log1p(BETS * gains[:, :, None]).sum(axis=0)  # [trust, bets]
        return log_sum((wealth + shares).ravel()) >= threshold(confidence)

    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if refuted(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class Estimate:
    """A mean loss with an interval; `asymptotic` says that its confidence is only approached for large samples."""

    mean: float
    low: float
    high: float
    labels: int
    asymptotic: bool
    advice: str = ""


def prediction_powered(
    losses: ArrayLike, predictions: ArrayLike, unlabelled: ArrayLike, confidence: float
) -> Estimate:
    """Mean loss from a few labels and many predictions, with a two-sided normal interval: asymptotic only.

    The prediction's weight is the one of least variance (PPI++, Angelopoulos, Duchi and Zrnic 2311.01453,
    section 6), so good predictions shorten the interval and useless ones leave it as it was. With few wrong
    items the normal approximation breaks: below ten it says so, and no certificate may rest on it.

    >>> rng = np.random.default_rng(0)
    >>> wrong = (rng.random(5000) < 0.2).astype(float)
    >>> estimate = prediction_powered(wrong[:400], wrong[:400], wrong[400:], confidence=0.9)
    >>> estimate.asymptotic, estimate.high - estimate.low < 0.03
    (True, True)
    """
    x, g = _paired(losses, predictions)
    pool = np.asarray(unlabelled, np.float64)
    if len(x) < 2 or len(pool) < 2:
        raise DataError(
            f"{len(x)} labelled and {len(pool)} unlabelled items came; expected at least two of each"
        )
    n, spread = len(x), float(np.var(np.concatenate([g, pool])))
    weight = 0.0 if spread == 0 else float(np.cov(x, g)[0, 1]) / spread / (1 + n / len(pool))
    weight = min(max(weight, 0.0), 1.0)
    mean = float(x.mean() - weight * (g.mean() - pool.mean()))
    variance = float(np.var(x - weight * g, ddof=1)) / n + weight**2 * float(np.var(pool, ddof=1)) / len(pool)
    width = float(ndtri((1 + confidence) / 2)) * math.sqrt(variance)
    rarest = min(x.sum(), n - x.sum())
    advice = (
        f"only {rarest:g} wrong (or fine) labels: the normal approximation is not to be trusted"
        if rarest < 10
        else ""
    )
    return Estimate(mean, mean - width, mean + width, n, True, advice)


def _paired(losses: ArrayLike, predictions: ArrayLike) -> tuple[Floats, Floats]:
    x, g = np.atleast_1d(np.asarray(losses, np.float64)), np.atleast_1d(np.asarray(predictions, np.float64))
    if x.shape != g.shape or x.ndim != 1:
        raise DataError(f"{x.shape} losses came with {g.shape} predictions; expected one prediction per loss")
    for name, values in (("loss", x), ("prediction", g)):
        if not ((values >= 0) & (values <= 1)).all():
            raise DataError(
                f"a {name} is outside [0, 1] or missing; divide by the largest possible loss first"
            )
    return x, g
