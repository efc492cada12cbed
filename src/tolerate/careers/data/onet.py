"""Reads an O*NET text release of any version, as a zip or a folder, and says plainly what it lacks.

Columns are found by their names, never by their place, so that releases 29.x and 30.x read alike. Only
"Occupation Data" and "Task Statements" must be there; each other table that is missing costs what `LOSSES`
says, and the import goes on.
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
CODE = "O*NET-SOC Code"
NEEDED = ("Occupation Data", "Task Statements")
LOSSES = {  # what a user does without where a table is missing
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
CONTEXT = {
    "severity": "Consequence of Error",
    "exactness": "Importance of Being Exact or Accurate",
    "freedom": "Freedom to Make Decisions",
    "pressure": "Time Pressure",
}
BLOCKS = {  # name of the block: table, scale
    "skill": ("Skills", "IM"),
    "skill level": ("Skills", "LV"),
    "knowledge": ("Knowledge", "IM"),
    "knowledge level": ("Knowledge", "LV"),
    "style": ("Work Styles", "IM"),
    "interest": ("Interests", "OI"),
    "value": ("Work Values", "EX"),
}


@dataclass(frozen=True)
class Block:
    """One family of figures: values [occupations, elements], NaN where the release has none."""

    names: tuple[str, ...]
    values: Floats

    def of(self, name: str) -> Floats:
        """One element's figures of all occupations."""
        return self.values[:, self.names.index(name)]


class Release:
    """A release on the disk: its tables by name, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places = _members(path)
        missing = [name for name in NEEDED if name.lower() not in self._places]
        if missing:
            known = sorted(place.rsplit("/", 1)[-1] for place in self._places.values())
            raise DataError(
                f"{path} has no table "
                f"{' and no table '.join(f'{name}.txt' for name in missing)}; expected the text "
                f"release of O*NET (db_29_3_text.zip or later, or its "
                f"folder). It holds: {', '.join(known[:12]) or 'nothing'}"
            )

    @property
    def missing(self) -> dict[str, str]:
        """The tables it lacks, and what is done without."""
        return {name: loss for name, loss in LOSSES.items() if not self.has(name)}

    @property
    def version(self) -> str:
        """Such as 29.3, as the names of its files tell; "unknown" where they do not."""
        places = " ".join([str(self.path), *self._places.values()])
        found = re.search(r"db_(\d+)_(\d+)", places)
        return f"{found[1]}.{found[2]}" if found else "unknown"

    def has(self, name: str) -> bool:
        """Whether the release has a table of that name."""
        return name.lower() in self._places

    def rows(self, name: str, *columns: str) -> Iterator[tuple[str, ...]]:
        """The rows of a table, these columns of them; nothing if the release has no such table."""
        if not self.has(name):
            return
        with self._open(self._places[name.lower()]) as file:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            head = [cell.strip() for cell in next(reader, [])]
            places = [self._column(name, head, column) for column in columns]
            last, pick = (
                max(places),
                itemgetter(*places, places[0]),
            )  # one more, so that it always gives a tuple
            for row in reader:
                if len(row) > last:
                    yield pick(row)[:-1]

    def _column(self, table: str, head: list[str], wanted: str) -> int:
        if wanted in head:
            return head.index(wanted)
        raise DataError(f'table "{table}" of {self.path} has no column "{wanted}". {hint(wanted, head)}')

    def _open(self, place: str) -> io.TextIOBase:
        if self.path.is_dir():
            return (self.path / place).open(encoding="utf-8-sig", errors="replace", newline="")
        archive = zipfile.ZipFile(self.path)
        return io.TextIOWrapper(archive.open(place), encoding="utf-8-sig", errors="replace", newline="")


def _members(path: Path) -> dict[str, str]:
    """Table name in small letters -> its place in the zip or folder."""
    if path.is_dir():
        names = [str(each.relative_to(path)) for each in sorted(path.rglob("*.txt"))]
    elif path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile:
            raise DataError(
                f"{path} is no zip file; expected O*NET's text release (db_29_3_text.zip) or its folder"
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
class Gathered:
    """Everything of a release that the models read, occupation by occupation, in one order."""

    release: Release
    codes: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    blocks: dict[str, Block] = field(default_factory=dict)
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
                self.release.rows(table, CODE, "Element Name", "Scale ID", "Data Value")
            )
        return self._figures[table]

    @cached_property
    def at(self) -> dict[str, int]:
        """Place of each code."""
        return {code: place for place, code in enumerate(self.codes)}


def gather(release: Release) -> Gathered:
    """Read the whole release once."""
    rows = list(release.rows("Occupation Data", CODE, "Title", "Description"))
    if not rows:
        raise DataError(f'table "Occupation Data" of {release.path} has no rows; expected one an occupation')
    it = Gathered(release, *(list(column) for column in zip(*rows, strict=True)))  # type: ignore[arg-type]
    it.blocks = {name: _block(it, table, scale) for name, (table, scale) in BLOCKS.items()}
    it.blocks["context"] = _context(it)
    it.zones = _zones(it)
    it.tasks = _tasks(it)
    it.aliases = _grouped((c, t) for c, t in release.rows("Alternate Titles", CODE, "Alternate Title"))
    it.tools = _grouped(
        (c, (e, t)) for c, e, t in release.rows("Technology Skills", CODE, "Example", "Commodity Title")
    )
    it.activities = _grouped(
        (c, (t, d, n)) for c, t, d, n in release.rows("Tasks to DWAs", CODE, "Task ID", "DWA ID", "DWA Title")
    )
    it.related = _related(release)
    it._figures.clear()
    return it


def _grouped(pairs: Iterator[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for code, value in pairs:
        found[code].append(value)
    return dict(found)


def _block(it: Gathered, table: str, scale: str) -> Block:
    """Figures of one scale, elements in the order of the table."""
    rows = [
        (code, name, value)
        for code, name, kind, value in it.figures(table)
        if kind == scale and code in it.at
    ]
    names = tuple(dict.fromkeys(name for _, name, _ in rows))
    place = {name: k for k, name in enumerate(names)}
    values = np.full((len(it.codes), len(names)), np.nan)
    for code, name, value in rows:
        values[it.at[code], place[name]] = _number(value)
    return Block(names, values)


def _context(it: Gathered) -> Block:
    """The four figures of work context that we use; one without any row stays NaN."""
    read = _block(it, "Work Context", "CX")
    columns = [
        read.of(name) if name in read.names else np.full(len(it.codes), np.nan) for name in CONTEXT.values()
    ]
    return Block(tuple(CONTEXT), np.column_stack(columns))


def _zones(it: Gathered) -> Floats:
    zones = np.full(len(it.codes), np.nan)
    for code, zone in it.release.rows("Job Zones", CODE, "Job Zone"):
        if code in it.at:
            zones[it.at[code]] = _number(zone)
    return zones


def _tasks(it: Gathered) -> dict[str, list[tuple[str, str, bool]]]:
    rows = it.release.rows("Task Statements", CODE, "Task ID", "Task", "Task Type")
    return _grouped((c, (n, text, kind != "Supplemental")) for c, n, text, kind in rows)


def _related(release: Release) -> dict[str, list[str]]:
    rows = release.rows("Related Occupations", CODE, "Related O*NET-SOC Code", "Relatedness Tier")
    return _grouped((code, other) for code, other, tier in rows if tier.startswith("Primary"))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
