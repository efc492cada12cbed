"""What was learned since the plan began, kept beside me.toml: one skill a line, with the day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from tolerate.careers.data.skills import graph, named
from tolerate.careers.person.me import Person


def with_progress(person: Person, me: Path, done: Sequence[str] = ()) -> Person:
    """The person with what they have learned; newly done skills are written down first."""
    path = me.with_suffix(".progress.tsv")
    for name in sorted(named(graph(), done) - set(read(path))):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{name}\t{date.today().isoformat()}\n")
    return replace(person, learning=replace(person.learning, done=(*person.learning.done, *read(path))))


def read(path: Path) -> list[str]:
    """The skills that a file of progress names; ones that no longer exist are passed over."""
    if not path.is_file():
        return []
    names = (line.split("\t")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [name for name in names if name in graph()]
