"""People, keys, and labels out."""

import csv
import io
import secrets
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tolerate.service.desk import imports
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, media, people, queue

if TYPE_CHECKING:
    from tolerate.service.desk import Desk, Page, Response, Visit

COLUMNS = (
    "ticket",
    "job",
    "tier",
    "slice",
    "cluster",
    "why",
    "decision",
    "score",
    "drawn",
    "chance",
    "prompt",
    "content",
    "media",
)


async def people_page(desk: "Desk", visit: "Visit", shown: str = "") -> "Response":
    """Users and keys."""
    users = await desk.reader.query(people.users)
    keys = await desk.reader.query(people.keys)
    return desk.page(
        "people.html",
        visit,
        users=users,
        keys=keys,
        roles=tuple(people.ROLES),
        scopes=people.SCOPES,
        shown=shown,
        now=time.time(),
    )


async def people_get(desk: "Desk", visit: "Visit") -> "Response":
    """Users and keys."""
    return await people_page(desk, visit)


async def add_user(desk: "Desk", visit: "Visit") -> "Response":
    """A new user, with a password shown once."""
    password = secrets.token_urlsafe(12)
    form = visit.form
    await desk.writer.do(
        people.add_user,
        form.get("name", "").strip(),
        password,
        form.get("role", ""),
        visit.user.name,
        time.time(),
        visit.user.lang,
    )
    return await people_page(desk, visit, shown=f"{form.get('name', '').strip()}: {password}")


async def disable(desk: "Desk", visit: "Visit") -> "Response":
    """Lock a user out."""
    name = visit.form.get("name", "")
    if name == visit.user.name:
        raise ApiError(400, "nobody can lock themselves out")
    await desk.writer.do(people.disable_user, name, visit.user.name, time.time())
    return await people_page(desk, visit)


async def add_key(desk: "Desk", visit: "Visit") -> "Response":
    """A new key, shown once."""
    form = visit.form
    days, rate = imports.number(form, "days"), imports.number(form, "rate")
    scopes = tuple(scope for scope in people.SCOPES if form.get(f"scope {scope}"))
    secret = await desk.writer.do(
        _add_key, form.get("name", "").strip()[:80] or "key", visit.user.name, scopes, rate, days
    )
    return await people_page(desk, visit, shown=secret)


def _add_key(db: Database, name: str, by: str, scopes: tuple[str, ...], rate: float, days: float) -> str:
    at = time.time()
    expires = at + days * 86400 if days else None
    return people.add_key(db, name, by, at, scopes=scopes, rate=rate, expires=expires)


async def revoke(desk: "Desk", visit: "Visit") -> "Response":
    """A key opens nothing any more, from this moment."""
    await desk.writer.do(people.revoke_key, visit.form.get("id", ""), visit.user.name, time.time())
    desk.running.forget_keys()
    return await people_page(desk, visit)


# Labels out


async def export(desk: "Desk", visit: "Visit") -> "Response":
    """Settled items with their losses, as CSV."""
    from tolerate.service.desk import Response

    job = desk.service.job(visit.request.query.get("job", ""))
    if job is None:
        raise ApiError(404, "there is no such job")
    body = await desk.reader.query(_export, job.name)
    name = f'attachment; filename="labels-{job.name}.csv"'.encode()
    return Response(body, 200, b"text/csv; charset=utf-8", [(b"content-disposition", name)])


def _export(db: Database, job: str) -> bytes:
    out = io.StringIO("\ufeff", newline="")  # by which spreadsheets know UTF-8
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out)
    writer.writerow([*COLUMNS, "loss", "verdicts"])
    after = ""
    while rows := queue.labels(db, job, after):
        for row in rows:
            verdicts = " | ".join(f"{v.reviewer}: {v.label} {v.note}".strip() for v in row.verdicts)
            columns = {**asdict(row.item), "media": media.name_of(row.item.media)}
            writer.writerow([*(cell(columns[name]) for name in COLUMNS), row.loss, cell(verdicts)])
        after = rows[-1].item.ticket
    return out.getvalue().encode("utf-8", "replace")


def cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula.

    >>> cell("=HYPERLINK(1)"), cell(0.5), cell("fine")
    ("'=HYPERLINK(1)", 0.5, 'fine')
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@", "\t", "\r", "|", "%"):
        return "'" + value
    return value


PAGES: "dict[tuple[str, str], tuple[str, Page]]" = {
    ("GET", "people"): ("people", people_get),
    ("POST", "add-user"): ("people", add_user),
    ("POST", "disable-user"): ("people", disable),
    ("POST", "add-key"): ("people", add_key),
    ("POST", "revoke-key"): ("people", revoke),
    ("GET", "labels.csv"): ("export", export),
    **imports.PAGES,
}
