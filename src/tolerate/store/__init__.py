"""Database of a running service: one SQLite file by default, PostgreSQL by URL, the same SQL for both.

Contract:

- **Reads** are plain functions `(db, ...)` on any connection: `connect(url)`.
- **Writes** are plain functions `(db, ...)` too, but they run in the single writer:
  `DatabaseWriter.submit(function, ...)`. When its future is done the change is on the disk (`synchronous=FULL`).
  Waiting writes share one commit; a write that fails is rolled back alone.
- **The ledger** (`ledger.py`) is append-only: each row's hash covers its content and the hash before it. Every
  decision, withdrawal and verdict is a row. `DatabaseWriter.record` appends a decision; a release
  whose certificate no longer stands at that moment is turned into a review before it is written.
- **Certificates** (`certificates.py`): by job and tier, what they are bound to, alarms, the watch's state.
- **Restrictions** (`restrictions.py`): what is held beside what the certificate in force holds.
- **The queue** (`queue.py`): items, slots with leases, verdicts, undo, drafts, adjudication; `second_reviews.py`
  says which items a second person reads, `review_data.py` reads backlog, agreement, the random share and labels.
- **People** (`people.py`): users, sessions, keys; secrets only as hashes.
- **Traffic** (`traffic.py`): counts by minute, for the charts.
- `verify.py` walks the chain and recomputes every decision from the certificates that the ledger itself holds.

Times are seconds since 1970 and are passed in, so that tests own the clock.
"""

from typing import TYPE_CHECKING

from tolerate.store.database import Database, connect, open_readonly

if TYPE_CHECKING:
    from tolerate.store.writer import DatabaseWriter as DatabaseWriter

__all__ = ["Database", "DatabaseWriter", "connect", "open_readonly"]


def __getattr__(name: str) -> object:
    """Import the writer when it is first used: reading and verifying do not need the packages of the service."""
    if name != "DatabaseWriter":
        raise AttributeError(f"module tolerate.store has no attribute {name!r}")
    from tolerate.store.writer import DatabaseWriter

    return DatabaseWriter
