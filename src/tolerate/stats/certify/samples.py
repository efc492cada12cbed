"""What `certify` works on: labelled rows, checked once, from arrays or from a table."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.errors import DataError, OptionError
from tolerate.records import Floats, Table

CHUNK = 1 << 16  # losses read at once
Losses = ArrayLike | Mapping[str, ArrayLike]
Tolerances = float | Mapping[str, float]


@dataclass(frozen=True)
class Sample:
    """Labelled rows as they were given, checked: the only thing the methods read.

    losses: by name, [n] each, in [0, 1]. scores: [n] in their own precision, NaN where missing.
    clusters: [n] codes 0..m-1, or None if every row is a sampling unit of its own.
    """

    losses: dict[str, Floats]
    scores: NDArray[np.floating[Any]] | None
    clusters: NDArray[np.int64] | None
    slices: NDArray[Any] | None
    weights: Floats | None
    named_clusters: bool = False  # clusters were given, even if every row has its own
    names: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None
    zero_one: bool | None = None  # whether every loss is 0 or 1, where that is known already

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
        """How many independent sampling units there are."""
        return len(self) if self.clusters is None else int(self.clusters.max()) + 1

    @classmethod
    def of_table(cls, table: Table) -> "Sample":
        """The sample of a table, checked."""
        return sample(table, None, None, None, None, None)

    def part(self, rows: NDArray[Any]) -> "Sample":
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
    """One checked sample from a table or from arrays; raises DataError if they cannot be used.

    lean: where counts suffice, losses given as booleans stay booleans.
    """
    if (table is None) == (losses is None):
        raise OptionError("give either a table or losses=, not both and not neither")
    if table is not None:
        if any(given is not None for given in (scores, clusters, slices, weights)):
            raise OptionError("the table has its own columns; leave out scores, clusters, slices and weights")
        losses, scores, clusters = table.losses_by_name, table.scores, table.clusters
        slices, weights = table.slices, table.weights
    lean = lean and clusters is None and weights is None
    checked = _checked(losses, scores, clusters, slices, weights, lean)
    if table is None:
        return checked
    return Sample(**{**vars(checked), "names": dict(table.names), "sha256": table.sha256})


def _checked(losses: Any, scores: Any, clusters: Any, slices: Any, weights: Any, lean: bool) -> Sample:
    by_name = dict(losses) if isinstance(losses, Mapping) else {"loss": losses}
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
    for name, values in columns.items():
        if values is not None and np.shape(values) != (n,):
            raise DataError(f"{name} has shape {np.shape(values)}, but there are {n} losses; expected ({n},)")
    coded = None if clusters is None else codes(np.asarray(clusters))
    alone = coded is not None and int(coded.max()) + 1 == n
    return Sample(
        losses=checked,
        scores=None if scores is None else score_column(scores),
        clusters=None if alone else coded,
        slices=None if slices is None else np.asarray(slices),
        weights=None if weights is None else weight_column(weights),
        named_clusters=clusters is not None,
        zero_one=zero_one,
    )


def loss_column(values: ArrayLike, name: str = "loss") -> Floats:
    """Losses as numbers in [0, 1], one a row; raises DataError that names the first bad one."""
    column = _loss_numbers(values, name)
    _refuse_outside(column, name)
    return column


def _loss_numbers(values: ArrayLike, name: str, lean: bool = False) -> Floats:
    column = np.asarray(values) if lean else _numbers(values, name)
    if column.ndim != 1 or not len(column):
        raise DataError(f"{name} has shape {column.shape}; expected one loss for each of at least one item")
    return column if lean else column.astype(np.float64, copy=False)


def _refuse_outside(column: Floats, name: str) -> None:
    low, high = column.min(), column.max()
    if not (low >= 0 and high <= 1):  # a NaN fails both
        row = int(np.argmin((column >= 0) & (column <= 1)))
        raise DataError(
            f"{name} of row {row} is {column[row]}; expected 0 (fine) to 1 (unacceptable). "
            "Divide by the largest possible loss first; a row without a verdict is no label: leave it out"
        )


def score_column(values: ArrayLike) -> NDArray[np.floating[Any]]:
    """Scores as floats of their own precision; NaN and -inf are missing."""
    given = np.asarray(values)
    if given.dtype == object:
        given = np.array([np.nan if value is None else value for value in given.ravel()])
    column = _numbers(given, "scores")
    narrow = np.issubdtype(column.dtype, np.floating) and column.dtype.itemsize <= 8
    return column if narrow else column.astype(np.float64)


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


def _numbers(values: ArrayLike, name: str) -> NDArray[Any]:
    column = np.asarray(values)
    if column.dtype == bool:
        return column.astype(np.float64)
    if not (np.issubdtype(column.dtype, np.floating) or np.issubdtype(column.dtype, np.integer)):
        try:
            return column.astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{name} holds {column.dtype} values; expected numbers") from None
    return column


COMPACT = 4  # whole numbers that span at most so many times their number are coded without a sort


def codes(values: NDArray[Any]) -> NDArray[np.int64]:
    """Codes 0..m-1 of the distinct values, in their order."""
    if values.dtype.kind in "iu" and len(values):
        low = values.min()
        if values.max() - low < COMPACT * len(values):  # no sort needed: a place for every possible value
            places = (values - low).astype(np.int64)
            coded: NDArray[np.int64] = (np.cumsum(np.bincount(places) > 0) - 1)[places]
            return coded
    if np.issubdtype(values.dtype, np.floating) and np.isnan(values).any():
        raise DataError("clusters hold NaN; give every row without a cluster a name of its own")
    try:
        return np.unique(values, return_inverse=True)[1].astype(np.int64).ravel()
    except TypeError:
        raise DataError("clusters mix kinds of values that cannot be compared; use text or numbers") from None


def is_binary(losses: Floats) -> bool:
    """Whether every loss is 0 or 1; the first piece that is not ends the reading."""
    if losses.dtype == bool:
        return True
    pieces = (losses[start : start + CHUNK] for start in range(0, len(losses), CHUNK))
    return all(bool(((piece == 0) | (piece == 1)).all()) for piece in pieces)


def tolerances_of(tolerance: Tolerances, names: list[str]) -> dict[str, float]:
    """The tolerance of each loss; raises OptionError if one is missing, unknown or outside (0, 1)."""
    given = dict(tolerance) if isinstance(tolerance, Mapping) else dict.fromkeys(names, tolerance)
    if set(given) != set(names):
        raise OptionError(
            f"tolerance= names {sorted(given)}, losses= names {sorted(names)}; expected the same"
        )
    return {name: share(given[name], "tolerance", 0.05) for name in names}


def share(value: float, name: str, example: float) -> float:
    """A number strictly between 0 and 1; raises OptionError otherwise."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise OptionError(f"{name} is {value!r}; expected a number such as {example}") from None
    if not 0 < number < 1:
        meant = f" Did you mean {number / 100:g}?" if 1 <= number < 100 else ""
        raise OptionError(f"{name} {number:g} is outside (0, 1); try {example}.{meant}")
    return number


def fingerprint(given: Sample) -> str:
    """SHA-256 of the columns of a sample that came as arrays."""
    digest = hashlib.sha256()
    losses = {name: column.astype(np.float64, copy=False) for name, column in given.losses.items()}
    columns = {**losses, "scores": given.scores, "clusters": given.clusters, "weights": given.weights}
    for name, column in columns.items():
        if column is not None:
            digest.update(f"{name}:{column.dtype.str}:{len(column)};".encode())
            digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()
