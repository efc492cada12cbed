"""Labelled rows that `certify` works on: checked once, from arrays or from a table."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.errors import DataError, OptionError
from tolerate.records import Floats, Table

CHUNK_ROWS = 1 << 16  # losses read at once
COMPACT_RATIO = 4  # whole numbers that span at most so many times their number are coded without a sort

Losses = ArrayLike | Mapping[str, ArrayLike]
Scores = NDArray[np.floating]
Tolerances = float | Mapping[str, float]


@dataclass(frozen=True)
class Sample:
    """Labelled rows, checked: all that the methods of `certify` read.

    losses: by name, [n] each, in [0, 1]. scores: [n] in their own precision, NaN where missing.
    clusters: [n] codes 0..m-1, or None if every row is a sampling unit of its own.
    """

    losses: dict[str, Floats]
    scores: Scores | None
    clusters: NDArray[np.int64] | None
    slices: NDArray[np.generic] | None
    weights: Floats | None
    named_clusters: bool = False  # there is a column of clusters, even if every row has its own
    names: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None
    zero_one: bool | None = None  # whether every loss is 0 or 1; None: to be looked up

    def __len__(self) -> int:
        return len(next(iter(self.losses.values())))

    @property
    def binary(self) -> bool:
        """Whether every loss is 0 or 1."""
        if self.zero_one is not None:
            return self.zero_one
        return all(is_binary(losses) for losses in self.losses.values())

    @property
    def units(self) -> int:
        """The number of independent sampling units."""
        return len(self) if self.clusters is None else int(self.clusters.max()) + 1

    @classmethod
    def of_table(cls, table: Table) -> "Sample":
        """The sample of a table, checked."""
        return sample(table, None, None, None, None, None)

    def part(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Sample":
        """The sample of some rows only (a mask or indices)."""
        clusters = None if self.clusters is None else codes(self.clusters[rows])
        return Sample(
            losses={name: losses[rows] for name, losses in self.losses.items()},
            scores=None if self.scores is None else self.scores[rows],
            clusters=clusters,
            slices=None if self.slices is None else self.slices[rows],
            weights=None if self.weights is None else self.weights[rows],
            named_clusters=self.named_clusters,
        )


def sample(
    table: Table | None,
    losses: Losses | None,
    scores: ArrayLike | None,
    clusters: ArrayLike | None,
    slices: ArrayLike | None,
    weights: ArrayLike | None,
    lean: bool = False,
) -> Sample:
    """A checked sample from a table or from arrays; raises DataError if they cannot be used.

    lean: where counts suffice, losses given as booleans stay booleans.
    """
    if (table is None) == (losses is None):
        raise OptionError("give either a table or losses=, not both and not neither")
    if table is not None:
        if any(column is not None for column in (scores, clusters, slices, weights)):
            raise OptionError("the table has its own columns; leave out scores, clusters, slices and weights")
        losses, scores, clusters = table.losses_by_name, table.scores, table.clusters
        slices, weights = table.slices, table.weights
    assert losses is not None  # those of the table, or the argument
    lean = lean and clusters is None and weights is None
    checked = _checked(losses, scores, clusters, slices, weights, lean)
    if table is None:
        return checked
    return Sample(**{**vars(checked), "names": dict(table.names), "sha256": table.sha256})


def _checked(
    losses: Losses,
    scores: ArrayLike | None,
    clusters: ArrayLike | None,
    slices: ArrayLike | None,
    weights: ArrayLike | None,
    lean: bool,
) -> Sample:
    by_name: dict[str, ArrayLike] = dict(losses) if isinstance(losses, Mapping) else {"loss": losses}
    if not by_name:
        raise DataError("losses= is an empty dict; expected at least one name with its losses")
    checked, zero_one = {}, True
    lean = lean and all(np.asarray(values).dtype == bool for values in by_name.values())
    for name, values in by_name.items():
        checked[str(name)] = column = _loss_numbers(values, str(name), lean)
        if not is_binary(column):
            zero_one = False
            _refuse_outside(column, str(name))
    n = len(next(iter(checked.values())))
    columns = {**checked, "scores": scores, "clusters": clusters, "slices": slices, "weights": weights}
    for name, cells in columns.items():
        if cells is not None and np.shape(cells) != (n,):
            raise DataError(f"{name} has shape {np.shape(cells)}, but there are {n} losses; expected ({n},)")
    coded = None if clusters is None else codes(np.asarray(clusters))
    single_rows = coded is not None and int(coded.max()) + 1 == n
    return Sample(
        losses=checked,
        scores=None if scores is None else score_column(scores),
        clusters=None if single_rows else coded,
        slices=None if slices is None else np.asarray(slices),
        weights=None if weights is None else weight_column(weights),
        named_clusters=clusters is not None,
        zero_one=zero_one,
    )


def loss_column(values: ArrayLike, name: str = "loss") -> Floats:
    """Losses as numbers in [0, 1], one a row; raises DataError that names the first row outside."""
    column = _loss_numbers(values, name)
    _refuse_outside(column, name)
    return column


def _loss_numbers(values: ArrayLike, name: str, lean: bool = False) -> Floats:
    column: Floats = np.asarray(values) if lean else _numbers(values, name).astype(np.float64, copy=False)
    if column.ndim != 1 or not len(column):
        raise DataError(f"{name} has shape {column.shape}; expected one loss for each of at least one item")
    return column


def _refuse_outside(column: Floats, name: str) -> None:
    low, high = column.min(), column.max()
    if not (low >= 0 and high <= 1):  # a NaN fails both
        row = int(np.argmin((column >= 0) & (column <= 1)))
        raise DataError(
            f"{name} of row {row} is {column[row]}; expected 0 (fine) to 1 (unacceptable). "
            "Divide by the largest possible loss first; a row without a verdict is no label: leave it out"
        )


def score_column(values: ArrayLike) -> Scores:
    """Scores as floats of their own precision; NaN and -inf are missing."""
    raw = np.asarray(values)
    if raw.dtype == object:
        raw = np.array([np.nan if value is None else value for value in raw.ravel()])
    narrow = np.issubdtype(raw.dtype, np.floating) and raw.dtype.itemsize <= 8
    return raw if narrow else _numbers(raw, "scores").astype(np.float64)


def weight_column(values: ArrayLike) -> Floats:
    """Importance weights, positive and finite; raises DataError otherwise."""
    column = _numbers(values, "weights").astype(np.float64, copy=False)
    good = (column > 0) & np.isfinite(column)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"weight of row {row} is {column[row]}; expected 1 / chance of being labelled, above 0"
        )
    return column


def _numbers(values: ArrayLike, name: str) -> NDArray[np.floating] | NDArray[np.integer]:
    column = np.asarray(values)
    if column.dtype == bool:
        return column.astype(np.float64)
    if not (np.issubdtype(column.dtype, np.floating) or np.issubdtype(column.dtype, np.integer)):
        try:
            return column.astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{name} holds {column.dtype} values; expected numbers") from None
    return column


def codes(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """Codes 0..m-1 of the distinct values, in their order."""
    if values.dtype.kind in "iu" and len(values):
        low = values.min()
        if values.max() - low < COMPACT_RATIO * len(
            values
        ):  # no sort needed: a counter for every possible value
            offsets = (values - low).astype(np.int64)
            coded: NDArray[np.int64] = (np.cumsum(np.bincount(offsets) > 0) - 1)[offsets]
            return coded
    if np.issubdtype(values.dtype, np.floating) and np.isnan(values).any():
        raise DataError("clusters hold NaN; give every row without a cluster a name of its own")
    try:
        return np.asarray(np.unique(values, return_inverse=True)[1], np.int64).ravel()
    except TypeError:
        raise DataError("clusters mix kinds of values that cannot be compared; use text or numbers") from None


def is_binary(losses: Floats) -> bool:
    """Whether every loss is 0 or 1; reads piece by piece and stops at the first that is not."""
    if losses.dtype == bool:
        return True
    pieces = (losses[start : start + CHUNK_ROWS] for start in range(0, len(losses), CHUNK_ROWS))
    return all(bool(((piece == 0) | (piece == 1)).all()) for piece in pieces)


def tolerances_of(tolerance: Tolerances, names: list[str]) -> dict[str, float]:
    """The tolerance of each loss; raises OptionError if one is missing, unknown or outside (0, 1)."""
    by_name = dict(tolerance) if isinstance(tolerance, Mapping) else dict.fromkeys(names, tolerance)
    if set(by_name) != set(names):
        raise OptionError(
            f"tolerance= names {sorted(by_name)}, losses= names {sorted(names)}; expected the same"
        )
    return {name: share(by_name[name], "tolerance", 0.05) for name in names}


def share(value: float, name: str, example: float) -> float:
    """A number strictly between 0 and 1; raises OptionError otherwise."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise OptionError(f"{name} is {value!r}; expected a number such as {example}") from None
    if not 0 < number < 1:
        suggestion = f" Did you mean {number / 100:g}?" if 1 <= number < 100 else ""
        raise OptionError(f"{name} {number:g} is outside (0, 1); try {example}.{suggestion}")
    return number


def fingerprint(labelled: Sample) -> str:
    """SHA-256 of the columns of a sample that was made from arrays."""
    digest = hashlib.sha256()
    losses = {name: column.astype(np.float64, copy=False) for name, column in labelled.losses.items()}
    columns = {
        **losses,
        "scores": labelled.scores,
        "clusters": labelled.clusters,
        "weights": labelled.weights,
    }
    for name, column in columns.items():
        if column is not None:
            digest.update(f"{name}:{column.dtype.str}:{len(column)};".encode())
            digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()
