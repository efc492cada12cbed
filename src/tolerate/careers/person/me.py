"""A person's profile in a file that can be written by hand: `me.toml`. It stays on this machine.

Nothing is asked about age, sex, origin, health or any other protected trait, and no key for one is accepted.
"""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from tolerate.careers.data.kinds import KIND_PATTERNS
from tolerate.careers.model.choice import GATES
from tolerate.errors import DataError, hint

TOLERANCES = ("similar", "stricter", "tolerant", "any")
WORK_KEYS = ("review", "rework", "human_error")
ASSUMABLE_KEYS = ("slip", "worst", *WORK_KEYS)  # what a plan assumes if it is not answered
TOP_KEYS = ("occupation", "lang", "task", "harm", "work", "wishes", "learning", "weights", "runs")


@dataclass(frozen=True)
class PersonTask:
    """One task as the person does it; everything but its text or id is optional. Fields are the keys of [[task]]."""

    text: str = ""
    id: str = ""
    kind: str = ""  # of content; by default guessed from the words
    hours: float = 1.0  # by hand, for one piece
    share: float = 1.0  # of the week, up to a factor
    severity: float | None = None  # of an uncaught error, 1 to 5
    exactness: float | None = None
    licensed: bool = False
    irreversible: bool = False
    physical: bool = False
    personal: bool = False
    errors: float | None = None  # counted by the person: wrong ones among those checked
    checked: int | None = None
    raw: bool = False  # the errors counted are slips, of which only a part matters
    caught: int = 0
    seeded: int = 0
    human_error: float | None = None
    review: float | None = None
    rework: float | None = None
    certificate: str = ""  # certificate.json
    table: str = ""  # labelled items
    loss: str = "loss"
    score: str = ""
    cluster: str = ""
    run: str = ""  # folder of a run of this job

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates that are set; each allows review at most."""
        return tuple(gate for gate in GATES if getattr(self, gate))


@dataclass(frozen=True)
class Wishes:
    """Wishes for a next occupation; each one that is set is a filter of moves."""

    pay: float | None = 0.75  # at least this share of today's
    preparation: float | None = 1.0  # steps of job zone up, at most
    licence: bool = True  # one that often needs a licence is welcome
    new_field: bool = False  # leave today's major group
    same_field: bool = False
    growth: float | None = None  # per cent in ten years, at least
    openings: float | None = None  # a year, at least
    feasibility: float | None = 0.01
    tolerance: str = "any"  # similar, stricter, tolerant, any
    learning: float | None = None  # hours of learning, at most


@dataclass(frozen=True)
class Learning:
    """The skills a person has and wants, and the time for learning."""

    known: tuple[str, ...] = ()
    target: tuple[str, ...] = ()  # skills; by default what the tasks call for
    hours_a_week: float = 6.0
    done: tuple[str, ...] = ()  # learned since the plan began


@dataclass(frozen=True)
class Weights:
    """Figures of the model that a person may override."""

    between: float = 0.6  # standard deviation of the severity of tasks within an occupation
    answer: float = 0.8  # standard deviation of one answer about severity
    confidence: float = 0.95


@dataclass(frozen=True)
class Person:
    """Everything that me.toml says. slip, worst: hours that a typical and the worst uncaught error cost."""

    occupation: str = ""
    lang: str = ""
    task: tuple[PersonTask, ...] = ()
    slip: float = 0.5
    worst: float = 200.0
    work: Mapping[str, float] = field(default_factory=dict)
    wishes: Wishes = Wishes()
    learning: Learning = Learning()
    weights: Weights = Weights()
    runs: str = "runs"  # where runs of tolerate are, for technique advice
    assumed: tuple[str, ...] = ()  # keys that were not answered
    folder: Path = Path(".")

    def path_of(self, name: str) -> Path:
        """The path of a file that me.toml names, relative to its folder."""
        return self.folder / name


def read_person(path: Path) -> Person:
    """A person from their me.toml; a DataError names the mistake and its place."""
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; write one with: tolerate "
            f"career plan OCCUPATION --write {path}, or answer the "
            "questions: tolerate career ask"
        )
    try:
        return parse_person(tomllib.loads(path.read_text("utf-8")), path.parent)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid TOML: {error}; text goes in quotes, lists in [ ]") from None


def parse_person(record: Mapping[str, object], folder: Path = Path(".")) -> Person:
    """A person from the values of a me.toml. folder: where the files that it names are."""
    _check_keys(record, TOP_KEYS, "me.toml")
    harm, work = _section(record, "harm"), _section(record, "work")
    _check_keys(harm, ("slip", "worst"), "[harm]")
    _check_keys(work, WORK_KEYS, "[work]")
    return Person(
        occupation=_parse_text(record, "occupation"),
        lang=_parse_text(record, "lang"),
        runs=_parse_text(record, "runs") or "runs",
        task=_parse_tasks(record.get("task", [])),
        slip=_parse_number(harm.get("slip", 0.5), "[harm] slip"),
        worst=_parse_number(harm.get("worst", 200.0), "[harm] worst"),
        work={name: _parse_number(value, f"[work] {name}") for name, value in work.items()},
        wishes=_parse_wishes(_section(record, "wishes")),
        learning=Learning(**_parse_fields(fields(Learning), _section(record, "learning"), "[learning]")),
        weights=Weights(**_parse_fields(fields(Weights), _section(record, "weights"), "[weights]")),
        assumed=tuple(name for name in ASSUMABLE_KEYS if name not in harm and name not in work),
        folder=folder,
    )


def _parse_wishes(section: Mapping[str, object]) -> Wishes:
    wishes = Wishes(**_parse_fields(fields(Wishes), section, "[wishes]"))
    if wishes.tolerance not in TOLERANCES:
        raise DataError(f'[wishes] tolerance = "{wishes.tolerance}". {hint(wishes.tolerance, TOLERANCES)}')
    return wishes


def _parse_tasks(tasks: object) -> tuple[PersonTask, ...]:
    if not isinstance(tasks, list):
        raise DataError("[task] is one table; write each task under its own [[task]]")
    return tuple(_parse_task(task, number) for number, task in enumerate(tasks, 1))


def _parse_task(record: object, number: int) -> PersonTask:
    where = f"[[task]] {number}"
    task = PersonTask(**_parse_fields(fields(PersonTask), record, where))
    if not task.text and not task.id:
        raise DataError(f'{where} has neither text nor id; say what the task is: text = "..."')
    if (task.errors is None) != (task.checked is None):
        raise DataError(
            f"{where} needs both errors and checked: how many were wrong, of how many that were looked at"
        )
    if task.kind and task.kind not in KIND_PATTERNS:
        raise DataError(f'{where} kind = "{task.kind}". {hint(task.kind, KIND_PATTERNS)}')
    files = {"certificate": task.certificate, "table": task.table, "run": task.run}
    sources = [name for name, path in files.items() if path]
    if len(sources) > 1 or (sources and task.errors is not None):
        raise DataError(
            f"{where} has several sources of its error ({', '.join(sources) or 'errors'}); keep one"
        )
    return task


def _parse_fields(allowed: Iterable[Field[object]], record: object, where: str) -> dict[str, Any]:
    """The values of a table of me.toml by field, each checked against the field's type."""
    if not isinstance(record, Mapping):
        raise DataError(f"{where} is {record!r}; expected a table of keys and values")
    types = {key.name: key.type for key in allowed}
    _check_keys(record, types, where)
    return {name: _parse_value(types[name], value, f"{where} {name}") for name, value in record.items()}


