"""The queue and the page of one item: what a reviewer works with."""

import json
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tolerate.base.json_types import JsonObject
from tolerate.errors import DataError
from tolerate.messages.catalogue import render
from tolerate.service.config import Grade, JobSettings
from tolerate.service.desk.media import shown
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, media, people, queue
from tolerate.store.agreement import alpha, kappa_by_pair

if TYPE_CHECKING:
    from tolerate.service.desk import Desk, Page, Response, Visit


async def home(desk: "Desk", visit: "Visit") -> "Response":
    """The queues, how old they are, and how far reviewers agree."""
    lines = [await desk.reader.query(_line, job, time.time()) for job in desk.service.jobs]
    return desk.page("queue.html", visit, lines=lines)


def _line(db: Database, job: JobSettings, now: float) -> dict[str, Any]:
    ratings = queue.ratings(db, job.name)
    graded = len(job.scale) > 2
    return {
        "job": job,
        "backlog": queue.backlog(db, job.name, now),
        "alpha": alpha(ratings, interval=graded) if ratings else None,
        "pairs": kappa_by_pair(ratings) if ratings else [],
    }


async def review(desk: "Desk", visit: "Visit") -> "Response":
    """The next item of the queue, or of one job."""
    return await _next(desk, visit, desk.kinds(visit.user))


async def adjudicate(desk: "Desk", visit: "Visit") -> "Response":
    """The next disagreement."""
    return await _next(desk, visit, ("adjudicate",))


async def _next(desk: "Desk", visit: "Visit", kinds: tuple[str, ...]) -> "Response":
    jobs = _jobs(desk, visit.request.query.get("job", ""))
    task = await desk.writer.do(_lease, visit.user.name, jobs, kinds)
    back = "adjudicate" if kinds == ("adjudicate",) else "review"
    told = visit.request.query.get("told", "")
    only = visit.request.query.get("job", "")
    if task is None:
        return await desk.nothing(visit, back, told, only)
    job = desk.service.job(task.item.job)
    assert job is not None
    return desk.page(
        "item.html",
        visit,
        task=task,
        item=task.item,
        job=job,
        media=(media.kind_of_reference(task.item.media) or "").partition("/")[0],
        place=desk.place(visit, task.kind),
        no_guide=desk.no_guide,
        why=_why(task),
        reason=render(task.item.reason_sentence, visit.user.lang),
        until=datetime.fromtimestamp(task.until, UTC).strftime("%H:%M"),
        nonce=secrets.token_hex(8),
        back=back,
        told=told,
        only=only,
        draft=task.draft,
        hidden=_hides_something(task.item),
    )


def _lease(db: Database, name: str, jobs: tuple[str, ...], kinds: tuple[str, ...]) -> queue.ReviewTask | None:
    return queue.lease(db, name, time.time(), jobs=jobs, kinds=kinds)


def _jobs(desk: "Desk", name: str) -> tuple[str, ...]:
    """The jobs whose items may come: one, or all that are served."""
    known = tuple(job.name for job in desk.service.jobs)
    return (name,) if name in known else known


def _why(task: queue.ReviewTask) -> str:
    """The kind of reason that is shown; a seeded item looks like a drawn or an imported one."""
    if task.kind == "adjudicate":
        return "adjudicate"
    return "sample" if task.item.why in ("seed", "import") else task.item.why


def _hides_something(item: queue.Item) -> bool:
    from tolerate.service.desk.render import hides

    return hides(item.prompt) or hides(item.content)


async def verdict(desk: "Desk", visit: "Visit") -> "Response":
    """Take a verdict in and go on to the next item."""
    slot = _slot(visit.form)
    told: list[JsonObject] = []
    done: list[queue.SettledItem] = []
    try:
        await desk.writer.do(_verdict, desk, visit, slot, told, done)
    except DataError:
        return _back(visit, "gone")
    await desk.follow(done, told)
    return _back(visit, "")


def _verdict(
    db: Database,
    desk: "Desk",
    visit: "Visit",
    slot: int,
    told: list[JsonObject],
    done: list[queue.SettledItem],
) -> None:
    """The verdict of a form, inside the writer; `told` and `done` take what follows from it."""
    form, found = visit.form, queue.slot_in_hand(db, slot, visit.user.name)
    if found is None:
        raise DataError("this item is no longer yours")
    job, kind = found
    if kind == "adjudicate" and not visit.user.may("adjudicate"):
        raise ApiError(403, "this needs someone who may adjudicate")
    grade = _grade(desk.service.job(job), form.get("grade", ""))
    note_alarm = desk.host.settlement_watcher(told)

    def settled(db: Database, each: queue.SettledItem) -> None:
        done.append(each)
        note_alarm(db, each)

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
        settled=settled,
        accept=desk.host.accepted_losses(),
    )


