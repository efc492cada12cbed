"""The watch of the service: slices with alarms of their own, DEGRADED, second readings, signed notices that survive a restart."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.desk_browser import Browser
from tests.support.inside import call, started
from tests.support.inside import service_of as service_inside
from tests.support.service_fakes import (
    Served,
    Thread,
    Upstream,
    certificate,
    replay,
    served,
    service_of,
    upstream,
    write_certificate,
)
from tests.support.waiting import DEADLINE_SECONDS, eventually
from tolerate.errors import OptionError
from tolerate.records import Decision
from tolerate.service.config import validate_settings
from tolerate.service.watch.evidence import certify_columns, evidence_columns
from tolerate.service.watch.webhooks import key_of, signature_headers, verify_signature
from tolerate.stats.monitor.drift import reference_of
from tolerate.store import certificates, connect, deliveries, people, queue, restrictions
from tolerate.store.ledger import append
from tolerate.store.restrictions import HELD_BAND, HELD_SLICE, Restriction, hold_reason
from tolerate.store.schema import prepare


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    with upstream() as fake:
        yield fake


def decide(desk: Served, score: float | None = 0.9, slice: str = "") -> dict[str, Any]:
    status, _, body = desk.ask(
        "POST", "/v1/decide", {"job": "support", "content": "x", "score": score, "slice": slice}
    )
    assert status == 200, body
    return body


def judge(desk: Served, bad: str, count: int = 400) -> None:
    """A person goes through the queue: what is in the slice `bad` is wrong."""

    def work(db: Any) -> list[dict[str, Any]]:
        alarms: list[dict[str, Any]] = []
        note, now = desk.running.settlement_watcher(alarms), time.time()
        for k in range(count):
            task = queue.lease(db, "ann", now)
            if task is None:
                break
            loss = float(task.item.slice == bad)
            queue.record_verdict(
                db, queue.NewVerdict(task.slot, "ann", loss, f"{now}-{k}"), now, settled=note
            )
        queue.settle_due(db, now + 60, note)
        return alarms

    alarms = desk.running.writer.submit(work).result(DEADLINE_SECONDS)
    desk.thread.loop.call_soon_threadsafe(desk.running.after_settlement, [], alarms)


def tier(desk: Served) -> dict[str, Any]:
    return desk.ask("GET", "/v1/watch/support")[2]["tiers"][0]


# Slices


def fill(desk: Served, slices: tuple[str, ...] = ("en", "zh"), count: int = 40) -> None:
    for k in range(count):
        decide(desk, slice=slices[k % len(slices)])


@pytest.mark.parametrize("what", ["tell", "hold"])
def test_a_slice_has_an_alarm_of_its_own(model: Upstream, url: str, tmp_path: Path, what: str) -> None:
    settings_of_job = {"share": 1.0, "slices": ("en", "zh", "fr", "de"), "on_slice_alarm": what}
    with served(service_of(model.url, url, tmp_path, **settings_of_job)) as desk:
        fill(desk, ("en",) * 20 + ("zh",), 168)  # one in twenty-one is wrong: the whole keeps its 5%
        judge(desk, "zh")
        about = desk.ask("GET", "/v1/watch/support")[2]
        (alarm,) = about["alarms"]
        assert alarm["kind"] == "risk" and alarm["slice"] == "zh" and alarm["then"] == what
        lines = {line["slice"]: line for line in about["tiers"][0]["slices"]}
        assert (
            lines["zh"]["alarm"] and lines["zh"]["limit"] == pytest.approx(160) and not lines["en"]["alarm"]
        )
        held = what == "hold"
        assert decide(desk, slice="zh")["decision"] == ("review" if held else "release")
        assert decide(desk, slice="en")["decision"] == "release"
        assert lines["zh"]["held"] == held and about["tiers"][0]["state"] == "VALID"
        if held:
            assert decide(desk, slice="zh")["reason"] == HELD_SLICE
            browser = Browser(desk)
            assert "The slice zh is held" in browser.get("watch/support")[2]
            browser.post("ease/support", {"tier": "main", "slice": "zh", "why": ""})
            assert decide(desk, slice="zh")["decision"] == "review"  # a reason is needed
            browser.post("ease/support", {"tier": "main", "slice": "zh", "why": "it was the guide"})
            assert decide(desk, slice="zh")["decision"] == "release"
            assert not {line["slice"]: line for line in tier(desk)["slices"]}["zh"][
                "labels"
            ]  # it begins anew
    assert replay(url).holds and replay(url).held_by_restriction == 3 * held


def test_a_slice_that_is_promised_withdraws(model: Upstream, url: str, tmp_path: Path) -> None:
    lines = [{"name": "zh", "labels": 9, "released": 9, "risk_seen": 0.0, "risk_bound": 0.05, "scope": "all"}]
    service = service_of(model.url, url, tmp_path, share=1.0, slices=("en", "zh"))
    path = write_certificate(tmp_path, "each.json", slices=lines, options={"each_slice": True})
    job = service.jobs[0]
    service = replace(service, jobs=(replace(job, tiers=(replace(job.tiers[0], certificate=path),)),))
    with served(service) as desk:
        fill(desk, ("en",) * 20 + ("zh",), 168)
        judge(desk, "zh")
        assert tier(desk)["state"] == "WITHDRAWN" and "in zh" in tier(desk)["certificate"]["why"]
        assert decide(desk, slice="en")["decision"] == "review"


def test_a_slice_named_later_is_watched_from_the_next_certificate_on(
    model: Upstream, url: str, tmp_path: Path
) -> None:
    service = service_of(model.url, url, tmp_path, share=1.0, slices=("en",))
    with served(service) as desk:
        fill(desk, ("en", "zh"), 10)
        judge(desk, "")
    with served(replace(service, jobs=(replace(service.jobs[0], slices=("en", "zh")),))) as desk:
        desk.key = desk.write(
            __import__("tolerate.store.people", fromlist=["x"]).add_key, "k", "ann", time.time()
        )
        lines = tier(desk)["slices"]
        assert [(line["slice"], line["watched"], line["labels"]) for line in lines] == [
            ("en", True, 5),
            ("zh", False, 0),
        ]


# DEGRADED


def scored(tmp_path: Path, **more: Any) -> Any:
    """A service inside this process, with a certificate that knows its scores: uniform, released from 0.5 on."""
    scores = reference_of(np.random.default_rng(0).random(2000)).to_json()
    service = service_inside(str(tmp_path / "t.db"), tmp_path, **more)
    (tmp_path / "certificate.json").write_text(certificate(options={"scores": scores}).dumps())
    return service


async def traffic(running: Any, scores: Any) -> list[str]:
    key = running.gate_key
    rows = []
    for score in scores:
        body = {"content": "x", "score": float(score)}
        rows.append(await running.engine.decide(running.service.jobs[0], body, key))
    await running.flush()
    return rows


async def opened(tmp_path: Path, **more: Any) -> Any:
    running, _ = await started(scored(tmp_path, **more))
    running.writer._db.run("PRAGMA synchronous=OFF")
    await running.stop_tasks()
    running.gate_key = people.Key("k", "k", people.SCOPES, (), 0.0, None)
    return running


def test_scores_that_are_others_degrade_and_a_person_decides(tmp_path: Path) -> None:
    async def life() -> None:
        running, rng = await opened(tmp_path, share=0.1, degraded_share=1.0), np.random.default_rng(1)
        await traffic(running, rng.random(200))
        assert running.writer.restrictions == {}
        await traffic(running, 0.5 + 0.2 * rng.random(150))
        narrow = running.writer.restrictions["support", "main"]
        assert len(narrow) == 1 and narrow[0].slice == "" and narrow[0].share == 1.0
        rows = await traffic(running, np.r_[np.full(20, 0.6), np.full(20, 0.95)])
        assert {row["reason"] for row in rows[:20]} == {HELD_BAND}
        assert {row["decision"] for row in rows[20:]} == {"release"} and all(row["drawn"] for row in rows)
        about = (await call(running.app, "GET", "/v1/watch/support", None, running.initial_secrets.key)).json
        assert about["tiers"][0]["state"] == "DEGRADED" and about["alarms"][0]["kind"] == "degraded"
        jobs = (await call(running.app, "GET", "/v1/jobs", None, running.initial_secrets.key)).json
        assert jobs["jobs"][0]["tiers"][0]["state"] == "DEGRADED"
        await running.reload_certificates()
        text = (await call(running.app, "GET", "/metrics")).body.decode()
        assert 'tolerate_certificate_degraded{job="support",tier="main"} 1.0' in text
        await traffic(running, np.full(300, 0.95))  # it may hold more while it stands, never less
        assert running.writer.restrictions["support", "main"][0].holds("", 0.95)
        await running.end_restriction(running.service.jobs[0], "main", "", "ann", "we asked others")
        assert running.writer.restrictions == {}
        assert {row["decision"] for row in await traffic(running, [0.6, 0.95])} == {"release"}
        await running.stop()

    asyncio.run(life())
    result = replay(str(tmp_path / "t.db"))
    assert result.holds and result.held_by_restriction >= 20


def test_a_restart_and_another_certificate(tmp_path: Path) -> None:
    async def life() -> None:
        running, rng = await opened(tmp_path), np.random.default_rng(1)
        await traffic(running, 0.5 + 0.2 * rng.random(200))
        await running.stop()
        running = await opened(tmp_path)
        assert {row["reason"] for row in await traffic(running, [0.6])} == {HELD_BAND}
        await running.writer.do(
            certificates.install, "support", "main", certificate(threshold=0.4), {}, "ann", 9.0
        )
        await running.reload_certificates()
        assert {row["decision"] for row in await traffic(running, [0.6])} == {"release"}
        await running.stop()

    asyncio.run(life())
    assert replay(str(tmp_path / "t.db")).holds


def test_an_answer_on_its_way_is_held_too(tmp_path: Path) -> None:
    """The state begins between the rule and the row: the writer holds it."""

    async def life() -> None:
        running = await opened(tmp_path)
        id, record = running.writer.standing["support", "main"], running.writer.record
        what = Restriction("", ((0.5, 0.7),))

        def narrowing(*arguments: Any) -> Any:
            running.writer.submit(restrictions.restrict, id, "support", "main", what, "watch", 1.0)
            return record(*arguments)

        running.writer.record = narrowing
        (row,) = await traffic(running, [0.6])
        assert row["decision"] == "review" and row["reason"] == HELD_BAND
        await running.stop()

    asyncio.run(life())
    assert replay(str(tmp_path / "t.db")).holds


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.floats(0, 1), st.none() | st.floats(0, 1)), max_size=3),
    st.booleans(),
    st.sampled_from(["", "en"]),
    st.none() | st.floats(0, 1),
    st.sampled_from([None, 0.5]),
)
def test_no_state_releases_what_the_certificate_holds(
    bands: list[Any], missing: bool, slice: str, score: float | None, threshold: float | None
) -> None:
    """What goes out is what the certificate releases and nothing narrows: a part of what it releases, whatever the state."""
    narrow, rule = (Restriction(slice, tuple(bands), missing),), certificate(threshold=threshold)
    out = {
        s for s in ("", "en") if rule.decide(score) is Decision.RELEASE and not hold_reason(narrow, s, score)
    }
    assert not out or rule.decide(score) is Decision.RELEASE
    assert Restriction.from_json(json.loads(json.dumps(narrow[0].to_json()))) == narrow[0]


@pytest.mark.parametrize("fault", ["released", "not there", "unasked"])
def test_a_ledger_that_ignores_a_state_is_found(tmp_path: Path, fault: str) -> None:
    """Broken twins: a gateway that releases under DEGRADED, one that holds by a state that is not there, an ease of nothing."""

    async def life() -> None:
        running = await opened(tmp_path)
        id = running.writer.standing["support", "main"]
        about = {"job": "support", "tier": "main", "ticket": "t", "score": 0.6, "certificate": id}
        if fault == "released":
            what = Restriction("", ((0.5, 0.7),))
            await running.writer.do(restrictions.restrict, id, "support", "main", what, "watch", 1.0)
            row = {**about, "decision": "release", "reason": ""}
        else:
            row = {**about, "decision": "review", "reason": HELD_BAND}
        if fault == "unasked":
            await running.writer.do(
                lambda db: append(
                    db, "eased", 1.0, job="support", tier="main", certificate=id, slice="", by="a", why="b"
                )
            )
        else:
            await running.writer.do(lambda db: append(db, "decision", 1.0, **row))
        await running.stop()

    asyncio.run(life())
    assert not replay(str(tmp_path / "t.db")).holds


def test_a_tier_that_is_narrowed_hands_nothing_to_the_next(tmp_path: Path) -> None:
    async def life() -> None:
        service = scored(tmp_path)
        first = service.jobs[0].tiers[0]
        job = replace(service.jobs[0], tiers=(first, replace(first, name="dear")))
        running, _ = await started(replace(service, jobs=(job,)))
        id = running.writer.standing["support", "main"]
        what = Restriction("", ((0.5, 0.7),))
        await running.writer.do(restrictions.restrict, id, "support", "main", what, "watch", 1.0)
        ask = {
            "model": "support",
            "messages": [{"role": "user", "content": json.dumps({"say": "S", "score": 0.6})}],
        }
        heard = await call(running.app, "POST", "/v1/chat/completions", ask, running.initial_secrets.key)
        assert heard.json["tolerate"]["reason"] == HELD_BAND
        await running.stop()

    asyncio.run(life())


# What reviewers miss


def test_second_readings_stand_beside_what_was_reviewed(model: Upstream, url: str, tmp_path: Path) -> None:
    with served(service_of(model.url, url, tmp_path, share=1.0, second=0.5)) as desk:
        for _ in range(60):
            decide(desk)

        def work(db: Any) -> None:
            note, now = desk.running.settlement_watcher([]), time.time()
            for k, who in enumerate(["ann"] * 100 + ["bob"] * 100):
                task = queue.lease(db, who, now)
                if task is not None:
                    queue.record_verdict(db, queue.NewVerdict(task.slot, who, 0.0, f"{k}"), now, settled=note)
            queue.settle_due(db, now + 60, note)

        desk.write(work)
        risk = tier(desk)["reviewers"]
        assert risk["by"] == "second" and 15 < risk["again"] < 45 and risk["missed"] == 0
        assert risk["bound"] > tier(desk)["bound"]
        assert "read by a second person" in Browser(desk).get("watch/support")[2]
        columns = desk.write(evidence_columns, "support", "main", 0.0)
        assert sum(final is not None for final in columns.finals) == risk["again"]
        assert set(columns.chances) == {0.5} and len(columns.losses) == 60
        (proven,) = certify_columns(columns, [0.2], confidence=0.8)
        assert proven.tolerance == 0.2 and proven.scope == "all" and "what they miss" in proven.losses_by
        assert proven.risk_bound <= 0.2
    assert replay(url).holds


def test_one_that_waits_for_its_second_reading_counts_as_wrong(
    model: Upstream, url: str, tmp_path: Path
) -> None:
    with served(service_of(model.url, url, tmp_path, share=1.0, second=1.0)) as desk:
        for _ in range(3):
            decide(desk)

        def work(db: Any) -> None:
            now = time.time()

            def look(who: str, skip: bool = False) -> None:
                task = queue.lease(db, who, now)
                if skip:
                    queue.skip(db, task.slot, who)
                else:
                    queue.record_verdict(db, queue.NewVerdict(task.slot, who, 0.0, f"{who}{task.slot}"), now)

            for who, skip in (("ann", False), ("ann", False), ("ann", False), ("bob", False), ("bob", True)):
                look(who, skip)
            look("bob")
            queue.settle_due(db, now + 60, None)

        desk.write(work)
        columns = desk.write(evidence_columns, "support", "main", 0.0)
        assert columns.missing == [False, True, False] and columns.losses == [0.0, 1.0, 0.0]
        assert columns.finals == [0.0, None, 0.0]


# Notices


class Receiver:
    """A webhook's other end: the notices it accepted, and whether it answers."""

    def __init__(self) -> None:
        self.notices: list[tuple[dict[str, str], bytes]] = []
        self.up, self.url = True, ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self.up:
            return web.Response(status=503)
        self.notices.append(({name.lower(): value for name, value in request.headers.items()}, body))
        return web.Response(status=204)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    other = Receiver()

    async def work(thread: Thread) -> None:
        app = web.Application()
        app.router.add_post("/alarm", other.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        other.url = f"http://127.0.0.1:{runner.addresses[0][1]}/alarm"
        thread.ready.set()
        await thread.end.wait()
        await runner.cleanup()

    thread = Thread(work)
    try:
        yield other
    finally:
        thread.stop()


def test_notices_are_signed_and_survive_a_restart(
    model: Upstream, url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """The receiver is down when the alarm comes, and the service stops before it is back."""
    service = service_of(model.url, url, tmp_path)
    service = replace(service, webhooks=(receiver.url,))
    receiver.up = False
    with served(service) as desk:
        secret = desk.running.initial_secrets.webhook_secret
        assert secret.startswith("whsec_") and len(key_of(secret)) == 32
        browser = Browser(desk)
        browser.get("watch/support")
        browser.post("withdraw/support", {"why": "enough"})
        eventually(lambda: desk.write(lambda db: db.first("SELECT tries FROM deliveries")[0]) >= 1)
    assert not receiver.notices
    receiver.up = True
    with served(service) as desk:
        assert desk.running.initial_secrets.webhook_secret is None  # shown once
        eventually(lambda: receiver.notices)
        eventually(lambda: not desk.write(deliveries.due_notices, service.webhooks, time.time() + 1e6))
        assert not desk.thread.do(desk.running.webhooks.send_due())
        ((headers, body),) = receiver.notices  # once it was accepted it is not sent again
        notice, sent = json.loads(body), float(headers["webhook-timestamp"])
        assert notice["kind"] == "withdrawn" and notice["why"] == "enough" and notice["job"] == "support"
        assert headers["webhook-id"] == f"alarm_{notice['id']}"
        assert verify_signature(secret, headers, body, sent)
        assert not verify_signature(secret, headers, body + b" ", sent)
        assert not verify_signature(secret, headers, body, sent + 3600)
        assert not verify_signature("whsec_" + "A" * 44, headers, body, sent)


def test_old_alarms_are_not_told_to_a_new_webhook(
    model: Upstream, url: str, tmp_path: Path, receiver: Receiver
) -> None:
    service = service_of(model.url, url, tmp_path)
    with served(service) as desk:
        desk.write(certificates.add_alarm, "support", "risk", 1.0, {"why": "long ago"})
    with served(replace(service, webhooks=(receiver.url,), webhook_secret="mine")) as desk:
        assert desk.running.initial_secrets.webhook_secret is None
        for kind in ("one", "two", "three"):
            desk.write(certificates.add_alarm, "support", kind, 2.0, {"why": kind})
        desk.thread.loop.call_soon_threadsafe(desk.running.webhooks.wake)
        eventually(lambda: len(receiver.notices) == 3)
    assert [json.loads(body)["kind"] for _, body in receiver.notices] == ["one", "two", "three"]
    assert all(
        verify_signature("mine", headers, body, float(headers["webhook-timestamp"]))
        for headers, body in receiver.notices
    )


def test_tries_wait_longer_and_longer_and_end(tmp_path: Path) -> None:
    """What a receiver never takes is left out after a day, so that what comes behind it is heard."""
    hook = ("http://a/",)
    with closing(connect(str(tmp_path / "t.db"))) as db:
        prepare(db)
        deliveries.register(db, hook)
        for kind in ("first", "second"):
            certificates.add_alarm(db, "support", kind, 1.0, {})
        now, waited = 100.0, []
        while (due := deliveries.due_notices(db, hook, now)) and due[0].body["kind"] == "first":
            tries_left = deliveries.record_attempt(db, due[0], False, now)
            assert tries_left == (due[0].tries + 1 < deliveries.MAX_ATTEMPTS)
            began = now
            while not deliveries.due_notices(db, hook, now):
                now += 1.0
            waited.append(now - began)
        assert (
            waited[:6] == list(deliveries.BACK_OFF_SECONDS)
            and len(waited) == deliveries.MAX_ATTEMPTS
            and 80_000 < now < 100_000
        )
        assert due[0].body["kind"] == "second" and deliveries.delivery_status(db, "http://a/") == {
            "tries": 0,
            "waiting": 1,
        }
        assert deliveries.record_attempt(db, due[0], True, now) and not deliveries.due_notices(
            db, hook, now + 1e6
        )


def test_a_webhook_on_a_private_address_is_refused_where_those_are(tmp_path: Path) -> None:
    service = replace(service_inside(str(tmp_path / "t.db"), tmp_path), private=False)
    for hook in ("http://127.0.0.1:9/alarm", "http://169.254.169.254/latest", "file:///etc/passwd"):
        with pytest.raises(OptionError):
            asyncio.run(
                started(replace(service, webhooks=(hook,), database=str(tmp_path / f"{len(hook)}.db")))
            )


def test_a_secret_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(OptionError, match="base64"):
        signature_headers("whsec_?", "a", 1, b"")
    assert not verify_signature("mine", {"webhook-timestamp": "x"}, b"", 0.0)


# Settings


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"on_slice_alarm": "shout"}, "on_slice_alarm"),
        ({"drift": 2.0}, "drift"),
        ({"second": 0.2, "reviewers": 2}, "second reading"),
        ({"slices": ("a", "a")}, "slices"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        validate_settings(service_of("http://127.0.0.1:9/v1", str(tmp_path / "t.db"), tmp_path, **more))


def test_a_database_from_before_is_verified(tmp_path: Path) -> None:
    async def life() -> None:
        running = await opened(tmp_path)
        await traffic(running, [0.9])
        await running.stop()

    asyncio.run(life())
    with closing(connect(str(tmp_path / "t.db"))) as db:
        db.run("DROP TABLE tightenings")
    assert replay(str(tmp_path / "t.db")).holds


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_leads_from_the_alarm_to_the_next_promise(
    model: Upstream, url: str, tmp_path: Path, lang: str
) -> None:
    with served(service_of(model.url, url, tmp_path, share=1.0)) as desk:
        browser = Browser(desk)
        if lang == "zh":
            browser.get("watch/support")
            browser.post("lang", {})
        for _ in range(12):
            decide(desk, slice="bad")
        judge(desk, "bad")
        page = browser.get("watch/support")[2]
        assert ("What now" if lang == "en" else "下一步") in page

        browser.post("mended/support", {})
        for _ in range(120):
            decide(desk)
        judge(desk, "none")
        page = browser.get("watch/support")[2]
        where = (
            page.split('class="button main" href="/desk/')[1]
            .split('"')[0]
            .replace("&amp;", "&")
            .split("#")[0]
        )
        page = browser.get(where)[2]
        id = page.split('name="id" value="')[1].split('"')[0]
        browser.post("adopt/support", {"tier": "main", "id": id})
        assert tier(desk)["state"] == "VALID"
        assert decide(desk)["decision"] == "release"
    assert replay(url).holds
