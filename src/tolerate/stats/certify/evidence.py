"""Evidence of a labelled sample about what a rule releases: for every loss, and for every slice.

`SampleEvidence` is what a certificate needs. Independent rows with 0/1 losses answer by counts
(`tally.CountEvidence`); clusters, graded losses and weights are answered here, from the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from tolerate.records import Floats
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.certify.clusters import find_by_clusters
from tolerate.stats.certify.first_test import History
from tolerate.stats.certify.prefixes import ReleaseRule, Tolerances, find_by_bets
from tolerate.stats.certify.ranked import missing_as_lowest, threshold_above
from tolerate.stats.certify.samples import Sample, is_binary
from tolerate.stats.certify.tally import (
    CountEvidence,
    CountSource,
    MemorySource,
    SliceLine,
    edge_of,
    released_mask,
)
from tolerate.stats.certify.totals import RELEASE_ALL_EDGE, unit_totals


class LossLine(TypedDict):
    """A certificate's line on one loss."""

    name: str
    tolerance: float
    risk_seen: float | None
    risk_bound: float | None


class SampleEvidence(Protocol):
    """Protocol of the evidence that a certificate needs from the labelled sample."""

    @property
    def labels(self) -> int:
        """The number of labelled items."""
        ...

    @property
    def units(self) -> int:
        """Independent sampling units among them."""
        ...

    def find(self, tolerances: Tolerances, delta: float, history: History | None = None) -> ReleaseRule:
        """The largest part that passes at level delta."""
        ...

    def threshold(self, rule: ReleaseRule) -> float | None:
        """The lowest released score."""
        ...

    def released(self, rule: ReleaseRule) -> int:
        """The number of rows that the rule releases."""
        ...

    def coverage(self, rule: ReleaseRule) -> float:
        """The (weighted) share of the rows that the rule releases."""
        ...

    def risk_seen(self, rule: ReleaseRule, name: str) -> float | None:
        """The (weighted) mean loss of the released; None if there are none."""
        ...

    def slice_lines(self, rule: ReleaseRule, name: str, delta: float) -> list[SliceLine]:
        """The certificate's lines, one a slice: its labels, how many are released, the risk seen, and a bound on it.

        Each bound holds by itself with the certificate's confidence; together they are not promised.
        """
        ...

    def only(self, slice: str) -> "SampleEvidence":
        """The evidence of one slice."""
        ...

    def without(self, slice: str) -> "SampleEvidence | None":
        """The evidence of all other slices; None if there are none."""
        ...

    def worst_slices(self) -> list[str]:
        """Names of slices, the one with the most summed loss first."""
        ...

    def errors_at(self, name: str, shares: Floats) -> Floats:
        """Summed losses in the top shares of the ranking."""
        ...

    @property
    def scored(self) -> bool:
        """Whether any row has a score."""
        ...


def evidence_of(data: Sample | CountSource, seed: int = 0, largest: float | None = None) -> SampleEvidence:
    """The evidence of a sample or a source, of the class that fits it."""
    if not isinstance(data, Sample):
        return CountEvidence(data)
    if data.clusters is None and data.weights is None and data.binary:
        return CountEvidence(MemorySource(data))
    return RowEvidence(data, seed, largest)