def _grade(job: JobSettings | None, key: str) -> Grade:
    """The grade of a job's scale with this key."""
    found = next((each for each in job.scale if each.key == key), None) if job else None
    if found is None:
        raise ApiError(400, f'"{key[:20]}" is no grade of this job')
    return found


def _slot(form: dict[str, str]) -> int:
    text = form.get("slot", "")
    if not text.isdigit() or len(text) > 15:
        raise ApiError(400, "the form names no item")
    return int(text)


def _back(visit: "Visit", told: str) -> "Response":
    from urllib.parse import urlencode

    from tolerate.service.desk import go

    where = "adjudicate" if visit.form.get("back") == "adjudicate" else "review"
    asked = {"job": visit.form.get("only", ""), "told": told}
    query = urlencode({name: value for name, value in asked.items() if value})
    return go(f"/desk/{where}{'?' + query if query else ''}")


async def skip(desk: "Desk", visit: "Visit") -> "Response":
    """Give an item back."""
    await desk.writer.do(queue.skip, _slot(visit.form), visit.user.name)
    await desk.follow([], [])
    return _back(visit, "")


async def undo(desk: "Desk", visit: "Visit") -> "Response":
    """Take the last verdict back."""
    slot = await desk.writer.do(queue.undo, visit.user.name, time.time())
    await desk.follow([], [])
    return _back(visit, "" if slot is not None else "final")


async def draft(desk: "Desk", visit: "Visit") -> "Response":
    """Keep what was written so far."""
    from tolerate.service.desk import Response

    slot = _slot(visit.form)
    if await desk.reader.query(queue.task, slot, visit.user.name) is None:
        raise ApiError(409, "this item is no longer yours")
    body = {"note": visit.form.get("note", "")[:5000]}
    await desk.writer.do(queue.save_draft, slot, visit.user.name, body, time.time())
    return Response(json.dumps({"saved": True}).encode(), 200, b"application/json")


async def me(desk: "Desk", visit: "Visit") -> "Response":
    """A person's own page: password, and what they found of the seeded errors."""
    found = await desk.reader.query(queue.detection, visit.user.name)
    return desk.page("me.html", visit, found=found)


async def password(desk: "Desk", visit: "Visit") -> "Response":
    """A new password; every session ends."""
    from tolerate.service.desk import go

    user = await desk.reader.query(people.check_password, visit.user.name, visit.form.get("old", "")[:1000])
    if user is None:
        raise ApiError(403, "the present password is wrong")
    new = visit.form.get("new", "")[:1000]
    await desk.writer.do(people.set_password, visit.user.name, new, time.time())
    return go("/desk/login")


async def lang(desk: "Desk", visit: "Visit") -> "Response":
    """The other language."""
    from tolerate.service.desk import go

    other = "en" if visit.user.lang == "zh" else "zh"
    await desk.writer.do(people.set_language, visit.user.name, other)
    where = visit.form.get("from", "/desk")
    return go(where if where.startswith("/desk") and "//" not in where else "/desk")


async def demo(desk: "Desk", visit: "Visit") -> "Response":
    """The demonstration's button: make the model worse, or good again."""
    from tolerate.service.desk import go

    if desk.running.demo is None:
        raise ApiError(404, "this service is no demonstration")
    controls, way = desk.running.demo, visit.form.get("way")
    if way in ("other", "same"):
        await controls.set_other_questions(way == "other")
    else:
        await controls.set_worse(way == "worse")
    return go(f"/desk/watch/{desk.service.jobs[0].name}")


PAGES: "dict[tuple[str, str], tuple[str, Page]]" = {
    ("GET", ""): ("", home),
    ("GET", "queue"): ("", home),
    ("GET", "review"): ("review", review),
    ("GET", "adjudicate"): ("adjudicate", adjudicate),
    ("POST", "verdict"): ("review", verdict),
    ("POST", "skip"): ("review", skip),
    ("POST", "undo"): ("review", undo),
    ("POST", "draft"): ("review", draft),
    ("GET", "media"): ("review", shown),
    ("GET", "me"): ("", me),
    ("POST", "lang"): ("", lang),
}
ACCOUNT: "dict[tuple[str, str], tuple[str, Page]]" = {  # of a service alone
    ("POST", "password"): ("", password),
    ("POST", "demo"): ("promise", demo),
}
