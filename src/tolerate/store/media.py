"""Pictures, sounds and films that items show: each is stored once, under the hash of its bytes.

An item refers to its media by one line of text: `kept:HASH/NAME` is a row of this table, `data:...` holds the bytes,
`file:PATH` lies beside a batch. Only kinds that cannot contain a program are accepted.
"""

import hashlib
from base64 import b64decode
from urllib.parse import unquote_to_bytes

from tolerate.errors import DataError
from tolerate.store.database import Database

KIND_BY_EXTENSION = {
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
KIND_BY_FIRST_BYTES = {
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
    """The MIME type of a file by its name; None if the desk cannot show it.

    >>> kind_of_name("cats/7.PNG"), kind_of_name("drawing.svg")
    ('image/png', None)
    """
    return KIND_BY_EXTENSION.get(name.rpartition(".")[2].lower())


def kind_of_bytes(body: bytes) -> str | None:
    """The MIME type of some bytes by how they begin; None if the desk cannot show it.

    >>> kind_of_bytes(b"RIFF....WAVEfmt "), kind_of_bytes(b"<svg>")
    ('audio/wav', None)
    """
    if body[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(body[8:12])
    if body[4:8] == b"ftyp":
        return None if body[8:12] in (b"avif", b"heic", b"mif1") else "video/mp4"
    return next((kind for start, kind in KIND_BY_FIRST_BYTES.items() if body.startswith(start)), None)


def store_media(db: Database, body: bytes, name: str, now: float) -> str:
    """Store some bytes; return the reference for an item. Idempotent.

    Raises DataError if the first bytes are not those of a picture, sound or film, whatever the name says.
    """
    kind = kind_of_bytes(body)
    if kind is None:
        raise DataError(
            f"{name} is not a picture, sound or film that can be shown; expected {', '.join(KIND_BY_EXTENSION)}"
        )
    hash = hashlib.sha256(body).hexdigest()
    db.run("INSERT INTO media VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING", hash, kind, body, now)
    return reference_to(hash, kind, name)


def reference_to(hash: str, kind: str, name: str) -> str:
    """The reference to stored media; an extension is added to the name if it does not fit the kind.

    >>> reference_to("ab12", "image/png", "cat.jpg")
    'kept:ab12/cat.jpg.png'
    """
    extension = next(extension for extension, other in KIND_BY_EXTENSION.items() if other == kind)
    return f"kept:{hash}/{name}" if kind_of_name(name) == kind else f"kept:{hash}/{name}.{extension}"


def find(db: Database, reference: str) -> tuple[str, bytes] | None:
    """MIME type and bytes of stored media; None if the hash is not there."""
    hash = reference.removeprefix("kept:").partition("/")[0]
    row = db.first("SELECT kind, body FROM media WHERE hash = ?", hash)
    return None if row is None else (row[0], bytes(row[1]))


def decode_data_url(reference: str) -> tuple[str, bytes] | None:
    """MIME type and bytes of a `data:` URL; None if it is damaged or of a kind that is not shown.

    >>> decode_data_url("data:image/gif;base64,R0lGODg=")
    ('image/gif', b'GIF88')
    """
    head, comma, body = reference.removeprefix("data:").partition(",")
    kind, *options = head.split(";")
    if not comma or kind not in KIND_BY_EXTENSION.values():
        return None
    try:
        return kind, b64decode(body) if "base64" in options else unquote_to_bytes(body)
    except ValueError:
        return None


def kind_of_reference(reference: str) -> str | None:
    """The MIME type that a reference claims, by its text alone.

    >>> kind_of_reference("file:films/3.mp4"), kind_of_reference("data:image/svg+xml,x"), kind_of_reference("")
    ('video/mp4', None, None)
    """
    if reference.startswith("data:"):
        kind = reference[5:].partition(";")[0].partition(",")[0]
        return kind if kind in KIND_BY_EXTENSION.values() else None
    return kind_of_name(reference) if reference.startswith(("kept:", "file:")) else None


def name_of(reference: str) -> str:
    """A reference as it is written into a table: the name of the file, or the MIME type.

    >>> name_of("kept:ab12/cat.png"), name_of("file:a/b.wav"), name_of("data:image/png;base64,AAAA")
    ('cat.png', 'a/b.wav', 'image/png')
    """
    if reference.startswith("kept:"):
        return reference.partition("/")[2]
    return reference[5:] if reference.startswith("file:") else kind_of_reference(reference) or ""


def delete_unused(db: Database, before: float) -> int:
    """Delete media older than a time that no item refers to; return their number."""
    return db.run(
        "DELETE FROM media WHERE at < ? AND NOT EXISTS (SELECT 1 FROM items i WHERE i.media <> '' AND "
        "substr(i.media, 1, 69) = 'kept:' || media.hash)",
        before,
    )
