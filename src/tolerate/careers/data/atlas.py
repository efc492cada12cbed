"""The atlas: occupations, their tasks and figures, each with its source; embedded, or imported by the user.

Both are the same small text tables (`occupations.tsv`, `tasks.tsv`, `profiles.tsv`, `related.tsv`,
`sources.json`) in a folder. A figure that a release lacks is estimated at import, with an interval, and is
marked as estimated wherever it is shown.
"""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tolerate.base.files import write_whole
from tolerate.errors import DataError
from tolerate.messages.both import Both
from tolerate.records import Floats

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EMBEDDED = Path(__file__).parent
TABLES = ("occupations.tsv", "tasks.tsv", "profiles.tsv", "related.tsv", "sources.json")


@dataclass(frozen=True)
class Figure:
    """A number that was measured, or estimated with a 90% interval."""

    value: float
    low: float
    high: float
    estimated: bool = False

    @classmethod
    def from_measurement(cls, value: float) -> "Figure":
        """A figure as its source states it, without an interval."""
        return cls(value, value, value)

    def dumps(self) -> str:
        """The figure as one cell of a table: "3.56", or "3.1 (2.4 to 3.8)" for an estimate.

        >>> Figure(3.1, 2.4, 3.8, True).dumps(), Figure.loads("3.1 (2.4 to 3.8)").high
        ('3.1 (2.4 to 3.8)', 3.8)
        """
        return f"{self.value:g} ({self.low:g} to {self.high:g})" if self.estimated else f"{self.value:g}"

    @classmethod
    def loads(cls, cell: str) -> "Figure | None":
        """The figure in a cell; None for an empty cell."""
        if not cell:
            return None
        value, _, rest = cell.partition(" (")
        if not rest:
            return cls.from_measurement(float(value))
        low, _, high = rest.rstrip(")").partition(" to ")
        return cls(float(value), float(low), float(high), estimated=True)


@dataclass(frozen=True)
class Occupation:
    """An occupation and its figures. O*NET's scales run from 1 to 5; pay is US dollars a year."""

    code: str
    title: str
    title_zh: str = ""
    aliases: tuple[str, ...] = ()
    description: str = ""
    severity: Figure | None = None  # consequence of error, given a mistake that is not corrected
    exactness: Figure | None = None
    freedom: Figure | None = None
    pressure: Figure | None = None
    zone: float | None = None  # preparation, 1 (little) to 5
    pay: float | None = None
    pay_low: float | None = None
    pay_high: float | None = None
    jobs: float | None = None
    openings: float | None = None  # a year
    growth: float | None = None  # per cent in ten years
    licence: str = ""  # "often" where the outlook table flags it
    exposure: float | None = None  # share of tasks a language model may speed up; never an error rate
    use: float | None = None  # how far an assistant is used for its activities; never an error rate

    @property
    def name(self) -> Both:
        """The title in both languages; without a Chinese title, the English one twice."""
        return Both(self.title, self.title_zh or self.title)

    @property
    def group(self) -> str:
        """The major group, two digits."""
        return self.code[:2]

    @property
    def strictness(self) -> float | None:
        """Strictness of the work, from 0 (tolerant) to 1 (strict): (CoE - 1)/4 * (exactness - 1)/4."""
        if self.severity is None or self.exactness is None:
            return None
        return (self.severity.value - 1) / 4 * (self.exactness.value - 1) / 4


@dataclass(frozen=True)
class OnetTask:
    """One task of an occupation; ratings are estimates from its words, 1 to 5, with 90% intervals."""

    id: str
    code: str
    text: str
    text_zh: str = ""
    core: bool = True
    physical: Figure | None = None
    personal: Figure | None = None  # how strongly interpersonal
    agency: Figure | None = None  # how much of it experts would leave to people
    keep: float | None = None  # estimated chance that experts would keep it mostly human

    @property
    def name(self) -> Both:
        """The task's text in both languages; without a Chinese text, the English one twice."""
        return Both(self.text, self.text_zh or self.text)


