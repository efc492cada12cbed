"""Read labelled items from CSV, JSONL or Parquet, and write items; every error names the row or column."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import DataError, OptionError, hint
from tolerate.records import Floats, Table

T = TypeVar("T")
PIECE = 1 << 20  # rows of a Parquet file in memory at once
FORMATS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


def read(
    path: str | Path,
    *,
    loss: str | Sequence[str] = "loss",
    score: str | None = None,
    cluster: str | None = None,
    slice: str | None = None,
    weight: str | None = None,
) -> Table:
    """Labelled items from a file: one row an item, one column a role.

    path: a file; of many files (a folder, "parts/*.parquet") see `tolerate.parts`.
    loss: column of losses in [0, 1] (or true/false: true is wrong), or several. Every row needs one.
    score: column of scores, higher is better; an empty cell is a missing score, which is never
        above a threshold.
    cluster: column that names what was sampled together (question, document, call).
    slice: column that names the part a row belongs to (language, topic).
    weight: column of importance weights, for labels that were not drawn uniformly.

    Raises DataError if the file, a column or a value cannot be used.
    """
    path = Path(path)
    losses = loss_names(loss)
    roles = {"loss": losses[0], "score": score, "cluster": cluster, "slice": slice, "weight": weight}
    names = {role: name for role, name in roles.items() if name is not None}
    columns = _columns(path, list(dict.fromkeys([*names.values(), *losses])))
    if not len(columns[losses[0]]):
        raise DataError(f"{path} has a header but no rows; expected one labelled item a row")
    return Table(
        losses=_losses(columns[losses[0]], losses[0], path),
        scores=None if score is None else _numbers(columns[score], score, path),
        clusters=None if cluster is None else _codes(columns[cluster], cluster, path),
        slices=None if slice is None else _texts(columns[slice], slice, path),
        weights=None if weight is None else _weights(columns[weight], weight, path),
        names=names,
        sha256=sha256(path),
        more_losses={name: _losses(columns[name], name, path) for name in losses[1:]},
    )


def loss_names(loss: str | Sequence[str]) -> list[str]:
    """The columns of losses, each once."""
    names = [loss] if isinstance(loss, str) else list(loss)
    if not names:
        raise OptionError('no column of losses is named; expected one at least, such as "wrong"')
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f'the loss "{name}" is named twice; name each column once')
    return names


@dataclass(frozen=True)
class Piece:
    """Some rows of a file, with the columns that counting needs; slices as places in a list of names."""

    losses: dict[str, Floats]
    scores: Floats | None
    slices: NDArray[np.int64] | None
    slice_names: list[str]


def pieces(
    path: Path, losses: Sequence[str], score: str | None, slice: str | None, groups: Sequence[int] = ()
) -> Iterator[Piece]:
    """A file's rows, a piece at a time: of Parquet `PIECE` rows at most, other files whole.

    groups: which row groups of a Parquet file; by default all.
    """
    names = list(dict.fromkeys([*losses, *filter(None, (score, slice))]))
    for columns in _streamed(path, names, groups):
        coded, known = (None, []) if slice is None else _coded(columns[slice], slice, path)
        yield Piece(
            {name: _losses(columns[name], name, path) for name in losses},
            None if score is None else _numbers(columns[score], score, path),
            coded,
            known,
        )


def row_groups(path: Path) -> list[int]:
    """How many rows each row group of a Parquet file holds; of another file nothing is known."""
    if _kind(path) != ".parquet":
        return []
    import pyarrow.parquet as parquet

    about = _guard(path, lambda: parquet.read_metadata(path))
    return [about.row_group(k).num_rows for k in range(about.num_row_groups)]


def files_of(where: str | Path) -> list[Path]:
    """The files that a folder or a pattern such as "parts/*.parquet" names, in the order of their names."""
    where = Path(where)
    if where.is_dir():
        found = [path for path in where.iterdir() if path.name.lower().endswith(FORMATS)]
    elif not any(sign in str(where) for sign in "*?["):
        found = [where]
    else:
        root = Path(where.anchor) if where.is_absolute() else Path()
        found = [path for path in root.glob(str(where.relative_to(root))) if path.is_file()]
    if not found:
        raise DataError(f"{where} names no file; expected tables ({', '.join(FORMATS)})")
    return sorted(found)


def sha256_of_files(hashes: Sequence[str]) -> str:
    """One SHA-256 of many files: their own hashes in the order of their names. Of one file: its own."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _streamed(path: Path, names: list[str], groups: Sequence[int]) -> Iterator[dict[str, Any]]:
    if _kind(path) != ".parquet":
        yield _columns(path, names)
        return
    _known(path, names)
    import pyarrow as pa
    import pyarrow.parquet as parquet

    with _guard(path, lambda: parquet.ParquetFile(path)) as file:
        batches = file.iter_batches(PIECE, row_groups=list(groups) or None, columns=names, use_threads=False)
        while (batch := _guard(path, lambda: next(batches, None))) is not None:
            yield {name: pa.chunked_array([batch.column(name)]) for name in names}


