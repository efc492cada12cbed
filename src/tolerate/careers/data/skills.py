"""The skill graph of AI content work: what each skill needs (AND of ORs), takes in hours, and is shown by here.

Ours, about a hundred skills in `skills.tsv`. Hours are a beginner's, judged by us and not measured: change them
by hand. `needs` reads "a; b|c": a, and one of b or c. `here` is a command of tolerate that shows or trains it.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tolerate.errors import DataError, OptionError, hint
from tolerate.messages.both import Both

TABLE = Path(__file__).parent / "skills.tsv"
BANDS = ("tolerant", "middle", "strict")  # of the required ETR: 10% and more, 1% to 10%, below 1%


@dataclass(frozen=True)
class Skill:
    """One skill. needs: clauses, of each of which one member must be known before."""

    id: str
    name: Both
    area: str
    hours: float
    needs: tuple[tuple[str, ...], ...] = ()
    here: str = ""
    resource: str = ""
    unlocks: tuple[str, ...] = ()  # kinds of content
    bands: tuple[str, ...] = ()  # of tolerance at which it serves them


Graph = Mapping[str, Skill]


@cache
def graph() -> dict[str, Skill]:
    """The skill graph, in an order in which every skill follows what it may need."""
    return read(TABLE)


def read(path: Path) -> dict[str, Skill]:
    """A skill graph from a table; unknown needs and circles are refused."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return ordered({row["id"]: _skill(row) for row in rows})


def _skill(row: Mapping[str, str]) -> Skill:
    return Skill(
        id=row["id"],
        name=Both(row["en"], row["zh"]),
        area=row["area"],
        hours=float(row["hours"]),
        needs=tuple(_list(clause, "|") for clause in _list(row["needs"], ";")),
        here=row["here"],
        resource=row["resource"],
        unlocks=_list(row["unlocks"], ","),
        bands=BANDS if row["bands"] == "any" else _list(row["bands"], ","),
    )


def _list(cell: str, sign: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(sign) if part.strip())


def ordered(skills: Graph) -> dict[str, Skill]:
    """The same skills, each after all that it may need; DataError where there is a circle.

    >>> a, b = (Skill(name, Both(name, name), "", 1, needs) for name, needs in (("a", (("b",),)), ("b", ())))
    >>> list(ordered({"a": a, "b": b}))
    ['b', 'a']
    """
    done: dict[str, Skill] = {}
    open_: set[str] = set()

    def visit(name: str) -> None:
        if name in done:
            return
        if name in open_:
            raise DataError(f'the skill graph runs in a circle through "{name}"')
        if name not in skills:
            raise DataError(f'the skill graph needs "{name}", which it does not have. {hint(name, skills)}')
        open_.add(name)
        for clause in skills[name].needs:
            for other in clause:
                visit(other)
        done[name] = skills[name]

    for name in skills:
        visit(name)
    return done


def named(skills: Graph, wanted: Iterable[str]) -> frozenset[str]:
    """Skills by id or by name in either language; OptionError with the nearest for one that does not exist."""
    names = {
        said.lower(): each.id for each in skills.values() for said in (each.id, each.name.en, each.name.zh)
    }
    found = set()
    for each in wanted:
        if each.strip().lower() not in names:
            near = hint(each.strip().lower(), names).rpartition("Did you mean")[2]
            known = ", ".join(skills)
            raise OptionError(
                f'no skill is called "{each}".'
                + (f" Did you mean{near}" if near and "?" in near else f" Known: {known}")
            )
        found.add(names[each.strip().lower()])
    return frozenset(found)


def implied(skills: Graph, known: Iterable[str]) -> frozenset[str]:
    """What is known, and what it needs without an alternative: who trains a VAE knows PyTorch."""
    found: set[str] = set()
    queue = list(known)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += [clause[0] for clause in skills[name].needs if len(clause) == 1]
    return frozenset(found)


def possible(skills: Graph, order: Iterable[str], known: Iterable[str] = ()) -> bool:
    """Whether each skill of an order comes after something of each clause that it needs."""
    have = set(known)
    for name in order:
        if not all(have & set(clause) for clause in skills[name].needs):
            return False
        have.add(name)
    return True
