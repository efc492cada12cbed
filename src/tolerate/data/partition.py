"""Many files as one table that is never in memory: counted part by part, here, by workers or by a Ray cluster.

`parts("answers/*.parquet", loss="wrong", score="confidence")` is a source for `certify`: every part answers with
whole numbers, which add up to the same certificate as one machine makes of one table, to the last digit.

What counts cannot tell is refused: clusters (their totals are as many numbers as there are clusters), graded
losses and weights (sums of fractions depend on the order in which they are added; their tests read the rows in
a random order). One item a cluster, or one machine with `tolerate.read`, are the ways out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tolerate.data import tables
from tolerate.errors import DataError, OptionError
from tolerate.stats.certify.counts import MISSING, Counts, Zoom, look, merged
from tolerate.stats.certify.samples import is_binary
from tolerate.stats.certify.tally import BySlice, coded_counts, merged_slices

TASK_ROWS = 4_000_000  # a Parquet file of more rows is shared out by its row groups


@dataclass(frozen=True)
class Columns:
    """Which columns to count, and of which slices: a list of names to keep or to leave out."""

    losses: dict[str, str]  # loss -> column
    score: str | None
    slice: str | None
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A file, or some row groups of it."""

    path: Path
    groups: tuple[int, ...] = ()


class Hands(Protocol):
    """Who does the work: any order of the answers will do."""

    def each(self, work: Callable[[Any], Any], given: Sequence[Any]) -> Iterator[Any]:
        """The results of some work on each of what is given, as they come."""
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


class Alone:
    """This process, one part after the other."""

    def each(self, work: Callable[[Any], Any], given: Sequence[Any]) -> Iterator[Any]:
        return map(work, given)

    def close(self) -> None:
        pass


class Workers:
    """Processes on this machine."""

    def __init__(self, count: int) -> None:
        self._pool = ProcessPoolExecutor(count, get_context("spawn"))

    def each(self, work: Callable[[Any], Any], given: Sequence[Any]) -> Iterator[Any]:
        return self._pool.map(work, given)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def parts(
    where: str | Path | Iterable[str | Path],
    *,
    loss: str | Sequence[str] = "loss",
    score: str | None = None,
    slice: str | None = None,
    workers: int = 1,
    ray: bool = False,
) -> "Parts":
    """Labelled items in many files, as a source for `certify` and `verify`.

    where: a folder, a pattern such as "answers/*.parquet", or a list of files. loss, score, slice: columns, as
    in `tolerate.read`; losses must be 0 or 1. workers: processes on this machine. ray: as tasks of Ray, on
    `workers` local ones or, where RAY_ADDRESS names a cluster, on that (every machine must see the files).

    Memory: a million rows a worker at a time, and the counts.
    """
    if workers < 1:
        raise OptionError(f"workers is {workers}; expected 1 or more")
    given = [where] if isinstance(where, str | Path) else list(where)
    files = sorted(path for some in given for path in tables.files_of(some))
    losses = tables.loss_names(loss)
    named = {"loss": losses[0]} if len(losses) == 1 else {name: name for name in losses}
    return Parts(tuple(files), Columns(named, score, slice), _hands(workers, ray))


def _hands(workers: int, ray: bool) -> Hands:
    if ray:
        from tolerate.data.ray import OnRay

        return OnRay(workers)
    return Alone() if workers == 1 else Workers(workers)


@dataclass(frozen=True)
class Parts:
    """A source in many files. Use it in a `with` block, or `close` it, to let its workers go."""

    files: tuple[Path, ...]
    columns: Columns
    hands: Hands = field(default_factory=Alone)

    @property
    def names(self) -> dict[str, str]:
        columns = self.columns
        roles = {"loss": next(iter(columns.losses.values())), "score": columns.score, "slice": columns.slice}
        return {role: name for role, name in roles.items() if name is not None}

    @property
    def losses(self) -> tuple[str, ...]:
        return tuple(self.columns.losses)

    @property
    def sliced(self) -> bool:
        return self.columns.slice is not None

    @property
    def named_clusters(self) -> bool:
        return False

    @cached_property
    def sha256(self) -> str:
        return tables.sha256_of_files(sorted_by(self.hands.each(_hash, self.files)))

    def look(self, zoom: Zoom | None) -> Counts:
        return _all_merged(self.hands.each(_look, [(task, self.columns, zoom) for task in self._tasks]))

    def by_slice(self, edge: float) -> BySlice:
        asked = [(task, self.columns, edge) for task in self._tasks]
        return merged_slices(self.hands.each(_by_slice, asked))

    def only(self, slice: str) -> Self:
        return replace(self, columns=replace(self.columns, only=(slice,)))

    def without(self, slice: str) -> Self:
        return replace(self, columns=replace(self.columns, without=(*self.columns.without, slice)))

    def close(self) -> None:
        """Let the workers go."""
        self.hands.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _tasks(self) -> list[Task]:
        return [task for path in self.files for task in _shared_out(path)]


