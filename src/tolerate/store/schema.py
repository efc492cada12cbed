"""The tables of a service, and the triggers that make its ledger append-only."""

from tolerate.errors import DataError
from tolerate.store.database import Database, Postgres

LAYOUT_VERSION = 1

TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # Every decision, verdict and withdrawal. body: JSON; hash: SHA-256 of the hash before and the body.
    "CREATE TABLE IF NOT EXISTS ledger (seq BIGINT PRIMARY KEY, body {blob} NOT NULL, hash {blob} NOT NULL)",
    # status: proposed, active, replaced, withdrawn, void. body: the certificate; bound: what it holds for.
    """CREATE TABLE IF NOT EXISTS certificates (
        id TEXT NOT NULL, job TEXT NOT NULL, tier TEXT NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL,
        bound TEXT NOT NULL, made_by TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, ended DOUBLE PRECISION,
        ended_by TEXT, why TEXT, watch TEXT, PRIMARY KEY (id, job, tier))""",
    """CREATE TABLE IF NOT EXISTS alarms (
        id {serial}, job TEXT NOT NULL, kind TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, body TEXT NOT NULL)""",
    # What narrows a certificate in force: of a slice, or of the whole (slice ""). body: see `restrictions.py`.
    """CREATE TABLE IF NOT EXISTS tightenings (
        id TEXT NOT NULL, job TEXT NOT NULL, tier TEXT NOT NULL, slice TEXT NOT NULL, body TEXT NOT NULL,
        at DOUBLE PRECISION NOT NULL, PRIMARY KEY (id, job, tier, slice))""",
    # The evidence that scores moved away from the certified ones, as JSON.
    """CREATE TABLE IF NOT EXISTS drifts (
        id TEXT NOT NULL, job TEXT NOT NULL, tier TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (id, job, tier))""",
    # Drawn items that a second person may read: the chance, and whether the item was drawn for it (`again`).
    """CREATE TABLE IF NOT EXISTS seconds (
        ticket TEXT PRIMARY KEY, job TEXT NOT NULL, chance DOUBLE PRECISION NOT NULL, again INTEGER NOT NULL)""",
    # The cursor of each webhook: alarms up to `alarm` were sent; the next one had `tries` attempts, the next at `due`.
    """CREATE TABLE IF NOT EXISTS deliveries (
        url TEXT PRIMARY KEY, alarm BIGINT NOT NULL, tries INTEGER NOT NULL, due DOUBLE PRECISION NOT NULL)""",
    # The queue by minute, for the chart: reviews that wait, and the age of the oldest in seconds.
    """CREATE TABLE IF NOT EXISTS waits (
        job TEXT NOT NULL, minute BIGINT NOT NULL, waiting BIGINT NOT NULL, oldest DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (job, minute))""",
    # Counts by minute, for the charts. scores: a histogram of ten bins.
    """CREATE TABLE IF NOT EXISTS minutes (
        job TEXT NOT NULL, slice TEXT NOT NULL, minute BIGINT NOT NULL, released BIGINT NOT NULL, held BIGINT NOT NULL,
        escalated BIGINT NOT NULL, failed BIGINT NOT NULL, cost DOUBLE PRECISION NOT NULL, tokens BIGINT NOT NULL,
        scores TEXT NOT NULL, PRIMARY KEY (job, slice, minute))""",
    # An item for reviewers. state: held, released, refused, delivered (it was sent out and is reviewed afterwards).
    # why: held, sample, import, seed, lot, fresh. chance: of having been drawn; drawn: whether it was, for the watch.
    """CREATE TABLE IF NOT EXISTS items (
        ticket TEXT PRIMARY KEY, job TEXT NOT NULL, tier TEXT NOT NULL, certificate TEXT, at DOUBLE PRECISION NOT NULL,
        owner TEXT NOT NULL, slice TEXT NOT NULL, cluster TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL,
        reason TEXT NOT NULL, decision TEXT NOT NULL, score DOUBLE PRECISION, chance DOUBLE PRECISION NOT NULL,
        drawn INTEGER NOT NULL, prompt TEXT NOT NULL, content TEXT NOT NULL, media TEXT NOT NULL, answer TEXT NOT NULL,
        cost DOUBLE PRECISION NOT NULL, reviewers INTEGER NOT NULL,
        truth DOUBLE PRECISION, due DOUBLE PRECISION, last_by TEXT, loss DOUBLE PRECISION, settled DOUBLE PRECISION,
        wiped DOUBLE PRECISION, reason_message TEXT)""",
    "CREATE INDEX IF NOT EXISTS items_drawn ON items (job, certificate, at) WHERE drawn = 1",
    "CREATE INDEX IF NOT EXISTS items_at ON items (at) WHERE wiped IS NULL",
    "CREATE INDEX IF NOT EXISTS items_due ON items (due) WHERE due IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS items_media ON items (substr(media, 1, 69)) WHERE media <> ''",
    # A review of an item by one reviewer. state: open, leased, done, cancelled. kind: review, second, adjudicate.
    """CREATE TABLE IF NOT EXISTS slots (
        id {serial}, ticket TEXT NOT NULL, job TEXT NOT NULL, kind TEXT NOT NULL, priority INTEGER NOT NULL,
        at DOUBLE PRECISION NOT NULL, state TEXT NOT NULL, reviewer TEXT, until DOUBLE PRECISION)""",
    "CREATE INDEX IF NOT EXISTS slots_next ON slots (kind, priority DESC, at, id) WHERE state = 'open'",
    "CREATE INDEX IF NOT EXISTS slots_leased ON slots (until) WHERE state = 'leased'",
    "CREATE INDEX IF NOT EXISTS slots_mine ON slots (reviewer) WHERE state = 'leased'",
    "CREATE INDEX IF NOT EXISTS slots_ticket ON slots (ticket)",
    "CREATE TABLE IF NOT EXISTS skips (slot BIGINT NOT NULL, reviewer TEXT NOT NULL, PRIMARY KEY "
    "(slot, reviewer))",
    # taken_back: when a verdict was undone. nonce: of the page, so that one key press is one verdict.
    """CREATE TABLE IF NOT EXISTS verdicts (
        id {serial}, slot BIGINT NOT NULL, ticket TEXT NOT NULL, job TEXT NOT NULL, kind TEXT NOT NULL,
        reviewer TEXT NOT NULL, loss DOUBLE PRECISION NOT NULL, label TEXT NOT NULL, note TEXT NOT NULL,
        at DOUBLE PRECISION NOT NULL, nonce TEXT NOT NULL, taken_back DOUBLE PRECISION)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS verdicts_slot ON verdicts (slot) WHERE taken_back IS NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS verdicts_nonce ON verdicts (reviewer, nonce)",
    "CREATE INDEX IF NOT EXISTS verdicts_ticket ON verdicts (ticket)",
    "CREATE INDEX IF NOT EXISTS verdicts_reviewer ON verdicts (reviewer, id)",
    """CREATE TABLE IF NOT EXISTS drafts (
        slot BIGINT NOT NULL, reviewer TEXT NOT NULL, body TEXT NOT NULL, at DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (slot, reviewer))""",
    # Pictures, sounds and films that items show, each once: an item refers to it as "kept:HASH/NAME".
    """CREATE TABLE IF NOT EXISTS media (
        hash TEXT PRIMARY KEY, kind TEXT NOT NULL, body {blob} NOT NULL, at DOUBLE PRECISION NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS users (
        name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL, lang TEXT NOT NULL, at DOUBLE PRECISION NOT NULL,
        disabled DOUBLE PRECISION)""",
    """CREATE TABLE IF NOT EXISTS sessions (
        hash TEXT PRIMARY KEY, name TEXT NOT NULL, csrf TEXT NOT NULL, at DOUBLE PRECISION NOT NULL,
        expires DOUBLE PRECISION NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS keys (
        id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, scopes TEXT NOT NULL, jobs TEXT NOT NULL,
        rate DOUBLE PRECISION NOT NULL, made_by TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION,
        revoked DOUBLE PRECISION)""",
)

APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER IF NOT EXISTS ledger_kept BEFORE UPDATE ON ledger "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS ledger_whole BEFORE DELETE ON ledger "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    ),
    "postgres": (
        "CREATE OR REPLACE FUNCTION ledger_kept() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
        "DROP TRIGGER IF EXISTS ledger_kept ON ledger",
        "CREATE TRIGGER ledger_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger EXECUTE FUNCTION "
        "ledger_kept()",
    ),
}


def prepare(db: Database) -> None:
    """Create missing tables, columns and triggers. Raises DataError if the database has another layout."""
    for statement in TABLES:
        db.run(statement.format(blob=db.blob, serial=db.serial))
    _add_column(db, "items", "reason_message", "TEXT")
    for statement in APPEND_ONLY["postgres" if isinstance(db, Postgres) else "sqlite"]:
        db.run(statement)
    db.run("INSERT INTO meta VALUES ('layout', ?) ON CONFLICT (name) DO NOTHING", str(LAYOUT_VERSION))
    layout = meta(db, "layout")
    if layout != str(LAYOUT_VERSION):
        raise DataError(
            f"this database has layout {layout}, this version reads {LAYOUT_VERSION}; use the version that wrote it"
        )


def _add_column(db: Database, table: str, column: str, kind: str) -> None:
    """Add a nullable column that tables of older versions lack; older versions still work with the table."""
    if isinstance(db, Postgres):
        db.run(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {kind}")
    elif not any(row[1] == column for row in db.all(f"PRAGMA table_info({table})")):
        db.run(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def meta(db: Database, name: str) -> str | None:
    """A named value of the database; None if it is not set."""
    row = db.first("SELECT value FROM meta WHERE name = ?", name)
    return None if row is None else str(row[0])


def set_meta(db: Database, name: str, value: str) -> None:
    """Store a named value."""
    db.run(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value
    )
