"""The memory of a running service: one SQLite file by default, PostgreSQL by URL, the same SQL for both.

The contract, for whoever builds on it:

- **Reads** are plain functions `(db, ...)` on any connection: `connect(url)`.
- **Writes** are plain functions `(db, ...)` too, but they run in the one writer: `Writer.submit(function, ...)`.
  When its future is done the change is on the disk (`synchronous=FULL`). Waiting writes share one commit; one
  that fails takes nothing of the others with it.
- **The ledger** (`ledger.py`) is append-only: each row's hash covers its content and the hash before it. What decided
  something, who withdrew what, every verdict: all of it is a row. `Writer.record` appends a decision; a release
  whose certificate no longer stands at that moment is turned into a review before it is written.
- **Promises** (`promises.py`): certificates by job and tier, what they are bound to, alarms, the watch's state.
- **The queue** (`queue.py`): items, slots with leases, verdicts, undo, drafts, adjudication.
- **People** (`people.py`): users, sessions, keys; secrets only as hashes.
- `verify.py` walks the chain and recomputes every decision from the certificates that the ledger itself holds.

Times are seconds since 1970 and are passed in, so that tests own the clock.
"""

from typing import TYPE_CHECKING, Any

from tolerate.store.database import Database, connect, kept

if TYPE_CHECKING:
    from tolerate.store.writer import Writer as Writer

__all__ = ["Database", "Writer", "connect", "kept"]


def __getattr__(name: str) -> Any:
    """The writer is loaded when first used: reading and verifying need no extra."""
    if name != "Writer":
        raise AttributeError(f"module tolerate.store has no attribute {name!r}")
    from tolerate.store.writer import Writer

    return Writer
