"""How far each webhook has been told: alarms are rows first and notices after, so that none is lost in a crash.

An alarm is in the database in the commit that raises it. Each webhook has a cursor over those rows; it moves when the
receiver took the notice. What was sent and not confirmed is sent again: a receiver meets an alarm once or more, under
the same number, in order.
"""

import json
from dataclasses import dataclass
from typing import Any

from tolerate.store.database import Database

BACK_OFF = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)  # seconds until the next try
TRIES = 30  # about a day; then the alarm is left out, so that the ones behind it come through


@dataclass(frozen=True)
class Notice:
    """One alarm that a webhook has yet to hear."""

    url: str
    alarm: int
    tries: int
    body: dict[str, Any]


def follow(db: Database, urls: tuple[str, ...]) -> None:
    """From now on these webhooks are told of new alarms; one that is known goes on where it was."""
    row = db.one("SELECT max(id) FROM alarms")
    newest = 0 if row is None or row[0] is None else int(row[0])
    for url in urls:
        db.run("INSERT INTO deliveries VALUES (?, ?, 0, 0) ON CONFLICT (url) DO NOTHING", url, newest)


def due(db: Database, urls: tuple[str, ...], at: float) -> list[Notice]:
    """The next alarm of each webhook that should be sent now."""
    found = []
    for url in urls:
        row = db.one(
            "SELECT a.id, d.tries, a.job, a.kind, a.at, a.body FROM deliveries d JOIN alarms a ON a.id > d.alarm "
            "WHERE d.url = ? AND d.due <= ? ORDER BY a.id LIMIT 1",
            url,
            at,
        )
        if row is not None:
            id, tries, job, kind, since, body = row
            said = {"event": "alarm", "id": int(id), "kind": kind, "job": job, "at": float(since)}
            found.append(Notice(url, int(id), int(tries), {**json.loads(body), **said}))
    return found


def tried(db: Database, notice: Notice, taken: bool, at: float) -> bool:
    """Note how a try went; False if the alarm is given up."""
    if taken or notice.tries + 1 >= TRIES:
        db.run("UPDATE deliveries SET alarm = ?, tries = 0, due = 0 WHERE url = ?", notice.alarm, notice.url)
        return taken
    wait = BACK_OFF[min(notice.tries, len(BACK_OFF) - 1)]
    db.run("UPDATE deliveries SET tries = tries + 1, due = ? WHERE url = ?", at + wait, notice.url)
    return True


def late(db: Database, url: str) -> dict[str, Any]:
    """How a webhook stands: alarms it has yet to hear, and tries of the next one."""
    row = db.one(
        "SELECT d.tries, (SELECT count(*) FROM alarms a WHERE a.id > d.alarm) FROM deliveries d WHERE d.url = ?",
        url,
    )
    tries, waiting = (0, 0) if row is None else row
    return {"tries": int(tries), "waiting": int(waiting)}
