"""A file layer that drops unsynced writes: every write of the real SQLite is noted, and a power loss is played back.

SQLite's own file methods are wrapped (through ctypes, in the library that Python uses), so the code under test is
unchanged. The log holds writes, truncations, syncs and deletions in order, and whatever the test notes between them,
such as an answer that went out. `after_power_loss` then builds what a disk could hold if the power failed at that
place: everything synced is there; of what was not, each sector of 512 bytes is there or not, by chance, and what
was never written but belongs to a grown file is zeros or noise; a file that was never synced may be missing.

Not simulated: a disk that confirms a sync it did not do, decay of what was synced, a file system that loses the name
of a synced file.
"""

import contextlib
import ctypes
import ctypes.util
from collections.abc import Iterator
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

SECTOR = 512
OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class Vfs(Structure):
    """The head of sqlite3_vfs, as sqlite3.h has it."""

    _fields_ = [
        ("version", c_int), ("size", c_int), ("longest", c_int), ("next", c_void_p), ("name", c_char_p),
        ("data", c_void_p), ("open", c_void_p), ("delete", c_void_p), ("rest", c_void_p * 14),
    ]  # fmt: skip


class Methods(Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = [
        ("version", c_int), ("close", c_void_p), ("read", c_void_p), ("write", c_void_p),
        ("truncate", c_void_p), ("sync", c_void_p), ("rest", c_void_p * 13),
    ]  # fmt: skip


class Log:
    """What happened to the files of a folder, in order: (what, file, ...); notes are ("note", anything)."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def note(self, what: Any) -> None:
        """Something that the outside world saw."""
        self.events.append(("note", what))


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[Log]:
    """Within this, every SQLite file of the folder is logged. Syncs are noted and not carried out: that is quicker."""
    log, files, references = Log(), {}, []
    sqlite = ctypes.CDLL(_library())
    sqlite.sqlite3_vfs_find.restype = POINTER(Vfs)
    real = sqlite.sqlite3_vfs_find(None)
    if real.contents.name == b"watched":
        raise RuntimeError("already watched")
    open_, delete = OPEN(real.contents.open), DELETE(real.contents.delete)
    tables: dict[int, Methods] = {}

    def wrapped(methods: int) -> Methods:
        """The file methods with ours in front."""
        if methods in tables:
            return tables[methods]
        original = ctypes.cast(methods, POINTER(Methods)).contents
        table = Methods.from_buffer_copy(original)
        write, truncate, sync = WRITE(original.write), TRUNCATE(original.truncate), SYNC(original.sync)

        def on_write(file: int, data: int, size: int, offset: int) -> int:
            log.events.append(("write", files.get(file), offset, ctypes.string_at(data, size)))
            return write(file, data, size, offset)

        def on_truncate(file: int, size: int) -> int:
            log.events.append(("truncate", files.get(file), size))
            return truncate(file, size)

        def on_sync(file: int, flags: int) -> int:
            name = files.get(file)
            if name is None:
                return sync(file, flags)
            log.events.append(("sync", name))
            return 0

        mine = (WRITE(on_write), TRUNCATE(on_truncate), SYNC(on_sync))
        references.extend((*mine, write, truncate, sync))
        table.write, table.truncate, table.sync = (ctypes.cast(callback, c_void_p) for callback in mine)
        tables[methods] = table
        return table

    def on_open(vfs: int, name: int, file: int, flags: int, out: Any) -> int:
        result = open_(vfs, name, file, flags, out)
        path = Path(ctypes.string_at(name).decode()) if name else None
        pointer = ctypes.cast(file, POINTER(c_void_p))
        if result == 0 and path is not None and path.parent == folder and pointer[0]:
            files[file] = path.name
            log.events.append(("open", path.name))
            pointer[0] = ctypes.addressof(wrapped(pointer[0]))
        return result

    def on_delete(vfs: int, name: bytes, durable: int) -> int:
        path = Path(name.decode())
        if path.parent == folder:
            log.events.append(("delete", path.name, bool(durable)))
        return delete(vfs, name, durable)

    ours = Vfs.from_buffer_copy(real.contents)
    mine = (OPEN(on_open), DELETE(on_delete))
    ours.name, ours.next = b"watched", None
    ours.open, ours.delete = (ctypes.cast(callback, c_void_p) for callback in mine)
    assert sqlite.sqlite3_vfs_register(ctypes.byref(ours), 1) == 0
    try:
        yield log
    finally:
        sqlite.sqlite3_vfs_unregister(ctypes.byref(ours))
        sqlite.sqlite3_vfs_register(real, 1)
        _ALIVE.append((ours, mine, references, tables))  # a connection that is still open may call them


_ALIVE: list[Any] = []


def _library() -> str | None:
    """The SQLite that Python uses: its shared library, or what it was linked into."""
    import _sqlite3

    with contextlib.suppress(OSError, AttributeError):
        if ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find:
            return str(_sqlite3.__file__)
    return ctypes.util.find_library("sqlite3")


class File:
    """A file on the simulated disk: what is safe, and what happened since the last sync."""

    def __init__(self) -> None:
        self.safe = bytearray()
        self.named = False  # its name is on the disk
        self.pending: list[tuple[Any, ...]] = []

    def sync(self) -> None:
        for event in self.pending:
            self.safe = _applied(self.safe, event)
        self.pending = []


def _applied(content: bytearray, event: tuple[Any, ...]) -> bytearray:
    if event[0] == "truncate":
        return content[: event[2]] + bytes(max(0, event[2] - len(content)))
    _, _, offset, data = event
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data
    return content


class Disk:
    """The log played up to a place."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.ghosts: dict[str, File] = {}  # deleted, but the folder was not synced: they may come back
        self.notes: list[Any] = []

    def play(self, event: tuple[Any, ...]) -> None:
        """One more event."""
        what, name = event[0], event[1]
        if what == "note":
            self.notes.append(name)
        elif what == "open":
            self.files.setdefault(name, File())
        elif what == "sync":
            self.files[name].sync()
            if not self.files[name].named and name.endswith(("-wal", "-journal")):
                self._sync_folder()  # SQLite does so with the first sync of a log or journal
        elif what == "delete":
            gone = self.files.pop(name, None)
            if gone is not None:
                self.ghosts[name] = gone
            if event[2]:
                self._sync_folder()
        elif name is not None:
            self.files.setdefault(name, File()).pending.append(event)

    def _sync_folder(self) -> None:
        """Every name is on the disk, and what was deleted is gone."""
        self.ghosts.clear()
        for file in self.files.values():
            file.named = True

    def after_power_loss(self, folder: Path, rng: np.random.Generator) -> None:
        """Write what the disk may hold now into a folder."""
        for name, file in [*self.ghosts.items(), *self.files.items()]:
            if (self.ghosts.get(name) is file or not file.named) and rng.random() < 0.5:
                continue
            content, keep = bytearray(file.safe), rng.choice([0.0, 0.5, 0.9, 1.0])
            for event in file.pending:
                content = _torn(content, event, keep, rng)
            (folder / name).write_bytes(content)


def _torn(content: bytearray, event: tuple[Any, ...], keep: float, rng: np.random.Generator) -> bytearray:
    """An unsynced event: each of its sectors came to the disk, or did not."""
    if event[0] == "truncate":
        return _applied(content, event) if rng.random() < keep else content
    _, name, offset, data = event
    for start in range(0, len(data), SECTOR):
        piece = data[start : start + SECTOR]
        if rng.random() < keep:
            content = _applied(content, ("write", name, offset + start, piece))
        elif (
            offset + start + len(piece) > len(content) and rng.random() < 0.5
        ):  # the file grew, its content did not come
            noise = rng.bytes(len(piece)) if rng.random() < 0.5 else bytes(len(piece))
            content = _applied(content, ("write", name, offset + start, noise))
    return content
