"""Queries of the database beside the event loop: a few threads, each with a connection that only reads."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from tolerate.store import Database, connect

T = TypeVar("T")
P = ParamSpec("P")


class _Connection(threading.local):
    """The connection of a thread."""

    db: Database | None = None


class DatabaseReader:
    """A small pool of read-only connections."""

    def __init__(self, url: str, threads: int = 3) -> None:
        self.url = url
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._connection = _Connection()
        self._opened: list[Database] = []

    async def query(
        self, question: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`question(db, *args)`, answered in a thread."""
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: self._query(lambda db: question(db, *args, **kwargs))
        )

    def _query(self, question: Callable[[Database], T]) -> T:
        db = self._connection.db
        if db is None:
            db = self._connection.db = connect(self.url, read_only=True)
            self._opened.append(db)
        try:
            return question(db)
        except Exception:
            self._connection.db = None  # a connection that failed is not used again
            self._opened.remove(db)
            db.close()
            raise

    def close(self) -> None:
        """Finish what runs, and close the connections."""
        self._pool.shutdown()
        for db in self._opened:
            db.close()
