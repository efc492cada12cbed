"""The picture, sound or film of an item that a reviewer has leased; byte ranges for players."""

import re
from pathlib import Path

from tolerate.service.desk.app import ReviewDesk
from tolerate.service.desk.pages import Response, Visit
from tolerate.service.openai_format import ApiError
from tolerate.store import Database, media, queue

MAX_RANGE_BYTES = 4 * 2**20
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def item_media(desk: ReviewDesk, visit: Visit) -> Response:
    """The media of a slot's item; only for the reviewer who has leased it."""
    slot = "".join(visit.rest[:1])
    if not slot.isdigit() or len(slot) > 15:
        raise ApiError(404, "there is no such item")
    content = await desk.reader.query(_media_of_slot, int(slot), visit.user.name, desk.media_folder)
    if content is None:
        raise ApiError(404, "there is nothing to show, or the item is no longer yours")
    return _media_response(*content, byte_range=visit.request.header(b"range"))


def _media_of_slot(db: Database, slot: int, reviewer: str, folder: Path | None) -> tuple[str, bytes] | None:
    """MIME type and bytes; None if there are none, or the slot is not leased by this reviewer."""
    task = queue.task(db, slot, reviewer)
    reference = "" if task is None else task.item.media
    if reference.startswith("data:"):
        return media.decode_data_url(reference)
    if reference.startswith("kept:"):
        return media.find(db, reference)
    if reference.startswith("file:") and folder is not None:
        return _read(folder, reference[5:])
    return None


def _read(folder: Path, name: str) -> tuple[str, bytes] | None:
    """MIME type and bytes of a file below a folder; None if it is elsewhere, unreadable, or not to be shown."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        return None
    try:
        body = path.read_bytes()
    except OSError:
        return None
    kind = media.kind_of_bytes(body)
    return None if kind is None else (kind, body)


def _media_response(kind: str, body: bytes, byte_range: str) -> Response:
    """The bytes, or the range that the header asks for: players use ranges to seek."""
    size, match = len(body), RANGE.fullmatch(byte_range)
    ranges = (b"accept-ranges", b"bytes")
    if match is None:
        return Response(body, 200, kind.encode(), [ranges])
    first, last = _range(match[1], match[2], size)
    if first >= size:
        return Response(b"", 416, kind.encode(), [(b"content-range", b"bytes */%d" % size)])
    content_range = (b"content-range", b"bytes %d-%d/%d" % (first, last, size))
    return Response(body[first : last + 1], 206, kind.encode(), [ranges, content_range])


def _range(first: str, last: str, size: int) -> tuple[int, int]:
    """The first and last byte of a range.

    >>> _range("10", "", 100), _range("", "5", 100), _range("10", "900", 100)
    ((10, 99), (95, 99), (10, 99))
    """
    if not first:
        return max(0, size - int(last or 0)), size - 1
    start = int(first)
    return start, min(size - 1, start + MAX_RANGE_BYTES - 1, int(last) if last else size - 1)
