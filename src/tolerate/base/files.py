"""Files that are written whole or not at all, JSON, and names that may stand in a path."""

import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

from tolerate.errors import RunError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically and durably: it appears complete or not at all, and survives a power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise RunError(f"could not write {path}: {reason}. Free some space or choose another --out") from None


def to_json(value: Any) -> bytes:
    """Encode a value as indented JSON in UTF-8; Chinese characters are not escaped."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def read_json(path: Path, what: str) -> Any:
    """Read the JSON value of a file; `what` says in an error message what was expected there."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}; expected {what}") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); make it again") from None


def slug(name: str) -> str:
    """Turn a name into one that may stand in a path; a changed name ends in its CRC-32, so that no two collide.

    >>> slug("vae-mixture"), slug("openai:m@http://host/v1")
    ('vae-mixture', 'openai-m-http-host-v1-7cc1c2b1')
    """
    plain = re.sub(r"[^\w.+ -]+", "-", name).strip("-.")[:80]
    return name if plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"
