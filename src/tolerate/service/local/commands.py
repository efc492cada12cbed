"""Reviewing at a local desk from start to end; each call returns when the reviewer finishes."""

from collections.abc import Sequence
from pathlib import Path

from tolerate.runs.audit_session import AuditedBatch
from tolerate.runs.people import PeopleVerdicts, Question
from tolerate.service.local.options import LocalDeskOptions, audit_database


def audit_at_desk(
    batch: AuditedBatch, columns: Sequence[str] = (), options: LocalDeskOptions | None = None
) -> None:
    """Audit a batch at a desk until it is closed and the person finishes; verdicts are stored beside the batch.

    columns: to show; () for all. If the process is killed, the next call goes on with the stored verdicts.
    """
    from tolerate.service.local.audit import AuditWork
    from tolerate.service.local.host import serve_desk

    options = options or LocalDeskOptions()
    work = AuditWork(batch, columns, options)
    serve_desk(work, audit_database(batch.state), options, files=batch.path.parent)


def ask_at_desk(
    questions: Sequence[Question], folder: Path, options: LocalDeskOptions | None = None
) -> PeopleVerdicts:
    """Ask people about each item at a desk; their verdicts are stored in the folder, in `review.db`."""
    from tolerate.service.local.host import serve_desk
    from tolerate.service.local.questions import QuestionsWork

    options = options or LocalDeskOptions()
    work = QuestionsWork(questions, options)
    serve_desk(work, folder / "review.db", options, files=folder)
    return work.verdicts