def _parse_value(type_: object, value: object, where: str) -> object:
    if type_ in (float, float | None):
        return _parse_number(value, where)
    if type_ in (int, int | None):
        return int(_parse_number(value, where))
    if type_ is bool:
        if not isinstance(value, bool):
            raise DataError(f"{where} = {value!r}; expected true or false")
        return value
    if type_ is str:
        if not isinstance(value, str | int):
            raise DataError(f"{where} = {value!r}; expected text in quotes")
        return str(value)
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise DataError(f'{where} = {value!r}; expected a list of texts, such as ["python", "git"]')
    return tuple(value)


def _parse_number(value: object, where: str) -> float:
    """A number, or a text such as "2%" as 0.02."""
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1]) / 100
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where} = {value!r}; expected a number")
    return float(value)


def _parse_text(record: Mapping[str, object], name: str) -> str:
    value = record.get(name, "")
    if not isinstance(value, str):
        raise DataError(f"{name} = {value!r}; expected text in quotes")
    return value


def _section(record: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = record.get(name, {})
    if not isinstance(section, Mapping):
        raise DataError(f"{name} = {section!r}; expected a table: [{name}]")
    return section


def _check_keys(record: Mapping[str, object], allowed: Collection[str], where: str) -> None:
    for key in record:
        if key not in allowed:
            raise DataError(f'{where} has an unknown key "{key}". {hint(key, allowed)}')
