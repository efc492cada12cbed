"""Reads labelled items from CSV, JSONL or Parquet and writes items; every error names the row or the column."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import DataError, OptionError, hint
from tolerate.records import Floats, Table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import csv

T = TypeVar("T")
CHUNK_ROWS = 1 << 20  # of a Parquet file in memory at once
FORMATS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
_BOOLEANS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


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
        clusters=None if cluster is None else _cluster_codes(columns[cluster], cluster, path),
        slices=None if slice is None else _strings(columns[slice], slice, path),
        weights=None if weight is None else _weights(columns[weight], weight, path),
        names=names,
        sha256=sha256(path),
        more_losses={name: _losses(columns[name], name, path) for name in losses[1:]},
    )


def loss_names(loss: str | Sequence[str]) -> list[str]:
    """The names of the loss columns as a list; an empty list or a repeated name raises OptionError."""
    names = [loss] if isinstance(loss, str) else list(loss)
    if not names:
        raise OptionError('no column of losses is named; expected one at least, such as "wrong"')
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f'the loss "{name}" is named twice; name each column once')
    return names


@dataclass(frozen=True)
class TableChunk:
    """Some rows of a file, with the columns that counting needs; slices as indices into a list of names."""

    losses: dict[str, Floats]
    scores: Floats | None
    slices: NDArray[np.int64] | None
    slice_names: list[str]


def iter_chunks(
    path: Path, losses: Sequence[str], score: str | None, slice: str | None, groups: Sequence[int] = ()
) -> Iterator[TableChunk]:
    """Iterate over the rows of a file in chunks: at most `CHUNK_ROWS` rows of Parquet, other files as one chunk.

    groups: which row groups of a Parquet file; by default all.
    """
    names = list(dict.fromkeys([*losses, *filter(None, (score, slice))]))
    for columns in _iter_columns(path, names, groups):
        codes, slice_names = (None, []) if slice is None else _slice_codes(columns[slice], slice, path)
        yield TableChunk(
            {name: _losses(columns[name], name, path) for name in losses},
            None if score is None else _numbers(columns[score], score, path),
            codes,
            slice_names,
        )


def row_groups(path: Path) -> list[int]:
    """The number of rows in each row group of a Parquet file; an empty list for other formats."""
    if _format_of(path) != ".parquet":
        return []
    import pyarrow.parquet as parquet

    metadata = _read_guarded(path, lambda: parquet.read_metadata(path))
    return [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]


def files_of(where: str | Path) -> list[Path]:
    """The files in a folder or matching a pattern such as "parts/*.parquet", sorted by name."""
    where = Path(where)
    if where.is_dir():
        paths = [path for path in where.iterdir() if path.name.lower().endswith(FORMATS)]
    elif not any(sign in str(where) for sign in "*?["):
        paths = [where]
    else:
        root = Path(where.anchor) if where.is_absolute() else Path()
        paths = [path for path in root.glob(str(where.relative_to(root))) if path.is_file()]
    if not paths:
        raise DataError(f"{where} names no file; expected tables ({', '.join(FORMATS)})")
    return sorted(paths)


def sha256_of_files(hashes: Sequence[str]) -> str:
    """The SHA-256 of several files: of their hashes in the order of the file names; of a single file, its own."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _iter_columns(
    path: Path, names: list[str], groups: Sequence[int]
) -> Iterator[dict[str, "pa.ChunkedArray"]]:
    if _format_of(path) != ".parquet":
        yield _columns(path, names)
        return
    _check_columns(path, names)
    import pyarrow as pa
    import pyarrow.parquet as parquet

    with _read_guarded(path, lambda: parquet.ParquetFile(path)) as file:
        batches = file.iter_batches(
            CHUNK_ROWS, row_groups=list(groups) or None, columns=names, use_threads=False
        )
        while (batch := _read_guarded(path, lambda: next(batches, None))) is not None:
            yield {name: pa.chunked_array([batch.column(name)]) for name in names}


def read_strategies(
    path: str | Path, strategy: str, cost: str | None, **roles: str | None
) -> tuple[dict[str, Table], dict[str, float]]:
    """The table of each strategy, and its mean cost of generating an item (0 without a cost column)."""
    path = Path(path)
    whole = read(path, **roles)  # type: ignore[arg-type]
    named = np.array(read_texts(path, [strategy])[strategy])
    spent = np.zeros(len(whole)) if cost is None else read_numbers(path, cost)
    if np.isnan(spent).any():
        raise DataError(f'row {_first_row(np.isnan(spent))} of {path} has no cost in column "{cost}"')
    parts = {str(name): named == name for name in dict.fromkeys(named.tolist())}
    return (
        {name: _select_rows(whole, mask) for name, mask in parts.items()},
        {name: float(spent[mask].mean()) for name, mask in parts.items()},
    )


