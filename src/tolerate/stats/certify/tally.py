"""0/1 losses of rows that stand alone: a certificate from counts, wherever the rows are.

A `Source` answers three questions about its rows with whole numbers: how many lie in which cell of scores
(`look`), how many rows and errors each slice has above an edge (`by_slice`), and the same for a part of
the slices (`only`, `without`). `Rows` answers from memory, `tolerate.data.partition` from many files, by several
workers or machines. The numbers are the same to the last digit, and so is the certificate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import DataError
from tolerate.records import Floats
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.certify.counts import MISSING, Counts, Ints, Losses, Zoom, exactly, look, refined
from tolerate.stats.certify.first_test import History
from tolerate.stats.certify.prefixes import Found, Tolerances, walk_rows
from tolerate.stats.certify.ranked import Ranked, ranked, threshold_above
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.totals import EVERY_ROW

Line = dict[str, Any]
FEW = 1 << 17  # rows in memory up to which a sort is as quick as counting
NO_RANKS = np.array([], np.int64)
NO_ROW = float("inf")  # the edge of the rule that releases nothing


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


BySlice = dict[str, SliceCount]


class Source(Protocol):
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
        """Whether clusters were given (each row has its own)."""
        ...

    @property
    def sha256(self) -> str | None:
        """Of the data."""
        ...

    def look(self, zoom: Zoom | None) -> Counts:
        """Counts of all rows, by first cells or inside a zoom."""
        ...

    def by_slice(self, edge: float) -> BySlice:
        """Rows and errors of every slice, in the order of their names, and those above the edge."""
        ...

    def only(self, slice: str) -> Self:
        """The rows of one slice."""
        ...

    def without(self, slice: str) -> Self:
        """The rows of all other slices."""
        ...


@dataclass(frozen=True)
class Rows:
    """A source in memory."""

    given: Sample

    @property
    def names(self) -> dict[str, str]:
        return self.given.names

    @property
    def losses(self) -> tuple[str, ...]:
        return tuple(self.given.losses)

    @property
    def sliced(self) -> bool:
        return self.given.slices is not None

    @property
    def named_clusters(self) -> bool:
        return self.given.named_clusters

    @property
    def sha256(self) -> str | None:
        return self.given.sha256

    def look(self, zoom: Zoom | None) -> Counts:
        scores = self.given.scores
        if scores is None:
            scores = np.full(len(self.given), MISSING)
        if zoom is None and len(scores) <= FEW:
            return exactly(scores, self.given.losses)
        return look(scores, self.given.losses, zoom)

    def by_slice(self, edge: float) -> BySlice:
        assert self.given.slices is not None
        return slice_counts(self.given.slices, self.given.scores, self.given.losses, edge)

    def only(self, slice: str) -> Self:
        assert self.given.slices is not None
        return type(self)(self.given.part(self.given.slices.astype(str) == slice))

    def without(self, slice: str) -> Self:
        assert self.given.slices is not None
        return type(self)(self.given.part(self.given.slices.astype(str) != slice))


def slice_counts(slices: NDArray[Any], scores: NDArray[Any] | None, losses: Losses, edge: float) -> BySlice:
    """Rows and errors of every slice of some rows, and those above the edge."""
    names, at = np.unique(slices.astype(str), return_inverse=True)
    return coded_counts([str(name) for name in names], at.ravel(), scores, losses, edge)


def coded_counts(
    names: Sequence[str], at: NDArray[Any], scores: NDArray[Any] | None, losses: Losses, edge: float
) -> BySlice:
    """The same, of rows whose slices are places in a list of names."""
    out = above(edge, len(at), scores)
    rows, released = (np.bincount(some, minlength=len(names)).tolist() for some in (at, at[out]))
    wrong, gone = {}, {}
    for loss, column in losses.items():
        bad = column.astype(bool, copy=False)
        wrong[loss] = np.bincount(at[bad], minlength=len(names)).tolist()
        gone[loss] = np.bincount(at[bad & out], minlength=len(names)).tolist()
    return {
        name: SliceCount(
            rows[k],
            {loss: count[k] for loss, count in wrong.items()},
            released[k],
            {loss: count[k] for loss, count in gone.items()},
        )
        for k, name in enumerate(names)
    }


def merged_slices(parts: Iterable[Mapping[str, SliceCount]]) -> BySlice:
    """The counts of all parts together, in the order of the slices' names."""
    total: BySlice = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total[name] + count if name in total else count
    return {name: total[name] for name in sorted(total)}


