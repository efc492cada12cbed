"""The single writer of a service's database: waiting writes share a commit, and futures resolve after it.

A commit to disk costs the same for one row as for a hundred, so the writer takes all waiting writes, runs them in one
transaction and then resolves their futures. While it commits, the next group gathers.
"""

import asyncio
import contextlib
import hashlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from filelock import FileLock, Timeout

from tolerate.errors import RunError
from tolerate.messages.catalogue import message
from tolerate.store import restrictions
from tolerate.store.database import Database, Postgres, connect
from tolerate.store.ledger import Entry, head, with_messages
from tolerate.store.schema import prepare

T = TypeVar("T")
OnRecorded = Callable[[Database, Entry], None]
MAX_GROUP_WRITES = 512
CERTIFICATE_ENDED = message("held.certificate_ended")
ADVISORY_LOCK_ID = 741_174  # PostgreSQL: one service writes a schema
LOCK_WAIT_SECONDS = 3.0  # the session of a service that has ended may hold its lock so long


@dataclass(slots=True)
class _PendingWrite:
    """A write that waits for its commit: an entry of the ledger, or a function, and the future of its result."""

    future: "Future[Any] | asyncio.Future[Any]"
    entry: Entry | None = None
    on_recorded: OnRecorded | None = None
    work: Callable[[Database], object] | None = None
    result: object = None
    error: BaseException | None = None


