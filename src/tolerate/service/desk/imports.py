"""Tables in: rows of a CSV, with the pictures, sounds and films that they name, or such files alone."""

import csv
import io
import json
import re
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tolerate.errors import DataError
from tolerate.service.config import JobSettings
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, media, queue
from tolerate.store.ledger import append

if TYPE_CHECKING:
    from tolerate.service.desk import Desk, Page, Response, Visit

MOST_ROWS = 20_000
MOST_BYTES = 64 * 2**20  # of one file
KEPT = re.compile(r"kept:[0-9a-f]{64}/.{1,200}")
ENDS = ",".join(f".{end}" for end in media.KIND_BY_EXTENSION)
Rows = list[dict[str, str]]


async def labels(desk: "Desk", visit: "Visit") -> "Response":
    """Import and export."""
    return _page(desk, visit, None)


def _page(desk: "Desk", visit: "Visit", count: int | None) -> "Response":
    return desk.page("labels.html", visit, count=count, ends=ENDS)


async def upload(desk: "Desk", visit: "Visit") -> "Response":
    """Keep one file that a table to come will name; the page's script sends them one by one."""
    from tolerate.service.desk import Response

    name = unquote(visit.request.header(b"x-name")).replace("\\", "/").rpartition("/")[2][:120] or "file"
    body = await visit.request.body(MOST_BYTES, 10 * desk.service.receive)
    try:
        reference = await desk.writer.do(media.store_media, body, name, time.time())
    except DataError as error:
        raise ApiError(400, str(error)) from None
    return Response(json.dumps({"kept": reference}).encode(), 200, b"application/json")


async def import_table(desk: "Desk", visit: "Visit") -> "Response":
    """Put the rows of a table, or files, before the reviewers."""
    job = desk.service.job(visit.form.get("job", ""))
    if job is None:
        raise ApiError(404, "there is no such job")
    reviewers = int(number(visit.form, "reviewers")) or 1
    files = _files(visit.form.get("files", ""))
    table = visit.form.get("table", "")
    rows = parse(table) if table.strip() or not files else [{"media": name} for name in sorted(files)]
    count = await desk.writer.do(_import, job, rows, files, min(reviewers, 9), visit.user.name)
    return _page(desk, visit, count)


def number(form: dict[str, str], name: str) -> float:
    """A number of a form, 0 or more."""
    try:
        value = float(form.get(name) or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise ApiError(400, f"{name} must be a number, 0 or more")
    return value


def parse(text: str) -> Rows:
    """The rows of a CSV text with a column `content`, or `media`, or both.

    >>> parse("content,slice\\nhello,en\\n")
    [{'content': 'hello', 'slice': 'en'}]
    """
    try:
        reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
        rows = [dict(row) for row in reader]
    except csv.Error as error:
        raise ApiError(400, f"the table cannot be read: {error}") from None
    if not rows or not {"content", "media"} & set(rows[0]):
        raise ApiError(
            400, "expected a CSV table with a header and a column named content, or media, or both"
        )
    if len(rows) > MOST_ROWS:
        raise ApiError(413, f"the table has {len(rows)} rows; at most {MOST_ROWS} at once")
    for place, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ApiError(400, f"row {place} has not as many cells as the header")
        if (row.get("truth") or "0") not in ("0", "1", "0.0", "1.0"):
            raise ApiError(400, f'row {place}: truth is "{row["truth"]}"; expected 0, 1 or nothing')
    return rows


def _files(text: str) -> dict[str, str]:
    """Which files were sent before, by name: the references under which they are kept."""
    try:
        found = json.loads(text or "{}")
        known = {str(name): str(reference) for name, reference in found.items()}
    except (ValueError, AttributeError):
        raise ApiError(400, "the list of files cannot be read") from None
    if not all(KEPT.fullmatch(reference) for reference in known.values()):
        raise ApiError(400, "the list of files names what is not kept here")
    return known


def _import(
    db: Database, job: JobSettings, rows: Rows, files: dict[str, str], reviewers: int, by: str
) -> int:
    at = time.time()
    for place, row in enumerate(rows, start=1):
        truth = float(row["truth"]) if row.get("truth") else None
        queue.add_item(
            db,
            queue.Item(
                ticket="im_" + secrets.token_hex(12),
                job=job.name,
                at=at,
                prompt=row.get("prompt", ""),
                content=row.get("content", ""),
                slice=row.get("slice", "")[:64],
                state="delivered",
                why="import" if truth is None else "seed",
                decision="import",
                media=_media(db, row.get("media", "").strip(), files, place, at),
                reviewers=reviewers,
                truth=truth,
            ),
        )
    append(db, "labels", at, job=job.name, by=by, what="imported", count=len(rows))
    return len(rows)


def _media(db: Database, cell: str, files: dict[str, str], place: int, at: float) -> str:
    """What a row shows, kept; an address of the web is not followed."""
    if not cell:
        return ""
    if cell.startswith("data:"):
        carried = media.decode_data_url(cell)
        if carried is None or media.kind_of_bytes(carried[1]) is None:
            raise ApiError(400, f"row {place}: its media is none that can be shown; expected {ENDS}")
        return media.store_media(db, carried[1], f"row-{place}", at)
    reference = files.get(cell) or files.get(cell.replace("\\", "/").rpartition("/")[2])
    if reference is None:
        raise ApiError(
            400, f'row {place}: no file "{cell[:80]}" was chosen; choose it together with the table'
        )
    if media.find(db, reference) is None:
        raise ApiError(400, f'row {place}: "{cell[:80]}" is not kept here; choose the files again')
    return reference


PAGES: "dict[tuple[str, str], tuple[str, Page]]" = {
    ("GET", "labels"): ("export", labels),
    ("POST", "upload"): ("import", upload),
    ("POST", "import"): ("import", import_table),
}
