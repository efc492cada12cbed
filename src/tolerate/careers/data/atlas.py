"""The atlas: occupations, their tasks and figures, each with its source; embedded, or imported by the user.

Both are the same small text tables (`occupations.tsv`, `tasks.tsv`, `profiles.tsv`, `related.tsv`,
`sources.json`) in a folder. A figure that a release does not have is estimated at import, with an interval, and
is marked so wherever it is shown.
"""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tolerate.base.files import write_whole
from tolerate.errors import DataError
from tolerate.messages.both import Both
from tolerate.records import Floats

EMBEDDED = Path(__file__).parent
TABLES = ("occupations.tsv", "tasks.tsv", "profiles.tsv", "related.tsv", "sources.json")


@dataclass(frozen=True)
class Figure:
    """A number with what is known of it: measured, or estimated with a 90% interval."""

    value: float
    low: float
    high: float
    estimated: bool = False

    @classmethod
    def measured(cls, value: float) -> "Figure":
        """A figure as its source gives it."""
        return cls(value, value, value)

    def dumps(self) -> str:
        """As one cell of a table: "3.56", or "3.1 (2.4 to 3.8)" for an estimate.

        >>> Figure(3.1, 2.4, 3.8, True).dumps(), Figure.loads("3.1 (2.4 to 3.8)").high
        ('3.1 (2.4 to 3.8)', 3.8)
        """
        return f"{self.value:g} ({self.low:g} to {self.high:g})" if self.estimated else f"{self.value:g}"

    @classmethod
    def loads(cls, cell: str) -> "Figure | None":
        """The figure in a cell; an empty cell is none."""
        if not cell:
            return None
        value, _, rest = cell.partition(" (")
        if not rest:
            return cls.measured(float(value))
        low, _, high = rest.rstrip(")").partition(" to ")
        return cls(float(value), float(low), float(high), estimated=True)


@dataclass(frozen=True)
class Occupation:
    """What is known of an occupation. Scales of O*NET run from 1 to 5; pay is US dollars a year."""

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
        """Its title in both languages; where there is no Chinese one, the English."""
        return Both(self.title, self.title_zh or self.title)

    @property
    def group(self) -> str:
        """The major group, two digits."""
        return self.code[:2]

    @property
    def demand(self) -> float | None:
        """How strict the work is, 0 tolerant to 1 strict: (CoE - 1)/4 * (exactness - 1)/4."""
        if self.severity is None or self.exactness is None:
            return None
        return (self.severity.value - 1) / 4 * (self.exactness.value - 1) / 4


@dataclass(frozen=True)
class Task:
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
        """Its text in both languages; where there is no Chinese one, the English."""
        return Both(self.text, self.text_zh or self.text)


class Tasks(Mapping[str, tuple[Task, ...]]):
    """The tasks of each occupation, made of their rows when they are asked for: a release has nineteen thousand."""

    def __init__(self, rows: Iterable[dict[str, str]]) -> None:
        self._rows: dict[str, list[dict[str, str]]] = {}
        self._place: dict[str, str] = {}
        for row in rows:
            self._rows.setdefault(row["code"], []).append(row)
            self._place[row["id"]] = row["code"]

    def __getitem__(self, code: str) -> tuple[Task, ...]:
        return tuple(_record(Task, row) for row in self._rows[code])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def by_id(self, wanted: str) -> Task | None:
        """The task of an id, or None."""
        code = self._place.get(wanted)
        return None if code is None else next(task for task in self[code] if task.id == wanted)

    @property
    def count(self) -> int:
        """How many tasks there are."""
        return len(self._place)


@dataclass(frozen=True)
class Source:
    """Where figures come from, under which licence, and from when."""

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
    tasks: Tasks
    profiles: dict[str, Floats]  # code -> [elements], NaN where unknown
    elements: tuple[str, ...]  # "skill: Writing", "knowledge level: Medicine and Dentistry" ...
    related: dict[
        str, tuple[tuple[str, float], ...]
    ]  # code -> (code, chance of being called related), best first
    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()  # what was missing, what was estimated
    embedded: bool = False
    retired: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def demands(self) -> dict[str, float]:
        """Strictness of every occupation of which it is known or estimated."""
        found = {code: each.demand for code, each in self.occupations.items()}
        return {code: demand for code, demand in found.items() if demand is not None}

    def current(self, code: str) -> tuple[str, ...]:
        """The codes that an old or short code stands for today; empty if none is known."""
        if code in self.occupations:
            return (code,)
        if code in self.retired:
            return tuple(each for each in self.retired[code] if each in self.occupations)
        stem = code.split(".")[0]
        if stem != code and f"{stem}.00" in self.occupations:
            return (f"{stem}.00",)
        return tuple(
            each for each in self.occupations if each.startswith(stem.rstrip("0") if _broad(stem) else stem)
        )


def _broad(stem: str) -> bool:
    """Whether a six-digit code is one of the outlook's broad groups, such as 13-1020."""
    return len(stem) == 7 and stem.endswith("0")


# On the disk


def home() -> Path:
    """Where imports are kept: $TOLERATE_HOME, else the user's data folder."""
    if "TOLERATE_HOME" in os.environ:
        return Path(os.environ["TOLERATE_HOME"]) / "careers"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "tolerate" / "careers"


