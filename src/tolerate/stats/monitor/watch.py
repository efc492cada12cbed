"""Watch whether a promise still holds: evidence against it from a recorded random share of what is released.

The evidence is an e-process that starts anew at every label: a change after a long good time is noticed as
fast as one at the start. With t labels so far and bets f_t on the next loss,

    S_t = (S_{t-1} + w_t) f_t,        evidence = S_t + (weight not yet spent)

where the weights w_t of the starting times sum to 1. While the promise holds the evidence never grows on
average, so P(it ever reaches 1 / (1 - confidence)) <= 1 - confidence. With w_t = 1 instead, the same sum
is the Shiryaev-Roberts e-detector of Shin, Ramdas and Rinaldo (2203.03532): it alarms sooner, will
alarm falsely some day, but on average not before `run_length` labels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.base.json_types import JsonValue
from tolerate.errors import DataError, OptionError, hint
from tolerate.messages.catalogue import message
from tolerate.records import Certificate, Message

Floats = NDArray[np.float64]

# Risks that are bet on, in multiples of the tolerance, and the weight of each.
RISK_MULTIPLES = ((1.25, 0.1), (1.5, 0.25), (2.0, 0.3), (3.0, 0.25), (6.0, 0.1))

_SETTLING_LOSSES = 20.0  # starting times are spent on a scale of this many expected losses at the tolerance
_TILTS = -np.geomspace(0.05, 5.0, 16)  # exponents of the mixture behind `bound`
_MAX_POINTS = 256  # of the history kept for a picture


@dataclass(frozen=True)
class Alarm:
    """An alarm: when a promise was withdrawn, and on what evidence.

    labels: reviewed until then. evidence: the e-value; 20 means odds of 20 to 1 against the promise.
    since: label with which the change most likely began; seen: mean loss from there on. slice: its name; "" is all.
    """

    labels: int
    evidence: float
    since: int
    seen: float
    tolerance: float
    slice: str = ""

    @property
    def sentence(self) -> Message:
        """The alarm as a sentence, as it is stored and shown."""
        figures = {
            "labels": self.labels,
            "seen": self.seen,
            "since": self.since,
            "tolerance": self.tolerance,
            "evidence": self.evidence,
        }
        if self.slice:
            return message("alarm.slice_risk", slice=self.slice, **figures)
        return message("alarm.risk", **figures)

    def __str__(self) -> str:
        return str(self.sentence)


def weight_left(labels: Floats, tolerance: float) -> Floats:
    """Weight of the starting times not yet spent after so many labels; it never runs out.

    >>> weight_left(np.array([0.0, 1000.0]), 0.02).round(3).tolist()
    [1.0, 0.591]
    """
    remaining: Floats = 1 / (1 + np.log1p(labels * (tolerance / _SETTLING_LOSSES)))
    return remaining


@dataclass
class EvidenceLine:
    """The evidence of one stream of losses. Per bet: ln S, the log wealth since the beginning, and its lowest point.

    The label after the lowest point is the most likely beginning of the change.
    limit: ln evidence at which the alarm sounds. largest: the largest weight a loss may have.
    """

    name: str
    tolerance: float
    limit: float
    forever: bool
    largest: float
    labels: int = 0
    total: float = 0.0
    log_evidence: float = 0.0
    sums: list[float] = field(default_factory=lambda: [-math.inf] * len(RISK_MULTIPLES))
    wealth: list[float] = field(default_factory=lambda: [0.0] * len(RISK_MULTIPLES))
    lowest: list[float] = field(default_factory=lambda: [0.0] * len(RISK_MULTIPLES))
    since: list[int] = field(default_factory=lambda: [1] * len(RISK_MULTIPLES))
    before: list[float] = field(default_factory=lambda: [0.0] * len(RISK_MULTIPLES))  # losses before `since`
    alarm: Alarm | None = None

    def __post_init__(self) -> None:
        risks = [min(times * self.tolerance, (1 + self.tolerance) / 2) for times, _ in RISK_MULTIPLES]
        # a bet b multiplies wealth by 1 + b weight (loss - tolerance), which must stay positive
        self.bets = [
            (r - self.tolerance) / (1 - self.tolerance) / self.tolerance / self.largest for r in risks
        ]
        self.shares = [math.log(share) for _, share in RISK_MULTIPLES]

    def update(self, loss: float, weight: float) -> None:
        """Take in one loss, by scalar operations."""
        before, after = self._weight_left(self.labels), self._weight_left(self.labels + 1)
        fresh = before - after if self.forever else 1.0
        self.labels += 1
        self.total += weight * loss
        evidence = after if self.forever else 0.0
        for j, bet in enumerate(self.bets):
            step = math.log1p(bet * weight * (loss - self.tolerance))
            self.sums[j] = _log_add(self.sums[j], math.log(fresh)) + step
            evidence += math.exp(min(self.sums[j] + self.shares[j], 700.0))
            self.wealth[j] += step
            if self.wealth[j] <= self.lowest[j]:
                self._set_lowest(j, self.wealth[j], self.labels + 1, self.total)
        self.log_evidence = math.log(evidence)
        self._check_alarm()

    def update_many(self, losses: Floats, weights: Floats) -> Floats:
        """Take in an array of losses, vectorised; returns ln evidence after each."""
        paths, evidence = self._paths(losses, weights)
        over = np.flatnonzero(evidence >= self.limit) if self.alarm is None else np.empty(0, np.int64)
        if len(over) and over[0] + 1 < len(losses):  # stop at the alarm, report, and go on
            cut = int(over[0]) + 1
            first = self.update_many(losses[:cut], weights[:cut])
            return np.concatenate([first, self.update_many(losses[cut:], weights[cut:])])
        self._commit(paths, evidence, np.cumsum(weights * losses))
        return evidence

    def _paths(self, losses: Floats, weights: Floats) -> tuple[list[tuple[Floats, float]], Floats]:
        """By bet, its log wealth after each loss and ln S at the end; and ln evidence after each loss."""
        weights_left = weight_left(self.labels + np.arange(len(losses) + 1.0), self.tolerance)
        fresh = np.log(weights_left[:-1] - weights_left[1:]) if self.forever else np.zeros(len(losses))
        evidence = np.log(weights_left[1:]) if self.forever else np.full(len(losses), -np.inf)
        paths, gains = [], weights * (losses - self.tolerance)
        for j, bet in enumerate(self.bets):
            path = np.cumsum(np.log1p(bet * gains))
            earlier = np.concatenate(([0.0], path[:-1]))
            entered = np.logaddexp.accumulate(np.concatenate(([self.sums[j]], fresh - earlier)))[1:]
            sums = entered + path
            evidence = np.logaddexp(evidence, sums + self.shares[j])
            paths.append((path, float(sums[-1])))
        return paths, evidence

    def _commit(self, paths: list[tuple[Floats, float]], evidence: Floats, totals: Floats) -> None:
        for j, (path, last) in enumerate(paths):
            low = len(path) - 1 - int(np.argmin(path[::-1]))
            if self.wealth[j] + path[low] <= self.lowest[j]:
                since = self.labels + low + 2
                self._set_lowest(j, self.wealth[j] + float(path[low]), since, self.total + float(totals[low]))
            self.sums[j] = last
            self.wealth[j] += float(path[-1])
        self.labels += len(totals)
        self.total += float(totals[-1])
        self.log_evidence = float(evidence[-1])
        self._check_alarm()

    def _set_lowest(self, j: int, wealth: float, since: int, before: float) -> None:
        self.lowest[j], self.since[j], self.before[j] = wealth, since, before

    def _weight_left(self, labels: int) -> float:
        return 1 / (1 + math.log1p(labels * (self.tolerance / _SETTLING_LOSSES)))

    def _check_alarm(self) -> None:
        if self.alarm is None and self.log_evidence >= self.limit:
            best = max(range(len(RISK_MULTIPLES)), key=lambda j: self.wealth[j] - self.lowest[j])
            since, losses = self.since[best], self.total - self.before[best]
            mean_loss = losses / max(self.labels - since + 1, 1)
            evidence = math.exp(min(self.log_evidence, 700.0))
            self.alarm = Alarm(self.labels, evidence, since, mean_loss, self.tolerance, self.name)

    def bound(self, confidence: float) -> float:
        """Upper bound on the mean risk so far that holds at all times at once."""
        return anytime_upper(self.total / self.largest, self.labels, confidence) * self.largest

    def to_json(self) -> dict[str, JsonValue]:
        """The whole state, as plain JSON values."""
        return {**asdict(self), "sums": [None if x == -math.inf else x for x in self.sums]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The line that `to_json` wrote."""
        alarm = record["alarm"]
        sums = [-math.inf if x is None else float(x) for x in record["sums"]]
        return cls(**{**record, "sums": sums, "alarm": None if alarm is None else Alarm(**alarm)})


