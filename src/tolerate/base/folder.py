"""The folder of a run: completed steps are not repeated, and an incomplete file never appears under its name.

`run.json` is written first and holds the options; `DONE` is written last. Between them each step writes one
file, under a temporary name that is then renamed, so a file's existence means that its step was completed. The
same command on the same folder therefore continues a killed run.
"""

import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from tolerate.base.arrays import Arrays
from tolerate.base.files import to_json, write_whole
from tolerate.errors import RunError

LAYOUT = 1  # version of the folder's layout; a folder of another layout cannot be continued


class RunFolder:
    """The folder of one run, locked by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # thread_local=False: a run may be closed by another thread than the one that opened it.
        self._lock = FileLock(path / ".lock", mode=0o600, thread_local=False)

    def open(self, options: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
        """Lock the folder for a run with these options; return whether the run is already finished.

        options: everything that the result depends on; a folder written with other options is refused.
        about: further facts for the reader (command, versions), written at the first start only.
        """
        self._create()
        self._acquire_lock()
        run_file = self.path / "run.json"
        if run_file.exists():
            self._check_options(run_file, options)
        elif any(not item.name.startswith(".") for item in self.path.iterdir()):
            raise RunError(f"{self.path} holds files but no run.json, so it is no run; choose an empty --out")
        else:
            write_whole(run_file, to_json({"layout": LAYOUT, "options": dict(options), **about}))
        return self.done

    def close(self) -> None:
        """Release the lock, so that another process may use the folder."""
        self._lock.release()

    @property
    def done(self) -> bool:
        """Whether the run is finished."""
        return (self.path / "DONE").exists()

    def finish(self) -> None:
        """Mark the run as finished."""
        write_whole(self.path / "DONE", b"")

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the JSON value of a step: from its file if it exists, otherwise computed by `make` and written."""
        path = self.path / name
        if not path.exists():
            write_whole(path, to_json(make()))
        try:
            return json.loads(path.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise RunError(f"{path} is damaged ({error}); delete it and run the same command again") from None

    def once_arrays(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of a step: from its npz file if it exists, otherwise computed by `make` and written."""
        path = self.path / name
        if not path.exists():
            self._write_arrays(path, make())
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}

    def clear(self) -> None:
        """Delete the run, so that it starts again; a folder that holds no run is refused and left as it is."""
        if self.path.exists() and any(self.path.iterdir()):
            if not (self.path / "run.json").exists():
                raise RunError(
                    f"{self.path} holds files but no run.json, so it is no run; nothing was deleted"
                )
            shutil.rmtree(self.path)

    def _create(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make the folder {self.path}: {error.strerror}. Choose another --out"
            ) from None

    def _acquire_lock(self) -> None:
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise RunError(
                f"another process works in {self.path}; wait for it or choose another --out"
            ) from None

    def _check_options(self, run_file: Path, options: Mapping[str, Any]) -> None:
        try:
            before = json.loads(run_file.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise RunError(
                f"{run_file} is damaged ({error}); start again with --fresh or another --out"
            ) from None
        if before.get("layout") != LAYOUT:
            raise RunError(
                f"{self.path} was made by another version of tolerate (layout {before.get('layout')}, this "
                f"one writes {LAYOUT}); start again with --fresh or choose another --out"
            )
        requested = json.loads(to_json(dict(options)))
        changed = [key for key in requested if before["options"].get(key) != requested[key]]
        if changed:
            key = changed[0]
            raise RunError(
                f"{self.path} holds a run with {key} = {before['options'].get(key)!r}, this command asks for "
                f"{requested[key]!r}; choose another --out, or --fresh to start again"
            )

    def _write_arrays(self, path: Path, arrays: Arrays) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_whole(path, buffer.getvalue())
