"""Detect drift of scores from the certified ones: a bet against exchangeability, without any label.

A certificate holds for the population it was drawn from. If the scores that arrive and the scores of the certified
sample are exchangeable, the rank of each new score among all before it (ties broken at random) is uniform and
independent of the earlier ranks, whatever the distribution. Bets on ranks that pay nothing on average make a test
martingale (Vovk, Gammerman and Shafer 2005, chapter 7; Volkhonskiy et al. 1706.03415). As in `watch`, a new
bettor begins at every score with its own small part of the capital, so that a late change is noticed soon; the weights
of the beginnings sum to 1, so that the sum is an e-process and, by Ville's inequality,

    P(evidence ever reaches 1 / level) <= level        while scores are exchangeable.

Scores are compared by place on a scale of a few steps. The steps come from one random half of the certified sample and
the counts from the other half: steps that depend on the counts would break the exchangeability.

It cannot tell whether anything became *wrong*. Scores may change while the risk does not, and the other way
round.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.ma  # NumPy loads these at their first use: a running service would grow by them
from numpy.random import default_rng
from numpy.typing import ArrayLike, NDArray

from tolerate.base.json_types import JsonValue
from tolerate.errors import DataError
from tolerate.records import Certificate

Floats = NDArray[np.float64]
Band = tuple[float | None, float | None]  # scores above the first, up to and with the second; None is no end

MAX_STEPS = 20  # of the scale, at most
MIN_SCORES = 100  # scores without which there is nothing to compare with
MAX_SCORES = 20_000  # scores of a certified sample that are used
LEARNING_SCORES = 1000  # scores of the traffic that stand in for a certified sample, where there is none
MIN_RECENT_SCORES = 50  # scores since the change before which no alarm sounds
RECHECK_SCORES = 200  # after a detection, bands are looked for again after so many scores
RECHECK_ERRORS = 4.0  # standard errors by which a step must then exceed its certified share
EXCESS_RATIO = 1.25  # a step is held if its share is so many times the certified one, and clearly so
_SETTLING_SCORES = 200.0  # beginnings are spent on a scale of this many scores
_TILTS = (-0.9, -0.5, 0.5, 0.9)  # bets that ranks moved down or up
_BENDS = (-0.8, 0.8, 1.6)  # bets that they moved to the middle or to the ends
_CELLS, _MEMORY_SCORES = 10, 200  # the last bettor follows the ranks of about so many scores
_BETTORS = len(_TILTS) + len(_BENDS) + 1


@dataclass(frozen=True)
class Reference:
    """The distribution of certified scores: the steps of a scale, and the number of scores on each.

    edges: the largest score of each step but the last, increasing. counts: [len(edges) + 2], the first of missing
    scores.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def step_of(self, score: float | None) -> int:
        """The step of a score; 0 if it is missing.

        >>> steps = Reference((0.2, 0.5), (0, 1, 1, 1))
        >>> [steps.step_of(score) for score in (None, 0.2, 0.3, 0.9)]
        [0, 1, 2, 3]
        """
        return 0 if score is None or score != score else 1 + bisect_left(self.edges, score)

    def band(self, step: int) -> Band:
        """The scores of a step other than the missing ones."""
        low = None if step == 1 else self.edges[step - 2]
        return low, None if step > len(self.edges) else self.edges[step - 1]

    def to_json(self) -> dict[str, JsonValue]:
        """The reference as plain JSON values."""
        return {"edges": list(self.edges), "counts": list(self.counts)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The reference that `to_json` wrote."""
        try:
            edges = tuple(float(edge) for edge in record["edges"])
            reference = cls(edges, tuple(int(count) for count in record["counts"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"these are no certified scores: {error!r}; expected edges and counts") from None
        if (
            len(reference.counts) != len(edges) + 2
            or list(edges) != sorted(set(edges))
            or min(reference.counts) < 0
        ):
            raise DataError(
                f"{len(edges)} edges came with {len(reference.counts)} counts; "
                "expected increasing edges and two more counts"
            )
        return reference


def reference_of(scores: ArrayLike, *, seed: int = 0) -> Reference | None:
    """The scores of a certified sample as a reference; None if they are too few.

    >>> reference_of(np.linspace(0, 1, 1000)).counts[:4]
    (0, 25, 24, 9)
    """
    values = np.asarray(scores, np.float64)
    if len(values) < MIN_SCORES:
        return None
    chosen = default_rng([seed, 3]).choice(len(values), min(len(values), MAX_SCORES), replace=False)
    half = len(chosen) // 2
    edges = _edges(values[chosen[:half]])
    counted = values[chosen[half:]]
    places = np.where(np.isnan(counted), 0, 1 + np.searchsorted(edges, counted, "left"))
    counts = np.bincount(places, minlength=len(edges) + 2)
    return Reference(tuple(edges.tolist()), tuple(counts.tolist()))


def with_scores(
    certificate: Certificate,
    scores: ArrayLike | None,
    clusters: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Certificate:
    """The certificate with the distribution of its sample's scores (`options.scores`), for a service to watch.

    Of each cluster one score counts. Unchanged where the sample is not a plain one (weights) or has too few scores.
    """
    if scores is None or weights is not None:
        return certificate
    values, seed = np.asarray(scores, np.float64), int(certificate.options.get("seed", 0))
    if clusters is not None:
        order = default_rng([seed, 4]).permutation(len(values))
        values = values[order[np.unique(np.asarray(clusters)[order], return_index=True)[1]]]
    reference = reference_of(values, seed=seed)
    if reference is None:
        return certificate
    return replace(certificate, options={**certificate.options, "scores": reference.to_json()})


def _edges(scores: Floats) -> Floats:
    """All distinct values if there are not too many, else quantiles."""
    finite = scores[np.isfinite(scores)]
    values: Floats = np.unique(finite)
    if len(values) > MAX_STEPS:
        values = np.unique(np.quantile(finite, np.arange(1, MAX_STEPS) / MAX_STEPS, method="higher"))
    return values


@dataclass
class Drift:
    """The evidence that scores moved away from a reference. With none, the first `LEARNING_SCORES` scores make one.

    level: the chance of ever a false detection. gap: the smallest change that counts, as the largest difference of
    the two distribution functions (0 to 1): a small one proves to be real sooner or later and matters little.

    >>> rng = np.random.default_rng(0)
    >>> drift = Drift(reference_of(rng.random(2000)))
    >>> drift.update(rng.random(3000), rng.random(3000))
    False
    >>> drift.update(rng.random(400) ** 2, rng.random(400))
    True
    >>> drift.recent_gap > 0.2, drift.items < 3400
    (True, True)
    """

    reference: Reference | None
    level: float = 0.05
    gap: float = 0.1
    items: int = 0
    detected: bool = False  # the key "found" in JSON
    log_evidence: float = 0.0
    learning: list[float | None] = field(default_factory=list)
    past: list[int] = field(
        default_factory=list
    )  # how many scores stood on each step, the certified ones included
    sums: list[float] = field(default_factory=lambda: [0.0] * _BETTORS)
    wealth: list[float] = field(default_factory=lambda: [0.0] * _BETTORS)  # ln, since the beginning
    lowest: list[float] = field(default_factory=lambda: [0.0] * _BETTORS)
    before: list[list[int]] = field(default_factory=list)  # per bettor: `past` at its lowest point
    cells: list[float] = field(default_factory=lambda: [1.0] * _CELLS)  # of recent ranks, fading
    later: list[int] = field(
        default_factory=list
    )  # after the detection: scores on each step since `next_bands`

    def __post_init__(self) -> None:
        if self.reference is not None and not self.past:
            self._begin(self.reference)

    def _begin(self, reference: Reference) -> None:
        self.reference, self.past = reference, list(reference.counts)
        self.before = [list(self.past) for _ in range(_BETTORS)]
        self.later = [0] * len(self.past)

    def update(self, scores: Iterable[float | None], ties: Iterable[float]) -> bool:
        """Take in scores (None or NaN: missing) with a random number in [0, 1) each; True if they reveal a change.

        After a detection, further scores are only counted, for `next_bands`.
        """
        before = self.detected
        for score, tie in zip(scores, ties, strict=True):
            if self.reference is None:
                self._learn(score)
            elif self.detected:
                self.later[self.reference.step_of(score)] += 1
            else:
                self._add(self.reference.step_of(score), tie)
        return self.detected and not before

    def _learn(self, score: float | None) -> None:
        self.learning.append(None if score is None or score != score else float(score))
        if len(self.learning) >= LEARNING_SCORES:
            reference = reference_of([math.nan if s is None else s for s in self.learning])
            assert reference is not None
            self._begin(reference)
            self.learning = []

    def _add(self, step: int, tie: float) -> None:
        """Take in the step of one score: its rank, every bettor's gain, and the sum over all beginnings."""
        below, equal = sum(self.past[:step]), self.past[step] + 1
        rank = (below + float(tie) * equal) / (self.items + self._certified + 1)
        before, after = _weight_left(self.items), _weight_left(self.items + 1)
        self.past[step] += 1
        self.items += 1
        evidence = after
        for j, gain in enumerate(self._gains(rank)):
            self.sums[j] = (self.sums[j] + before - after) * gain
            evidence += self.sums[j] / _BETTORS
            self.wealth[j] += math.log(gain)
            if self.wealth[j] <= self.lowest[j]:
                self.lowest[j], self.before[j] = self.wealth[j], list(self.past)
        self.log_evidence = math.log(evidence)
        self.detected = self.log_evidence >= -math.log(self.level) and self._gap_is_large()

    @property
    def _certified(self) -> int:
        return 0 if self.reference is None else sum(self.reference.counts)

    def _gains(self, rank: float) -> list[float]:
        """What each bettor's wealth is multiplied with; on average 1 for a uniform rank."""
        tilt, bend = 2 * rank - 1, 6 * rank * (rank - 1) + 1
        cell = min(int(rank * _CELLS), _CELLS - 1)
        followed = 0.5 + 0.5 * _CELLS * self.cells[cell] / sum(self.cells)
        self.cells = [weight * (1 - 1 / _MEMORY_SCORES) for weight in self.cells]
        self.cells[cell] += 1.0
        return [*(1 + b * tilt for b in _TILTS), *(1 + b * bend for b in _BENDS), followed]

    def _gap_is_large(self) -> bool:
        recent = self.recent
        return sum(recent) >= MIN_RECENT_SCORES and self.recent_gap >= self.gap

    @property
    def evidence(self) -> float:
        """The e-value against the scores' being like the certified ones; 20 means odds of 20 to 1."""
        return math.exp(min(self.log_evidence, 700.0))

    @property
    def recent(self) -> list[int]:
        """Scores on each step since the change most likely began."""
        if self.reference is None:
            return []
        best = max(range(_BETTORS), key=lambda j: self.wealth[j] - self.lowest[j])
        return [count - earlier for count, earlier in zip(self.past, self.before[best], strict=True)]

    @property
    def recent_gap(self) -> float:
        """The largest difference of the distribution functions of recent and certified scores; 0 without any."""
        recent = self.recent
        if not sum(recent) or self.reference is None:
            return 0.0
        return gap_of(recent, self.reference.counts)

    def bands(self) -> tuple[list[Band], bool]:
        """Bands of scores that are clearly more frequent than certified; and whether missing ones are."""
        return ([], False) if self.reference is None else excess_bands(self.reference, self.recent)

    def next_bands(self) -> tuple[list[Band], bool] | None:
        """The bands that have been much too frequent since a detection, every few hundred scores; else None."""
        if self.reference is None or sum(self.later) < RECHECK_SCORES:
            return None
        bands = excess_bands(self.reference, self.later, RECHECK_ERRORS)
        self.later = [0] * len(self.later)
        return bands

    def to_json(self) -> dict[str, JsonValue]:
        """The whole state, as plain JSON values."""
        reference = None if self.reference is None else self.reference.to_json()
        fields = {"found" if name == "detected" else name: value for name, value in asdict(self).items()}
        return {**fields, "reference": reference}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The state that `to_json` wrote."""
        fields = {"detected" if name == "found" else name: value for name, value in record.items()}
        reference = record["reference"]
        fields["reference"] = None if reference is None else Reference.from_json(reference)
        return cls(**fields)


def _weight_left(items: int) -> float:
    """Weight of the beginnings not yet spent after so many scores; it never runs out."""
    return 1 / (1 + math.log1p(items / _SETTLING_SCORES))


def gap_of(counts: Sequence[int], others: Sequence[int]) -> float:
    """The Kolmogorov-Smirnov distance of two histograms on one scale.

    >>> gap_of([2, 2], [1, 3])
    0.25
    """
    shares, other_shares = np.cumsum(counts) / sum(counts), np.cumsum(others) / sum(others)
    return float(np.abs(shares - other_shares).max())


def excess_bands(reference: Reference, recent: Sequence[int], errors: float = 1.0) -> tuple[list[Band], bool]:
    """Bands of steps with more than `EXCESS_RATIO` of the certified share, by so many standard errors; and missing.

    Where there are many steps each is also tested together with its two neighbours: few scores leave gaps by chance.

    >>> excess_bands(Reference((0.2, 0.5), (0, 50, 25, 25)), [0, 20, 60, 20])
    ([(0.2, 0.5)], False)
    """
    steps, last = reference.counts, len(reference.counts) - 1
    shares = [(count + 0.5) / (sum(steps) + 0.5 * len(steps)) for count in steps]
    items, bands, reach = sum(recent), list[Band](), int(last > MAX_STEPS // 2)
    for step in range(1, last + 1):
        near = slice(max(step - reach, 1), min(step + reach, last) + 1)
        alone = _exceeds(recent[step], items, shares[step], errors)
        if alone or _exceeds(sum(recent[near]), items, sum(shares[near]), errors):
            low, high = reference.band(step)
            joined = bool(bands) and bands[-1][1] == low and low is not None
            bands[-1 if joined else len(bands) :] = [(bands[-1][0] if joined else low, high)]
    return bands, _exceeds(recent[0], items, shares[0], errors)


def _exceeds(count: int, items: int, share: float, errors: float) -> bool:
    expected = items * share
    return count > EXCESS_RATIO * expected and count - expected > errors * math.sqrt(
        expected * max(1 - share, 0.0)
    )