def open_atlas(folder: Path | None = None) -> Atlas:
    """The atlas in this folder, or the one imported before, or the embedded one."""
    if folder is not None:
        return load(folder)
    return load(home()) if (home() / "sources.json").exists() else load(EMBEDDED)


def load(folder: Path) -> Atlas:
    """Read an atlas; the embedded one supplies the Chinese titles and texts it has."""
    missing = [name for name in TABLES if not (folder / name).exists()]
    if missing:
        raise DataError(
            f"{folder} is no atlas: {', '.join(missing)} is missing. "
            f"Import again: tolerate career data --from RELEASE"
        )
    about = json.loads((folder / "sources.json").read_text("utf-8"))
    elements, profiles = _profiles(folder / "profiles.tsv")
    return Atlas(
        version=about["version"],
        occupations={row["code"]: _record(Occupation, row) for row in _rows(folder / "occupations.tsv")},
        tasks=Tasks(_rows(folder / "tasks.tsv")),
        profiles=profiles,
        elements=elements,
        related={row["code"]: _related(row["related"]) for row in _rows(folder / "related.tsv")},
        sources=tuple(Source(**source) for source in about["sources"]),
        notes=tuple(about.get("notes", ())),
        embedded=folder == EMBEDDED,
        retired=retired(),
    )


def save(atlas: Atlas, folder: Path) -> None:
    """Write an atlas; `sources.json` is written last, so its being there means that the rest is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sources.json").unlink(missing_ok=True)
    _write(folder / "occupations.tsv", [_cells(each) for each in atlas.occupations.values()])
    _write(folder / "tasks.tsv", [_cells(task) for tasks in atlas.tasks.values() for task in tasks])
    rows = [
        {"code": code, **{name: _short(value) for name, value in zip(atlas.elements, values, strict=True)}}
        for code, values in atlas.profiles.items()
    ]
    _write(folder / "profiles.tsv", rows)
    pairs = [
        {"code": code, "related": " ".join(f"{other}={score:.3f}" for other, score in found)}
        for code, found in atlas.related.items()
    ]
    _write(folder / "related.tsv", pairs)
    about = {
        "version": atlas.version,
        "notes": list(atlas.notes),
        "sources": [vars(source) for source in atlas.sources],
    }
    write_whole(folder / "sources.json", json.dumps(about, indent=1, ensure_ascii=False).encode())


def retired() -> dict[str, tuple[str, ...]]:
    """Old code -> the codes of today: O*NET-SOC 2010 to 2019, and the hybrid codes of pay statistics."""
    return {row["old"]: tuple(row["new"].split()) for row in _rows(EMBEDDED / "retired.tsv")}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    lines = ["\t".join(rows[0])] if rows else ["code"]
    lines += ["\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row.values()) for row in rows]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def _profiles(path: Path) -> tuple[tuple[str, ...], dict[str, Floats]]:
    rows = _rows(path)
    names = tuple(name for name in (rows[0] if rows else {}) if name != "code")
    values = {row["code"]: np.array([float(row[name] or "nan") for name in names]) for row in rows}
    return names, values


def _related(cell: str) -> tuple[tuple[str, float], ...]:
    pairs = (pair.partition("=") for pair in cell.split())
    return tuple((code, float(score)) for code, _, score in pairs)


def _record(kind: Any, row: dict[str, str]) -> Any:
    return kind(**{name: parse(row[name]) for name, parse in _parsers(kind).items() if name in row})


@cache
def _parsers(kind: Any) -> dict[str, Callable[[str], Any]]:
    return {each.name: _parser(each.type) for each in fields(kind)}


def _parser(kind: Any) -> Callable[[str], Any]:
    """What reads a cell of a field of this type."""
    if kind == (Figure | None):
        return Figure.loads
    if kind == (float | None):
        return lambda cell: float(cell) if cell else None
    if kind is bool:
        return lambda cell: cell == "1"
    return (lambda cell: tuple(filter(None, cell.split("|")))) if kind == tuple[str, ...] else str


def _cells(record: Any) -> dict[str, str]:
    return {each.name: _cell(getattr(record, each.name)) for each in fields(record)}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Figure):
        return value.dumps()
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return _short(value)
    return "|".join(value) if isinstance(value, tuple) else str(value)


def _short(value: float) -> str:
    return "" if np.isnan(value) else f"{round(value, 4):.10g}"


def tasks_of(tasks: Iterable[Task]) -> Tasks:
    """Tasks as an atlas holds them."""
    return Tasks(_cells(task) for task in tasks)


def with_chinese(occupations: Iterable[Occupation]) -> dict[str, Occupation]:
    """Occupations by code with the Chinese titles that the embedded table has."""
    from dataclasses import replace

    known = {row["code"]: row for row in _rows(EMBEDDED / "chinese.tsv")}
    return {
        each.code: replace(
            each,
            title_zh=known[each.code]["title_zh"],
            aliases=(*each.aliases, *filter(None, known[each.code]["aliases"].split("|"))),
        )
        if each.code in known
        else each
        for each in occupations
    }
