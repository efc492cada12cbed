"""Import of items for review: rows of a CSV with the pictures, sounds and films that they name, or files alone."""

import csv
import io
import json
import re
import secrets
import time
from urllib.parse import unquote

from tolerate.errors import DataError
from tolerate.service.config import JobSettings
from tolerate.service.desk.app import ReviewDesk
from tolerate.service.desk.forms import number_field
from tolerate.service.desk.pages import PageTable, Response, Visit
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, media, queue
from tolerate.store.ledger import append

MAX_ROWS = 20_000
MAX_FILE_BYTES = 64 * 2**20
REFERENCE = re.compile(r"kept:[0-9a-f]{64}/.{1,200}")
EXTENSIONS = ",".join(f".{extension}" for extension in media.KIND_BY_EXTENSION)
Rows = list[dict[str, str]]


async def labels_page(desk: ReviewDesk, visit: Visit) -> Response:
    """The page of import and export."""
    return _labels_page(desk, visit, None)


def _labels_page(desk: ReviewDesk, visit: Visit, count: int | None) -> Response:
    return desk.page("labels.html", visit, count=count, extensions=EXTENSIONS)


async def upload(desk: ReviewDesk, visit: Visit) -> Response:
    """Store a file that a later table refers to; the page's script sends the files one by one."""
    name = unquote(visit.request.header(b"x-name")).replace("\\", "/").rpartition("/")[2][:120] or "file"
    body = await visit.request.body(MAX_FILE_BYTES, 10 * desk.service.receive)
    try:
        reference = await desk.writer.do(media.store_media, body, name, time.time())
    except DataError as error:
        raise ApiError(400, str(error)) from None
    return Response(json.dumps({"kept": reference}).encode(), 200, b"application/json")


async def import_table(desk: ReviewDesk, visit: Visit) -> Response:
    """Put the rows of a table, or files, into the queue."""
    job = desk.service.job(visit.form.get("job", ""))
    if job is None:
        raise ApiError(404, "there is no such job")
    reviewers = int(number_field(visit.form, "reviewers")) or 1
    files = _files(visit.form.get("files", ""))
    table = visit.form.get("table", "")
    rows = parse(table) if table.strip() or not files else [{"media": name} for name in sorted(files)]
    count = await desk.writer.do(_import_rows, job, rows, files, min(reviewers, 9), visit.user.name)
    return _labels_page(desk, visit, count)


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
    if len(rows) > MAX_ROWS:
        raise ApiError(413, f"the table has {len(rows)} rows; at most {MAX_ROWS} at once")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ApiError(400, f"row {number} does not have as many cells as the header")
        if (row.get("truth") or "0") not in ("0", "1", "0.0", "1.0"):
            raise ApiError(400, f'row {number}: truth is "{row["truth"]}"; expected 0, 1 or nothing')
    return rows


def _files(text: str) -> dict[str, str]:
    """References by file name, of the files that were sent before."""
    try:
        sent = json.loads(text or "{}")
        references = {str(name): str(reference) for name, reference in sent.items()}
    except (ValueError, AttributeError):
        raise ApiError(400, "the list of files cannot be read") from None
    if not all(REFERENCE.fullmatch(reference) for reference in references.values()):
        raise ApiError(400, "the list of files refers to files that are not stored here")
    return references


def _import_rows(
    db: Database, job: JobSettings, rows: Rows, files: dict[str, str], reviewers: int, by: str
) -> int:
    now = time.time()
    for number, row in enumerate(rows, start=1):
        truth = float(row["truth"]) if row.get("truth") else None
        queue.add_item(
            db,
            queue.Item(
                ticket="im_" + secrets.token_hex(12),
                job=job.name,
                at=now,
                prompt=row.get("prompt", ""),
                content=row.get("content", ""),
                slice=row.get("slice", "")[:64],
                state="delivered",
                why="import" if truth is None else "seed",
                decision="import",
                media=_media(db, row.get("media", "").strip(), files, number, now),
                reviewers=reviewers,
                truth=truth,
            ),
        )
    append(db, "labels", now, job=job.name, by=by, what="imported", count=len(rows))
    return len(rows)


def _media(db: Database, cell: str, files: dict[str, str], number: int, now: float) -> str:
    """The reference to the media of a row, which is stored if it is a `data:` URL; web addresses are refused."""
    if not cell:
        return ""
    if cell.startswith("data:"):
        content = media.decode_data_url(cell)
        if content is None or media.kind_of_bytes(content[1]) is None:
            raise ApiError(400, f"row {number}: its media cannot be shown; expected {EXTENSIONS}")
        return media.store_media(db, content[1], f"row-{number}", now)
    reference = files.get(cell) or files.get(cell.replace("\\", "/").rpartition("/")[2])
    if reference is None:
        raise ApiError(
            400, f'row {number}: no file "{cell[:80]}" was chosen; choose it together with the table'
        )
    if media.find(db, reference) is None:
        raise ApiError(400, f'row {number}: "{cell[:80]}" is not stored here; choose the files again')
    return reference


PAGES: PageTable[ReviewDesk] = {
    ("GET", "labels"): ("export", labels_page),
    ("POST", "upload"): ("import", upload),
    ("POST", "import"): ("import", import_table),
}
