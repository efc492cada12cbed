"""The review desk at one's own machine: for `tolerate audit --page` and `tolerate run --review`.

The same pages, keys and queue as those of `tolerate serve`, in one SQLite file beside the batch or in the run's folder.
Nobody sets up an account: a link that opens once, printed at the terminal, signs a person in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tolerate.runs.audit_session import AuditedBatch
from tolerate.runs.people import PeopleVerdicts, Question

SECOND = "second"  # the seat of the second person, where only one name is given


@dataclass(frozen=True)
class Sitters:
    """Who sits at a desk of one's own, and how they are told of it.

    names: the people, the one who began first. guide: what counts as wrong. each: how many people judge an item of a
    run, blind to one another. ready: is called with a line for each link. port: 0 takes the one of the last time, or
    a free one.
    """

    names: tuple[str, ...] = ("first",)
    lang: str = "en"
    guide: str = ""
    each: int = 1
    port: int = 0
    ready: Callable[[str], None] = field(default=print)


def audit_at_desk(batch: AuditedBatch, columns: Sequence[str] = (), sitters: Sitters | None = None) -> None:
    """Audit a batch at the desk until it is closed and the person finishes; verdicts are kept beside it.

    columns: to show; none for all. Killed at any moment, it goes on where it stood.
    """
    from tolerate.service.local.audit import AuditWork
    from tolerate.service.local.host import sit

    sitters = sitters or Sitters()
    sit(AuditWork(batch, columns, sitters), desk_of(batch.state), sitters, files=batch.path.parent)


def desk_of(state: Path) -> Path:
    """The desk's database of an audit, beside its file.

    >>> desk_of(Path("batch.csv.audit.json")).name, desk_of(Path("verdicts.db")).name
    ('batch.csv.audit.db', 'verdicts.db.desk.db')
    """
    return state.with_suffix(".db") if state.suffix == ".json" else state.with_name(f"{state.name}.desk.db")


def ask_at_desk(
    questions: Sequence[Question], folder: Path, sitters: Sitters | None = None
) -> PeopleVerdicts:
    """Ask people about each item; their verdicts are kept in the folder, in `review.db`."""
    from tolerate.service.local.host import sit
    from tolerate.service.local.questions import QuestionsWork

    sitters = sitters or Sitters()
    work = QuestionsWork(questions, sitters)
    sit(work, folder / "review.db", sitters, files=folder)
    return work.judged
