"""Counts of rows and of errors by score: all that a certificate of 0/1 losses needs, and mergeable.

A certificate needs two things of the scores: which score has which rank, and how many rows (and errors)
lie above it. Neither needs a sort. Scores are cut into cells by the leading bits of their floating-point
numbers, which keep their order; one pass counts the rows of every cell. Only the cells that hold a requested
rank are then counted more finely, in a further pass, until each requested score has a cell of its own.

Counts are whole numbers, so the counts of any parts of the rows add up to those of all of them: in any order,
on any number of machines, to the last digit. `count_rows` reads rows, `merge_counts` adds them up, and `zoom_on` says
which cells to count next.
"""

import base64
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.base.json_types import JsonValue
from tolerate.errors import DataError

Ints = NDArray[np.int64]
Keys = NDArray[np.int64]  # whole numbers in the order of the scores that they stand for
Losses = Mapping[str, NDArray[np.generic]]

CHUNK_ROWS = 1 << 16  # rows worked on at once: they stay in the processor's cache
MAX_GATHERED_ROWS = (
    1 << 21
)  # rows of open cells that are sorted one by one; with more, cells are cut finer first
MAX_CELLS = 1 << 20  # into which open cells are cut, all together
MISSING_SCORE = -np.inf  # where rows without a score lie

