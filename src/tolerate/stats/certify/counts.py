"""Counts of rows and of errors by score: all that a certificate of 0/1 losses needs, and mergeable.

A certificate asks two things of the scores: which score has a given rank, and how many rows (and errors)
lie above it. Neither needs a sort. Scores are cut into cells by the leading bits of their floating-point
numbers, which keep their order; one pass counts the rows of every cell. Only the cells that hold a wanted
rank are then looked into, in a further pass, until each wanted score stands in a cell of its own.

Counts are whole numbers, so the counts of any parts of the rows add up to those of all of them: in any order,
on any number of machines, to the last digit. `look` reads rows, `merged` adds, `zoom` says where to look next.
"""

import base64
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.errors import DataError

Ints = NDArray[np.int64]
Keys = NDArray[np.int64]  # whole numbers in the order of the scores that they stand for
Losses = Mapping[str, NDArray[Any]]

CHUNK = 1 << 16  # rows worked on at once: they stay in the processor's cache
GATHERED = 1 << 21  # rows of open cells that may be told one by one; more are cut finer first
CELLS = 1 << 20  # that open cells are cut into, all together
MISSING = -np.inf  # where rows without a score lie

# A first cell: sign, exponent and 11 leading bits of the fraction, between 2^-20 and 2^20; the numbers
# nearer to 0 share one cell, those beyond one on either side. Below all of them: the rows without a score.
_SHIFT = 41
_MOST = np.int64(np.iinfo(np.int64).max)
_NEAR = int(np.float64(2.0**-20).view(np.int64))
_FAR = int(np.float64(2.0**20).view(np.int64))
_SIDE = (_FAR - _NEAR) >> _SHIFT  # number of cells on one side of the middle one
_MIDDLE = _SIDE + 1
_INFINITE = int(np.float64(np.inf).view(np.int64))


@dataclass(frozen=True, eq=False)
class Counts:
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
        return bool(len(self.tops)) and int(self.tops[-1]) > int(keys_of(np.array([MISSING]))[0])

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which cells hold one score alone."""
        return np.asarray(self.lows == self.tops)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> dict[str, Any]:
        """The counts as plain JSON values: the columns are packed."""
        columns = {"lows": self.lows, "tops": self.tops, "rows": self.rows}
        return {
            "kind": self.kind,
            **{name: _packed(column) for name, column in columns.items()},
            "wrong": {name: _packed(column) for name, column in self.wrong.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The counts that `to_json` wrote."""
        try:
            lows, tops, rows = (_unpacked(record[name]) for name in ("lows", "tops", "rows"))
            wrong = {str(name): _unpacked(column) for name, column in record["wrong"].items()}
            kind = str(record["kind"])
        except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
            raise DataError(f"these are no counts: {error!r}; expected what `to_json` wrote") from None
        return cls(lows, tops, rows, wrong, kind)


@dataclass(frozen=True)
class Zoom:
    """Where to look next: cells, and into pieces of how many keys each is cut (2^shift)."""

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
    return np.asarray(bits ^ ((bits >> 63) & _MOST))


def scores_of(keys: Keys) -> NDArray[np.float64]:
    """The scores that the keys stand for."""
    return np.asarray((keys ^ ((keys >> 63) & _MOST)).view(np.float64))


def look(scores: NDArray[Any], losses: Losses, zoom: Zoom | None = None) -> Counts:
    """Counts of some rows: by first cells, or inside the cells of a zoom.

    scores: [n] floats, NaN where missing. losses: by name, [n], 0 or 1.

    >>> counts = look(np.array([0.2, 0.9, 0.9]), {"loss": np.array([1, 0, 1])})
    >>> counts.rows.tolist(), counts.wrong["loss"].tolist()
    ([1, 2], [1, 1])
    """
    return _first(scores, losses) if zoom is None else _inside(scores, losses, zoom)


def exactly(scores: NDArray[Any], losses: Losses) -> Counts:
    """Counts of a few rows: they are sorted, and every distinct score is a cell of its own."""
    keys = keys_of(_floats(scores)[0])
    wrong = {name: np.sort(keys[_wrong(column)]) for name, column in losses.items()}
    keys = np.sort(keys)
    return _grouped(keys, keys, wrong, scores.dtype.str)


def merged(parts: Iterable[Counts]) -> Counts:
    """The counts of all parts together. Associative and commutative: whole numbers are added.

    Parts of one look must have been cut alike: all by first cells, or all by the same zoom.
    """
    given = list(parts)
    if not given:
        raise DataError("there are no counts to add up; expected those of one part at least")
    names = list(given[0].wrong)
    for part in given:
        if list(part.wrong) != names:
            raise DataError(
                f"a part counts the losses {list(part.wrong)}, another {names}; expected the same"
            )
    kind = max((part.kind for part in given), key=lambda kind: np.dtype(kind).itemsize)
    if len(given) == 1:
        return given[0]
    tops, place = np.unique(np.concatenate([part.tops for part in given]), return_inverse=True)
    lows = np.full(len(tops), _MOST)
    np.minimum.at(lows, place, np.concatenate([part.lows for part in given]))
    rows = np.concatenate([part.rows for part in given])
    wrong = {name: np.concatenate([part.wrong[name] for part in given]) for name in names}
    return Counts(
        lows,
        tops,
        _added(rows, place, len(tops)),
        {name: _added(column, place, len(tops)) for name, column in wrong.items()},
        kind,
    )


