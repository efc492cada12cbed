"""The skill graph of AI content work: what each skill needs (AND of ORs), and the hours it takes.

Our own list of about a hundred skills, in `skills.tsv`. Hours are estimates for a beginner and not measured: change
them by hand. The column `needs` reads "a; b|c": a, and one of b or c. The column `here` is a command of tolerate that
shows or trains the skill.
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
    """One skill. needs: clauses; one member of each must be learned before. command: of tolerate, that shows it."""

    id: str
    name: Both
    area: str
    hours: float
    needs: tuple[tuple[str, ...], ...] = ()
    command: str = ""
    resource: str = ""
    unlocks: tuple[str, ...] = ()  # kinds of content
    bands: tuple[str, ...] = ()  # of the required ETR in which it serves them


SkillGraph = Mapping[str, Skill]


@cache
def graph() -> dict[str, Skill]:
    """The skill graph, each skill after those that it may need."""
    return read_skills(TABLE)


def read_skills(path: Path) -> dict[str, Skill]:
    """The skill graph of a table; DataError for a need that does not exist and for a cycle."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return sort_skills({row["id"]: _skill(row) for row in rows})


def _skill(row: Mapping[str, str]) -> Skill:
    return Skill(
        id=row["id"],
        name=Both(row["en"], row["zh"]),
        area=row["area"],
        hours=float(row["hours"]),
        needs=tuple(_split_cell(clause, "|") for clause in _split_cell(row["needs"], ";")),
        command=row["here"],
        resource=row["resource"],
        unlocks=_split_cell(row["unlocks"], ","),
        bands=BANDS if row["bands"] == "any" else _split_cell(row["bands"], ","),
    )


def _split_cell(cell: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(separator) if part.strip())


def sort_skills(skills: SkillGraph) -> dict[str, Skill]:
    """The same skills, each after all that it may need; DataError if there is a cycle.

    >>> a, b = (Skill(name, Both(name, name), "", 1, needs) for name, needs in (("a", (("b",),)), ("b", ())))
    >>> list(sort_skills({"a": a, "b": b}))
    ['b', 'a']
    """
    placed: dict[str, Skill] = {}
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in placed:
            return
        if name in visiting:
            raise DataError(f'the skill graph has a cycle through "{name}"')
        if name not in skills:
            raise DataError(f'the skill graph needs "{name}", which it does not have. {hint(name, skills)}')
        visiting.add(name)
        for clause in skills[name].needs:
            for other in clause:
                visit(other)
        placed[name] = skills[name]

    for name in skills:
        visit(name)
    return placed


def find_skills(skills: SkillGraph, names: Iterable[str]) -> frozenset[str]:
    """The ids of skills by id or by name in either language; OptionError with the nearest for an unknown one."""
    ids = {
        name.lower(): skill.id
        for skill in skills.values()
        for name in (skill.id, skill.name.en, skill.name.zh)
    }
    matches = set()
    for name in names:
        key = name.strip().lower()
        if key not in ids:
            raise OptionError(f'no skill is called "{name}".{_suggestion(key, ids, skills)}')
        matches.add(ids[key])
    return frozenset(matches)


def _suggestion(name: str, names: Iterable[str], skills: SkillGraph) -> str:
    """The nearest name; without one, the ids of all skills."""
    nearest = hint(name, names).rpartition("Did you mean")[2]
    return f" Did you mean{nearest}" if "?" in nearest else f" Known: {', '.join(skills)}"


def with_prerequisites(skills: SkillGraph, skill_ids: Iterable[str]) -> frozenset[str]:
    """The skills, and all prerequisites that have no alternative: whoever trains a VAE knows PyTorch."""
    closure: set[str] = set()
    queue = list(skill_ids)
    while queue:
        skill_id = queue.pop()
        if skill_id not in closure:
            closure.add(skill_id)
            queue += [clause[0] for clause in skills[skill_id].needs if len(clause) == 1]
    return frozenset(closure)


def is_learnable(skills: SkillGraph, order: Iterable[str], acquired: Iterable[str] = ()) -> bool:
    """Whether each skill of an order comes after one member of each clause that it needs, or has one in `acquired`."""
    learned = set(acquired)
    for name in order:
        if not all(learned & set(clause) for clause in skills[name].needs):
            return False
        learned.add(name)
    return True