def read_shown(path: str | Path, strategy: str, item: str) -> dict[str, NDArray[Any]]:
    """The item names of each strategy's rows, by strategy."""
    columns = read_texts(path, [strategy, item])
    named, shown = np.array(columns[strategy]), np.array(columns[item])
    return {str(name): shown[named == name] for name in dict.fromkeys(named.tolist())}


def read_tiers(
    path: str | Path, tiers: Mapping[str, tuple[str, str | None]], cluster: str | None = None
) -> dict[str, Table]:
    """The table of each tier, from a file with one row an item; tiers: name -> (loss column, score column)."""
    return {
        name: read(path, loss=loss, score=score, cluster=cluster) for name, (loss, score) in tiers.items()
    }


def _select_rows(table: Table, mask: NDArray[np.bool_]) -> Table:
    """The rows of a table where `mask` is true."""
    columns = ("losses", "scores", "clusters", "slices", "weights")
    columns_by_role = {name: getattr(table, name) for name in columns}
    selected: dict[str, Any] = {
        name: None if values is None else values[mask] for name, values in columns_by_role.items()
    }
    more = {name: values[mask] for name, values in table.more_losses.items()}
    return replace(table, **selected, more_losses=more, sha256=None)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def columns_of(path: str | Path) -> list[str]:
    """The column names of a table; of CSV and Parquet only the header is read."""
    path = Path(path)
    return _read_guarded(path, lambda: _read_column_names(path))