def sorted_by(hashes: Iterable[tuple[Path, str]]) -> list[str]:
    """Hashes in the order of their files' names."""
    return [made for _, made in sorted(hashes)]


def _shared_out(path: Path) -> Iterator[Task]:
    """A file as tasks: whole, or by row groups if it is long."""
    rows = tables.row_groups(path)
    if sum(rows) <= TASK_ROWS:
        yield Task(path)
        return
    groups: list[int] = []
    held = 0
    for group, count in enumerate(rows):
        groups.append(group)
        held += count
        if held >= TASK_ROWS:
            yield Task(path, tuple(groups))
            groups, held = [], 0
    if groups:
        yield Task(path, tuple(groups))


def _all_merged(found: Iterable[Counts]) -> Counts:
    """The counts of all parts, added as they come, so that few are held at a time."""
    total: Counts | None = None
    for part in found:
        total = part if total is None else merged([total, part])
    if total is None:
        raise DataError("there are no parts; expected one file at least")
    return total


# What a worker does


def _hash(path: Path) -> tuple[Path, str]:
    return path, tables.sha256(path)


def _look(asked: tuple[Task, Columns, Zoom | None]) -> Counts:
    task, columns, zoom = asked
    nothing = np.array([], np.float64)
    empty = look(nothing, dict.fromkeys(columns.losses, nothing), zoom)
    return merged([empty, *(look(scores, losses, zoom) for losses, scores, _, _ in _kept(task, columns))])


def _by_slice(asked: tuple[Task, Columns, float]) -> BySlice:
    task, columns, edge = asked
    return merged_slices(
        coded_counts(names, at, scores, losses, edge) for losses, scores, at, names in _kept(task, columns)
    )


Rows = tuple[dict[str, NDArray[np.float64]], NDArray[np.float64], NDArray[np.int64], list[str]]


def _kept(task: Task, columns: Columns) -> Iterator[Rows]:
    """A task's rows, a piece at a time, without the slices that are left out."""
    wanted = list(columns.losses.values())
    for piece in tables.pieces(task.path, wanted, columns.score, columns.slice, task.groups):
        losses = {name: piece.losses[column] for name, column in columns.losses.items()}
        _refuse_graded(losses, columns, task.path)
        n = len(losses[next(iter(losses))])
        scores = np.full(n, MISSING) if piece.scores is None else piece.scores
        at = np.zeros(n, np.int64) if piece.slices is None else piece.slices
        keep = _mask(piece.slice_names, columns)
        if keep.all():
            yield losses, scores, at, piece.slice_names
        else:
            rows = keep[at]
            some = {name: column[rows] for name, column in losses.items()}
            names = [name for name, kept in zip(piece.slice_names, keep, strict=True) if kept]
            yield some, scores[rows], (np.cumsum(keep) - 1)[at[rows]], names


def _mask(names: Sequence[str], columns: Columns) -> NDArray[np.bool_]:
    kept = [(columns.only is None or name in columns.only) and name not in columns.without for name in names]
    return np.array(kept, bool)


def _refuse_graded(losses: dict[str, NDArray[np.float64]], columns: Columns, path: Path) -> None:
    for name, column in losses.items():
        if not is_binary(column):
            raise DataError(
                f'the losses in column "{columns.losses[name]}" of {path} are graded, and counts know 0 and 1 only: '
                "sums of fractions depend on the order in which parts are added. Read one table on one machine "
                "(tolerate.read), or call a loss above a limit wrong"
            )
