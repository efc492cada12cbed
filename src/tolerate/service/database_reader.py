"""Questions to the database, beside the event loop: a few threads, each with a connection that only reads."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tolerate.store import Database, connect

T = TypeVar("T")


class Reader:
    """A small pool of readers."""

    def __init__(self, url: str, threads: int = 3) -> None:
        self.url = url
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._local = threading.local()
        self._open: list[Database] = []

    async def ask(self, question: Callable[..., T], *given: Any) -> T:
        """`question(db, *given)`, answered in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, question, given)

    def _ask(self, question: Callable[..., T], given: tuple[Any, ...]) -> T:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = connect(self.url, read_only=True)
            self._open.append(db)
        try:
            return question(db, *given)
        except Exception:
            self._local.db = None  # a connection that failed is not used again
            raise

    def close(self) -> None:
        """Finish and let the connections go."""
        self._pool.shutdown()
        for db in self._open:
            db.close()
