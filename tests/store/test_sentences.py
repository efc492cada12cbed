"""What the store says in sentences: English text, key and parameters in rows of this version, text alone in older ones."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tolerate.messages.catalogue import message, render
from tolerate.messages.watch import alarm_sentence
from tolerate.records import Message
from tolerate.store import certificates, queue
from tolerate.store.database import Database, connect
from tolerate.store.ledger import newest, restore_messages
from tolerate.store.restrictions import Restriction
from tolerate.store.schema import prepare

HELD = message("held.tier_failed", tier="small")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A fresh database."""
    with closing(connect(str(tmp_path / "service.db"))) as db:
        prepare(db)
        yield db


def item(ticket: str, reason: str) -> queue.Item:
    """An item that waits for a person."""
    return queue.Item(ticket, "job", 0.0, "prompt", "content", reason=reason)


def test_a_table_of_an_older_version_gets_its_column(db: Database) -> None:
    db.run("ALTER TABLE items DROP COLUMN reason_message")
    prepare(db)
    prepare(db)
    queue.add_item(db, item("a", HELD))
    assert queue.item(db, "a") is not None


def test_why_an_item_was_held_is_said_in_both_languages(db: Database) -> None:
    for ticket, reason in (("new", HELD), ("old", "below the threshold"), ("own", "as the lawyer wrote")):
        queue.add_item(db, item(ticket, reason))
    sentences = {ticket: queue.item(db, ticket) for ticket in ("new", "old", "own")}
    text = {ticket: render(stored.reason_sentence, "zh") for ticket, stored in sentences.items() if stored}
    assert text == {
        "new": "small 失败：下一张证书只涉及该层级判定后转来的内容",
        "old": "分数低于阈值",
        "own": "as the lawyer wrote",
    }
    assert sentences["new"] is not None and sentences["new"].reason == str(HELD)


def test_rows_of_the_ledger_hold_text_key_and_parameters(db: Database) -> None:
    why = message("alarm.degraded", gap=0.25, items=120, evidence=30.0)
    certificates.add_alarm(db, "job", "degraded", 1.0, {"why": why})
    certificates.add_alarm(db, "job", "void", 2.0, {"why": "as the lawyer wrote"})
    row = json.loads(json.dumps(newest(db)[1]))
    assert row["body"]["why"] == str(why) and row["body"]["messages"]["why"]["params"]["items"] == 120
    assert "messages" not in newest(db)[0]["body"]
    other, alarm = certificates.alarms(db, "job")
    assert isinstance(alarm["why"], Message) and render(alarm["why"], "zh").startswith(
        "分数与认证时不同：120"
    )
    assert other["why"] == "as the lawyer wrote" and restore_messages({"why": "x"}) == {"why": "x"}


def test_alarms_of_older_versions_are_said_in_chinese_from_their_figures() -> None:
    figures = {"labels": 1200, "seen": 0.045, "since": 800, "tolerance": 0.02, "evidence": 25.3}
    whole, part = ({"kind": "risk", "why": "in English", **figures, **more} for more in ({}, {"slice": "de"}))
    assert render(alarm_sentence(whole), "zh") == (
        "第 1,200 次审查时撤销：自第 800 次起平均损失 4.5%，承诺不超过 2%（反对证据 25 比 1）"
    )
    assert "切片 de 报警" in render(alarm_sentence(part), "zh")
    assert alarm_sentence({"kind": "void", "why": "another model"}) == "another model"


def test_a_restriction_keeps_its_reason() -> None:
    narrow = Restriction(
        "de",
        why=message("alarm.slice_risk", slice="de", labels=3, seen=1, since=1, tolerance=0.1, evidence=9),
    )
    stored = json.loads(json.dumps(narrow.to_json()))
    again = Restriction.from_json(stored)
    assert again == narrow and render(again.why, "zh") == render(narrow.why, "zh")
    del stored["messages"]
    assert Restriction.from_json(stored) == narrow
