"""The pages of a reviewer: the queues, the page of an item, verdicts."""

import json
import secrets
import time
from datetime import UTC, datetime
from typing import TypedDict
from urllib.parse import urlencode

from tolerate.base.json_types import JsonObject
from tolerate.errors import DataError
from tolerate.messages.catalogue import render
from tolerate.service.config import Grade, JobSettings
from tolerate.service.desk.app import ReviewDesk
from tolerate.service.desk.media import item_media
from tolerate.service.desk.pages import PageTable, Response, Visit, redirect_to
from tolerate.service.desk.render import hides
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, media, queue, review_data
from tolerate.store.agreement import alpha, kappa_by_pair


class QueueLine(TypedDict):
    """A job's queue on the first page: backlog, and agreement of its reviewers."""

    job: JobSettings
    backlog: review_data.Backlog
    alpha: float | None
    pairs: list[tuple[str, str, float | None, int]]


async def home(desk: ReviewDesk, visit: Visit) -> Response:
    """The queues: their backlog, and how far reviewers agree."""
    lines = [await desk.reader.query(_queue_line, job, time.time()) for job in desk.service.jobs]
    return desk.page("queue.html", visit, lines=lines)


def _queue_line(db: Database, job: JobSettings, now: float) -> QueueLine:
    ratings = review_data.ratings(db, job.name)
    graded = len(job.scale) > 2
    return {
        "job": job,
        "backlog": review_data.backlog(db, job.name, now),
        "alpha": alpha(ratings, interval=graded) if ratings else None,
        "pairs": kappa_by_pair(ratings) if ratings else [],
    }


async def review(desk: ReviewDesk, visit: Visit) -> Response:
    """The next item of the queue, or of one job."""
    return await _next_item(desk, visit, desk.review_kinds(visit.user))


async def adjudicate(desk: ReviewDesk, visit: Visit) -> Response:
    """The next disagreement."""
    return await _next_item(desk, visit, ("adjudicate",))


async def _next_item(desk: ReviewDesk, visit: Visit, kinds: tuple[str, ...]) -> Response:
    jobs = _jobs(desk, visit.request.query.get("job", ""))
    task = await desk.writer.do(_lease, visit.user.name, jobs, kinds)
    back = "adjudicate" if kinds == ("adjudicate",) else "review"
    notice = visit.request.query.get("told", "")
    only = visit.request.query.get("job", "")
    if task is None:
        return await desk.empty_page(visit, back, notice, only)
    job = desk.service.job(task.item.job)
    assert job is not None
    return desk.page(
        "item.html",
        visit,
        task=task,
        item=task.item,
        job=job,
        media=(media.kind_of_reference(task.item.media) or "").partition("/")[0],
        progress=desk.progress_line(visit, task.kind),
        no_guide=desk.no_guide,
        why=_reason_kind(task),
        reason=render(task.item.reason_sentence, visit.user.lang),
        until=datetime.fromtimestamp(task.until, UTC).strftime("%H:%M"),
        nonce=secrets.token_hex(8),
        back=back,
        notice=notice,
        only=only,
        draft=task.draft,
        hidden=_has_hidden_characters(task.item),
    )


def _lease(db: Database, name: str, jobs: tuple[str, ...], kinds: tuple[str, ...]) -> queue.ReviewTask | None:
    return queue.lease(db, name, time.time(), jobs=jobs, kinds=kinds)


def _jobs(desk: ReviewDesk, name: str) -> tuple[str, ...]:
    """The jobs whose items are assigned: the named one, or all that are served."""
    names = tuple(job.name for job in desk.service.jobs)
    return (name,) if name in names else names


def _reason_kind(task: queue.ReviewTask) -> str:
    """The kind of reason that is shown; a seeded item must look like a drawn or an imported one."""
    if task.kind == "adjudicate":
        return "adjudicate"
    return "sample" if task.item.why in ("seed", "import") else task.item.why


def _has_hidden_characters(item: queue.Item) -> bool:
    return hides(item.prompt) or hides(item.content)