@dataclass(frozen=True)
class RowEvidence:
    """Evidence of clusters, graded losses or weights, from the rows themselves."""

    sample: Sample
    seed: int
    largest: float | None

    @property
    def labels(self) -> int:
        return len(self.sample)

    @property
    def units(self) -> int:
        return self.sample.units

    @property
    def scored(self) -> bool:
        return self.sample.scores is not None

    def find(self, tolerances: Tolerances, delta: float, history: History | None = None) -> ReleaseRule:
        rng = np.random.default_rng(self.seed)
        if self.sample.clusters is not None:
            return find_by_clusters(self.sample, tolerances, delta, rng, self.largest)
        return find_by_bets(self.sample, tolerances, delta, history, rng, self.largest)

    def threshold(self, rule: ReleaseRule) -> float | None:
        if rule.edge is None or self.sample.scores is None:
            return None
        return threshold_above(rule.edge, self.sample.scores.dtype)

    def released(self, rule: ReleaseRule) -> int:
        return int(np.count_nonzero(self._rows(rule)))

    def coverage(self, rule: ReleaseRule) -> float:
        rows, weights = self._rows(rule), self.sample.weights
        return float(rows.mean() if weights is None else weights @ rows / weights.sum())

    def risk_seen(self, rule: ReleaseRule, name: str) -> float | None:
        return _mean_loss(self.sample, name, self._rows(rule))

    def slice_lines(self, rule: ReleaseRule, name: str, delta: float) -> list[SliceLine]:
        rows = self._rows(rule)
        lines: list[SliceLine] = []
        for label, inside in self._slices():
            released = inside & rows
            part = self.sample.part(released)
            lines.append(
                {
                    "name": label,
                    "labels": int(inside.sum()),
                    "released": int(released.sum()),
                    "risk_seen": _mean_loss(self.sample, name, released),
                    "risk_bound": self._bound(part, name, delta) if released.any() else None,
                }
            )
        return lines

    def only(self, slice: str) -> SampleEvidence:
        return evidence_of(self.sample.part(self._slice_names() == slice), self.seed, self.largest)

    def without(self, slice: str) -> SampleEvidence | None:
        others = self._slice_names() != slice
        return evidence_of(self.sample.part(others), self.seed, self.largest) if others.any() else None

    def worst_slices(self) -> list[str]:
        if self.sample.slices is None:
            return []
        names, codes = np.unique(self._slice_names(), return_inverse=True)
        losses = next(iter(self.sample.losses.values()))
        summed = np.bincount(codes.ravel(), weights=losses, minlength=len(names))
        return [str(names[code]) for code in np.argsort(-summed, kind="stable")]

    def errors_at(self, name: str, shares: Floats) -> Floats:
        order = np.argsort(-missing_as_lowest(self.sample), kind="stable")
        summed = np.concatenate([[0.0], np.cumsum(self.sample.losses[name][order])])
        return np.asarray(summed[np.ceil(shares * self.labels).astype(np.int64)])

    def _rows(self, rule: ReleaseRule) -> NDArray[np.bool_]:
        return released_mask(edge_of(rule), self.labels, self.sample.scores)

    def _slice_names(self) -> NDArray[np.str_]:
        assert self.sample.slices is not None
        return self.sample.slices.astype(str)

    def _slices(self) -> list[tuple[str, NDArray[np.bool_]]]:
        if self.sample.slices is None:
            return []
        names, codes = np.unique(self._slice_names(), return_inverse=True)
        return [(str(name), codes.ravel() == code) for code, name in enumerate(names)]

    def _bound(self, part: Sample, name: str, delta: float) -> float:
        """Upper bound on the risk of the population that these rows are a sample of."""
        losses = part.losses[name]
        if part.clusters is None and part.weights is None and is_binary(losses):
            return float(binomial_upper(losses.sum(), len(losses), 1 - delta))
        units = unit_totals(part, np.random.default_rng(self.seed), self.largest)
        low, high = 0.0, 1.0
        for _ in range(24):
            middle = (low + high) / 2
            rejected = units.refuted(name, RELEASE_ALL_EDGE, middle, delta)
            low, high = (low, middle) if rejected else (middle, high)
        return high


def loss_lines(
    evidence: SampleEvidence, rule: ReleaseRule, tolerances: Mapping[str, float], sharper: float | None
) -> list[LossLine]:
    """The certificate's lines, one a loss: its mean among the released, and what is proven of it."""
    anything = evidence.released(rule) > 0
    single = len(tolerances) == 1
    return [
        {
            "name": name,
            "tolerance": tolerance,
            "risk_seen": evidence.risk_seen(rule, name),
            "risk_bound": None if not anything else sharper if single and sharper is not None else tolerance,
        }
        for name, tolerance in tolerances.items()
    ]


def certified_slices(
    evidence: SampleEvidence, lines: list[SliceLine], tolerances: Mapping[str, float], delta: float
) -> list[SliceLine]:
    """The lines with a threshold of each slice's own; all of them hold at once (Bonferroni)."""
    certified: list[SliceLine] = []
    for line in lines:
        part = evidence.only(line["name"])
        rule = part.find(tolerances, delta / len(lines))
        certified.append(
            {
                **line,
                "scope": rule.scope,
                "threshold": part.threshold(rule),
                "coverage": part.released(rule) / part.labels,
            }
        )
    return certified


def _mean_loss(sample: Sample, name: str, rows: NDArray[np.bool_]) -> float | None:
    """The weighted mean of a loss over some rows; None if there are none."""
    if sample.weights is None:
        count = int(np.count_nonzero(rows))
        return float(sample.losses[name] @ rows / count) if count else None
    total = float(sample.weights @ rows)
    return float((sample.losses[name] * sample.weights) @ rows / total) if total else None
