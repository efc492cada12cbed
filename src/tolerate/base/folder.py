"""A run's folder: what is finished is never done twice, what is half-finished is never seen.

`run.json` comes first and holds the options; `DONE` comes last. Between them each step leaves one
file, written beside and renamed, so its existence means that the step was completed. The same
command on the same folder therefore continues where a killed run stood.
"""

import fcntl
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import RunError

LAYOUT = 1  # of the folder; a folder of another layout cannot be continued


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, and survives a loss of power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise RunError(f"could not write {path}: {reason}. Free some space or choose another --out") from None


def to_json(value: Any) -> bytes:
    """A value as indented JSON, Chinese kept readable."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def read_json(path: Path, what: str) -> Any:
    """The JSON value of a file; `what` names the kind of place it was expected in."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}; expected {what}") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); make it again") from None


def slug(name: str) -> str:
    """A name as it may stand in a path: what has other signs keeps a short sum of them, so that no two meet.

    >>> slug("vae-mixture"), slug("openai:m@http://host/v1")
    ('vae-mixture', 'openai-m-http-host-v1-7cc1c2b1')
    """
    plain = re.sub(r"[^\w.+ -]+", "-", name).strip("-.")[:80]
    return name if plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"


class RunFolder:
    """The folder of one run, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def open(self, options: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
        """Take the folder for a run with these options; True if the run is finished already.

        options: what the result depends on; a folder made with others is refused.
        about: what is worth knowing beside them (command, versions); kept from the first start.
        """
        self._make()
        self._take()
        written = self.path / "run.json"
        if written.exists():
            self._compare(written, options)
        elif any(not item.name.startswith(".") for item in self.path.iterdir()):
            raise RunError(f"{self.path} holds files but no run.json, so it is no run; choose an empty --out")
        else:
            write_whole(written, to_json({"layout": LAYOUT, "options": dict(options), **about}))
        return self.done

    def close(self) -> None:
        """Let another process have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def done(self) -> bool:
        """Whether the run was finished."""
        return (self.path / "DONE").exists()

    def finish(self) -> None:
        """Say that all is there."""
        write_whole(self.path / "DONE", b"")

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The JSON value of a step: read if it is there, else made and kept."""
        path = self.path / name
        if not path.exists():
            write_whole(path, to_json(make()))
        try:
            return json.loads(path.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise RunError(f"{path} is damaged ({error}); delete it and run the same command again") from None

    def once_arrays(self, name: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """The arrays of a step: read if they are there, else made and kept."""
        path = self.path / name
        if not path.exists():
            self._write_arrays(path, make())
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}

    def clear(self) -> None:
        """Delete the run, so that it starts from nothing; a folder that is no run is left alone."""
        if self.path.exists() and any(self.path.iterdir()):
            if not (self.path / "run.json").exists():
                raise RunError(
                    f"{self.path} holds files but no run.json, so it is no run; nothing was deleted"
                )
            shutil.rmtree(self.path)

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make the folder {self.path}: {error.strerror}. Choose another --out"
            ) from None

    def _take(self) -> None:
        self._lock = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise RunError(
                f"another process works in {self.path}; wait for it or choose another --out"
            ) from None

    def _compare(self, written: Path, options: Mapping[str, Any]) -> None:
        try:
            before = json.loads(written.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise RunError(
                f"{written} is damaged ({error}); start again with --fresh or another --out"
            ) from None
        if before.get("layout") != LAYOUT:
            raise RunError(
                f"{self.path} was made by another version of tolerate (layout {before.get('layout')}, this "
                f"one writes {LAYOUT}); start again with --fresh or choose another --out"
            )
        asked = json.loads(to_json(dict(options)))
        changed = [key for key in asked if before["options"].get(key) != asked[key]]
        if changed:
            key = changed[0]
            raise RunError(
                f"{self.path} holds a run with {key} = {before['options'].get(key)!r}, this command asks for "
                f"{asked[key]!r}; choose another --out, or --fresh to start again"
            )

    def _write_arrays(self, path: Path, arrays: dict[str, NDArray[Any]]) -> None:
        import io

        memory = io.BytesIO()
        np.savez(memory, **arrays)  # type: ignore[arg-type]
        write_whole(path, memory.getvalue())
