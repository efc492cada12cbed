"""Reads an O*NET text release of any version, as a zip or a folder.

Columns are found by their names, never by their position, so that releases 29.x and 30.x are read in the same way. Only
"Occupation Data" and "Task Statements" are required. Without another table the import does without what
`OPTIONAL_TABLES` names.
"""

import csv
import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import numpy as np

from tolerate.errors import DataError, hint
from tolerate.records import Floats

T = TypeVar("T")
CODE_COLUMN = "O*NET-SOC Code"
REQUIRED_TABLES = ("Occupation Data", "Task Statements")
OPTIONAL_TABLES = {  # table: what is missing without it
    "Skills": "skill gaps of moves",
    "Knowledge": "knowledge gaps of moves",
    "Work Styles": "one source of relatedness",
    "Interests": "one source of relatedness",
    "Work Values": "one source of relatedness",
    "Work Context": "measured consequence of error and exactness: all are estimated, or absent",
    "Job Zones": "the filter on preparation",
    "Alternate Titles": "searching by other titles",
    "Technology Skills": "one source of relatedness",
    "Tasks to DWAs": "one source of relatedness",
    "Related Occupations": "learned weights of relatedness: the built-in weights are used",
}
CONTEXT_ELEMENTS = {
    "severity": "Consequence of Error",
    "exactness": "Importance of Being Exact or Accurate",
    "freedom": "Freedom to Make Decisions",
    "pressure": "Time Pressure",
}
ELEMENT_TABLES = {  # name of the block: table, scale
    "skill": ("Skills", "IM"),
    "skill level": ("Skills", "LV"),
    "knowledge": ("Knowledge", "IM"),
    "knowledge level": ("Knowledge", "LV"),
    "style": ("Work Styles", "IM"),
    "interest": ("Interests", "OI"),
    "value": ("Work Values", "EX"),
}


@dataclass(frozen=True)
class ElementTable:
    """Figures of a family of elements: values [occupations, elements], NaN where the release has none."""

    names: tuple[str, ...]
    values: Floats

    def column(self, name: str) -> Floats:
        """[occupations] figures of one element."""
        return self.values[:, self.names.index(name)]


class Release:
    """A release on disk; each table is read when it is needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members = _find_tables(path)
        missing = [name for name in REQUIRED_TABLES if name.lower() not in self._members]
        if missing:
            files = sorted(member.rsplit("/", 1)[-1] for member in self._members.values())
            raise DataError(
                f"{path} has no table "
                f"{' and no table '.join(f'{name}.txt' for name in missing)}; expected the text "
                f"release of O*NET (db_29_3_text.zip or later, or its "
                f"folder). It holds: {', '.join(files[:12]) or 'nothing'}"
            )

    @property
    def missing(self) -> dict[str, str]:
        """The tables that the release lacks, and what is missing without them."""
        return {name: loss for name, loss in OPTIONAL_TABLES.items() if not self.has(name)}

    @property
    def version(self) -> str:
        """The version by the names of the files, such as 29.3; otherwise "unknown"."""
        names = " ".join([str(self.path), *self._members.values()])
        match = re.search(r"db_(\d+)_(\d+)", names)
        return f"{match[1]}.{match[2]}" if match else "unknown"

    def has(self, name: str) -> bool:
        """Whether the release has a table of that name."""
        return name.lower() in self._members

    def rows(self, name: str, *columns: str) -> Iterator[tuple[str, ...]]:
        """The rows of a table as tuples of the named columns; no rows if the release has no such table."""
        if not self.has(name):
            return
        with self._open(self._members[name.lower()]) as file:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            head = [cell.strip() for cell in next(reader, [])]
            indices = [self._column(name, head, column) for column in columns]
            last = max(indices)
            pick = itemgetter(*indices, indices[0])  # one more, so that it always returns a tuple
            for row in reader:
                if len(row) > last:
                    yield pick(row)[:-1]

    def _column(self, table: str, head: list[str], column: str) -> int:
        if column in head:
            return head.index(column)
        raise DataError(f'table "{table}" of {self.path} has no column "{column}". {hint(column, head)}')

    def _open(self, member: str) -> io.TextIOBase:
        if self.path.is_dir():
            return (self.path / member).open(encoding="utf-8-sig", errors="replace", newline="")
        archive = zipfile.ZipFile(self.path)
        return io.TextIOWrapper(archive.open(member), encoding="utf-8-sig", errors="replace", newline="")


def _find_tables(path: Path) -> dict[str, str]:
    """Table name in small letters -> its path in the zip or folder."""
    if path.is_dir():
        names = [str(file.relative_to(path)) for file in sorted(path.rglob("*.txt"))]
    elif path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile:
            raise DataError(
                f"{path} is not a zip file; expected O*NET's text release (db_29_3_text.zip) or its folder"
            ) from None
    else:
        raise DataError(
            f"{path} does not exist; expected O*NET's text release (db_29_3_text.zip) or its folder"
        )
    return {
        re.sub(r"[_ ]+", " ", Path(name).stem).lower(): name
        for name in names
        if name.lower().endswith(".txt")
    }


@dataclass
class OnetData:
    """Everything of a release that the models need, with the occupations in one order."""

    release: Release
    codes: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    tables: dict[str, ElementTable] = field(default_factory=dict)
    zones: Floats = field(default_factory=lambda: np.zeros(0))
    tasks: dict[str, list[tuple[str, str, bool]]] = field(default_factory=dict)  # code -> (id, text, core)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    tools: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # code -> (example, commodity)
    activities: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)  # (task, id, title)
    related: dict[str, list[str]] = field(default_factory=dict)  # code -> the ten primary ones, in order
    _figures: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)

    def figures(self, table: str) -> list[tuple[str, ...]]:
        """The rows of a table of figures: code, element, scale, value; each table is read once."""
        if table not in self._figures:
            self._figures[table] = list(
                self.release.rows(table, CODE_COLUMN, "Element Name", "Scale ID", "Data Value")
            )
        return self._figures[table]

    @cached_property
    def index_of(self) -> dict[str, int]:
        """The index of each occupation's code."""
        return {code: index for index, code in enumerate(self.codes)}


