"""Several files as one table that is never in memory whole: counted part by part, here, by workers or by Ray.

`parts("answers/*.parquet", loss="wrong", score="confidence")` is a source for `certify`: every part returns
integer counts, whose sums give exactly the certificate of one table on one machine.

Tables that counts cannot represent are refused: clusters (they have as many totals as there are clusters), graded
losses and weights (sums of fractions depend on the order of addition, and their tests read the rows in a random
order). Use one item a cluster, or one machine with `tolerate.read`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tolerate.data import tables
from tolerate.errors import DataError, OptionError
from tolerate.stats.certify.counts import MISSING_SCORE, CellCounts, Zoom, count_rows, merge_counts
from tolerate.stats.certify.samples import is_binary
from tolerate.stats.certify.tally import SliceCounts, merge_slice_counts, slice_counts_by_code

Argument = TypeVar("Argument")
Result = TypeVar("Result")
TASK_ROWS = 4_000_000  # a longer Parquet file is split by its row groups


@dataclass(frozen=True)
class Columns:
    """The columns to count, and the slices to include or to exclude."""

    losses: dict[str, str]  # loss -> column
    score: str | None
    slice: str | None
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileTask:
    """A file, or some of its row groups, as the work of one task."""

    path: Path
    groups: tuple[int, ...] = ()


class Executor(Protocol):
    """Runs a function on many arguments, in any order."""

    def map_unordered(
        self, function: Callable[[Argument], Result], arguments: Sequence[Argument]
    ) -> Iterator[Result]:
        """Iterate over the results of the function for each argument, as they are ready."""
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...


class SerialExecutor:
    """Runs in this process, one part after the other."""

    def map_unordered(
        self, function: Callable[[Argument], Result], arguments: Sequence[Argument]
    ) -> Iterator[Result]:
        return map(function, arguments)

    def close(self) -> None:
        pass


class ProcessExecutor:
    """Runs in worker processes on this machine."""

    def __init__(self, count: int) -> None:
        self._pool = ProcessPoolExecutor(count, get_context("spawn"))

    def map_unordered(
        self, function: Callable[[Argument], Result], arguments: Sequence[Argument]
    ) -> Iterator[Result]:
        return self._pool.map(function, arguments)

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
    locations = [where] if isinstance(where, str | Path) else list(where)
    files = sorted(path for location in locations for path in tables.files_of(location))
    losses = tables.loss_names(loss)
    loss_columns = {"loss": losses[0]} if len(losses) == 1 else {name: name for name in losses}
    return Parts(tuple(files), Columns(loss_columns, score, slice), _executor_for(workers, ray))


def _executor_for(workers: int, ray: bool) -> Executor:
    if ray:
        from tolerate.data.ray import RayExecutor

        return RayExecutor(workers)
    return SerialExecutor() if workers == 1 else ProcessExecutor(workers)


@dataclass(frozen=True)
class Parts:
    """A source of labelled items in several files. Use it in a `with` block, or `close` it, to stop its workers."""

    files: tuple[Path, ...]
    columns: Columns
    executor: Executor = field(default_factory=SerialExecutor)

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
        return tables.sha256_of_files(sorted_by(self.executor.map_unordered(_hash, self.files)))

    def count_cells(self, zoom: Zoom | None) -> CellCounts:
        return _merge_all(
            self.executor.map_unordered(_look, [(task, self.columns, zoom) for task in self._tasks])
        )

    def by_slice(self, edge: float) -> SliceCounts:
        requests = [(task, self.columns, edge) for task in self._tasks]
        return merge_slice_counts(self.executor.map_unordered(_by_slice, requests))

    def only(self, slice: str) -> Self:
        return replace(self, columns=replace(self.columns, only=(slice,)))

    def without(self, slice: str) -> Self:
        return replace(self, columns=replace(self.columns, without=(*self.columns.without, slice)))

    def close(self) -> None:
        """Stop the workers."""
        self.executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _tasks(self) -> list[FileTask]:
        return [task for path in self.files for task in _split_file(path)]


def sorted_by(hashes: Iterable[tuple[Path, str]]) -> list[str]:
    """Hashes in the order of the file names."""
    return [sha256 for _, sha256 in sorted(hashes)]


def _split_file(path: Path) -> Iterator[FileTask]:
    """The tasks of a file: one for the whole file, or several by row groups if it is long."""
    rows = tables.row_groups(path)
    if sum(rows) <= TASK_ROWS:
        yield FileTask(path)
        return
    groups: list[int] = []
    rows_in_task = 0
    for group, count in enumerate(rows):
        groups.append(group)
        rows_in_task += count
        if rows_in_task >= TASK_ROWS:
            yield FileTask(path, tuple(groups))
            groups, rows_in_task = [], 0
    if groups:
        yield FileTask(path, tuple(groups))


def _merge_all(counts: Iterable[CellCounts]) -> CellCounts:
    """The sum of the counts of all parts, added as they arrive, so that few are in memory at a time."""
    total: CellCounts | None = None
    for part in counts:
        total = part if total is None else merge_counts([total, part])
    if total is None:
        raise DataError("there are no parts; expected one file at least")
    return total


# The functions that run in workers


def _hash(path: Path) -> tuple[Path, str]:
    return path, tables.sha256(path)


def _look(request: tuple[FileTask, Columns, Zoom | None]) -> CellCounts:
    task, columns, zoom = request
    nothing = np.array([], np.float64)
    empty = count_rows(nothing, dict.fromkeys(columns.losses, nothing), zoom)
    return merge_counts(
        [empty, *(count_rows(scores, losses, zoom) for losses, scores, _, _ in _iter_rows(task, columns))]
    )


def _by_slice(request: tuple[FileTask, Columns, float]) -> SliceCounts:
    task, columns, edge = request
    return merge_slice_counts(
        slice_counts_by_code(names, codes, scores, losses, edge)
        for losses, scores, codes, names in _iter_rows(task, columns)
    )


ChunkArrays = tuple[dict[str, NDArray[np.float64]], NDArray[np.float64], NDArray[np.int64], list[str]]


def _iter_rows(task: FileTask, columns: Columns) -> Iterator[ChunkArrays]:
    """Iterate over the rows of a task in chunks, without the excluded slices."""
    loss_columns = list(columns.losses.values())
    for chunk in tables.iter_chunks(task.path, loss_columns, columns.score, columns.slice, task.groups):
        losses = {name: chunk.losses[column] for name, column in columns.losses.items()}
        _refuse_graded(losses, columns, task.path)
        n = len(losses[next(iter(losses))])
        scores = np.full(n, MISSING_SCORE) if chunk.scores is None else chunk.scores
        codes = np.zeros(n, np.int64) if chunk.slices is None else chunk.slices
        included_slices = _mask(chunk.slice_names, columns)
        if included_slices.all():
            yield losses, scores, codes, chunk.slice_names
        else:
            rows = included_slices[codes]
            selected = {name: column[rows] for name, column in losses.items()}
            names = [
                name for name, included in zip(chunk.slice_names, included_slices, strict=True) if included
            ]
            yield selected, scores[rows], (np.cumsum(included_slices) - 1)[codes[rows]], names


def _mask(names: Sequence[str], columns: Columns) -> NDArray[np.bool_]:
    included = [
        (columns.only is None or name in columns.only) and name not in columns.without for name in names
    ]
    return np.array(included, bool)


def _refuse_graded(losses: dict[str, NDArray[np.float64]], columns: Columns, path: Path) -> None:
    for name, column in losses.items():
        if not is_binary(column):
            raise DataError(
                f'the losses in column "{columns.losses[name]}" of {path} are graded, and counts know 0 and 1 only: '
                "sums of fractions depend on the order in which parts are added. Read one table on one machine "
                "(tolerate.read), or call a loss above a limit wrong"
            )
