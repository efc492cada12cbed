"""The store keeps what it was given: the chain, the commit before the answer, the queue, the people."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.service_fakes import certificate
from tolerate.errors import DataError, OptionError, RunError
from tolerate.store import DatabaseWriter, certificates, connect, people, queue, review_data, traffic
from tolerate.store.agreement import alpha, kappa
from tolerate.store.ledger import append, chain_hash, newest, rows
from tolerate.store.verify import Replay, verify


@pytest.fixture
def writer(url: str) -> Iterator[DatabaseWriter]:
    ticks = count(1_000_000)
    writer = DatabaseWriter(url, clock=lambda: float(next(ticks)))
    yield writer
    writer.close()


def do(writer: DatabaseWriter, work: Callable, *arguments: object, **options: object):
    return writer.submit(lambda db: work(db, *arguments, **options)).result(30)


def held(ticket: str, **fields: object) -> queue.Item:
    return queue.Item(ticket, "support", 100.0, "a question", "an answer", **fields)


def replay(url: str) -> Replay:
    with closing(connect(url, read_only=True)) as db:
        return verify(db)


# The writer and its ledger


def decision(ticket: str, certificate: str, decision: str = "release", score: float = 0.9) -> dict:
    return {
        "kind": "decision", "job": "support", "tier": "one", "ticket": ticket, "decision": decision,
        "score": score, "certificate": certificate, "reason": "",
    }  # fmt: skip


def record(writer: DatabaseWriter, entries: list[dict], also=None) -> list[dict]:
    async def all_of_them() -> list[dict]:
        return await asyncio.gather(*(writer.record(entry, also) for entry in entries))

    return asyncio.run(all_of_them())


def test_decisions_are_on_the_disk_when_answered(writer: DatabaseWriter, url: str) -> None:
    id = do(writer, certificates.install, "support", "one", certificate(), {}, "ann", 1.0)
    written = record(writer, [decision(f"t{i}", id) for i in range(700)])
    assert [entry["seq"] for entry in written] == list(range(2, 702))
    with closing(connect(url, read_only=True)) as db:
        result = verify(db)
    assert result.holds and result.released == 700 and result.rows == 701


def test_a_release_after_the_withdrawal_is_written_as_a_review(writer: DatabaseWriter, url: str) -> None:
    id = do(writer, certificates.install, "support", "one", certificate(), {}, "ann", 1.0)
    do(writer, certificates.withdraw, "support", None, "watch", "too many errors", 2.0)
    stored_tickets = []
    (entry,) = record(
        writer, [decision("late", id)], lambda db, entry: stored_tickets.append(entry["ticket"])
    )
    assert entry["decision"] == "review" and stored_tickets == ["late"]
    assert replay(url).holds


def test_one_failure_takes_nothing_of_the_others(writer: DatabaseWriter, url: str) -> None:
    def fails(db) -> None:
        append(db, "job", 1.0, what="never seen")
        raise ValueError("no")

    good = [writer.submit(append, "job", 1.0) for _ in range(3)]
    bad = writer.submit(fails)
    after = writer.submit(append, "job", 1.0)
    with pytest.raises(ValueError, match="no"):
        bad.result(30)
    assert [f.result(30) for f in (*good, after)] == [1, 2, 3, 4]
    assert replay(url).holds


def test_a_commit_that_fails_tells_everyone_and_leaves_nothing(tmp_path: Path) -> None:
    writer = DatabaseWriter(str(tmp_path / "t.db"))
    real = writer._db

    class Full:
        def run(self, sql: str, *values: object) -> int:
            if sql == "COMMIT":
                raise sqlite3.OperationalError("database or disk is full")
            return real.run(sql, *values)

        def __getattr__(self, name: str):
            return getattr(real, name)

    writer._db = Full()
    with pytest.raises(sqlite3.OperationalError):
        writer.submit(append, "job", 1.0).result(30)
    writer._db = real
    assert writer.submit(append, "job", 1.0).result(30) == 1
    writer.close()


def test_the_ledger_cannot_be_rewritten(writer: DatabaseWriter, url: str) -> None:
    do(writer, append, "job", 1.0)
    with closing(connect(url)) as db:
        for statement in ("UPDATE ledger SET seq = 9", "DELETE FROM ledger"):
            with pytest.raises(Exception, match="append-only"):
                db.run(statement)


def test_one_service_writes_a_database(writer: DatabaseWriter, url: str) -> None:
    with pytest.raises(RunError, match="another service writes"):
        DatabaseWriter(url)


def tampered(url: str, statement: str, *values: object) -> list[str]:
    with closing(connect(url)) as db:
        if url.startswith("postgres"):
            db.run("DROP TRIGGER ledger_kept ON ledger")
        else:
            db.run("DROP TRIGGER ledger_kept")
            db.run("DROP TRIGGER ledger_whole")
        db.run(statement, *values)
        return verify(db).faults


@pytest.mark.parametrize(
    ("statement", "fault_text"),
    [
        ("DELETE FROM ledger WHERE seq = 3", "row 3 is missing"),
        ("UPDATE certificates SET status = 'withdrawn'", "not those of the ledger"),
        ("DELETE FROM verdicts", "the verdicts are not"),
    ],
)
def test_tampering_is_seen(writer: DatabaseWriter, url: str, statement: str, fault_text: str) -> None:
    id = do(writer, certificates.install, "support", "one", certificate(), {}, "ann", 1.0)
    record(writer, [decision(f"t{i}", id) for i in range(4)])
    do(writer, queue.add_item, held("t9"))
    slot = do(writer, queue.lease, "bob", 1.0).slot
    do(writer, queue.record_verdict, queue.NewVerdict(slot, "bob", 0.0, "1"), 2.0)
    assert replay(url).holds
    assert any(fault_text in fault for fault in tampered(url, statement))


def test_a_rewritten_row_is_seen_even_with_a_new_hash(writer: DatabaseWriter, url: str) -> None:
    id = do(writer, certificates.install, "support", "one", certificate(), {}, "ann", 1.0)
    record(writer, [decision(f"t{i}", id, "review", 0.1) for i in range(4)])
    with closing(connect(url)) as db:
        before = list(rows(db))
    body = before[2][1].replace(b'"review"', b'"release"')
    faults = tampered(
        url, "UPDATE ledger SET body = ?, hash = ? WHERE seq = 3", body, chain_hash(before[1][2], body)
    )
    assert any("row 4 was changed" in fault for fault in faults)
    assert any("at score 0.1" in fault for fault in faults)


def test_a_decision_that_does_not_follow_is_seen(writer: DatabaseWriter, url: str) -> None:
    """A service that released below the threshold, with perfect hashes, is found out by the replay."""
    id = do(writer, certificates.install, "support", "one", certificate(threshold=0.8), {}, "ann", 1.0)
    record(writer, [decision("t1", id, score=0.85), decision("t2", id, score=0.79)])
    (fault,) = replay(url).faults
    assert "t2 at score 0.79" in fault


# Promises


def test_another_certificate_takes_the_place(writer: DatabaseWriter) -> None:
    first = do(writer, certificates.install, "support", "one", certificate(), {"model": "a"}, "ann", 1.0)
    second = do(writer, certificates.install, "support", "one", certificate(0.1), {"model": "a"}, "bob", 2.0)
    assert writer.standing == {("support", "one"): second}
    newest, oldest = do(writer, certificates.history, "support")
    assert (newest.id, newest.status) == (second, "active")
    assert (oldest.id, oldest.status, oldest.ended_by) == (first, "replaced", "bob")
    again = do(writer, certificates.install, "support", "one", certificate(), {}, "ann", 3.0)
    assert again == first and writer.standing[("support", "one")] == first


def test_minutes_add_up(writer: DatabaseWriter) -> None:
    counts = traffic.MinuteCounts("support", "", 7, released=2, scores=(1,) * 10)
    do(writer, traffic.add_minutes, [counts, counts])
    (both,) = do(writer, traffic.minutes, "support", 0)
    assert both.released == 4 and both.scores == (2,) * 10


# The queue


def test_the_life_of_a_held_item(writer: DatabaseWriter) -> None:
    do(writer, queue.add_item, held("t1"))
    do(writer, queue.add_item, held("t1"))  # twice is once
    task = do(writer, queue.lease, "bob", 1.0)
    assert task.item.ticket == "t1" and do(writer, queue.lease, "cat", 1.0) is None
    assert do(writer, queue.lease, "bob", 2.0).slot == task.slot  # a reload shows the same item
    assert do(writer, queue.record_verdict, queue.NewVerdict(task.slot, "bob", 0.0, "a"), 3.0)
    assert not do(
        writer, queue.record_verdict, queue.NewVerdict(task.slot, "bob", 0.0, "a"), 3.0
    )  # the same press
    assert do(writer, queue.settle_due, 4.0, None) == []  # it can still be taken back
    (settled,) = do(writer, queue.settle_due, 3.0 + queue.UNDO_SECONDS, None)
    assert settled.outcome == "released" and settled.loss == 0.0


def test_a_lease_that_ended_goes_to_another(writer: DatabaseWriter) -> None:
    do(writer, queue.add_item, held("t1"))
    slot = do(writer, queue.lease, "bob", 1.0, seconds=10.0).slot
    assert do(writer, queue.lease, "cat", 12.0).slot == slot
    with pytest.raises(DataError, match="no longer yours"):
        do(writer, queue.record_verdict, queue.NewVerdict(slot, "bob", 0.0, "b"), 13.0)


def test_priorities_then_age(writer: DatabaseWriter) -> None:
    for ticket, priority in (("old", 0), ("urgent", 5), ("young", 0)):
        do(writer, queue.add_item, held(ticket), priority)
    tickets = []
    for reviewer in ("a", "b", "c"):
        tickets.append(do(writer, queue.lease, reviewer, 1.0).item.ticket)
    assert tickets == ["urgent", "old", "young"]


def test_skipped_items_come_last_and_to_others_first(writer: DatabaseWriter) -> None:
    do(writer, queue.add_item, held("t1"))
    do(writer, queue.add_item, held("t2"))
    first = do(writer, queue.lease, "bob", 1.0)
    do(writer, queue.skip, first.slot, "bob")
    second = do(writer, queue.lease, "bob", 2.0)
    assert second.item.ticket == "t2"
    assert do(writer, queue.lease, "cat", 2.0).item.ticket == "t1"
    do(writer, queue.record_verdict, queue.NewVerdict(second.slot, "bob", 0.0, "1"), 3.0)
    assert do(writer, queue.lease, "bob", 4.0) is None


def test_undo_until_the_next_verdict(writer: DatabaseWriter) -> None:
    for ticket in ("t1", "t2"):
        do(writer, queue.add_item, held(ticket))
    first = do(writer, queue.lease, "bob", 1.0)
    do(writer, queue.record_verdict, queue.NewVerdict(first.slot, "bob", 1.0, "1"), 2.0)
    assert do(writer, queue.undo, "bob", 3.0) == first.slot
    assert do(writer, queue.lease, "bob", 3.0).slot == first.slot
    assert do(writer, queue.undo, "bob", 3.0) is None
    settled: list[queue.SettledItem] = []
    do(writer, queue.record_verdict, queue.NewVerdict(first.slot, "bob", 0.0, "2"), 4.0)
    second = do(writer, queue.lease, "bob", 5.0)
    do(
        writer,
        queue.record_verdict,
        queue.NewVerdict(second.slot, "bob", 1.0, "3"),
        6.0,
        settled=lambda db, s: settled.append(s),
    )
    assert [(s.item.ticket, s.loss) for s in settled] == [("t1", 0.0)]
    assert do(writer, queue.undo, "bob", 7.0) == second.slot


def test_blind_reviewers_and_adjudication(writer: DatabaseWriter, url: str) -> None:
    do(writer, queue.add_item, held("t1", reviewers=2))
    for reviewer, loss, nonce in (("bob", 0.0, "1"), ("cat", 1.0, "2")):
        task = do(writer, queue.lease, reviewer, 1.0)
        assert task.others == ()
        do(writer, queue.record_verdict, queue.NewVerdict(task.slot, reviewer, loss, nonce), 2.0)
        assert do(writer, queue.lease, reviewer, 2.0) is None  # nobody sees an item twice
    assert do(writer, queue.settle_due, 100.0, None) == []
    task = do(writer, queue.lease, "ann", 101.0, kinds=("adjudicate",))
    assert [verdict.loss for verdict in task.others] == [0.0, 1.0]
    do(writer, queue.record_verdict, queue.NewVerdict(task.slot, "ann", 1.0, "3"), 102.0)
    (settled,) = do(writer, queue.settle_due, 200.0, None)
    assert settled.outcome == "refused" and replay(url).holds


def test_drafts_survive(writer: DatabaseWriter) -> None:
    do(writer, queue.add_item, held("t1"))
    slot = do(writer, queue.lease, "bob", 1.0).slot
    do(writer, queue.save_draft, slot, "bob", {"note": "半句话"}, 2.0)
    assert do(writer, queue.lease, "bob", 3.0).draft == {"note": "半句话"}


def test_seeded_errors_measure_detection(writer: DatabaseWriter) -> None:
    for n in range(6):
        do(writer, queue.add_item, held(f"t{n}", why="seed", state="delivered", truth=float(n % 2)))
    for n in range(6):
        task = do(writer, queue.lease, "bob", 1.0)
        loss = 1.0 if task.item.truth and n > 1 else 0.0
        do(writer, queue.record_verdict, queue.NewVerdict(task.slot, "bob", loss, str(n)), 2.0)
    assert do(writer, review_data.detection, "bob") == {"errors": 3, "found": 2, "fine": 3, "blamed": 0}


def test_texts_are_forgotten_by_age(writer: DatabaseWriter, url: str) -> None:
    do(writer, queue.add_item, held("old"))
    assert do(writer, queue.erase_texts, 101.0, 500.0) == 1
    item = do(writer, queue.item, "old")
    assert (item.prompt, item.content, item.state) == ("", "", "refused")
    assert do(writer, queue.lease, "bob", 1.0) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["fine", "wrong", "skip", "undo", "wait"])),
        max_size=40,
    )
)
def test_no_verdict_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, str]]
) -> None:
    """Whatever three reviewers do in whatever order: an item is settled once, by as many as it needs."""
    writer = DatabaseWriter(str(tmp_path_factory.mktemp("queue") / "t.db"))
    settled: list[str] = []
    note = lambda db, done: settled.append(done.item.ticket)  # noqa: E731
    for n in range(4):
        do(writer, queue.add_item, held(f"t{n}", reviewers=1 + n % 2))
    for now, (who, what) in enumerate(moves, start=1):
        if what == "undo":
            do(writer, queue.undo, who, float(now))
        elif what == "wait":
            settled += [s.item.ticket for s in do(writer, queue.settle_due, now + 100.0, None)]
        elif (task := do(writer, queue.lease, who, float(now))) is not None:
            if what == "skip":
                do(writer, queue.skip, task.slot, who)
            else:
                do(
                    writer,
                    queue.record_verdict,
                    queue.NewVerdict(task.slot, who, float(what == "wrong"), str(now)),
                    float(now),
                    settled=note,
                )
    assert len(set(settled)) == len(settled)
    for n in range(4):
        verdicts = do(writer, queue.verdicts_on, f"t{n}")
        assert len({verdict.reviewer for verdict in verdicts}) == len(verdicts) <= 1 + n % 2
    writer.close()
    assert replay(writer.url).holds


# People


def test_passwords_sessions_and_roles(writer: DatabaseWriter) -> None:
    do(writer, people.add_user, "ann", "correct horse", "owner", "setup", 1.0)
    assert do(writer, people.check_password, "ann", "wrong") is None
    assert do(writer, people.check_password, "eve", "correct horse") is None
    user = do(writer, people.check_password, "ann", "correct horse")
    assert user.may("people") and not people.User("bob", "reviewer", "en").may("see")
    token = do(writer, people.open_session, "ann", 2.0)
    assert do(writer, people.session, token, 3.0).user == user
    assert do(writer, people.session, token, 2.0 + people.SESSION_SECONDS) is None
    do(writer, people.disable_user, "ann", "ann", 4.0)
    assert do(writer, people.session, token, 5.0) is None
    with pytest.raises(OptionError, match="10 or more"):
        do(writer, people.add_user, "bob", "short", "reviewer", "ann", 5.0)
    with pytest.raises(OptionError, match="no role"):
        do(writer, people.add_user, "bob", "long enough", "king", "ann", 5.0)


def test_keys_are_kept_as_hashes(writer: DatabaseWriter, tmp_path: Path) -> None:
    secret = do(
        writer, people.add_key, "app", "ann", 1.0, scopes=("complete",), jobs=("support",), expires=9.0
    )
    key = do(writer, people.key, people.digest(secret), 2.0)
    assert key.may("complete", "support") and not key.may("complete", "other") and not key.may("decide")
    assert do(writer, people.key, people.digest(secret), 9.5) is None
    assert do(writer, people.revoke_key, key.id, "ann", 3.0)
    assert not do(writer, people.revoke_key, key.id, "ann", 3.0)
    assert do(writer, people.key, people.digest(secret), 4.0) is None
    assert all(secret not in str(entry) for entry in do(writer, newest))
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


# Agreement


def test_agreement_against_the_textbook() -> None:
    """Krippendorff (2011), example C: four observers, twelve units, missing values; nominal .743, interval .849."""
    table = {
        "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        "C": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    }
    ratings: dict[str, dict[str, float]] = {}
    for who, values in table.items():
        for unit, value in enumerate(values):
            if value is not None:
                ratings.setdefault(str(unit), {})[who] = float(value)
    assert alpha(ratings) == pytest.approx(0.743, abs=5e-4)
    assert alpha(ratings, interval=True) == pytest.approx(0.849, abs=5e-4)


def test_kappa_by_hand() -> None:
    """Forty-five yes-yes, fifteen yes-no, twenty-five no-yes, fifteen no-no: kappa .1304 (Cohen's example)."""
    cells = [(1, 1)] * 45 + [(1, 0)] * 15 + [(0, 1)] * 25 + [(0, 0)] * 15
    ratings = {str(i): {"a": float(a), "b": float(b)} for i, (a, b) in enumerate(cells)}
    assert kappa(ratings, "a", "b") == pytest.approx(0.1304, abs=1e-4)
    assert kappa(ratings, "a", "c") is None and alpha({}) is None


def test_what_is_no_database_of_a_service_is_refused(tmp_path: Path) -> None:
    from tolerate.store import open_readonly

    (tmp_path / "empty.db").write_bytes(b"")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    for name, why in (
        ("empty.db", "no such table"),
        ("table.csv", "not a database"),
        ("none.db", "not exist"),
    ):
        with pytest.raises(DataError, match=why):
            open_readonly(str(tmp_path / name))