def zoom_on(counts: Counts, ranks: ArrayLike) -> Zoom | None:
    """The cells to look into so that the scores of these ranks (0 is the lowest) are known; None if they are."""
    at = np.unique(np.searchsorted(np.cumsum(counts.rows), np.asarray(ranks), side="right"))
    opened = at[(at < len(counts.rows)) & ~counts.exact[np.minimum(at, len(counts.rows) - 1)]]
    if not len(opened):
        return None
    rows, lows, tops = counts.rows[opened], counts.lows[opened], counts.tops[opened]
    light = np.zeros(len(opened), bool)
    order = np.argsort(rows, kind="stable")
    light[order] = np.cumsum(rows[order]) <= GATHERED
    heavy = int(np.count_nonzero(~light))
    bits = max(1, int(np.log2(CELLS / heavy))) if heavy else 0
    wide = np.ceil(np.log2((tops - lows).astype(np.float64) + 1)).astype(np.int64)
    return Zoom(lows, tops, np.where(light, 0, np.maximum(wide - bits, 0)))


def zoomed(counts: Counts, found: Counts) -> Counts:
    """The counts with some cells replaced by what was found inside them."""
    at = np.searchsorted(found.lows, counts.lows)
    first = found.lows[np.minimum(at, len(found.lows) - 1)]
    kept = ~((at < len(found.lows)) & (first <= counts.tops))
    order = np.argsort(np.concatenate([counts.tops[kept], found.tops]), kind="stable")

    def joined(old: Ints, new: Ints) -> Ints:
        return np.concatenate([old[kept], new])[order]

    return Counts(
        joined(counts.lows, found.lows),
        joined(counts.tops, found.tops),
        joined(counts.rows, found.rows),
        {name: joined(column, found.wrong[name]) for name, column in counts.wrong.items()},
        counts.kind,
    )


def refined(counts: Counts, ranks: ArrayLike, ask: Callable[[Zoom], Counts]) -> Counts:
    """Counts in which each of these ranks has an exact cell; `ask` counts the rows inside a zoom."""
    while (zoom := zoom_on(counts, ranks)) is not None:
        counts = zoomed(counts, ask(zoom))
    return counts


# Reading rows


def _first(scores: NDArray[Any], losses: Losses) -> Counts:
    """By first cells, in one pass: a cell has a counter for every pattern of wrong and fine of two losses."""
    lows, tops = _borders()
    names = list(losses)
    pairs = [names[place : place + 2] for place in range(0, len(names), 2)]
    held = [np.zeros((len(tops), 1 << len(pair)), np.int64) for pair in pairs]
    for part in _chunks(len(scores)):
        values, low = _floats(scores[part])
        marks = {name: _wrong(column[part]) for name, column in losses.items()}
        if low == MISSING:  # counted apart, so that the others stay on the short road
            there = values > MISSING
            missing = {name: mark[~there] for name, mark in marks.items()}
            for pair, counters in zip(pairs, held, strict=True):
                _count(np.zeros(len(values) - np.count_nonzero(there), np.int64), 0, pair, missing, counters)
            values, marks = values[there], {name: mark[there] for name, mark in marks.items()}
            low = float(values.min(initial=np.inf))
        cells, lowest = _cells(values, low)
        for pair, counters in zip(pairs, held, strict=True):
            _count(cells, lowest, pair, marks, counters)
    kept = np.flatnonzero(held[0].any(axis=1))
    wrong = {}
    for pair, counters in zip(pairs, held, strict=True):
        found = counters[kept].reshape(len(kept), *[2] * len(pair))  # one axis a loss
        for place, name in enumerate(pair):
            others = tuple(1 + other for other in range(len(pair)) if other != place)
            wrong[name] = found.sum(axis=others)[:, 1]
    return Counts(lows[kept], tops[kept], held[0][kept].sum(axis=1), wrong, scores.dtype.str)


def _count(
    cells: Ints, lowest: int, pair: list[str], marks: Mapping[str, NDArray[np.bool_]], counters: Ints
) -> None:
    """Add rows to the counters of their cells and patterns."""
    at = cells << len(pair)
    for place, name in enumerate(reversed(pair)):
        at += marks[name] if place == 0 else marks[name].astype(np.int64) << place
    found = np.bincount(at)
    counters.reshape(-1)[lowest << len(pair) :][: len(found)] += found


