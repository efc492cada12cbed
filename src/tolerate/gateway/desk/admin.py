"""People, keys, tables in and labels out."""

import csv
import io
import secrets
import time
from typing import TYPE_CHECKING, Any

from tolerate.gateway.settings import JobSettings
from tolerate.gateway.wire import Refused
from tolerate.store import Database, people, queue
from tolerate.store.ledger import append

if TYPE_CHECKING:
    from tolerate.gateway.desk import Desk, Page, Response, Visit

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
)
MOST_ROWS = 20_000


async def people_page(desk: "Desk", visit: "Visit", shown: str = "") -> "Response":
    """Users and keys."""
    users = await desk.reader.ask(people.users)
    keys = await desk.reader.ask(people.keys)
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
        raise Refused(400, "nobody can lock themselves out")
    await desk.writer.do(people.disable_user, name, visit.user.name, time.time())
    return await people_page(desk, visit)


async def add_key(desk: "Desk", visit: "Visit") -> "Response":
    """A new key, shown once."""
    form = visit.form
    days, rate = _number(form, "days"), _number(form, "rate")
    scopes = tuple(scope for scope in people.SCOPES if form.get(f"scope {scope}"))
    secret = await desk.writer.do(
        _add_key, form.get("name", "").strip()[:80] or "key", visit.user.name, scopes, rate, days
    )
    return await people_page(desk, visit, shown=secret)


def _add_key(db: Database, name: str, by: str, scopes: tuple[str, ...], rate: float, days: float) -> str:
    at = time.time()
    expires = at + days * 86400 if days else None
    return people.add_key(db, name, by, at, scopes=scopes, rate=rate, expires=expires)


def _number(form: dict[str, str], name: str) -> float:
    try:
        value = float(form.get(name) or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise Refused(400, f"{name} must be a number, 0 or more")
    return value


async def revoke(desk: "Desk", visit: "Visit") -> "Response":
    """A key opens nothing any more, from this moment."""
    await desk.writer.do(people.revoke_key, visit.form.get("id", ""), visit.user.name, time.time())
    desk.running.app.forget_keys()
    return await people_page(desk, visit)


# Tables in


async def labels(desk: "Desk", visit: "Visit") -> "Response":
    """Import and export."""
    return desk.page("labels.html", visit, count=None)


async def import_table(desk: "Desk", visit: "Visit") -> "Response":
    """Put the rows of a table before the reviewers."""
    job = desk.service.job(visit.form.get("job", ""))
    if job is None:
        raise Refused(404, "there is no such job")
    reviewers = int(_number(visit.form, "reviewers")) or 1
    rows = parse(visit.form.get("table", ""))
    count = await desk.writer.do(_import, job, rows, min(reviewers, 9), visit.user.name)
    return desk.page("labels.html", visit, count=count)


def parse(text: str) -> list[dict[str, str]]:
    """The rows of a CSV text with a column `content`.

    >>> parse("content,slice\\nhello,en\\n")
    [{'content': 'hello', 'slice': 'en'}]
    """
    try:
        reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
        rows = [dict(row) for row in reader]
    except csv.Error as error:
        raise Refused(400, f"the table cannot be read: {error}") from None
    if not rows or "content" not in rows[0]:
        raise Refused(400, "expected a CSV table with a header and a column named content")
    if len(rows) > MOST_ROWS:
        raise Refused(413, f"the table has {len(rows)} rows; at most {MOST_ROWS} at once")
    for place, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise Refused(400, f"row {place} has not as many cells as the header")
        if (row.get("truth") or "0") not in ("0", "1", "0.0", "1.0"):
            raise Refused(400, f'row {place}: truth is "{row["truth"]}"; expected 0, 1 or nothing')
    return rows


def _import(db: Database, job: JobSettings, rows: list[dict[str, str]], reviewers: int, by: str) -> int:
    at = time.time()
    for row in rows:
        truth = float(row["truth"]) if row.get("truth") else None
        queue.keep(
            db,
            queue.Item(
                ticket="im_" + secrets.token_hex(12),
                job=job.name,
                at=at,
                prompt=row.get("prompt", ""),
                content=row["content"],
                slice=row.get("slice", "")[:64],
                state="delivered",
                why="import" if truth is None else "seed",
                decision="import",
                media=row.get("media", ""),
                reviewers=reviewers,
                truth=truth,
            ),
        )
    append(db, "labels", at, job=job.name, by=by, what="imported", count=len(rows))
    return len(rows)


# Labels out


async def export(desk: "Desk", visit: "Visit") -> "Response":
    """Settled items with their losses, as CSV."""
    from tolerate.gateway.desk import Response

    job = desk.service.job(visit.request.query.get("job", ""))
    if job is None:
        raise Refused(404, "there is no such job")
    body = await desk.reader.ask(_export, job.name)
    name = f'attachment; filename="labels-{job.name}.csv"'.encode()
    return Response(body, 200, b"text/csv; charset=utf-8", [(b"content-disposition", name)])


def _export(db: Database, job: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*COLUMNS, "loss", "verdicts"])
    after = ""
    while rows := queue.labels(db, job, after):
        for row in rows:
            said = " | ".join(f"{v['reviewer']}: {v['label']} {v['note']}".strip() for v in row["verdicts"])
            writer.writerow([*(cell(row[name]) for name in COLUMNS), row["loss"], cell(said)])
        after = rows[-1]["ticket"]
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
    ("GET", "labels"): ("export", labels),
    ("POST", "import"): ("import", import_table),
    ("GET", "labels.csv"): ("export", export),
}
