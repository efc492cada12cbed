"""Replies on the disk, each under its whole request: what was paid for once is not paid for again.

SQLite, so that a reply is stored whole or not at all, whenever the run is killed, and several runs may share the file.
It holds requests and replies, never a key; only its owner may read it.
"""

import hashlib
import json
import os
import sqlite3
import threading
import weakref
from pathlib import Path

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import RunError

FOLDER_VARIABLE = "TOLERATE_CACHE"  # the environment variable that names another folder


def cache_path() -> Path:
    """The file of the cache: in $TOLERATE_CACHE, or in the user's cache folder."""
    base = os.environ.get(FOLDER_VARIABLE)
    if base:
        return Path(base) / "answers.sqlite"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tolerate" / "answers.sqlite"


def request_key(url: str, body: JsonObject) -> str:
    """A request's key in the cache: a hash of all of it, with its fields in a fixed order.

    >>> request_key("u", {"a": 1, "b": 2}) == request_key("u", {"b": 2, "a": 1})
    True
    """
    text = json.dumps([url, body], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class ResponseCache:
    """Replies by their requests; safe for threads and for several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
            self._close_file = weakref.finalize(self, self._db.close)  # models have no close()
            self._db.execute("PRAGMA journal_mode=WAL")  # a kill loses nothing, a power cut the last replies
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, request TEXT, reply TEXT, made TEXT)"
            )
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from None

    def get(self, key: str) -> JsonValue:
        """The reply stored under a key, or None."""
        try:
            with self._lock:
                row = self._db.execute("SELECT reply FROM answers WHERE key = ?", (key,)).fetchone()
            reply: JsonValue = None if row is None else json.loads(row[0])
        except (sqlite3.Error, ValueError) as error:
            raise self._broken(error) from None
        return reply

    def put(self, key: str, request: JsonObject, reply: JsonValue) -> None:
        """Store a reply; it is on the disk when this returns."""
        try:
            with self._lock:
                self._db.execute(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, datetime('now'))",
                    (key, json.dumps(request), json.dumps(reply)),
                )
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def close(self) -> None:
        """Close the file; a cache that nobody uses any more is closed by itself."""
        self._close_file()

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def _broken(self, error: Exception) -> RunError:
        return RunError(
            f"the answers kept in {self.path} cannot be used ({error}); free some space, move the file away, or "
            f"name another folder in {FOLDER_VARIABLE}"
        )