# A first cell: sign, exponent and 11 leading bits of the fraction, between 2^-20 and 2^20; the numbers
# nearer to 0 share one cell, those beyond one on either side. Below all of them: the rows without a score.
_SHIFT = 41
_MAX_KEY = np.int64(np.iinfo(np.int64).max)
_NEAR_KEY = int(np.float64(2.0**-20).view(np.int64))
_FAR_KEY = int(np.float64(2.0**20).view(np.int64))
_SIDE_CELLS = (_FAR_KEY - _NEAR_KEY) >> _SHIFT  # number of cells on one side of the middle one
_MIDDLE_CELL = _SIDE_CELLS + 1
_INFINITE_KEY = int(np.float64(np.inf).view(np.int64))


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Rows and errors by cell, from the lowest scores to the highest. Cells do not overlap.

    lows, tops: [cells] the first and last key of each. rows: [cells] how many rows it holds.
    wrong: by loss, [cells] how many of them are wrong. kind: the coarsest float type that holds the scores.
    """

    lows: Keys
    tops: Keys
    rows: Ints
    wrong: dict[str, Ints]
    kind: str = "<f8"

    def __len__(self) -> int:
        """How many rows were counted."""
        return int(self.rows.sum())

    @property
    def scored(self) -> bool:
        """Whether any row has a score."""
        return bool(len(self.tops)) and int(self.tops[-1]) > int(keys_of(np.array([MISSING_SCORE]))[0])

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Mask of the cells that hold one score alone."""
        return np.asarray(self.lows == self.tops)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CellCounts) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> dict[str, JsonValue]:
        """The counts as plain JSON values: the columns are compressed."""
        columns = {"lows": self.lows, "tops": self.tops, "rows": self.rows}
        return {
            "kind": self.kind,
            **{name: _pack(column) for name, column in columns.items()},
            "wrong": {name: _pack(column) for name, column in self.wrong.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The counts that `to_json` wrote."""
        try:
            lows, tops, rows = (_unpack(record[name]) for name in ("lows", "tops", "rows"))
            wrong = {str(name): _unpack(column) for name, column in record["wrong"].items()}
            kind = str(record["kind"])
        except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
            raise DataError(f"these are no counts: {error!r}; expected what `to_json` wrote") from None
        return cls(lows, tops, rows, wrong, kind)


@dataclass(frozen=True)
class Zoom:
    """Cells to count next, and into pieces of how many keys each is cut (2^shift)."""

    lows: Keys
    tops: Keys
    shifts: Ints


def keys_of(scores: ArrayLike) -> Keys:
    """Whole numbers in the order of the scores; -0.0 and 0.0 are one.

    >>> keys = keys_of([-np.inf, -1.5, -0.0, 0.0, 1e-300, 2.0, np.inf])
    >>> bool(np.all(np.diff(keys) >= 0)), scores_of(keys).tolist()
    (True, [-inf, -1.5, 0.0, 0.0, 1e-300, 2.0, inf])
    """
    bits = (np.asarray(scores, np.float64) + 0.0).view(np.int64)
    return np.asarray(bits ^ ((bits >> 63) & _MAX_KEY))


def scores_of(keys: Keys) -> NDArray[np.float64]:
    """The scores that the keys stand for."""
    return np.asarray((keys ^ ((keys >> 63) & _MAX_KEY)).view(np.float64))


def count_rows(scores: NDArray[np.generic], losses: Losses, zoom: Zoom | None = None) -> CellCounts:
    """Count rows: by first cells, or inside the cells of a zoom.

    scores: [n] floats, NaN where missing. losses: by name, [n], 0 or 1.

    >>> counts = count_rows(np.array([0.2, 0.9, 0.9]), {"loss": np.array([1, 0, 1])})
    >>> counts.rows.tolist(), counts.wrong["loss"].tolist()
    ([1, 2], [1, 1])
    """
    return _count_first_cells(scores, losses) if zoom is None else _count_in_zoom(scores, losses, zoom)


def count_sorted(scores: NDArray[np.generic], losses: Losses) -> CellCounts:
    """Count not too many rows: they are sorted, and every distinct score is a cell of its own."""
    keys = keys_of(_doubles(scores)[0])
    wrong = {name: np.sort(keys[_wrong_mask(column)]) for name, column in losses.items()}
    keys = np.sort(keys)
    return _group_by_cell(keys, keys, wrong, scores.dtype.str)


def merge_counts(parts: Iterable[CellCounts]) -> CellCounts:
    """The counts of all parts together. Associative and commutative: whole numbers are added.

    All parts must have the same cells: the first cells, or those of the same zoom.
    """
    all_parts = list(parts)
    if not all_parts:
        raise DataError("there are no counts to add up; expected those of one part at least")
    names = list(all_parts[0].wrong)
    for part in all_parts:
        if list(part.wrong) != names:
            raise DataError(
                f"a part counts the losses {list(part.wrong)}, another {names}; expected the same"
            )
    kind = max((part.kind for part in all_parts), key=lambda kind: np.dtype(kind).itemsize)
    if len(all_parts) == 1:
        return all_parts[0]
    tops, cell = np.unique(np.concatenate([part.tops for part in all_parts]), return_inverse=True)
    lows = np.full(len(tops), _MAX_KEY)
    np.minimum.at(lows, cell, np.concatenate([part.lows for part in all_parts]))
    rows = np.concatenate([part.rows for part in all_parts])
    wrong = {name: np.concatenate([part.wrong[name] for part in all_parts]) for name in names}
    return CellCounts(
        lows,
        tops,
        _sum_by_cell(rows, cell, len(tops)),
        {name: _sum_by_cell(column, cell, len(tops)) for name, column in wrong.items()},
        kind,
    )


def zoom_on(counts: CellCounts, ranks: ArrayLike) -> Zoom | None:
    """The cells to count finer so that the scores of these ranks (0 is the lowest) are exact; None if they are."""
    cells = np.unique(np.searchsorted(np.cumsum(counts.rows), np.asarray(ranks), side="right"))
    open_cells = cells[(cells < len(counts.rows)) & ~counts.exact[np.minimum(cells, len(counts.rows) - 1)]]
    if not len(open_cells):
        return None
    rows, lows, tops = counts.rows[open_cells], counts.lows[open_cells], counts.tops[open_cells]
    light = np.zeros(len(open_cells), bool)
    order = np.argsort(rows, kind="stable")
    light[order] = np.cumsum(rows[order]) <= MAX_GATHERED_ROWS
    heavy = int(np.count_nonzero(~light))
    bits = max(1, int(np.log2(MAX_CELLS / heavy))) if heavy else 0
    wide = np.ceil(np.log2((tops - lows).astype(np.float64) + 1)).astype(np.int64)
    return Zoom(lows, tops, np.where(light, 0, np.maximum(wide - bits, 0)))


def replace_cells(counts: CellCounts, finer: CellCounts) -> CellCounts:
    """The counts with some cells replaced by the finer counts inside them."""
    position = np.searchsorted(finer.lows, counts.lows)
    first = finer.lows[np.minimum(position, len(finer.lows) - 1)]
    unchanged = ~((position < len(finer.lows)) & (first <= counts.tops))
    order = np.argsort(np.concatenate([counts.tops[unchanged], finer.tops]), kind="stable")

    def joined(old: Ints, new: Ints) -> Ints:
        return np.concatenate([old[unchanged], new])[order]

    return CellCounts(
        joined(counts.lows, finer.lows),
        joined(counts.tops, finer.tops),
        joined(counts.rows, finer.rows),
        {name: joined(column, finer.wrong[name]) for name, column in counts.wrong.items()},
        counts.kind,
    )


def refine_counts(
    counts: CellCounts, ranks: ArrayLike, count_zoom: Callable[[Zoom], CellCounts]
) -> CellCounts:
    """Counts in which each of these ranks has an exact cell; `count_zoom` counts the rows inside a zoom."""
    while (zoom := zoom_on(counts, ranks)) is not None:
        counts = replace_cells(counts, count_zoom(zoom))
    return counts


# Reading rows


def _count_first_cells(scores: NDArray[np.generic], losses: Losses) -> CellCounts:
    """Count by first cells, in one pass: a cell has a counter for every pattern of wrong and fine of two losses."""
    lows, tops = _cell_borders()
    names = list(losses)
    pairs = [names[index : index + 2] for index in range(0, len(names), 2)]
    counters_by_pair = [np.zeros((len(tops), 1 << len(pair)), np.int64) for pair in pairs]
    for part in _chunks(len(scores)):
        values, low = _doubles(scores[part])
        marks = {name: _wrong_mask(column[part]) for name, column in losses.items()}
        if low == MISSING_SCORE:  # counted apart, so that the others take the faster branch of `_first_cells`
            scored = values > MISSING_SCORE
            missing = {name: mark[~scored] for name, mark in marks.items()}
            for pair, counters in zip(pairs, counters_by_pair, strict=True):
                _add_to_counters(
                    np.zeros(len(values) - np.count_nonzero(scored), np.int64), 0, pair, missing, counters
                )
            values, marks = values[scored], {name: mark[scored] for name, mark in marks.items()}
            low = float(values.min(initial=np.inf))
        cells, lowest = _first_cells(values, low)
        for pair, counters in zip(pairs, counters_by_pair, strict=True):
            _add_to_counters(cells, lowest, pair, marks, counters)
    occupied = np.flatnonzero(counters_by_pair[0].any(axis=1))
    wrong = {}
    for pair, counters in zip(pairs, counters_by_pair, strict=True):
        patterns = counters[occupied].reshape(len(occupied), *[2] * len(pair))  # one axis a loss
        for index, name in enumerate(pair):
            others = tuple(1 + other for other in range(len(pair)) if other != index)
            wrong[name] = patterns.sum(axis=others)[:, 1]
    return CellCounts(
        lows[occupied], tops[occupied], counters_by_pair[0][occupied].sum(axis=1), wrong, scores.dtype.str
    )


def _add_to_counters(
    cells: Ints, lowest: int, pair: list[str], marks: Mapping[str, NDArray[np.bool_]], counters: Ints
) -> None:
    """Add rows to the counters of their cells and patterns."""
    pattern = cells << len(pair)
    for bit, name in enumerate(reversed(pair)):
        pattern += marks[name] if bit == 0 else marks[name].astype(np.int64) << bit
    added = np.bincount(pattern)
    counters.reshape(-1)[lowest << len(pair) :][: len(added)] += added


def _wrong_mask(column: NDArray[np.generic]) -> NDArray[np.bool_]:
    """[n] whether each row is wrong."""
    return np.asarray(column, np.bool_) if column.dtype == np.bool_ else np.asarray(column != 0)


def _count_in_zoom(scores: NDArray[np.generic], losses: Losses, zoom: Zoom) -> CellCounts:
    """Count inside the cells of a zoom: their first cells exclude most rows, the rest is cut into pieces."""
    open_cells, kind = _cells_in_zoom(zoom), scores.dtype.str
    keys, wrong = _KeyBuffer(), {name: _KeyBuffer() for name in losses}
    counted: list[CellCounts] = []
    for part in _chunks(len(scores)):
        values, low = _doubles(scores[part])
        scored = None
        if low == MISSING_SCORE and not open_cells[0]:
            scored = np.flatnonzero(values > MISSING_SCORE)
            values = values[scored]
            low = float(values.min(initial=np.inf))
        cells, lowest = _first_cells(values, low)
        near = np.flatnonzero(open_cells[lowest:][cells])
        near_keys = keys_of(values[near])
        near = near if scored is None else scored[near]
        keys.add(near_keys)
        for name, column in losses.items():
            wrong[name].add(near_keys[_wrong_mask(column[part][near])])
        if keys.rows > MAX_GATHERED_ROWS:
            counted = [merge_counts([*counted, _count_pieces(keys, wrong, zoom, kind)])]
    return merge_counts([*counted, _count_pieces(keys, wrong, zoom, kind)])


class _KeyBuffer:
    """Keys gathered piece by piece, and emptied in order all at once."""

    def __init__(self) -> None:
        self.pieces: list[Keys] = []
        self.rows = 0

    def add(self, keys: Keys) -> None:
        self.pieces.append(keys)
        self.rows += len(keys)

    def sorted(self) -> Keys:
        keys = np.concatenate(self.pieces) if self.pieces else np.array([], np.int64)
        self.pieces, self.rows = [], 0
        keys.sort()
        return keys


def _count_pieces(gathered: _KeyBuffer, marks: Mapping[str, _KeyBuffer], zoom: Zoom, kind: str) -> CellCounts:
    """Counts of gathered rows by the pieces into which the zoom cuts its cells."""
    keys, cell = _keys_in_zoom(gathered.sorted(), zoom)
    wrong = {name: _keys_in_zoom(mark.sorted(), zoom)[0] for name, mark in marks.items()}
    if not zoom.shifts.any():
        return _group_by_cell(keys, keys, wrong, kind)
    lows, shift = zoom.lows[cell], zoom.shifts[cell].astype(np.uint64)
    lows += (((keys - lows).view(np.uint64) >> shift) << shift).view(np.int64)  # whole pieces below the key
    room = (zoom.tops[cell] - lows).view(np.uint64)
    tops = lows + np.minimum((np.uint64(1) << shift) - np.uint64(1), room).view(np.int64)
    return _group_by_cell(lows, tops, wrong, kind)


def _keys_in_zoom(keys: Keys, zoom: Zoom) -> tuple[Keys, Ints]:
    """The sorted keys that lie in a cell of the zoom, and the index of that cell."""
    starts, ends = np.searchsorted(keys, zoom.lows), np.searchsorted(keys, zoom.tops, side="right")
    cell = np.repeat(np.arange(len(starts)), ends - starts)
    if len(cell) < len(keys):
        keys = keys[np.arange(len(cell)) + (starts - np.cumsum(ends - starts) + (ends - starts))[cell]]
    return keys, cell


def _group_by_cell(lows: Keys, tops: Keys, wrong: Mapping[str, Keys], kind: str) -> CellCounts:
    """Counts of rows by their cells; lows and tops: [rows], in order; the wrong rows lie in the same cells."""
    first = np.flatnonzero(np.append(True, tops[1:] != tops[:-1])) if len(tops) else np.array([], np.int64)
    cells = tops[first]
    return CellCounts(
        lows[first],
        cells,
        np.diff(np.append(first, len(tops))),
        {
            name: np.bincount(np.searchsorted(cells, keys), minlength=len(cells))
            for name, keys in wrong.items()
        },
        kind,
    )


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK_ROWS) for start in range(0, n, CHUNK_ROWS))


def _doubles(scores: NDArray[np.generic]) -> tuple[NDArray[np.float64], float]:
    """Scores as doubles, the missing ones at -inf; and the lowest of them."""
    values = np.asarray(scores, np.float64)
    low = float(values.min(initial=np.inf))
    if not np.isnan(low):
        return values, low
    return np.where(np.isnan(values), MISSING_SCORE, values), MISSING_SCORE


def _first_cells(values: NDArray[np.float64], low: float) -> tuple[Ints, int]:
    """[n] index of the first cell of each score, counted from the lowest possible here, and that lowest."""
    bits = values.view(np.int64)
    cells: Ints = np.clip(bits & _MAX_KEY if low < 0 else bits, _NEAR_KEY, _FAR_KEY)
    cells -= _NEAR_KEY
    cells >>= _SHIFT
    if low >= 0:
        return cells, _MIDDLE_CELL
    sign = bits >> 63  # 0 or -1: x ^ -1 = -x - 1
    cells ^= sign
    cells -= sign
    cells += _MIDDLE_CELL
    if low == MISSING_SCORE:
        cells[values == MISSING_SCORE] = 0
    return cells, 0


@cache
def _cell_borders() -> tuple[Keys, Keys]:
    """The first and last key of every first cell."""
    side = np.arange(_SIDE_CELLS + 1)
    up = _NEAR_KEY + ((side + 1) << _SHIFT) - 1
    up[-1] = _INFINITE_KEY
    down = -1 - _NEAR_KEY - (side[:0:-1] << _SHIFT)
    tops = np.concatenate([[-1 - _INFINITE_KEY], down, up])
    return np.concatenate([[-1 - _INFINITE_KEY], tops[:-1] + 1]), tops


def _cells_in_zoom(zoom: Zoom) -> NDArray[np.bool_]:
    """[first cells] whether each touches a cell of the zoom."""
    lows, tops = _cell_borders()
    position = np.searchsorted(zoom.tops, lows)
    return np.asarray(
        (position < len(zoom.tops)) & (zoom.lows[np.minimum(position, len(zoom.lows) - 1)] <= tops)
    )


def _sum_by_cell(column: Ints, cell: Ints, cells: int) -> Ints:
    total = np.zeros(cells, np.int64)
    np.add.at(total, cell, column)
    return total


def _pack(column: Ints) -> str:
    """Differences, little-endian, compressed: cells lie near each other."""
    steps = np.diff(column, prepend=np.int64(0)).astype("<i8")
    return base64.b64encode(zlib.compress(steps.tobytes(), 6)).decode()


def _unpack(text: str) -> Ints:
    steps = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8")
    return np.cumsum(steps, dtype=np.int64)