def _wrong(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows are wrong."""
    return column if column.dtype == np.bool_ else column != 0


def _inside(scores: NDArray[Any], losses: Losses, zoom: Zoom) -> Counts:
    """Inside the cells of a zoom: a quick look drops most rows, the rest is cut as asked."""
    opened, kind = _opened(zoom), scores.dtype.str
    keys, wrong = _Gathered(), {name: _Gathered() for name in losses}
    found: list[Counts] = []
    for part in _chunks(len(scores)):
        values, low = _floats(scores[part])
        there = None
        if low == MISSING and not opened[0]:
            there = np.flatnonzero(values > MISSING)
            values = values[there]
            low = float(values.min(initial=np.inf))
        cells, lowest = _cells(values, low)
        near = np.flatnonzero(opened[lowest:][cells])
        here = keys_of(values[near])
        near = near if there is None else there[near]
        keys.add(here)
        for name, column in losses.items():
            wrong[name].add(here[_wrong(column[part][near])])
        if keys.rows > GATHERED:
            found = [merged([*found, _cut(keys, wrong, zoom, kind)])]
    return merged([*found, _cut(keys, wrong, zoom, kind)])


class _Gathered:
    """Keys that come in pieces and are taken out in order, all at once."""

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


def _cut(gathered: _Gathered, marks: Mapping[str, _Gathered], zoom: Zoom, kind: str) -> Counts:
    """Rows near the open cells, counted by the pieces that the zoom cuts them into."""
    keys, at = _within(gathered.sorted(), zoom)
    wrong = {name: _within(mark.sorted(), zoom)[0] for name, mark in marks.items()}
    if not zoom.shifts.any():
        return _grouped(keys, keys, wrong, kind)
    lows, shift = zoom.lows[at], zoom.shifts[at].astype(np.uint64)
    lows += (((keys - lows).view(np.uint64) >> shift) << shift).view(np.int64)  # whole pieces below the key
    left = (zoom.tops[at] - lows).view(np.uint64)
    tops = lows + np.minimum((np.uint64(1) << shift) - np.uint64(1), left).view(np.int64)
    return _grouped(lows, tops, wrong, kind)


def _within(keys: Keys, zoom: Zoom) -> tuple[Keys, Ints]:
    """Those of the sorted keys that lie in a cell of the zoom, and in which."""
    starts, ends = np.searchsorted(keys, zoom.lows), np.searchsorted(keys, zoom.tops, side="right")
    at = np.repeat(np.arange(len(starts)), ends - starts)
    if len(at) < len(keys):
        keys = keys[np.arange(len(at)) + (starts - np.cumsum(ends - starts) + (ends - starts))[at]]
    return keys, at


def _grouped(lows: Keys, tops: Keys, wrong: Mapping[str, Keys], kind: str) -> Counts:
    """Rows counted by their cells, which come in order, a row each; the wrong ones lie in the same cells."""
    first = np.flatnonzero(np.append(True, tops[1:] != tops[:-1])) if len(tops) else np.array([], np.int64)
    cells = tops[first]
    return Counts(
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
    return (slice(start, start + CHUNK) for start in range(0, n, CHUNK))


def _floats(scores: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Scores as doubles, the missing ones at -inf; and the lowest of them."""
    values = np.asarray(scores, np.float64)
    low = float(values.min(initial=np.inf))
    if not np.isnan(low):
        return values, low
    return np.where(np.isnan(values), MISSING, values), MISSING


def _cells(values: NDArray[np.float64], low: float) -> tuple[Ints, int]:
    """The first cell of each score, counted from the lowest that these may have, and that lowest."""
    bits = values.view(np.int64)
    cells: Ints = np.clip(bits & _MOST if low < 0 else bits, _NEAR, _FAR)
    cells -= _NEAR
    cells >>= _SHIFT
    if low >= 0:
        return cells, _MIDDLE
    sign = bits >> 63  # 0 or -1: x ^ -1 = -x - 1
    cells ^= sign
    cells -= sign
    cells += _MIDDLE
    if low == MISSING:
        cells[values == MISSING] = 0
    return cells, 0


@cache
def _borders() -> tuple[Keys, Keys]:
    """The first and last key of every first cell."""
    side = np.arange(_SIDE + 1)
    up = _NEAR + ((side + 1) << _SHIFT) - 1
    up[-1] = _INFINITE
    down = -1 - _NEAR - (side[:0:-1] << _SHIFT)
    tops = np.concatenate([[-1 - _INFINITE], down, up])
    return np.concatenate([[-1 - _INFINITE], tops[:-1] + 1]), tops


def _opened(zoom: Zoom) -> NDArray[np.bool_]:
    """Which first cells touch a cell of the zoom."""
    lows, tops = _borders()
    at = np.searchsorted(zoom.tops, lows)
    return np.asarray((at < len(zoom.tops)) & (zoom.lows[np.minimum(at, len(zoom.lows) - 1)] <= tops))


def _added(column: Ints, place: Ints, cells: int) -> Ints:
    total = np.zeros(cells, np.int64)
    np.add.at(total, place, column)
    return total


def _packed(column: Ints) -> str:
    """Differences, little-endian, compressed: cells lie near each other."""
    steps = np.diff(column, prepend=np.int64(0)).astype("<i8")
    return base64.b64encode(zlib.compress(steps.tobytes(), 6)).decode()


def _unpacked(text: str) -> Ints:
    steps = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8")
    return np.cumsum(steps, dtype=np.int64)
