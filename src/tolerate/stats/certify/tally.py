"""0/1 losses of independent rows: a certificate from counts, wherever the rows are.

A `CountSource` answers three questions about its rows with whole numbers: how many lie in which cell of scores
(`count_cells`), how many rows and errors each slice has above an edge (`by_slice`), and the same for a part of
the slices (`only`, `without`). `MemorySource` answers from memory, `tolerate.data.partition` from many files, by
several workers or machines. The numbers are the same to the last digit, and so is the certificate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NotRequired, Protocol, Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import DataError
from tolerate.records import Floats, Scope
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.certify.counts import (
    MISSING_SCORE,
    CellCounts,
    Ints,
    Losses,
    Zoom,
    count_rows,
    count_sorted,
    refine_counts,
)
from tolerate.stats.certify.first_test import History
from tolerate.stats.certify.prefixes import ReleaseRule, Tolerances, find_by_counts
from tolerate.stats.certify.ranked import Ranked, ranked, threshold_above
from tolerate.stats.certify.samples import Sample, Scores
from tolerate.stats.certify.totals import RELEASE_ALL_EDGE

MAX_SORTED_ROWS = 1 << 17  # rows in memory up to which a sort is as quick as counting
NO_RANKS = np.array([], np.int64)
RELEASE_NONE_EDGE = float("inf")  # the edge of the rule that releases nothing


class SliceLine(TypedDict):
    """A certificate's line on one slice; the last three where each slice has a threshold of its own."""

    name: str
    labels: int
    released: int
    risk_seen: float | None
    risk_bound: float | None
    scope: NotRequired[Scope]
    threshold: NotRequired[float | None]
    coverage: NotRequired[float]


@dataclass(frozen=True)
class SliceCount:
    """One slice's rows, and those above an edge; errors by loss."""

    rows: int
    wrong: dict[str, int]
    released: int
    released_wrong: dict[str, int]

    def __add__(self, other: "SliceCount") -> "SliceCount":
        return SliceCount(
            self.rows + other.rows,
            {name: count + other.wrong[name] for name, count in self.wrong.items()},
            self.released + other.released,
            {name: count + other.released_wrong[name] for name, count in self.released_wrong.items()},
        )


SliceCounts = dict[str, SliceCount]


class CountSource(Protocol):
    """Labelled rows that answer by counts."""

    @property
    def names(self) -> dict[str, str]:
        """Role -> column."""
        ...

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the losses."""
        ...

    @property
    def sliced(self) -> bool:
        """Whether rows have slices."""
        ...

    @property
    def named_clusters(self) -> bool:
        """Whether there is a column of clusters (each row has its own)."""
        ...

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the data."""
        ...

    def count_cells(self, zoom: Zoom | None) -> CellCounts:
        """Counts of all rows, by first cells or inside a zoom."""
        ...

    def by_slice(self, edge: float) -> SliceCounts:
        """Rows and errors of every slice, in the order of their names, and those above the edge."""
        ...

    def only(self, slice: str) -> Self:
        """The rows of one slice."""
        ...

    def without(self, slice: str) -> Self:
        """The rows of all other slices."""
        ...


@dataclass(frozen=True)
class MemorySource:
    """The rows of a sample in memory."""

    sample: Sample

    @property
    def names(self) -> dict[str, str]:
        return self.sample.names

    @property
    def losses(self) -> tuple[str, ...]:
        return tuple(self.sample.losses)

    @property
    def sliced(self) -> bool:
        return self.sample.slices is not None

    @property
    def named_clusters(self) -> bool:
        return self.sample.named_clusters

    @property
    def sha256(self) -> str | None:
        return self.sample.sha256

    def count_cells(self, zoom: Zoom | None) -> CellCounts:
        scores = self.sample.scores
        if scores is None:
            scores = np.full(len(self.sample), MISSING_SCORE)
        if zoom is None and len(scores) <= MAX_SORTED_ROWS:
            return count_sorted(scores, self.sample.losses)
        return count_rows(scores, self.sample.losses, zoom)

    def by_slice(self, edge: float) -> SliceCounts:
        assert self.sample.slices is not None
        return slice_counts(self.sample.slices, self.sample.scores, self.sample.losses, edge)

    def only(self, slice: str) -> Self:
        assert self.sample.slices is not None
        return type(self)(self.sample.part(self.sample.slices.astype(str) == slice))

    def without(self, slice: str) -> Self:
        assert self.sample.slices is not None
        return type(self)(self.sample.part(self.sample.slices.astype(str) != slice))


def slice_counts(
    slices: NDArray[np.generic], scores: Scores | None, losses: Losses, edge: float
) -> SliceCounts:
    """Rows and errors of every slice of some rows, and those above the edge."""
    names, codes = np.unique(slices.astype(str), return_inverse=True)
    return slice_counts_by_code([str(name) for name in names], codes.ravel(), scores, losses, edge)