def above(edge: float, n: int, scores: NDArray[Any] | None) -> NDArray[np.bool_]:
    """Which of n rows lie above an edge; a missing score never does, unless every row is released."""
    if np.isnan(edge):
        return np.ones(n, bool)
    return np.zeros(n, bool) if scores is None else np.asarray(scores > edge)


class CountEvidence:
    """What a source shows: the evidence of a certificate, from counts alone."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.counts = source.look(None)
        self._ranked = ranked(self.counts)
        self.labels = self.units = len(self.counts)
        if not self.labels:
            raise DataError("there are no rows; expected one loss for each of at least one item")

    def ranked(self, ranks: Ints = NO_RANKS) -> Ranked:
        """Running totals, exact at these ranks; what was learnt is kept."""
        counts = refined(self.counts, ranks, self.source.look)
        if counts is not self.counts:
            self.counts, self._ranked = counts, ranked(counts)
        return self._ranked

    def find(self, tolerances: Tolerances, delta: float, history: History | None = None) -> Found:
        """The largest part that passes at level delta."""
        return walk_rows(self.ranked(), self.ranked, tolerances, delta, history)

    def threshold(self, found: Found) -> float | None:
        """The lowest released score, in the precision of the scores."""
        return None if found.edge is None else threshold_above(found.edge, np.dtype(self.counts.kind))

    def released(self, found: Found) -> int:
        """How many rows the rule releases."""
        if found.edge is not None:
            return int(self.ranked().above(found.edge))
        return self.labels if found.scope == "all" else 0

    def coverage(self, found: Found) -> float:
        """The share of the rows that the rule releases."""
        return self.released(found) / self.labels

    def risk_seen(self, found: Found, name: str) -> float | None:
        """The share of wrong rows among the released; None if there are none."""
        released = self.released(found)
        if not released:
            return None
        if found.edge is not None:
            return int(self.ranked().errors(name, found.edge)) / released
        return int(self.ranked().wrong[name][-1]) / released

    def slice_lines(self, found: Found, name: str, delta: float) -> list[Line]:
        """One line a slice: its labels, how many of them are released, the risk seen, and a bound on it."""
        if not self.source.sliced:
            return []
        return [
            _slice_line(slice, count, name, delta)
            for slice, count in self.source.by_slice(edge_of(found)).items()
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
        return [list(self._slices)[place] for place in np.argsort(losses, kind="stable")]

    def errors_at(self, name: str, shares: Floats) -> Floats:
        """Wrong rows in the top shares of the ranking."""
        sizes = np.ceil(shares * self.labels).astype(np.int64)
        known = self.ranked(np.maximum(self.labels - 1 - sizes, 0))
        return known.expected_errors(name, sizes)

    @property
    def scored(self) -> bool:
        """Whether any row has a score."""
        return self.counts.scored

    @cached_property
    def _slices(self) -> BySlice:
        return self.source.by_slice(NO_ROW) if self.source.sliced else {}


def edge_of(found: Found) -> float:
    """The edge above which the rule releases."""
    if found.edge is not None:
        return found.edge
    return EVERY_ROW if found.scope == "all" else NO_ROW


def _slice_line(slice: str, count: SliceCount, name: str, delta: float) -> Line:
    wrong = count.released_wrong[name]
    some = count.released > 0
    return {
        "name": slice,
        "labels": count.rows,
        "released": count.released,
        "risk_seen": wrong / count.released if some else None,
        "risk_bound": float(binomial_upper(wrong, count.released, 1 - delta)) if some else None,
    }
