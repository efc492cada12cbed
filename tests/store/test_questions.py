"""Every question that pages and watch ask, on both databases, of a store with something of everything in it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.service_fakes import certificate, database
from tolerate.service.config import JobSettings, TierSettings
from tolerate.service.watch.evidence import evidence_columns, settlement_watcher
from tolerate.service.watch.overview import overview
from tolerate.store import (
    Database,
    DatabaseWriter,
    certificates,
    connect,
    people,
    queue,
    review_data,
    traffic,
)
from tolerate.store.ledger import newest

JOB = JobSettings("support", (TierSettings("main", "http://127.0.0.1:9/v1"),))
QUESTIONS: dict[str, Callable[[Database], Any]] = {
    "backlog": lambda db: review_data.backlog(db, "support", 50.0),
    "ratings": lambda db: review_data.ratings(db, "support"),
    "detection": lambda db: review_data.detection(db, "ann"),
    "drawn": lambda db: [
        {k: v for k, v in row.items() if k != "at"} for row in review_data.drawn_items(db, "support")
    ],
    "labels": lambda db: review_data.labels(db, "support"),
    "item": lambda db: queue.item(db, "t1"),
    "said": lambda db: queue.verdicts_on(db, "t1"),
    "task": lambda db: queue.task(db, 9, "ann"),
    "evidence": lambda db: evidence_columns(db, "support", "main", 0.0),
    "active": lambda db: certificates.active(db),
    "history": lambda db: certificates.history(db, "support"),
    "alarms": lambda db: certificates.alarms(db, "support"),
    "minutes": lambda db: traffic.minutes(db, "support", 0, ""),
    "users": lambda db: people.users(db),
    "keys": lambda db: [key.name for key, _ in people.keys(db)],
    "last": lambda db: [entry["kind"] for entry in newest(db)],
    "overview": lambda db: overview(db, JOB, 5000.0),
}


def fill(db: Database) -> None:
    """Something of everything, at fixed times."""
    id = certificates.install(db, "support", "main", certificate(), {"model": "m"}, "ann", 1.0)
    people.add_user(db, "ann", "long enough", "owner", "setup", 1.0)
    people.add_key(db, "app", "ann", 1.0)
    item = queue.Item(
        "t0", "support", 2.0, "q", "a", "main", id, "k", state="delivered", decision="release", drawn=1
    )
    for n in range(6):
        fields = {"reviewers": 1 + n % 2, "slice": "ab"[n % 2], "truth": float(n > 3) if n > 2 else None}
        queue.add_item(db, replace(item, ticket=f"t{n}", at=2.0 + n, score=n / 6, **fields))
    note = settlement_watcher(lambda: 9.0, [])
    for press, who in enumerate(("ann", "bob", "cat") * 4, start=10):
        if (task := queue.lease(db, who, float(press))) is not None:
            loss = float(task.item.ticket == "t4")
            queue.record_verdict(
                db, queue.NewVerdict(task.slot, who, loss, str(press)), float(press), settled=note
            )
    queue.settle_due(db, 100.0, note)
    queue.lease(db, "eve", 101.0)
    certificates.add_alarm(db, "support", "risk", 3.0, {"why": "a test"})
    traffic.add_minutes(db, [traffic.MinuteCounts("support", "", 7, released=3, scores=(1,) * 10)])


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """Each question's answer on each database; PostgreSQL is left out where there is none."""
    answers_by_kind = {}
    for kind in ("sqlite", "postgres"):
        try:
            for url in database(kind, tmp_path_factory.mktemp(kind)):
                writer = DatabaseWriter(url)
                writer.submit(fill).result(30)
                writer.close()
                with closing(connect(url, read_only=True)) as db:
                    answers_by_kind[kind] = {name: repr(question(db)) for name, question in QUESTIONS.items()}
        except pytest.skip.Exception:
            continue
    yield answers_by_kind


@pytest.mark.parametrize("name", QUESTIONS)
def test_both_databases_give_the_same_answer(answers: dict[str, dict[str, Any]], name: str) -> None:
    assert answers["sqlite"][name] not in ("[]", "{}", "None") or name == "task"
    if "postgres" not in answers:
        pytest.skip("no PostgreSQL: install it (apt-get install postgresql), or set TOLERATE_POSTGRES")
    assert answers["postgres"][name] == answers["sqlite"][name]


def test_old_texts_are_wiped_on_both(tmp_path: Path) -> None:
    for kind in ("sqlite", "postgres"):
        try:
            for url in database(kind, tmp_path):
                writer = DatabaseWriter(url)
                writer.submit(fill).result(30)
                assert writer.submit(queue.erase_texts, 1000.0, 2000.0).result(30) > 0
                writer.close()
        except pytest.skip.Exception:
            continue