def read_strategies(
    path: str | Path, strategy: str, cost: str | None, **roles: str | None
) -> tuple[dict[str, Table], dict[str, float]]:
    """One table a strategy, and what making an item cost by each on average (0 without a cost column)."""
    path = Path(path)
    whole = read(path, **roles)  # type: ignore[arg-type]
    named = np.array(read_texts(path, [strategy])[strategy])
    spent = np.zeros(len(whole)) if cost is None else read_numbers(path, cost)
    if np.isnan(spent).any():
        raise DataError(f'row {_row(np.isnan(spent))} of {path} has no cost in column "{cost}"')
    parts = {str(name): named == name for name in dict.fromkeys(named.tolist())}
    return (
        {name: _rows(whole, mask) for name, mask in parts.items()},
        {name: float(spent[mask].mean()) for name, mask in parts.items()},
    )


def read_shown(path: str | Path, strategy: str, item: str) -> dict[str, NDArray[Any]]:
    """By strategy, the name of the item that each of its rows shows."""
    columns = read_texts(path, [strategy, item])
    named, shown = np.array(columns[strategy]), np.array(columns[item])
    return {str(name): shown[named == name] for name in dict.fromkeys(named.tolist())}


def read_tiers(
    path: str | Path, tiers: Mapping[str, tuple[str, str | None]], cluster: str | None = None
) -> dict[str, Table]:
    """One table a tier from columns of one row an item: by name, the columns of its loss and its score."""
    return {
        name: read(path, loss=loss, score=score, cluster=cluster) for name, (loss, score) in tiers.items()
    }


def _rows(table: Table, mask: NDArray[np.bool_]) -> Table:
    """Some rows of a table, in every column."""
    columns = ("losses", "scores", "clusters", "slices", "weights")
    kept = {name: getattr(table, name) for name in columns}
    some: dict[str, Any] = {name: None if at is None else at[mask] for name, at in kept.items()}
    more = {name: column[mask] for name, column in table.more_losses.items()}
    return replace(table, **some, more_losses=more, sha256=None)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def columns_of(path: str | Path) -> list[str]:
    """The names of a table's columns, read from its head alone."""
    path = Path(path)
    return _guard(path, lambda: _head(path))