class OnetTasks(Mapping[str, tuple[OnetTask, ...]]):
    """The tasks by occupation. They are parsed on access, since a release has nineteen thousand."""

    def __init__(self, rows: Iterable[dict[str, str]]) -> None:
        self._rows: dict[str, list[dict[str, str]]] = {}
        self._code_of: dict[str, str] = {}
        for row in rows:
            self._rows.setdefault(row["code"], []).append(row)
            self._code_of[row["id"]] = row["code"]

    def __getitem__(self, code: str) -> tuple[OnetTask, ...]:
        return tuple(OnetTask(**_parse_row(OnetTask, row)) for row in self._rows[code])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def by_id(self, task_id: str) -> OnetTask | None:
        """The task of an id, or None."""
        code = self._code_of.get(task_id)
        return None if code is None else next(task for task in self[code] if task.id == task_id)

    @property
    def count(self) -> int:
        """The number of tasks."""
        return len(self._code_of)


@dataclass(frozen=True)
class DataSource:
    """The origin of figures, with licence and date. what: the figures taken from it."""

    name: str
    licence: str
    date: str
    what: str
    url: str = ""


@dataclass(frozen=True)
class Atlas:
    """Occupations and tasks by code, profiles for comparing them, and learned relatedness."""

    version: str
    occupations: dict[str, Occupation]
    tasks: OnetTasks
    profiles: dict[str, Floats]  # code -> [elements], NaN where unknown
    elements: tuple[str, ...]  # "skill: Writing", "knowledge level: Medicine and Dentistry" ...
    related: dict[
        str, tuple[tuple[str, float], ...]
    ]  # code -> (code, chance of being called related), best first
    sources: tuple[DataSource, ...]
    notes: tuple[str, ...] = ()  # tables that were missing, figures that were estimated
    embedded: bool = False
    retired_codes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def strictness_by_code(self) -> dict[str, float]:
        """Strictness by code, of the occupations of which it is known or estimated."""
        values = {code: occupation.strictness for code, occupation in self.occupations.items()}
        return {code: demand for code, demand in values.items() if demand is not None}

    def current_codes(self, code: str) -> tuple[str, ...]:
        """The codes that an old or short code stands for today; empty for an unknown code."""
        if code in self.occupations:
            return (code,)
        if code in self.retired_codes:
            return tuple(other for other in self.retired_codes[code] if other in self.occupations)
        stem = code.split(".")[0]
        if stem != code and f"{stem}.00" in self.occupations:
            return (f"{stem}.00",)
        return tuple(
            other
            for other in self.occupations
            if other.startswith(stem.rstrip("0") if _is_broad_group(stem) else stem)
        )


def _is_broad_group(stem: str) -> bool:
    """Whether a six-digit code is a broad group of the employment outlook, such as 13-1020."""
    return len(stem) == 7 and stem.endswith("0")


# On disk


def import_folder() -> Path:
    """The folder of the imported atlas: in $TOLERATE_HOME, else in the user's data folder."""
    if "TOLERATE_HOME" in os.environ:
        return Path(os.environ["TOLERATE_HOME"]) / "careers"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "tolerate" / "careers"


def open_atlas(folder: Path | None = None) -> Atlas:
    """The atlas in this folder; by default the imported one, else the embedded one."""
    if folder is not None:
        return load(folder)
    return load(import_folder()) if (import_folder() / "sources.json").exists() else load(EMBEDDED)


def load(folder: Path) -> Atlas:
    """Read an atlas."""
    missing = [name for name in TABLES if not (folder / name).exists()]
    if missing:
        raise DataError(
            f"{folder} is not an atlas: {', '.join(missing)} is missing. "
            f"Import again: tolerate career data --from RELEASE"
        )
    header = json.loads((folder / "sources.json").read_text("utf-8"))
    elements, profiles = _read_profiles(folder / "profiles.tsv")
    return Atlas(
        version=header["version"],
        occupations={
            row["code"]: Occupation(**_parse_row(Occupation, row))
            for row in _read_table(folder / "occupations.tsv")
        },
        tasks=OnetTasks(_read_table(folder / "tasks.tsv")),
        profiles=profiles,
        elements=elements,
        related={row["code"]: _parse_related(row["related"]) for row in _read_table(folder / "related.tsv")},
        sources=tuple(DataSource(**source) for source in header["sources"]),
        notes=tuple(header.get("notes", ())),
        embedded=folder == EMBEDDED,
        retired_codes=read_retired_codes(),
    )


