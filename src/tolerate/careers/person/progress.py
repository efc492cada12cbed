"""The skills learned since the plan began, stored beside me.toml: one a line, with the day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from tolerate.careers.data.skills import find_skills, graph
from tolerate.careers.person.me import Person


def with_progress(person: Person, me: Path, newly_learned: Sequence[str] = ()) -> Person:
    """The person with all skills learned so far; the newly learned ones are written to the file first."""
    path = me.with_suffix(".progress.tsv")
    for skill in sorted(find_skills(graph(), newly_learned) - set(read_progress(path))):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{skill}\t{date.today().isoformat()}\n")
    done = (*person.learning.done, *read_progress(path))
    return replace(person, learning=replace(person.learning, done=done))


def read_progress(path: Path) -> list[str]:
    """The skills in a file of progress; ones that no longer exist in the graph are skipped."""
    if not path.is_file():
        return []
    skills = (line.split("\t")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [skill for skill in skills if skill in graph()]