def read_texts(path: str | Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Columns of a table as texts, missing cells as empty ones."""
    path = Path(path)
    columns = _columns(path, list(names))
    return {name: [str(text) for text in _texts(columns[name], name, path, missing="")] for name in names}


def rows_of(path: str | Path) -> int:
    """How many rows a Parquet file has."""
    return sum(row_groups(Path(path)))


def binary_columns(path: str | Path) -> list[str]:
    """The columns of a Parquet file that hold bytes: pictures, sounds, films."""
    path = Path(path)
    if _kind(path) != ".parquet":
        return []
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = _guard(path, lambda: parquet.read_schema(path))
    return [
        field.name
        for field in schema
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    ]


def read_bytes(path: str | Path, name: str) -> Callable[[int], bytes]:
    """A column of bytes, by row; a missing cell is empty. A row is copied when it is asked for."""
    path = Path(path)
    column = _columns(path, [name])[name]
    return lambda row: column[row].as_py() or b""


def read_numbers(path: str | Path, name: str) -> Floats:
    """One column as numbers, missing cells as NaN."""
    path = Path(path)
    return _numbers(_columns(path, [name])[name], name, path)


def write(path: str | Path, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
    """Write columns of equal length as Parquet, CSV or JSONL; the file appears whole or not at all."""
    import pyarrow as pa

    path = Path(path)
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    beside = path.with_name(f".{path.name}.part")
    try:
        _write(table, beside, _kind(path))
        os.replace(beside, path)
    except OSError as error:
        raise DataError(
            f"could not write {path}: {error.strerror or error}. Free some space or choose another folder"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def _write(table: Any, path: Path, kind: str) -> None:
    if kind == ".parquet":
        import pyarrow.parquet as parquet

        parquet.write_table(table, path)
    elif kind == ".csv":
        import pyarrow.csv as csv

        csv.write_csv(table, path)
    else:
        import json

        path.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist()), "utf-8"
        )


def _kind(path: Path) -> str:
    name = path.name.lower()
    for kind in FORMATS:
        if name.endswith(kind):
            return kind
    raise DataError(f'"{path.name}" is of no known format; expected a name that ends in {", ".join(FORMATS)}')


def _columns(path: Path, wanted: list[str]) -> dict[str, Any]:
    """The wanted columns as pyarrow arrays; of CSV as text, so that a bad cell can be named."""
    _known(path, wanted)
    return _guard(path, lambda: _load(path, wanted))


def _known(path: Path, wanted: list[str]) -> None:
    """Raise DataError if a column is missing or there twice."""
    known = columns_of(path)
    for name in wanted:
        if name not in known:
            raise DataError(f'{path} has no column "{name}". {hint(name, known)}')
        if known.count(name) > 1:
            raise DataError(f'{path} has {known.count(name)} columns named "{name}"; rename all but one')


def _guard(path: Path, load: Callable[[], T]) -> T:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}; expected a table in a file ({', '.join(FORMATS)})")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); expected a header and one row an item")
    import pyarrow as pa

    try:
        return load()
    except (pa.ArrowException, pa.ArrowKeyError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as {_kind(path)[1:]}: {_plainly(error)}") from None


def _plainly(error: Exception) -> str:
    """A reader's complaint, with what to try where it is known."""
    said = str(error).strip()
    if re.search(r"utf-?8|codec can't decode", said, re.I):
        return f"{said.encode('utf-8', 'replace').decode()}. It mixes encodings or is in another one: save it as UTF-8"
    if "straddling" in said:
        return (
            "a line or cell is too long (over 1 MB); is a quotation mark missing? Split it, or write Parquet"
        )
    return said


def _head(path: Path) -> list[str]:
    kind = _kind(path)
    if kind == ".parquet":
        import pyarrow.parquet as parquet

        return list(parquet.read_schema(path).names)
    if kind.startswith(".csv"):
        import pyarrow.csv as csv

        with csv.open_csv(path, parse_options=_csv_options()) as reader:
            return list(reader.schema.names)
    return list(_read_jsonl(path).column_names)


def _load(path: Path, wanted: list[str]) -> dict[str, Any]:
    kind = _kind(path)
    if kind == ".parquet":
        import pyarrow.parquet as parquet

        table = parquet.read_table(path, columns=wanted)
    elif kind.startswith(".csv"):
        import pyarrow as pa
        import pyarrow.csv as csv

        convert = csv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=True
        )
        table = csv.read_csv(path, parse_options=_csv_options(), convert_options=convert)
    else:
        table = _read_jsonl(path)
    table.select(wanted).validate(full=True)  # that text is UTF-8; of CSV it was seen while reading
    return {name: table.column(name) for name in wanted}


