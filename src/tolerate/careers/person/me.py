"""What a person says of themselves, in a file they can write by hand: `me.toml`. It stays on this machine.

Nothing is asked about age, sex, origin, health or any other protected trait, and no key for one is accepted.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tolerate.careers.data.kinds import KINDS
from tolerate.careers.model.choice import GATES
from tolerate.errors import DataError, hint

TOLERANCES = ("similar", "stricter", "tolerant", "any")


@dataclass(frozen=True)
class Piece:
    """One task as the person does it; everything but its text or id may be left out."""

    text: str = ""
    id: str = ""
    kind: str = ""  # of content; by default told from the words
    hours: float = 1.0  # by hand, for one piece
    share: float = 1.0  # of the week, up to a factor
    severity: float | None = None  # of an uncaught error, 1 to 5
    exactness: float | None = None
    licensed: bool = False
    irreversible: bool = False
    physical: bool = False
    personal: bool = False
    errors: float | None = None  # typed in: wrong ones among those checked
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
        """What allows review at most."""
        return tuple(gate for gate in GATES if getattr(self, gate))


@dataclass(frozen=True)
class Wishes:
    """What a next occupation should be like; each is a filter that can be moved."""

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
    """What is known, what is wanted, and the time there is."""

    known: tuple[str, ...] = ()
    target: tuple[str, ...] = ()  # skills; by default what the tasks call for
    hours_a_week: float = 6.0
    done: tuple[str, ...] = ()  # learned since the plan began


@dataclass(frozen=True)
class Weights:
    """The figures behind the model, to be overridden."""

    between: float = 0.6  # spread of tasks within an occupation
    answer: float = 0.8  # spread of one answer
    confidence: float = 0.95


@dataclass(frozen=True)
class Person:
    """All of it. harm: hours that a typical slip, and the worst uncaught error, cost."""

    occupation: str = ""
    lang: str = ""
    task: tuple[Piece, ...] = ()
    slip: float = 0.5
    worst: float = 200.0
    work: Mapping[str, float] = field(default_factory=dict)
    wishes: Wishes = Wishes()
    learning: Learning = Learning()
    weights: Weights = Weights()
    runs: str = "runs"  # where runs of tolerate are, for technique advice
    assumed: tuple[str, ...] = ()  # what was not answered
    folder: Path = Path(".")

    def place(self, name: str) -> Path:
        """A file that me.toml names, beside it."""
        return self.folder / name


PARTS: dict[str, Any] = {"wishes": Wishes, "learning": Learning, "weights": Weights}
WORK = ("review", "rework", "human_error")
TOP = ("occupation", "lang", "task", "harm", "work", "wishes", "learning", "weights", "runs")


def read(path: Path) -> Person:
    """A person from their file; every mistake is named with its place."""
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; write one with: tolerate "
            f"career plan OCCUPATION --write {path}, or answer the "
            "questions: tolerate career ask"
        )
    try:
        return person(tomllib.loads(path.read_text("utf-8")), path.parent)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no TOML: {error}; text goes in quotes, lists in [ ]") from None


def person(record: Mapping[str, Any], folder: Path = Path(".")) -> Person:
    """A person from the values of a file."""
    _known(record, TOP, "me.toml")
    harm = _part(record, "harm")
    _known(harm, ("slip", "worst"), "[harm]")
    work = _part(record, "work")
    _known(work, WORK, "[work]")
    answered = {*harm, *work}
    parts = {name: _made(kind, _part(record, name), f"[{name}]") for name, kind in PARTS.items()}
    if parts["wishes"].tolerance not in TOLERANCES:
        raise DataError(
            f'[wishes] tolerance = "{parts["wishes"].tolerance}". '
            f"{hint(parts['wishes'].tolerance, TOLERANCES)}"
        )
    tasks = record.get("task", [])
    if not isinstance(tasks, list):
        raise DataError("[task] is one table; write each task under its own [[task]]")
    return Person(
        occupation=_text(record, "occupation"),
        lang=_text(record, "lang"),
        runs=_text(record, "runs") or "runs",
        task=tuple(_piece(each, k) for k, each in enumerate(tasks, 1)),
        slip=_number(harm.get("slip", 0.5), "[harm] slip"),
        worst=_number(harm.get("worst", 200.0), "[harm] worst"),
        work={name: _number(value, f"[work] {name}") for name, value in work.items()},
        assumed=tuple(name for name in ("slip", "worst", *WORK) if name not in answered),
        folder=folder,
        **parts,
    )


def _piece(record: Any, place: int) -> Piece:
    where = f"[[task]] {place}"
    piece: Piece = _made(Piece, record, where)
    if not piece.text and not piece.id:
        raise DataError(f'{where} has neither text nor id; say what the task is: text = "..."')
    if (piece.errors is None) != (piece.checked is None):
        raise DataError(
            f"{where} needs both errors and checked: how many were wrong, of how many that were looked at"
        )
    if piece.kind and piece.kind not in KINDS:
        raise DataError(f'{where} kind = "{piece.kind}". {hint(piece.kind, KINDS)}')
    linked = [name for name in ("certificate", "table", "run") if getattr(piece, name)]
    if len(linked) > 1 or (linked and piece.errors is not None):
        raise DataError(
            f"{where} has several sources of its error ({', '.join(linked) or 'errors'}); keep one"
        )
    return piece


def _made(kind: Any, record: Any, where: str) -> Any:
    if not isinstance(record, Mapping):
        raise DataError(f"{where} is {record!r}; expected a table of keys and values")
    _known(record, [each.name for each in fields(kind)], where)
    return kind(
        **{each.name: _value(each, record[each.name], where) for each in fields(kind) if each.name in record}
    )


def _value(each: Any, value: Any, where: str) -> Any:
    where = f"{where} {each.name}"
    if each.type in (float, float | None):
        return _number(value, where)
    if each.type in (int, int | None):
        return int(_number(value, where))
    if each.type is bool:
        if not isinstance(value, bool):
            raise DataError(f"{where} = {value!r}; expected true or false")
        return value
    if each.type is str:
        if not isinstance(value, str | int):
            raise DataError(f"{where} = {value!r}; expected text in quotes")
        return str(value)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise DataError(f'{where} = {value!r}; expected a list of texts, such as ["python", "git"]')
    return tuple(value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1]) / 100
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where} = {value!r}; expected a number")
    return float(value)


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name, "")
    if not isinstance(value, str):
        raise DataError(f"{name} = {value!r}; expected text in quotes")
    return value


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name, {})
    if not isinstance(part, Mapping):
        raise DataError(f"{name} = {part!r}; expected a table: [{name}]")
    return part


def _known(record: Mapping[str, Any], known: Any, where: str) -> None:
    for key in record:
        if key not in known:
            raise DataError(f'{where} has an unknown key "{key}". {hint(key, known)}')
