"""The picture, sound or film of the item that a reviewer has in hand, in parts where the browser asks for parts."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tolerate.service.openai_format import ApiError
from tolerate.store import Database, media, queue

if TYPE_CHECKING:
    from tolerate.service.desk import Desk, Response, Visit

PART = 4 * 2**20  # bytes of one part
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def shown(desk: "Desk", visit: "Visit") -> "Response":
    """What the item of a slot shows; only for the reviewer who has leased it."""
    slot = "".join(visit.rest[:1])
    if not slot.isdigit() or len(slot) > 15:
        raise ApiError(404, "there is no such item")
    found = await desk.reader.query(_found, int(slot), visit.user.name, desk.files)
    if found is None:
        raise ApiError(404, "there is nothing to show, or the item is no longer yours")
    return _answer(*found, asked=visit.request.header(b"range"))


def _found(db: Database, slot: int, reviewer: str, files: Path | None) -> tuple[str, bytes] | None:
    """Kind and bytes."""
    task = queue.task(db, slot, reviewer)
    reference = "" if task is None else task.item.media
    if reference.startswith("data:"):
        return media.decode_data_url(reference)
    if reference.startswith("kept:"):
        return media.find(db, reference)
    if reference.startswith("file:") and files is not None:
        return _read(files, reference[5:])
    return None


def _read(folder: Path, name: str) -> tuple[str, bytes] | None:
    """A file in a folder or below it; None if it lies elsewhere, cannot be read, or is of another kind."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        return None
    try:
        body = path.read_bytes()
    except OSError:
        return None
    kind = media.kind_of_bytes(body)
    return None if kind is None else (kind, body)


def _answer(kind: str, body: bytes, asked: str) -> "Response":
    """All of it, or the part that is asked for; players ask for parts to move about in a film."""
    from tolerate.service.desk import Response

    size, found = len(body), RANGE.fullmatch(asked)
    ranges = (b"accept-ranges", b"bytes")
    if found is None:
        return Response(body, 200, kind.encode(), [ranges])
    first, last = _part(found[1], found[2], size)
    if first >= size:
        return Response(b"", 416, kind.encode(), [(b"content-range", b"bytes */%d" % size)])
    where = (b"content-range", b"bytes %d-%d/%d" % (first, last, size))
    return Response(body[first : last + 1], 206, kind.encode(), [ranges, where])


def _part(first: str, last: str, size: int) -> tuple[int, int]:
    """The first and last place of a part that is asked for.

    >>> _part("10", "", 100), _part("", "5", 100), _part("10", "900", 100)
    ((10, 99), (95, 99), (10, 99))
    """
    if not first:
        return max(0, size - int(last or 0)), size - 1
    start = int(first)
    return start, min(size - 1, start + PART - 1, int(last) if last else size - 1)
