"""The one writer: whatever waits shares a commit, and nobody is answered before it is on the disk.

A commit that the disk has confirmed costs the same for one row as for a hundred, so the writer takes all
that waits, writes it in one transaction and then answers everyone. While it commits, the next group gathers.
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
Also = Callable[[Database, Entry], None]
LARGEST_GROUP = 512
CERTIFICATE_ENDED = message("held.certificate_ended")
LOCK = 741_174  # of PostgreSQL, so that one service writes a schema
LINGERS = 3.0  # seconds for which the session of a service that ended may still hold its lock


@dataclass(slots=True)
class _Waiting:
    """A write that waits for its commit: an entry of the ledger, or a function; and who is told."""

    told: "Future[Any] | asyncio.Future[Any]"
    entry: Entry | None = None
    also: Also | None = None
    work: Callable[[Database], Any] | None = None
    result: Any = None
    error: BaseException | None = None


class Writer:
    """The thread that owns the writing connection.

    standing: the certificate in force by (job, tier), as of the last commit; tight: what narrows it. Only the writer
    changes them.
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
        self.tight: dict[tuple[str, str], tuple[restrictions.Tightening, ...]] = {}
        self._seq, self._hash = 0, b""
        self._rows: list[tuple[int, bytes, bytes]] = []
        self._refresh()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="writer", daemon=True)
        self._thread.start()

    # What others call

    def submit(self, work: Callable[..., T], *given: Any) -> "Future[T]":
        """Run `work(db, *given)` in the next transaction; the future is done when it is on the disk."""
        told: Future[T] = Future()
        self._put(_Waiting(told, work=lambda db: work(db, *given)))
        return told

    def do(self, work: Callable[..., T], *given: Any) -> "asyncio.Future[T]":
        """The same, to be awaited."""
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Waiting(told, work=lambda db: work(db, *given)))
        return told

    def record(self, entry: Entry, also: Also | None = None) -> "asyncio.Future[Entry]":
        """Append a decision to the ledger; answers with the row as written, when it is on the disk.

        A release under a certificate that no longer stands, or that was narrowed meanwhile, is written as a review.
        also: run in the same transaction when the row is no plain release (it keeps the item); it must not touch the
        ledger.
        """
        told: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._put(_Waiting(told, entry=entry, also=also))
        return told

    def close(self) -> None:
        """Write what waits and stop."""
        self._closed = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._db.close()
        self._unlock()

    def _put(self, waiting: _Waiting) -> None:
        if self._closed:
            raise RunError("the store is closed: nothing more is written")
        self._queue.put(waiting)

    # The thread

    def _serve(self) -> None:
        stop = False
        while not stop:
            group = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(group) < LARGEST_GROUP:
                    group.append(self._queue.get_nowait())
            stop = None in group
            waiting = [each for each in group if each is not None]
            if waiting:
                self._commit(waiting)
                _tell(waiting)

    def _commit(self, waiting: list[_Waiting]) -> None:
        """One transaction for all of them; if it fails as a whole, each is told so and nothing was written."""
        try:
            self._db.run("BEGIN")
            for each in waiting:
                self._write(each)
            self._flush()
            self._db.run("COMMIT")
        except BaseException as error:
            for each in waiting:
                each.error = each.error or error
            self._recover()

    def _write(self, each: _Waiting) -> None:
        if each.entry is not None and each.also is None:
            each.result = self._append(each.entry)
            return
        self._flush()
        self._db.run("SAVEPOINT one")
        try:
            each.result = self._keep(each)
            self._flush()
            self._db.run("RELEASE SAVEPOINT one")
        except Exception as error:
            each.error = error
            self._rows.clear()
            self._db.run("ROLLBACK TO SAVEPOINT one")
            self._db.run("RELEASE SAVEPOINT one")
            self._refresh()

    def _keep(self, each: _Waiting) -> Any:
        if each.entry is not None and each.also is not None:
            entry = self._append(each.entry)
            if entry["decision"] != "release" or entry.get("drawn"):
                each.also(self._db, entry)
            return entry
        assert each.work is not None
        result = each.work(self._db)
        self._refresh()
        return result

    def _append(self, entry: Entry) -> Entry:
        if entry.get("decision") == "release":
            standing = self.standing.get((entry["job"], entry["tier"]))
            if standing is None or standing != entry["certificate"]:
                entry = {**entry, "decision": "review", "reason": CERTIFICATE_ENDED}
            elif self.tight and (why := self._narrowed(entry)):
                entry = {**entry, "decision": "review", "reason": why}
        elif entry.get("reason") in (restrictions.HELD_BAND, restrictions.HELD_SLICE):
            entry = {**entry, "reason": self._narrowed(entry) or restrictions.OVER}
        self._seq += 1
        entry = with_messages({"seq": self._seq, "at": round(self.clock(), 6), **entry})
        body = orjson.dumps(entry)
        self._hash = hashlib.sha256(self._hash + body).digest()
        self._rows.append((self._seq, body, self._hash))
        return entry

    def _narrowed(self, entry: Entry) -> str:
        narrow = self.tight.get((entry["job"], entry["tier"]), ())
        return restrictions.held(narrow, entry.get("slice", ""), entry.get("score"))

    def _flush(self) -> None:
        if self._rows:
            self._db.many("INSERT INTO ledger VALUES (?, ?, ?)", self._rows)
            self._rows.clear()

    def _refresh(self) -> None:
        """Read again what a function, or a failure, may have changed."""
        self._seq, self._hash = head(self._db)
        found = self._db.all("SELECT job, tier, id FROM certificates WHERE status = 'active'")
        self.standing = {(job, tier): id for job, tier, id in found}
        self.tight = restrictions.all_of(self._db)

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
        if isinstance(db, Postgres):
            try:
                _take_lock(db)
            except BaseException:
                db.close()
                raise
        prepare(db)
        return db

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _lock_file(url: str) -> FileLock | None:
    """Lock an SQLite file for the one process that writes it; the lock ends with the process, however that ends."""
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
    """The same on PostgreSQL; the session of a service that has just ended may hold it for a moment longer."""
    until = time.monotonic() + LINGERS
    while not (db.one("SELECT pg_try_advisory_lock(?, hashtext(current_schema()))", LOCK) or (False,))[0]:
        if time.monotonic() > until:
            raise RunError("another service writes this database; stop it or choose another --database")
        time.sleep(0.02)


def _tell(waiting: list[_Waiting]) -> None:
    """Answer everyone; those who wait in an event loop are answered in one call of it."""
    loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for each in waiting:
        if isinstance(each.told, Future):
            _settle(each)
        else:
            loops.setdefault(each.told.get_loop(), []).append(each)
    for loop, some in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle_all, some)


def _settle_all(waiting: list[_Waiting]) -> None:
    for each in waiting:
        _settle(each)


def _settle(each: _Waiting) -> None:
    if each.told.cancelled():
        return
    if each.error is not None:
        each.told.set_exception(each.error)
    else:
        each.told.set_result(each.result)
