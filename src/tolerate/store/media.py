"""Pictures, sounds and films that items show: each is kept once, under the hash of its bytes.

An item names what it shows in one line of text: `kept:HASH/NAME` is in this table, `data:...` carries it along,
`file:PATH` lies beside a batch. Only kinds that cannot carry a program are taken.
"""

import hashlib
from base64 import b64decode
from urllib.parse import unquote_to_bytes

from tolerate.errors import DataError
from tolerate.store.database import Database

KINDS = {  # by the end of a file's name
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
STARTS = {  # by its first bytes
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
    b"\xff\xfa": "audio/mpeg",
    b"\xff\xf2": "audio/mpeg",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"\x1a\x45\xdf\xa3": "video/webm",
}


def kind_of_name(name: str) -> str | None:
    """The kind of a file by its name; None if it is none that can be shown.

    >>> kind_of_name("cats/7.PNG"), kind_of_name("drawing.svg")
    ('image/png', None)
    """
    return KINDS.get(name.rpartition(".")[2].lower())


def kind_of(body: bytes) -> str | None:
    """The kind of some bytes by how they begin; None if it is none that can be shown.

    >>> kind_of(b"RIFF....WAVEfmt "), kind_of(b"<svg>")
    ('audio/wav', None)
    """
    if body[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(body[8:12])
    if body[4:8] == b"ftyp":
        return None if body[8:12] in (b"avif", b"heic", b"mif1") else "video/mp4"
    return next((kind for start, kind in STARTS.items() if body.startswith(start)), None)


def keep(db: Database, body: bytes, name: str, at: float) -> str:
    """Keep some bytes; the text by which an item names them. Twice is once.

    Raises DataError for what is no picture, sound or film by its first bytes, whatever its name says.
    """
    kind = kind_of(body)
    if kind is None:
        raise DataError(
            f"{name} is no picture, sound or film that can be shown; expected {', '.join(dict.fromkeys(KINDS))}"
        )
    hash = hashlib.sha256(body).hexdigest()
    db.run("INSERT INTO media VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING", hash, kind, body, at)
    return named(hash, kind, name)


def named(hash: str, kind: str, name: str) -> str:
    """How an item names what is kept; the name's end says its kind, whatever it said before.

    >>> named("ab12", "image/png", "cat.jpg")
    'kept:ab12/cat.jpg.png'
    """
    end = next(end for end, each in KINDS.items() if each == kind)
    return f"kept:{hash}/{name}" if kind_of_name(name) == kind else f"kept:{hash}/{name}.{end}"


def find(db: Database, reference: str) -> tuple[str, bytes] | None:
    """Kind and bytes of what is kept."""
    hash = reference.removeprefix("kept:").partition("/")[0]
    row = db.one("SELECT kind, body FROM media WHERE hash = ?", hash)
    return None if row is None else (row[0], bytes(row[1]))


def carried(reference: str) -> tuple[str, bytes] | None:
    """Kind and bytes of a `data:` address; None if it is damaged or of a kind that is not shown.

    >>> carried("data:image/gif;base64,R0lGODg=")
    ('image/gif', b'GIF88')
    """
    head, comma, body = reference.removeprefix("data:").partition(",")
    kind, *options = head.split(";")
    if not comma or kind not in KINDS.values():
        return None
    try:
        return kind, b64decode(body) if "base64" in options else unquote_to_bytes(body)
    except ValueError:
        return None


def shown_kind(reference: str) -> str | None:
    """The kind that an item's reference promises, by its text alone.

    >>> shown_kind("file:films/3.mp4"), shown_kind("data:image/svg+xml,x"), shown_kind("")
    ('video/mp4', None, None)
    """
    if reference.startswith("data:"):
        kind = reference[5:].partition(";")[0].partition(",")[0]
        return kind if kind in KINDS.values() else None
    return kind_of_name(reference) if reference.startswith(("kept:", "file:")) else None


def name_of(reference: str) -> str:
    """A reference as people read it in a table.

    >>> name_of("kept:ab12/cat.png"), name_of("file:a/b.wav"), name_of("data:image/png;base64,AAAA")
    ('cat.png', 'a/b.wav', 'image/png')
    """
    if reference.startswith("kept:"):
        return reference.partition("/")[2]
    return reference[5:] if reference.startswith("file:") else shown_kind(reference) or ""


def forget(db: Database, before: float) -> int:
    """Delete what is older and shown by no item any more; how many."""
    return db.run(
        "DELETE FROM media WHERE at < ? AND NOT EXISTS (SELECT 1 FROM items i WHERE i.media <> '' AND "
        "substr(i.media, 1, 69) = 'kept:' || media.hash)",
        before,
    )
