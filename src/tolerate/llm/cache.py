"""Answers on the disk, each under its whole request: what was paid for once is not paid for again.

SQLite, so that an answer is there whole or not at all, whoever kills the run, and several runs may share it.
The file holds requests and answers, never a key; only its owner may read it.
"""

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tolerate.errors import RunError

FOLDER = "TOLERATE_CACHE"  # the variable that names another folder


def answers_path() -> Path:
    """Where answers are kept: $TOLERATE_CACHE, or the user's cache folder."""
    base = os.environ.get(FOLDER)
    if base:
        return Path(base) / "answers.sqlite"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tolerate" / "answers.sqlite"


def request_key(url: str, body: Mapping[str, Any]) -> str:
    """What tells one request from another: all of it, in a fixed order.

    >>> request_key("u", {"a": 1, "b": 2}) == request_key("u", {"b": 2, "a": 1})
    True
    """
    whole = json.dumps([url, body], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()


class Answers:
    """Replies by their requests; safe for threads and for several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._base = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
            self._base.execute(
                "PRAGMA journal_mode=WAL"
            )  # a kill loses nothing, a power cut the last answers
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, request TEXT, reply TEXT, made TEXT)"
            )
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from None

    def get(self, key: str) -> Any | None:
        """The reply kept under a key, or None."""
        try:
            with self._lock:
                found = self._base.execute("SELECT reply FROM answers WHERE key = ?", (key,)).fetchone()
            return None if found is None else json.loads(found[0])
        except (sqlite3.Error, ValueError) as error:
            raise self._broken(error) from None

    def put(self, key: str, request: Mapping[str, Any], reply: Any) -> None:
        """Keep a reply; whoever kills this process afterwards, it stays."""
        try:
            with self._lock:
                self._base.execute(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, datetime('now'))",
                    (key, json.dumps(request), json.dumps(reply)),
                )
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def __len__(self) -> int:
        with self._lock:
            return int(self._base.execute("SELECT count(*) FROM answers").fetchone()[0])

    def _broken(self, error: Exception) -> RunError:
        return RunError(
            f"the answers kept in {self.path} cannot be used ({error}); free some space, move the file away, or "
            f"name another folder in {FOLDER}"
        )
