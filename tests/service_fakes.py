"""What the tests of the service share: databases of both kinds, certificates, and an upstream of a few lines."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tolerate.records import Certificate


def certificate(tolerance: float = 0.05, threshold: float | None = 0.5, **more: object) -> Certificate:
    """A certificate that releases from a threshold on; everything where it is None."""
    record = {
        "tolerance": tolerance,
        "confidence": 0.95,
        "scope": "all" if threshold is None else "above",
        "threshold": threshold,
        "coverage": 0.5,
        "risk_bound": tolerance,
        "risk_seen": 0.01,
        "labels": 1000,
        "clusters": 1000,
        "released": 500,
        "method": "a test",
    }
    return Certificate.from_json({**record, **more})


def database(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty database; of PostgreSQL a schema of its own where TOLERATE_POSTGRES names a server."""
    if kind == "sqlite":
        yield str(folder / "tolerate.db")
        return
    server = os.environ.get("TOLERATE_POSTGRES")
    if not server:
        pytest.skip(
            "no PostgreSQL: set TOLERATE_POSTGRES to the address of a server (.ci/postgres starts one)"
        )
    import psycopg

    schema = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {schema}")
    yield f"{server}?options=-csearch_path%3D{schema}"
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f"DROP SCHEMA {schema} CASCADE")