def anytime_upper(total: float, labels: int, confidence: float) -> float:
    """Upper bound on the average risk, valid at all times at once, from a sum of losses in [0, 1].

    With probability `confidence` the average of the conditional means so far never exceeds it, even if the risk
    drifts. A mixture over tilts a < 0 of exp(a total) / (1 - m + m exp(a))^labels is an e-process for the
    true average m (the logarithm is concave in each mean). Howard et al. (1810.08240), sub-Bernoulli case.

    >>> round(anytime_upper(0.0, 1000, 0.95), 4)
    0.0043
    """
    need = math.log(len(_TILTS)) - math.log(1 - confidence)

    fixed, slopes = _TILTS * total, np.expm1(_TILTS)

    def refuted(mean: float) -> bool:
        logs = fixed - labels * np.log1p(mean * slopes)
        top = float(logs.max())
        return top + math.log(float(np.exp(logs - top).sum())) > need

    if not refuted(1.0):
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (low, middle) if refuted(middle) else (middle, high)
    return high


def _log_add(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high + math.log1p(math.exp(low - high))


class Watch:
    """A promise together with the evidence against it.

    While the conditional risk of what is reviewed keeps the tolerance, P(`alarm` ever) <= 1 - confidence,
    whenever and however often one looks. What is reviewed must be a random share of what is released. With
    slices, half of the allowed error is for all losses together, the rest is shared by the slices.

    run_length: instead, alarm sooner, and falsely after this many labels on average or more.
    max_weight: the largest importance weight (1 / chance of being reviewed, up to a factor).

    >>> watch = Watch(tolerance=0.02, confidence=0.95)
    >>> watch.update_many([0.0, 0.0, 0.0, 1.0] * 25)
    >>> print(watch.alarm)
    withdrawn at label 28: mean loss 28% since label 4, promised at most 2% (evidence 21 to 1)
    """

    def __init__(
        self,
        certificate: Certificate | None = None,
        *,
        tolerance: float | None = None,
        confidence: float | None = None,
        slices: Sequence[str] = (),
        run_length: float | None = None,
        max_weight: float = 1.0,
    ) -> None:
        self._certificate = certificate
        self.tolerance, self.confidence = _promise(certificate, tolerance, confidence)
        self.run_length, self.max_weight, self.slices = run_length, float(max_weight), tuple(slices)
        _refuse_nonsense(run_length, max_weight, self.slices)
        self.history: list[tuple[int, float]] = []  # (labels, evidence) of all losses, thinned out
        self._stride = 1
        self._whole = self._new_line("")
        self._lines = {name: self._new_line(name) for name in self.slices}

    def _new_line(self, name: str) -> EvidenceLine:
        limit = math.log(self.run_length) if self.run_length else -math.log(1 - self.confidence)
        if self.slices:
            limit += math.log(2) if name == "" else math.log(2 * len(self.slices))
        return EvidenceLine(name, self.tolerance, limit, self.run_length is None, self.max_weight)

    def update(self, loss: float, weight: float = 1.0, slice: str | None = None) -> None:
        """Record one reviewed loss."""
        if not 0 <= loss <= 1:
            raise DataError(f"loss {loss} is outside [0, 1]; divide by the largest possible loss first")
        if not 0 < weight <= self.max_weight:
            raise DataError(
                f"weight {weight} is outside (0, {self.max_weight:g}]; open the watch with a larger max_weight"
            )
        line = self._line_of(slice)
        self._whole.update(loss, weight)
        if line is not None:
            line.update(loss, weight)
        if self._whole.labels % self._stride == 0:
            self._record_point(self._whole.labels, self._whole.log_evidence)

    def update_many(
        self, losses: ArrayLike, weights: ArrayLike | None = None, slices: Sequence[str] | None = None
    ) -> None:
        """Take in losses in the order of their review; the result is the same as one by one."""
        values = np.atleast_1d(np.asarray(losses, np.float64))
        weight_column = np.ones_like(values) if weights is None else np.asarray(weights, np.float64)
        self._refuse_arrays(values, weight_column, slices)
        if not len(values):
            return
        names = np.asarray(slices) if slices is not None else None
        for name in dict.fromkeys([] if names is None else names.tolist()):
            self._line_of(name)
        first = self._whole.labels
        evidence = self._whole.update_many(values, weight_column)
        for name in dict.fromkeys([] if names is None else names.tolist()):
            rows = names == name
            self._lines[name].update_many(values[rows], weight_column[rows])
        for index in range(-(first + 1) % self._stride, len(values), self._stride):
            self._record_point(first + index + 1, float(evidence[index]))

    def _refuse_arrays(self, losses: Floats, weights: Floats, slices: Sequence[str] | None) -> None:
        if (
            losses.ndim != 1
            or weights.shape != losses.shape
            or (slices is not None and len(slices) != len(losses))
        ):
            raise DataError(
                f"{losses.shape} losses came with {weights.shape} weights; expected one weight and one slice per loss"
            )
        if not ((losses >= 0) & (losses <= 1)).all():
            raise DataError("a loss is outside [0, 1] or missing; divide by the largest possible loss first")
        if not ((weights > 0) & (weights <= self.max_weight)).all():
            raise DataError(
                f"a weight is outside (0, {self.max_weight:g}]; open the watch with a larger max_weight"
            )

    def _line_of(self, slice: str | None) -> EvidenceLine | None:
        if slice is None:
            return None
        if slice not in self._lines:
            raise DataError(f'slice "{slice}" is not watched. {hint(slice, self.slices)}')
        return self._lines[slice]

    def _record_point(self, labels: int, log_evidence: float) -> None:
        if labels % self._stride:
            return
        self.history.append((labels, math.exp(min(log_evidence, 700.0))))
        if len(self.history) > _MAX_POINTS:
            self._stride *= 2
            self.history = [point for point in self.history if point[0] % self._stride == 0]

    @property
    def labels(self) -> int:
        """The number of losses recorded so far."""
        return self._whole.labels

    @property
    def evidence(self) -> float:
        """The e-value against the promise; 20 means odds of 20 to 1 against its still being true."""
        return math.exp(min(self._whole.log_evidence, 700.0))

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms so far, that of all losses first."""
        return tuple(line.alarm for line in self.all_lines if line.alarm)

    @property
    def alarm(self) -> Alarm | None:
        """The alarm of all losses, else the first of a slice; None while the promise stands."""
        return self.alarms[0] if self.alarms else None

    @property
    def lines(self) -> dict[str, EvidenceLine]:
        """The evidence of each slice, by name."""
        return dict(self._lines)

    @property
    def all_lines(self) -> tuple[EvidenceLine, ...]:
        """The evidence of all losses together, then that of each slice."""
        return (self._whole, *self._lines.values())

    def restart(self, slice: str) -> None:
        """Begin a slice's evidence anew, without its alarm; the promise about false alarms counts from here again."""
        self._line_of(slice)
        self._lines[slice] = self._new_line(slice)

    @property
    def bound(self) -> float:
        """Upper bound on the mean risk of all that was reviewed, at the watch's confidence, at all times at once."""
        return min(1.0, self._whole.bound(self.confidence)) if self.labels else 1.0

    @property
    def certificate(self) -> Certificate | None:
        """The certificate while it stands; withdrawn (scope "nothing", with the reason) after an alarm."""
        if self._certificate is None or self.alarm is None:
            return self._certificate
        return replace(
            self._certificate,
            scope="nothing",
            threshold=None,
            coverage=0.0,
            risk_bound=None,
            released=0,
            advice=(str(self.alarm),),
        )

    def to_json(self) -> dict[str, JsonValue]:
        """The whole state, as plain JSON values."""
        return {
            "certificate": None if self._certificate is None else self._certificate.to_json(),
            "tolerance": self.tolerance,
            "confidence": self.confidence,
            "slices": list(self.slices),
            "run_length": self.run_length,
            "max_weight": self.max_weight,
            "history": [list(point) for point in self.history],
            "stride": self._stride,
            "lines": [line.to_json() for line in self.all_lines],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The watch that `to_json` wrote."""
        try:
            certificate = record["certificate"]
            options = {
                key: record[key] for key in ("tolerance", "confidence", "slices", "run_length", "max_weight")
            }
            watch = cls(None if certificate is None else Certificate.from_json(certificate), **options)
            watch.history = [(int(labels), float(evidence)) for labels, evidence in record["history"]]
            watch._stride = int(record["stride"])
            lines = [EvidenceLine.from_json(line) for line in record["lines"]]
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError | OptionError):
                raise
            raise DataError(
                f"this is not the record of a watch: {error!r}; expected what `to_json` wrote"
            ) from None
        watch._whole, watch._lines = lines[0], {line.name: line for line in lines[1:]}
        return watch


def _promise(
    certificate: Certificate | None, tolerance: float | None, confidence: float | None
) -> tuple[float, float]:
    """The tolerance and confidence to watch: the arguments, else the certificate's (confidence else 95%)."""
    if certificate is None and tolerance is None:
        raise OptionError("nothing to watch: give a certificate, or tolerance= and confidence=")
    watched = tolerance if tolerance is not None else certificate.tolerance if certificate else 0.0
    level = confidence if confidence is not None else certificate.confidence if certificate else 0.95
    if not 0 < watched < 1:
        raise OptionError(f"tolerance is {watched}; expected a share above 0 and below 1, e.g. 0.02")
    if not 0 < level < 1:
        raise OptionError(f"confidence is {level}; expected a probability between 0 and 1, e.g. 0.95")
    return float(watched), float(level)


def _refuse_nonsense(run_length: float | None, max_weight: float, slices: tuple[str, ...]) -> None:
    if run_length is not None and not run_length > 1:
        raise OptionError(f"run_length is {run_length}; expected labels between false alarms, e.g. 10000")
    if not 0 < max_weight < math.inf:
        raise OptionError(f"max_weight is {max_weight}; expected the largest weight a loss may have, e.g. 10")
    if len(set(slices)) < len(slices) or "" in slices:
        raise OptionError(f"slices {slices} must be different, non-empty names")