def save(atlas: Atlas, folder: Path) -> None:
    """Write an atlas. `sources.json` is written last, so its existence means that the atlas is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sources.json").unlink(missing_ok=True)
    _write_table(
        folder / "occupations.tsv", [_cells(occupation) for occupation in atlas.occupations.values()]
    )
    _write_table(folder / "tasks.tsv", [_cells(task) for tasks in atlas.tasks.values() for task in tasks])
    profiles = [
        {
            "code": code,
            **{name: _format_number(value) for name, value in zip(atlas.elements, values, strict=True)},
        }
        for code, values in atlas.profiles.items()
    ]
    _write_table(folder / "profiles.tsv", profiles)
    related = [
        {"code": code, "related": " ".join(f"{other}={score:.3f}" for other, score in neighbours)}
        for code, neighbours in atlas.related.items()
    ]
    _write_table(folder / "related.tsv", related)
    header = {
        "version": atlas.version,
        "notes": list(atlas.notes),
        "sources": [vars(source) for source in atlas.sources],
    }
    write_whole(folder / "sources.json", json.dumps(header, indent=1, ensure_ascii=False).encode())


def read_retired_codes() -> dict[str, tuple[str, ...]]:
    """Old code -> the codes of today: O*NET-SOC 2010 to 2019, and the hybrid codes of pay statistics."""
    return {row["old"]: tuple(row["new"].split()) for row in _read_table(EMBEDDED / "retired.tsv")}


def _read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    lines = ["\t".join(rows[0])] if rows else ["code"]
    lines += ["\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row.values()) for row in rows]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def _read_profiles(path: Path) -> tuple[tuple[str, ...], dict[str, Floats]]:
    rows = _read_table(path)
    names = tuple(name for name in (rows[0] if rows else {}) if name != "code")
    values = {row["code"]: np.array([float(row[name] or "nan") for name in names]) for row in rows}
    return names, values


def _parse_related(cell: str) -> tuple[tuple[str, float], ...]:
    pairs = (pair.partition("=") for pair in cell.split())
    return tuple((code, float(score)) for code, _, score in pairs)


def _parse_row(record_type: "type[DataclassInstance]", row: dict[str, str]) -> dict[str, Any]:
    """The fields of a record by name; a column that is missing is left out."""
    return {name: parse(row[name]) for name, parse in _parsers(record_type).items() if name in row}


@cache
def _parsers(record_type: "type[DataclassInstance]") -> dict[str, Callable[[str], object]]:
    return {column.name: _parser(column.type) for column in fields(record_type)}


def _parser(field_type: object) -> Callable[[str], object]:
    """The function that parses a cell of a field of this type."""
    if field_type == (Figure | None):
        return Figure.loads
    if field_type == (float | None):
        return lambda cell: float(cell) if cell else None
    if field_type is bool:
        return lambda cell: cell == "1"
    return (lambda cell: tuple(filter(None, cell.split("|")))) if field_type == tuple[str, ...] else str


def _cells(record: "DataclassInstance") -> dict[str, str]:
    return {column.name: _cell(getattr(record, column.name)) for column in fields(record)}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Figure):
        return value.dumps()
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return _format_number(value)
    return "|".join(value) if isinstance(value, tuple) else str(value)


def _format_number(value: float) -> str:
    return "" if np.isnan(value) else f"{round(value, 4):.10g}"


def index_tasks(tasks: Iterable[OnetTask]) -> OnetTasks:
    """Tasks as an atlas holds them, by occupation."""
    return OnetTasks(_cells(task) for task in tasks)


def with_chinese_titles(occupations: Iterable[Occupation]) -> dict[str, Occupation]:
    """Occupations by code, with the Chinese titles that the embedded table has."""
    rows = {row["code"]: row for row in _read_table(EMBEDDED / "chinese.tsv")}
    return {
        occupation.code: _with_chinese_title(occupation, rows.get(occupation.code))
        for occupation in occupations
    }


def _with_chinese_title(occupation: Occupation, row: Mapping[str, str] | None) -> Occupation:
    if row is None:
        return occupation
    aliases = (*occupation.aliases, *filter(None, row["aliases"].split("|")))
    return replace(occupation, title_zh=row["title_zh"], aliases=aliases)