async def verdict(desk: ReviewDesk, visit: Visit) -> Response:
    """Store a verdict and go on to the next item."""
    slot = _slot(visit.form)
    alarms: list[JsonObject] = []
    settled: list[queue.SettledItem] = []
    try:
        await desk.writer.do(_record_verdict, desk, visit, slot, alarms, settled)
    except DataError:
        return _next_page(visit, "gone")
    await desk.after_verdict(settled, alarms)
    return _next_page(visit, "")


def _record_verdict(
    db: Database,
    desk: ReviewDesk,
    visit: Visit,
    slot: int,
    alarms: list[JsonObject],
    settled: list[queue.SettledItem],
) -> None:
    """Store the verdict of a form, inside the writer; `alarms` and `settled` receive what follows from it."""
    form, leased = visit.form, queue.slot_in_hand(db, slot, visit.user.name)
    if leased is None:
        raise DataError("this item is no longer yours")
    job, kind = leased
    if kind == "adjudicate" and not visit.user.may("adjudicate"):
        raise ApiError(403, "only an owner or an engineer may adjudicate")
    grade = _grade(desk.service.job(job), form.get("grade", ""))
    watch_settlement = desk.host.settlement_watcher(alarms)

    def on_settled(db: Database, item: queue.SettledItem) -> None:
        settled.append(item)
        watch_settlement(db, item)

    queue.record_verdict(
        db,
        queue.NewVerdict(
            slot,
            visit.user.name,
            grade.loss,
            form.get("nonce", "")[:40] or secrets.token_hex(8),
            label=grade.en,
            note=form.get("note", "")[:5000],
        ),
        time.time(),
        settled=on_settled,
        accept=desk.host.accepted_losses(),
    )


def _grade(job: JobSettings | None, key: str) -> Grade:
    """The grade of a job's scale with this key."""
    grade = next((grade for grade in job.scale if grade.key == key), None) if job else None
    if grade is None:
        raise ApiError(400, f'"{key[:20]}" is not a grade of this job')
    return grade


def _slot(form: dict[str, str]) -> int:
    text = form.get("slot", "")
    if not text.isdigit() or len(text) > 15:
        raise ApiError(400, "the form names no item")
    return int(text)


def _next_page(visit: Visit, notice: str) -> Response:
    name = "adjudicate" if visit.form.get("back") == "adjudicate" else "review"
    parameters = {"job": visit.form.get("only", ""), "told": notice}
    query = urlencode({key: value for key, value in parameters.items() if value})
    return redirect_to(f"/desk/{name}{'?' + query if query else ''}")


async def skip(desk: ReviewDesk, visit: Visit) -> Response:
    """Return an item to the queue."""
    await desk.writer.do(queue.skip, _slot(visit.form), visit.user.name)
    await desk.after_verdict([], [])
    return _next_page(visit, "")


async def undo(desk: ReviewDesk, visit: Visit) -> Response:
    """Take back the last verdict."""
    slot = await desk.writer.do(queue.undo, visit.user.name, time.time())
    await desk.after_verdict([], [])
    return _next_page(visit, "" if slot is not None else "final")


async def draft(desk: ReviewDesk, visit: Visit) -> Response:
    """Store the draft of a note."""
    slot = _slot(visit.form)
    if await desk.reader.query(queue.task, slot, visit.user.name) is None:
        raise ApiError(409, "this item is no longer yours")
    body = {"note": visit.form.get("note", "")[:5000]}
    await desk.writer.do(queue.save_draft, slot, visit.user.name, body, time.time())
    return Response(json.dumps({"saved": True}).encode(), 200, b"application/json")


PAGES: PageTable[ReviewDesk] = {
    ("GET", ""): ("", home),
    ("GET", "queue"): ("", home),
    ("GET", "review"): ("review", review),
    ("GET", "adjudicate"): ("adjudicate", adjudicate),
    ("POST", "verdict"): ("review", verdict),
    ("POST", "skip"): ("review", skip),
    ("POST", "undo"): ("review", undo),
    ("POST", "draft"): ("review", draft),
    ("GET", "media"): ("review", item_media),
}
