"""Options of a desk on one machine."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tolerate.errors import OptionError

SECOND = "second"  # name of the second reviewer, where only one name is given


@dataclass(frozen=True)
class LocalDeskOptions:
    """Options of a local desk: its reviewers, and how they get their links.

    names: of the reviewers; the first one began the work. guide: what counts as wrong. reviewers_per_item: of a run,
    blind to one another. port: 0 takes that of the last time, or a free one. announce: called with a line for each
    link.
    """

    names: tuple[str, ...] = ("first",)
    lang: str = "en"
    guide: str = ""
    reviewers_per_item: int = 1
    port: int = 0
    announce: Callable[[str], None] = field(default=print)


def audit_database(state: Path) -> Path:
    """The desk's database of an audit, beside the audit's own file.

    >>> audit_database(Path("batch.csv.audit.json")).name, audit_database(Path("verdicts.db")).name
    ('batch.csv.audit.db', 'verdicts.db.desk.db')
    """
    return state.with_suffix(".db") if state.suffix == ".json" else state.with_name(f"{state.name}.desk.db")


def check_name(name: str, reserved: bool) -> None:
    """Raise OptionError if a reviewer cannot have this name. reserved: whether the second reviewer's name is."""
    if not name or len(name) > 80 or (reserved and name == SECOND):
        raise OptionError(f'"{name[:80]}" cannot be the name of a person; choose one of 1 to 80 characters')