def slice_counts_by_code(
    names: Sequence[str],
    codes: NDArray[np.integer],
    scores: Scores | None,
    losses: Losses,
    edge: float,
) -> SliceCounts:
    """The same, of rows whose slices are indices of a list of names."""
    mask = released_mask(edge, len(codes), scores)
    rows, released = (np.bincount(part, minlength=len(names)).tolist() for part in (codes, codes[mask]))
    wrong, released_wrong = {}, {}
    for loss, column in losses.items():
        bad = column.astype(bool, copy=False)
        wrong[loss] = np.bincount(codes[bad], minlength=len(names)).tolist()
        released_wrong[loss] = np.bincount(codes[bad & mask], minlength=len(names)).tolist()
    return {
        name: SliceCount(
            rows[k],
            {loss: count[k] for loss, count in wrong.items()},
            released[k],
            {loss: count[k] for loss, count in released_wrong.items()},
        )
        for k, name in enumerate(names)
    }


def merge_slice_counts(parts: Iterable[Mapping[str, SliceCount]]) -> SliceCounts:
    """The counts of all parts together, in the order of the slices' names."""
    total: SliceCounts = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total[name] + count if name in total else count
    return {name: total[name] for name in sorted(total)}


def released_mask(edge: float, n: int, scores: Scores | None) -> NDArray[np.bool_]:
    """[n] whether each row lies above an edge; a missing score never does, unless every row is released."""
    if np.isnan(edge):
        return np.ones(n, bool)
    return np.zeros(n, bool) if scores is None else np.asarray(scores > edge)


class CountEvidence:
    """The evidence of a certificate (`evidence.SampleEvidence`) from counts alone."""

    def __init__(self, source: CountSource) -> None:
        self.source = source
        self.counts = source.count_cells(None)
        self._ranked = ranked(self.counts)
        self.labels = self.units = len(self.counts)
        if not self.labels:
            raise DataError("there are no rows; expected one loss for each of at least one item")

    def ranked(self, ranks: Ints = NO_RANKS) -> Ranked:
        """Running totals, exact at these ranks; refined counts are stored for later calls."""
        counts = refine_counts(self.counts, ranks, self.source.count_cells)
        if counts is not self.counts:
            self.counts, self._ranked = counts, ranked(counts)
        return self._ranked

    def find(self, tolerances: Tolerances, delta: float, history: History | None = None) -> ReleaseRule:
        """The largest part that passes at level delta."""
        return find_by_counts(self.ranked(), self.ranked, tolerances, delta, history)

    def threshold(self, rule: ReleaseRule) -> float | None:
        """The lowest released score, in the precision of the scores."""
        return None if rule.edge is None else threshold_above(rule.edge, np.dtype(self.counts.kind))

    def released(self, rule: ReleaseRule) -> int:
        """The number of rows that the rule releases."""
        if rule.edge is not None:
            return int(self.ranked().above(rule.edge))
        return self.labels if rule.scope == "all" else 0

    def coverage(self, rule: ReleaseRule) -> float:
        """The share of the rows that the rule releases."""
        return self.released(rule) / self.labels

    def risk_seen(self, rule: ReleaseRule, name: str) -> float | None:
        """The share of wrong rows among the released; None if there are none."""
        released = self.released(rule)
        if not released:
            return None
        if rule.edge is not None:
            return int(self.ranked().errors(name, rule.edge)) / released
        return int(self.ranked().wrong[name][-1]) / released

    def slice_lines(self, rule: ReleaseRule, name: str, delta: float) -> list[SliceLine]:
        """The certificate's lines, one a slice: its labels, how many are released, the risk seen, and a bound on it."""
        if not self.source.sliced:
            return []
        return [
            _slice_line(slice, count, name, delta)
            for slice, count in self.source.by_slice(edge_of(rule)).items()
        ]

    def only(self, slice: str) -> "CountEvidence":
        """The evidence of one slice."""
        return CountEvidence(self.source.only(slice))

    def without(self, slice: str) -> "CountEvidence | None":
        """The evidence of all other slices; None if there are none."""
        others = [name for name in self._slices if name != slice]
        return CountEvidence(self.source.without(slice)) if others else None

    def worst_slices(self) -> list[str]:
        """Names of slices, the one with the most errors first."""
        losses = -np.array([next(iter(count.wrong.values())) for count in self._slices.values()])
        return [list(self._slices)[index] for index in np.argsort(losses, kind="stable")]

    def errors_at(self, name: str, shares: Floats) -> Floats:
        """Wrong rows in the top shares of the ranking."""
        sizes = np.ceil(shares * self.labels).astype(np.int64)
        ranked = self.ranked(np.maximum(self.labels - 1 - sizes, 0))
        return ranked.expected_errors(name, sizes)

    @property
    def scored(self) -> bool:
        """Whether any row has a score."""
        return self.counts.scored

    @cached_property
    def _slices(self) -> SliceCounts:
        return self.source.by_slice(RELEASE_NONE_EDGE) if self.source.sliced else {}


def edge_of(rule: ReleaseRule) -> float:
    """The edge above which the rule releases."""
    if rule.edge is not None:
        return rule.edge
    return RELEASE_ALL_EDGE if rule.scope == "all" else RELEASE_NONE_EDGE


def _slice_line(slice: str, count: SliceCount, name: str, delta: float) -> SliceLine:
    wrong = count.released_wrong[name]
    any_released = count.released > 0
    return {
        "name": slice,
        "labels": count.rows,
        "released": count.released,
        "risk_seen": wrong / count.released if any_released else None,
        "risk_bound": float(binomial_upper(wrong, count.released, 1 - delta)) if any_released else None,
    }
