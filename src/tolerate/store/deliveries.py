"""Delivery of alarms to webhooks: an alarm is a row first and a notice afterwards, so that a crash loses none.

An alarm is stored in the commit that raises it. Each webhook has a cursor over those rows, which moves when the
receiver accepts the notice. A notice without a confirmation is sent again: a receiver gets each alarm at least once,
under the same number, in order.
"""

import json
from dataclasses import dataclass

from tolerate.base.json_types import JsonObject
from tolerate.store.database import Database

BACK_OFF_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)  # before the next attempt
MAX_ATTEMPTS = 30  # about a day; then the alarm is skipped, so that later ones are delivered


@dataclass(frozen=True)
class Notice:
    """An alarm that is still to be sent to a webhook."""

    url: str
    alarm: int
    tries: int
    body: JsonObject


def register(db: Database, urls: tuple[str, ...]) -> None:
    """Send these webhooks every new alarm from now on; one that is registered already keeps its cursor."""
    row = db.first("SELECT max(id) FROM alarms")
    newest = 0 if row is None or row[0] is None else int(row[0])
    for url in urls:
        db.run("INSERT INTO deliveries VALUES (?, ?, 0, 0) ON CONFLICT (url) DO NOTHING", url, newest)


def due_notices(db: Database, urls: tuple[str, ...], now: float) -> list[Notice]:
    """The next notice of each webhook whose time has come."""
    notices = []
    for url in urls:
        row = db.first(
            "SELECT a.id, d.tries, a.job, a.kind, a.at, a.body FROM deliveries d JOIN alarms a ON a.id > d.alarm "
            "WHERE d.url = ? AND d.due <= ? ORDER BY a.id LIMIT 1",
            url,
            now,
        )
        if row is not None:
            id, tries, job, kind, raised, body = row
            fields = {"event": "alarm", "id": int(id), "kind": kind, "job": job, "at": float(raised)}
            notices.append(Notice(url, int(id), int(tries), {**json.loads(body), **fields}))
    return notices


def record_attempt(db: Database, notice: Notice, accepted: bool, now: float) -> bool:
    """Store the result of an attempt; False if the alarm is given up."""
    if accepted or notice.tries + 1 >= MAX_ATTEMPTS:
        db.run("UPDATE deliveries SET alarm = ?, tries = 0, due = 0 WHERE url = ?", notice.alarm, notice.url)
        return accepted
    wait = BACK_OFF_SECONDS[min(notice.tries, len(BACK_OFF_SECONDS) - 1)]
    db.run("UPDATE deliveries SET tries = tries + 1, due = ? WHERE url = ?", now + wait, notice.url)
    return True


def delivery_status(db: Database, url: str) -> dict[str, int]:
    """Number of alarms still to be sent to a webhook (`waiting`), and of attempts of the next one (`tries`)."""
    row = db.first(
        "SELECT d.tries, (SELECT count(*) FROM alarms a WHERE a.id > d.alarm) FROM deliveries d WHERE d.url = ?",
        url,
    )
    tries, waiting = (0, 0) if row is None else row
    return {"tries": int(tries), "waiting": int(waiting)}