def read_release(release: Release) -> OnetData:
    """Read all tables of a release."""
    rows = list(release.rows("Occupation Data", CODE_COLUMN, "Title", "Description"))
    if not rows:
        raise DataError(f'table "Occupation Data" of {release.path} has no rows; expected one an occupation')
    codes, titles, descriptions = (list(column) for column in zip(*rows, strict=True))
    data = OnetData(release, codes, titles, descriptions)
    data.tables = {
        name: _element_table(data, table, scale) for name, (table, scale) in ELEMENT_TABLES.items()
    }
    data.tables["context"] = _context_table(data)
    data.zones = _job_zones(data)
    data.tasks = _task_statements(data)
    data.aliases = _group_by_code(
        (c, t) for c, t in release.rows("Alternate Titles", CODE_COLUMN, "Alternate Title")
    )
    data.tools = _group_by_code(
        (c, (e, t))
        for c, e, t in release.rows("Technology Skills", CODE_COLUMN, "Example", "Commodity Title")
    )
    data.activities = _group_by_code(
        (c, (t, d, n))
        for c, t, d, n in release.rows("Tasks to DWAs", CODE_COLUMN, "Task ID", "DWA ID", "DWA Title")
    )
    data.related = _related_codes(release)
    data._figures.clear()
    return data


def _group_by_code(pairs: Iterator[tuple[str, T]]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for code, value in pairs:
        groups[code].append(value)
    return dict(groups)


def _element_table(data: OnetData, table: str, scale: str) -> ElementTable:
    """Figures of one scale, elements in the order of the table."""
    rows = [
        (code, name, value)
        for code, name, kind, value in data.figures(table)
        if kind == scale and code in data.index_of
    ]
    names = tuple(dict.fromkeys(name for _, name, _ in rows))
    columns = {name: k for k, name in enumerate(names)}
    values = np.full((len(data.codes), len(names)), np.nan)
    for code, name, value in rows:
        values[data.index_of[code], columns[name]] = _parse_number(value)
    return ElementTable(names, values)


def _context_table(data: OnetData) -> ElementTable:
    """The four figures of work context that are used; one without any row is NaN."""
    context = _element_table(data, "Work Context", "CX")
    columns = [
        context.column(name) if name in context.names else np.full(len(data.codes), np.nan)
        for name in CONTEXT_ELEMENTS.values()
    ]
    return ElementTable(tuple(CONTEXT_ELEMENTS), np.column_stack(columns))


def _job_zones(data: OnetData) -> Floats:
    zones = np.full(len(data.codes), np.nan)
    for code, zone in data.release.rows("Job Zones", CODE_COLUMN, "Job Zone"):
        if code in data.index_of:
            zones[data.index_of[code]] = _parse_number(zone)
    return zones


def _task_statements(data: OnetData) -> dict[str, list[tuple[str, str, bool]]]:
    rows = data.release.rows("Task Statements", CODE_COLUMN, "Task ID", "Task", "Task Type")
    return _group_by_code((c, (n, text, kind != "Supplemental")) for c, n, text, kind in rows)


def _related_codes(release: Release) -> dict[str, list[str]]:
    rows = release.rows("Related Occupations", CODE_COLUMN, "Related O*NET-SOC Code", "Relatedness Tier")
    return _group_by_code((code, other) for code, other, tier in rows if tier.startswith("Primary"))


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
