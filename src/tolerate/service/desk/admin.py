"""Users, API keys, and the export of labels."""

import csv
import io
import secrets
import time
from dataclasses import asdict
from typing import TypeVar

from tolerate.service.desk.app import ReviewDesk, ServiceDesk
from tolerate.service.desk.forms import number_field
from tolerate.service.desk.pages import PageTable, Response, Visit
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, media, people, review_data

T = TypeVar("T")
EXPORTED_COLUMNS = (
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


async def people_page(desk: ServiceDesk, visit: Visit, shown: str = "") -> Response:
    """The page of users and keys. shown: a new secret, shown this once."""
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


async def people_get(desk: ServiceDesk, visit: Visit) -> Response:
    """The page of users and keys."""
    return await people_page(desk, visit)


async def add_user(desk: ServiceDesk, visit: Visit) -> Response:
    """Add a user, with a password that is shown once."""
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


async def disable_user(desk: ServiceDesk, visit: Visit) -> Response:
    """Disable a user."""
    name = visit.form.get("name", "")
    if name == visit.user.name:
        raise ApiError(400, "you cannot disable yourself")
    await desk.writer.do(people.disable_user, name, visit.user.name, time.time())
    return await people_page(desk, visit)


async def add_key(desk: ServiceDesk, visit: Visit) -> Response:
    """Add a key, which is shown once."""
    form = visit.form
    days, rate = number_field(form, "days"), number_field(form, "rate")
    scopes = tuple(scope for scope in people.SCOPES if form.get(f"scope {scope}"))
    secret = await desk.writer.do(
        _add_key, form.get("name", "").strip()[:80] or "key", visit.user.name, scopes, rate, days
    )
    return await people_page(desk, visit, shown=secret)


def _add_key(db: Database, name: str, by: str, scopes: tuple[str, ...], rate: float, days: float) -> str:
    now = time.time()
    expires = now + days * 86400 if days else None
    return people.add_key(db, name, by, now, scopes=scopes, rate=rate, expires=expires)


async def revoke_key(desk: ServiceDesk, visit: Visit) -> Response:
    """Revoke a key at once."""
    await desk.writer.do(people.revoke_key, visit.form.get("id", ""), visit.user.name, time.time())
    desk.running.forget_keys()
    return await people_page(desk, visit)


# Export of labels


async def export(desk: ReviewDesk, visit: Visit) -> Response:
    """A job's settled items with their losses and verdicts, as CSV."""
    job = desk.service.job(visit.request.query.get("job", ""))
    if job is None:
        raise ApiError(404, "there is no such job")
    body = await desk.reader.query(_export, job.name)
    name = f'attachment; filename="labels-{job.name}.csv"'.encode()
    return Response(body, 200, b"text/csv; charset=utf-8", [(b"content-disposition", name)])


def _export(db: Database, job: str) -> bytes:
    text = io.StringIO("\ufeff", newline="")  # byte order mark: spreadsheets recognise UTF-8 by it
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text)
    writer.writerow([*EXPORTED_COLUMNS, "loss", "verdicts"])
    after = ""
    while rows := review_data.labels(db, job, after):
        for row in rows:
            verdicts = " | ".join(f"{v.reviewer}: {v.label} {v.note}".strip() for v in row.verdicts)
            columns = {**asdict(row.item), "media": media.name_of(row.item.media)}
            writer.writerow([*(cell(columns[name]) for name in EXPORTED_COLUMNS), row.loss, cell(verdicts)])
        after = rows[-1].item.ticket
    return text.getvalue().encode("utf-8", "replace")


def cell(value: T) -> T | str:
    """A value for a CSV cell; a text that a spreadsheet would take for a formula gets an apostrophe in front.

    >>> cell("=HYPERLINK(1)"), cell(0.5), cell("fine")
    ("'=HYPERLINK(1)", 0.5, 'fine')
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@", "\t", "\r", "|", "%"):
        return "'" + value
    return value


EXPORT_PAGES: PageTable[ReviewDesk] = {
    ("GET", "labels.csv"): ("export", export),
}
PAGES: PageTable[ServiceDesk] = {
    ("GET", "people"): ("people", people_get),
    ("POST", "add-user"): ("people", add_user),
    ("POST", "disable-user"): ("people", disable_user),
    ("POST", "add-key"): ("people", add_key),
    ("POST", "revoke-key"): ("people", revoke_key),
}