class DatabaseWriter:
    """The thread that owns the writing connection.

    standing: id of the certificate in force by (job, tier), as of the last commit; restrictions: of that certificate.
    Only the writer changes them. clock: seconds since 1970, for the rows of `record`.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self.url, self.clock = url, clock
        self._lock = _lock_file(url)
        try:
            self._db = self._open()
        except BaseException:
            self._unlock()
            raise
        self.standing: dict[tuple[str, str], str] = {}
        self.restrictions: dict[tuple[str, str], tuple[restrictions.Restriction, ...]] = {}
        self._seq, self._hash = 0, b""
        self._rows: list[tuple[int, bytes, bytes]] = []
        self._refresh()
        self._queue: queue.SimpleQueue[_PendingWrite | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="writer", daemon=True)
        self._thread.start()

    # Called from other threads

    def submit(self, work: Callable[..., T], *arguments: object) -> "Future[T]":
        """Run `work(db, *given)` in the next transaction; the future is done when it is on the disk."""
        future: Future[T] = Future()
        self._put(_PendingWrite(future, work=lambda db: work(db, *arguments)))
        return future

    def do(self, work: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        """Run a function on the writer's thread, as `submit` does, and await its result."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_PendingWrite(future, work=lambda db: work(db, *arguments)))
        return future

    def record(self, entry: Entry, on_recorded: OnRecorded | None = None) -> "asyncio.Future[Entry]":
        """Append a decision to the ledger; the future returns the row as written, when it is on the disk.

        A release under a certificate that is no longer in force, or was restricted meanwhile, is written as a review.
        also: called in the same transaction unless the row is a release that was not drawn (it stores the item); it
        must not write to the ledger.
        """
        future: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._put(_PendingWrite(future, entry=entry, on_recorded=on_recorded))
        return future

    def close(self) -> None:
        """Write what waits, then stop and close the connection."""
        self._closed = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._db.close()
        self._unlock()

    def _put(self, waiting: _PendingWrite) -> None:
        if self._closed:
            raise RunError("the database of the service is closed; nothing can be written")
        self._queue.put(waiting)

    # Called in the thread

    def _serve(self) -> None:
        stop = False
        while not stop:
            group = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(group) < MAX_GROUP_WRITES:
                    group.append(self._queue.get_nowait())
            stop = None in group
            waiting = [write for write in group if write is not None]
            if waiting:
                self._commit(waiting)
                _resolve_futures(waiting)

    def _commit(self, waiting: list[_PendingWrite]) -> None:
        """Run all writes in one transaction; if it fails as a whole, every future gets the error."""
        try:
            self._db.run("BEGIN")
            for write in waiting:
                self._write(write)
            self._flush()
            self._db.run("COMMIT")
        except BaseException as error:
            for write in waiting:
                write.error = write.error or error
            self._recover()

    def _write(self, write: _PendingWrite) -> None:
        if write.entry is not None and write.on_recorded is None:
            write.result = self._append(write.entry)
            return
        self._flush()
        self._db.run("SAVEPOINT single_write")
        try:
            write.result = self._run_alone(write)
            self._flush()
            self._db.run("RELEASE SAVEPOINT single_write")
        except Exception as error:
            write.error = error
            self._rows.clear()
            self._db.run("ROLLBACK TO SAVEPOINT single_write")
            self._db.run("RELEASE SAVEPOINT single_write")
            self._refresh()

    def _run_alone(self, write: _PendingWrite) -> object:
        if write.entry is not None and write.on_recorded is not None:
            entry = self._append(write.entry)
            if entry["decision"] != "release" or entry.get("drawn"):
                write.on_recorded(self._db, entry)
            return entry
        assert write.work is not None
        result = write.work(self._db)
        self._refresh()
        return result

    def _append(self, entry: Entry) -> Entry:
        if entry.get("decision") == "release":
            standing = self.standing.get((entry["job"], entry["tier"]))
            if standing is None or standing != entry["certificate"]:
                entry = {**entry, "decision": "review", "reason": CERTIFICATE_ENDED}
            elif self.restrictions and (why := self._hold_reason(entry)):
                entry = {**entry, "decision": "review", "reason": why}
        elif entry.get("reason") in (restrictions.HELD_BAND, restrictions.HELD_SLICE):
            entry = {**entry, "reason": self._hold_reason(entry) or restrictions.STATE_ENDED}
        self._seq += 1
        entry = with_messages({"seq": self._seq, "at": round(self.clock(), 6), **entry})
        body = orjson.dumps(entry)
        self._hash = hashlib.sha256(self._hash + body).digest()
        self._rows.append((self._seq, body, self._hash))
        return entry

    def _hold_reason(self, entry: Entry) -> str:
        in_force = self.restrictions.get((entry["job"], entry["tier"]), ())
        return restrictions.hold_reason(in_force, entry.get("slice", ""), entry.get("score"))

    def _flush(self) -> None:
        if self._rows:
            self._db.many("INSERT INTO ledger VALUES (?, ?, ?)", self._rows)
            self._rows.clear()

    def _refresh(self) -> None:
        """Read again the state that a function, or a failure, may have changed."""
        self._seq, self._hash = head(self._db)
        certificate_rows = self._db.all("SELECT job, tier, id FROM certificates WHERE status = 'active'")
        self.standing = {(job, tier): id for job, tier, id in certificate_rows}
        self.restrictions = restrictions.in_force(self._db)

    def _recover(self) -> None:
        self._rows.clear()
        try:
            self._db.run("ROLLBACK")
            self._refresh()
        except Exception:  # the connection may be gone: the next group tries a new one
            with contextlib.suppress(Exception):
                self._db.close()
            with contextlib.suppress(Exception):
                self._db = self._open()
                self._refresh()

    def _open(self) -> Database:
        db = connect(self.url)
        try:
            if isinstance(db, Postgres):
                _take_lock(db)
            prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _lock_file(url: str) -> FileLock | None:
    """Lock an SQLite file for the process that writes it; the system releases the lock when the process ends."""
    if "://" in url or url == ":memory:":
        return None
    lock = FileLock(f"{url}-lock", mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunError(f"another service writes {url}; stop it or choose another --database") from None
    except OSError as error:
        raise RunError(f"cannot write beside {url}: {error.strerror}; choose another --database") from None
    return lock


def _take_lock(db: Postgres) -> None:
    """Lock a PostgreSQL schema; waits a moment for the session of a service that has just ended."""
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while not (
        db.first("SELECT pg_try_advisory_lock(?, hashtext(current_schema()))", ADVISORY_LOCK_ID) or (False,)
    )[0]:
        if time.monotonic() > deadline:
            raise RunError("another service writes this database; stop it or choose another --database")
        time.sleep(0.02)


def _resolve_futures(waiting: list[_PendingWrite]) -> None:
    """Resolve the futures of a group; those of an event loop are resolved in one call of it."""
    loops: dict[asyncio.AbstractEventLoop, list[_PendingWrite]] = {}
    for write in waiting:
        if isinstance(write.future, Future):
            _resolve_future(write)
        else:
            loops.setdefault(write.future.get_loop(), []).append(write)
    for loop, writes in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing awaits these futures any more
            loop.call_soon_threadsafe(_resolve_all, writes)


def _resolve_all(waiting: list[_PendingWrite]) -> None:
    for write in waiting:
        _resolve_future(write)


def _resolve_future(write: _PendingWrite) -> None:
    if write.future.cancelled():
        return
    if write.error is not None:
        write.future.set_exception(write.error)
    else:
        write.future.set_result(write.result)