def _csv_options() -> Any:
    import pyarrow.csv as csv

    return csv.ParseOptions(newlines_in_values=True)


def _read_jsonl(path: Path) -> Any:
    import pyarrow.json as arrow_json

    return arrow_json.read_json(path)


def _losses(column: Any, name: str, path: Path) -> Floats:
    losses = _numbers(column, name, path)
    missing = np.isnan(losses)
    if missing.any():
        raise DataError(
            f'{int(missing.sum())} of {len(losses)} rows of {path} have no loss in column "{name}", '
            f"the first in row {_row(missing)}. Every row needs a verdict: label those rows, or pass a table of "
            "labelled rows only (a random choice of them, or the promise is about the labelled kind alone)"
        )
    outside = (losses < 0) | (losses > 1)
    if outside.any():
        raise DataError(
            f'loss {losses[outside][0]:g} in row {_row(outside)} of {path} (column "{name}") is outside '
            "[0, 1]; 0 is fine, 1 unacceptable: divide by the largest possible loss first"
        )
    return losses


def _weights(column: Any, name: str, path: Path) -> Floats:
    weights = _numbers(column, name, path)
    bad = ~(weights > 0) | np.isinf(weights)
    if bad.any():
        raise DataError(f'weight in row {_row(bad)} of {path} (column "{name}") is not a positive number')
    return weights


def _numbers(column: Any, name: str, path: Path) -> Floats:
    """A column as floats, missing cells as NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _parse(column, name, path)
    try:
        return np.asarray(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f'column "{name}" of {path} holds {column.type}, expected numbers') from None


def _parse(column: Any, name: str, path: Path) -> Floats:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(column)
    try:
        return np.asarray(pc.cast(text, pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowInvalid:
        return np.array([_number(cell, row, name, path) for row, cell in enumerate(text.to_pylist(), 1)])


def _number(cell: str | None, row: int, name: str, path: Path) -> float:
    if cell is None or cell == "":
        return float("nan")
    if cell.lower() in _TRUTH:
        return _TRUTH[cell.lower()]
    try:
        return float(cell)
    except ValueError:
        raise DataError(f'"{cell}" in row {row} of {path} (column "{name}") is not a number') from None


def _codes(column: Any, name: str, path: Path) -> NDArray[np.int64]:
    if column.null_count:
        missing = np.asarray(column.is_null().to_numpy())
        raise DataError(
            f'{int(missing.sum())} rows of {path} have no cluster in column "{name}", '
            f"the first in row {_row(missing)}; "
            "give each row the name of what it was sampled with (its own name if it stands alone)"
        )
    indices = column.combine_chunks().dictionary_encode().indices
    return np.asarray(indices.to_numpy(), dtype=np.int64)


def _texts(column: Any, name: str, path: Path, missing: str = "(none)") -> NDArray[Any]:

    return np.asarray(_named(column, name, path, missing).to_numpy(zero_copy_only=False), dtype=object)


def _coded(column: Any, name: str, path: Path) -> tuple[NDArray[np.int64], list[str]]:
    """Places in a list of names, and that list."""
    coded = _named(column, name, path, "(none)").combine_chunks().dictionary_encode()
    return np.asarray(coded.indices.to_numpy(), np.int64), [
        str(text) for text in coded.dictionary.to_pylist()
    ]


def _named(column: Any, name: str, path: Path, missing: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.fill_null(pc.cast(column, pa.string()), missing)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f'column "{name}" of {path} holds {column.type}, expected text') from None


def _row(mask: NDArray[np.bool_]) -> int:
    return int(np.argmax(mask)) + 1