def read_texts(path: str | Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Columns of a table as strings, missing cells as empty strings."""
    path = Path(path)
    columns = _columns(path, list(names))
    return {name: [str(text) for text in _strings(columns[name], name, path, missing="")] for name in names}


def row_count(path: str | Path) -> int:
    """The number of rows of a Parquet file."""
    return sum(row_groups(Path(path)))


def binary_columns(path: str | Path) -> list[str]:
    """The columns of a Parquet file that hold bytes, such as pictures, sounds and films."""
    path = Path(path)
    if _format_of(path) != ".parquet":
        return []
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = _read_guarded(path, lambda: parquet.read_schema(path))
    return [
        field.name
        for field in schema
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    ]


def read_bytes(path: str | Path, name: str) -> Callable[[int], bytes]:
    """A function that returns the bytes of a row of a column; a missing cell is empty. Cells are copied on demand."""
    path = Path(path)
    column = _columns(path, [name])[name]
    return lambda row: column[row].as_py() or b""


def read_numbers(path: str | Path, name: str) -> Floats:
    """Read one column as numbers, missing cells as NaN."""
    path = Path(path)
    return _numbers(_columns(path, [name])[name], name, path)


def write(path: str | Path, columns: Mapping[str, Sequence[object] | NDArray[Any]]) -> None:
    """Write columns of equal length as Parquet, CSV or JSONL, atomically."""
    import pyarrow as pa

    path = Path(path)
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    temporary = path.with_name(f".{path.name}.part")
    try:
        _write(table, temporary, _format_of(path))
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(
            f"could not write {path}: {error.strerror or error}. Free some space or choose another folder"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _write(table: "pa.Table", path: Path, kind: str) -> None:
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


def _format_of(path: Path) -> str:
    name = path.name.lower()
    for kind in FORMATS:
        if name.endswith(kind):
            return kind
    raise DataError(f'"{path.name}" is of no known format; expected a name that ends in {", ".join(FORMATS)}')


def _columns(path: Path, names: list[str]) -> dict[str, "pa.ChunkedArray"]:
    """Columns as pyarrow arrays; of CSV as strings, so that an error can quote a bad cell."""
    _check_columns(path, names)
    return _read_guarded(path, lambda: _load_columns(path, names))


def _check_columns(path: Path, names: list[str]) -> None:
    """Raise DataError if a column is missing or occurs twice."""
    existing = columns_of(path)
    for name in names:
        if name not in existing:
            raise DataError(f'{path} has no column "{name}". {hint(name, existing)}')
        if existing.count(name) > 1:
            raise DataError(f'{path} has {existing.count(name)} columns named "{name}"; rename all but one')


def _read_guarded(path: Path, load: Callable[[], T]) -> T:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}; expected a table in a file ({', '.join(FORMATS)})")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); expected a header and one row an item")
    import pyarrow as pa

    try:
        return load()
    except (pa.ArrowException, pa.ArrowKeyError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as {_format_of(path)[1:]}: {_readable_error(error)}"
        ) from None


def _readable_error(error: Exception) -> str:
    """The error of a file reader, with what to try where that is known."""
    text = str(error).strip()
    if re.search(r"utf-?8|codec can't decode", text, re.I):
        return f"{text.encode('utf-8', 'replace').decode()}. It mixes encodings or is in another one: save it as UTF-8"
    if "straddling" in text:
        return (
            "a line or cell is too long (over 1 MB); is a quotation mark missing? Split it, or write Parquet"
        )
    return text


def _read_column_names(path: Path) -> list[str]:
    kind = _format_of(path)
    if kind == ".parquet":
        import pyarrow.parquet as parquet

        return list(parquet.read_schema(path).names)
    if kind.startswith(".csv"):
        import pyarrow.csv as csv

        with csv.open_csv(path, parse_options=_csv_options()) as reader:
            return list(reader.schema.names)
    return list(_read_jsonl(path).column_names)


def _load_columns(path: Path, names: list[str]) -> dict[str, "pa.ChunkedArray"]:
    kind = _format_of(path)
    if kind == ".parquet":
        import pyarrow.parquet as parquet

        table = parquet.read_table(path, columns=names)
    elif kind.startswith(".csv"):
        import pyarrow as pa
        import pyarrow.csv as csv

        convert = csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
        )
        table = csv.read_csv(path, parse_options=_csv_options(), convert_options=convert)
    else:
        table = _read_jsonl(path)
    table.select(names).validate(full=True)  # that text is UTF-8; of CSV it was seen while reading
    return {name: table.column(name) for name in names}


def _csv_options() -> "csv.ParseOptions":
    import pyarrow.csv as csv

    return csv.ParseOptions(newlines_in_values=True)


def _read_jsonl(path: Path) -> "pa.Table":
    import pyarrow.json as arrow_json

    return arrow_json.read_json(path)


def _losses(column: "pa.ChunkedArray", name: str, path: Path) -> Floats:
    losses = _numbers(column, name, path)
    missing = np.isnan(losses)
    if missing.any():
        raise DataError(
            f'{int(missing.sum())} of {len(losses)} rows of {path} have no loss in column "{name}", '
            f"the first in row {_first_row(missing)}. Every row needs a verdict: label those rows, or pass a table of "
            "labelled rows only (a random choice of them, or the promise is about the labelled kind alone)"
        )
    outside = (losses < 0) | (losses > 1)
    if outside.any():
        raise DataError(
            f'loss {losses[outside][0]:g} in row {_first_row(outside)} of {path} (column "{name}") is outside '
            "[0, 1]; 0 is fine, 1 unacceptable: divide by the largest possible loss first"
        )
    return losses


def _weights(column: "pa.ChunkedArray", name: str, path: Path) -> Floats:
    weights = _numbers(column, name, path)
    bad = ~(weights > 0) | np.isinf(weights)
    if bad.any():
        raise DataError(
            f'weight in row {_first_row(bad)} of {path} (column "{name}") is not a positive number'
        )
    return weights


def _numbers(column: "pa.ChunkedArray", name: str, path: Path) -> Floats:
    """A column as floats, missing cells as NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _parse_numbers(column, name, path)
    try:
        return np.asarray(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f'column "{name}" of {path} holds {column.type}, expected numbers') from None


def _parse_numbers(column: "pa.ChunkedArray", name: str, path: Path) -> Floats:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(column)
    try:
        return np.asarray(pc.cast(text, pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowInvalid:
        return np.array(
            [_parse_number(cell, row, name, path) for row, cell in enumerate(text.to_pylist(), 1)]
        )


def _parse_number(cell: str | None, row: int, name: str, path: Path) -> float:
    if cell is None or cell == "":
        return float("nan")
    if cell.lower() in _BOOLEANS:
        return _BOOLEANS[cell.lower()]
    try:
        return float(cell)
    except ValueError:
        raise DataError(f'"{cell}" in row {row} of {path} (column "{name}") is not a number') from None


def _cluster_codes(column: "pa.ChunkedArray", name: str, path: Path) -> NDArray[np.int64]:
    if column.null_count:
        missing = np.asarray(column.is_null().to_numpy())
        raise DataError(
            f'{int(missing.sum())} rows of {path} have no cluster in column "{name}", '
            f"the first in row {_first_row(missing)}; "
            "give each row the name of what it was sampled with (its own name if it stands alone)"
        )
    indices = column.combine_chunks().dictionary_encode().indices
    return np.asarray(indices.to_numpy(), dtype=np.int64)


def _strings(column: "pa.ChunkedArray", name: str, path: Path, missing: str = "(none)") -> NDArray[Any]:

    return np.asarray(_as_strings(column, name, path, missing).to_numpy(zero_copy_only=False), dtype=object)


def _slice_codes(column: "pa.ChunkedArray", name: str, path: Path) -> tuple[NDArray[np.int64], list[str]]:
    """Each row's index into the list of distinct names, and that list."""
    coded = _as_strings(column, name, path, "(none)").combine_chunks().dictionary_encode()
    return np.asarray(coded.indices.to_numpy(), np.int64), [
        str(text) for text in coded.dictionary.to_pylist()
    ]


def _as_strings(column: "pa.ChunkedArray", name: str, path: Path, missing: str) -> "pa.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.fill_null(pc.cast(column, pa.string()), missing)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f'column "{name}" of {path} holds {column.type}, expected text') from None


def _first_row(mask: NDArray[np.bool_]) -> int:
    return int(np.argmax(mask)) + 1
