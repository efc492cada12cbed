"""The gateway keeps the promise: what is released, what is held, and that nothing leaves before its row."""

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from tests.support import inside
from tests.support.inside import call, started
from tests.support.service_fakes import (
    OPENER,
    Served,
    Upstream,
    replay,
    served,
    service_of,
    upstream,
    write_certificate,
)
from tests.support.waiting import DEADLINE_SECONDS, eventually
from tolerate.errors import OptionError, TolerateError
from tolerate.service import app
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings, load
from tolerate.service.upstream.guard import check_url
from tolerate.store import certificates, connect, people, queue, review_data
from tolerate.store.ledger import newest


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    with upstream() as fake:
        yield fake


@pytest.fixture
def desk(model: Upstream, url: str, tmp_path: Path) -> Iterator[Served]:
    """The plain case: one job, one tier; on both kinds of database."""
    with served(service_of(model.url, url, tmp_path)) as service:
        yield service


# The official client


def test_the_official_client_runs_unchanged(model: Upstream, url: str, tmp_path: Path) -> None:
    with served(service_of(model.url, url, tmp_path)) as service:
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0) as client:
            chat = client.chat.completions
            good = [{"role": "user", "content": json.dumps({"say": "hello there", "score": 0.9})}]
            bad = [{"role": "user", "content": json.dumps({"say": "SECRET", "score": 0.2})}]
            answer = chat.create(model="support", messages=good)
            assert answer.choices[0].message.content == "hello there" and answer.usage.total_tokens == 10
            held = chat.create(model="support", messages=bad)
            assert held.choices[0].finish_reason == "content_filter" and not held.choices[0].message.content
            assert held.tolerate["ticket"] in held.tolerate["poll"]
            several = chat.create(model="support", messages=good, n=3)
            assert [choice.index for choice in several.choices] == [0, 1, 2]
            with chat.create(
                model="support", messages=good, stream=True, stream_options={"include_usage": True}
            ) as s:
                chunks = list(s)
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello there"
            assert chunks[-1].usage.total_tokens == 10
            with chat.create(model="support", messages=bad, stream=True) as s:
                chunks = list(s)
            assert [c.choices[0].finish_reason for c in chunks][-1] == "content_filter"
            assert "SECRET" not in str(chunks)
            text = client.completions.create(
                model="support", prompt=json.dumps({"say": "plain", "score": 0.9})
            )
            assert text.choices[0].text == "plain"
            assert [m.id for m in client.models.list()] == ["support"]
            assert client.models.retrieve("support").id == "support"
    result = replay(url)
    assert result.holds and result.decisions == 6 and result.released == 4


def test_tool_calls_whole_and_streamed(desk: Served) -> None:
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "北京"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
    ]
    with openai.OpenAI(base_url=f"{desk.url}/v1", api_key=desk.key, max_retries=0) as client:
        messages = [{"role": "user", "content": json.dumps({"calls": calls, "score": 0.9})}]
        answer = client.chat.completions.create(model="support", messages=messages)
        assert [c.function.arguments for c in answer.choices[0].message.tool_calls] == [
            '{"at": "北京"}',
            "{}",
        ]
        with client.chat.completions.create(model="support", messages=messages, stream=True) as stream:
            streamed: dict[int, list[str]] = {}
            for chunk in stream:
                for call in chunk.choices[0].delta.tool_calls or []:
                    part = streamed.setdefault(call.index, ["", ""])
                    part[0] += call.function.name or ""
                    part[1] += call.function.arguments or ""
        assert streamed == {0: ["look", '{"at": "北京"}'], 1: ["wait", "{}"]}


def test_errors_are_the_clients_errors(desk: Served) -> None:
    with openai.OpenAI(base_url=f"{desk.url}/v1", api_key="tol_wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    with openai.OpenAI(base_url=f"{desk.url}/v1", api_key=desk.key, max_retries=0) as client:
        with pytest.raises(openai.BadRequestError, match="messages"):
            client.chat.completions.create(model="support", messages=[])
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(
                model="support", messages=[{"role": "user", "content": json.dumps({"fail": 500})}]
            )


def held_calls(service: Served) -> dict[str, tuple[int, object]]:
    """One held answer in every shape; none may let the text out."""
    bad = {"say": "SECRET", "score": 0.1}
    responses = {}
    for name, more in (("whole", {}), ("stream", {"stream": True}), ("several", {"n": 2})):
        status, _, body = service.chat(bad, **more)
        responses[name] = (status, body)
    return responses


# What is released and what is held


def test_nothing_of_a_held_answer_leaks(desk: Served) -> None:
    for status, body in held_calls(desk).values():
        assert status == 200 and "SECRET" not in str(body) and "content_filter" in str(body)


def test_several_choices_are_as_good_as_the_worst(desk: Served) -> None:
    _, _, body = desk.chat({"says": ["a", "b"], "scores": [0.9, 0.4]}, n=2)
    assert body["tolerate"]["decision"] == "review" and len(body["choices"]) == 2


@pytest.mark.parametrize("score", [None, "0.9", True, []])
def test_a_score_that_is_none_releases_nothing(desk: Served, score: object) -> None:
    _, _, body = desk.chat({"say": "SECRET", "scores": [score]})
    assert body["choices"][0]["finish_reason"] == "content_filter"


def test_without_a_certificate_everything_is_held(model: Upstream, url: str, tmp_path: Path) -> None:
    tier = TierSettings("main", model.url, judge="given")
    service = ServiceSettings((JobSettings("support", (tier,)),), database=url, port=0)
    with served(service) as running:
        _, _, body = running.chat({"say": "SECRET", "score": 1.0})
        assert body["tolerate"]["reason"] == "no certificate stands"
        assert running.ask("GET", "/readyz", key=None)[2]["without_certificate"] == ["support/main"]


def test_a_ticket_tells_its_own_key_what_became_of_it(desk: Served) -> None:
    _, _, body = desk.chat({"say": "held back", "score": 0.1})
    ticket = body["tolerate"]["ticket"]
    assert desk.ask("GET", f"/v1/tickets/{ticket}")[2] == {
        "ticket": ticket,
        "state": "held",
        "completion": None,
    }
    other = desk.write(people.add_key, "other", "ann", time.time())
    assert desk.ask("GET", f"/v1/tickets/{ticket}", key=other)[0] == 404
    judge_next(desk, 0.0)
    state = desk.ask("GET", f"/v1/tickets/{ticket}")[2]
    assert (
        state["state"] == "released"
        and state["completion"]["choices"][0]["message"]["content"] == "held back"
    )


def judge_next(service: Served, loss: float, who: str = "bob") -> None:
    """One verdict, final at once."""
    task = service.write(queue.lease, who, time.time())
    service.write(
        queue.record_verdict, queue.NewVerdict(task.slot, who, loss, str(task.slot)), time.time() - 60
    )
    service.thread.do(service.running.settle())


def test_a_held_answer_may_wait_for_a_person(model: Upstream, url: str, tmp_path: Path) -> None:
    with served(service_of(model.url, url, tmp_path, wait=DEADLINE_SECONDS)) as service:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(service.chat, {"say": "worth waiting for", "score": 0.1})
            eventually(lambda: service.write(review_data.backlog, "support", time.time()).open)
            judge_next(service, 0.0)
            assert (
                answer.result(DEADLINE_SECONDS)[2]["choices"][0]["message"]["content"] == "worth waiting for"
            )


def two_tiers(model: Upstream, url: str, folder: Path, **cheap: object) -> ServiceSettings:
    """A cheap model that may release little, and a dear one behind it."""
    first = TierSettings(
        "cheap", model.url, "small", "given", certificate=write_certificate(folder, threshold=0.95)
    )
    second = TierSettings(
        "dear", model.url, "large", "given", certificate=write_certificate(folder, "b.json", threshold=0.5)
    )
    job = JobSettings("support", (replace(first, **cheap), second), share=0.0)
    return ServiceSettings((job,), database=url, port=0)


def test_a_tier_that_may_not_release_escalates_to_the_next(model: Upstream, url: str, tmp_path: Path) -> None:
    with served(two_tiers(model, url, tmp_path)) as service:
        model.requests.clear()
        assert service.chat({"say": "hi", "score": 0.7})[1]["x-tolerate-decision"] == "release"
        assert [body["model"] for body in model.requests] == ["small", "large"]
        (entry,) = [row for row in service.write(newest, 10) if row["kind"] == "decision"]
        assert entry["tier"] == "dear" and [tier["tier"] for tier in entry["tiers"]] == ["cheap", "dear"]
    assert replay(url).holds


def test_what_no_certified_tier_passed_on_is_not_the_next_ones(
    model: Upstream, url: str, tmp_path: Path
) -> None:
    """A tier's certificate speaks of what the tier before judged and passed on: no certificate there, nothing goes out."""
    with served(two_tiers(model, url, tmp_path)) as service:
        service.write(certificates.withdraw, "support", "cheap", "ann", "enough", time.time())
        model.requests.clear()
        body = service.chat({"say": "SECRET", "score": 0.99})[2]
        assert body["tolerate"]["reason"] == "no certificate stands" and "SECRET" not in str(body)
        assert [request["model"] for request in model.requests] == ["small"]


def test_a_tier_that_is_down_passes_nothing_on(model: Upstream, url: str, tmp_path: Path) -> None:
    """The next tier still answers, for the person who decides."""
    with served(two_tiers(model, url, tmp_path, upstream="http://127.0.0.1:9/v1", retries=0)) as service:
        body = service.chat({"say": "SECRET", "score": 0.99})[2]
        assert body["tolerate"]["reason"].startswith("cheap failed") and "SECRET" not in str(body)
        task = service.write(queue.lease, "bob", time.time())
        assert task.item.content == "SECRET"
    assert replay(url).holds


@pytest.mark.parametrize(
    ("strategy", "says", "scores", "answer"),
    [
        ("best-of-3", ["a", "b", "c"], [0.2, 0.9, 0.5], "b"),
        ("agreement-3", ["Yes.", "no", "yes"], [0.1, 0.1, 0.1], "Yes."),
    ],
)
def test_candidates(
    model: Upstream,
    url: str,
    tmp_path: Path,
    strategy: str,
    says: list[str],
    scores: list[float],
    answer: str,
) -> None:
    path = write_certificate(tmp_path, threshold=0.6)
    tier = TierSettings("main", model.url, judge="given", strategy=strategy, certificate=path)
    job = JobSettings("support", (tier,), share=0.0)
    with served(ServiceSettings((job,), database=url, port=0)) as service:
        _, _, body = service.chat({"says": says, "scores": scores})
        assert [choice["message"]["content"] for choice in body["choices"]] == [answer]


def test_logprobs_are_asked_for_and_taken_out_again(model: Upstream, url: str, tmp_path: Path) -> None:
    tier = TierSettings("main", model.url, judge="logprobs", certificate=write_certificate(tmp_path))
    service = ServiceSettings((JobSettings("support", (tier,), share=0.0),), database=url, port=0)
    with served(service) as running:
        _, headers, body = running.chat({"say": "sure", "score": 0.8})
        assert headers["x-tolerate-decision"] == "release" and body["choices"][0]["logprobs"] is None
        assert running.chat({"say": "unsure", "score": 0.3})[1]["x-tolerate-decision"] == "review"


def test_a_policy_sends_requests_to_people(model: Upstream, url: str, tmp_path: Path) -> None:
    with served(service_of(model.url, url, tmp_path, policy=("dos(e|age)",))) as service:
        assert "policy" in service.chat({"say": "DOSAGE", "score": 1.0})[2]["tolerate"]["reason"]


def test_decide_alone(desk: Served) -> None:
    key = desk.write(people.add_key, "d", "ann", time.time(), scopes=("decide",))
    ask = {"job": "support", "content": "made elsewhere"}
    assert desk.ask("POST", "/v1/decide", {**ask, "score": 0.9}, key)[2]["decision"] == "release"
    held = desk.ask("POST", "/v1/decide", {**ask, "score": None}, key)[2]
    assert held["decision"] == "review" and held["row"] > 0
    assert desk.ask("POST", "/v1/decide", {**ask, "score": "high"}, key)[0] == 400
    for score in (1e308, -1e308, 2**60):  # scores have no bounds
        assert desk.ask("POST", "/v1/decide", {**ask, "score": score}, key)[0] == 200
    assert desk.ask("POST", "/v1/chat/completions", {}, key)[0] == 403


def test_an_answer_is_given_again_from_the_cache_and_decided_again(
    model: Upstream, url: str, tmp_path: Path
) -> None:
    with served(service_of(model.url, url, tmp_path, cache=DEADLINE_SECONDS)) as service:
        model.requests.clear()
        for _ in range(3):
            assert service.chat({"say": "once", "score": 0.9})[1]["x-tolerate-decision"] == "release"
        assert len(model.requests) == 1
        service.write(certificates.withdraw, "support", None, "ann", "enough", time.time())
        assert service.chat({"say": "once", "score": 0.9})[1]["x-tolerate-decision"] == "review"
    assert replay(url).decisions == 4


def test_personal_data_is_masked_before_it_is_stored(model: Upstream, tmp_path: Path) -> None:
    with served(service_of(model.url, str(tmp_path / "t.db"), tmp_path, mask=True)) as service:
        service.chat({"say": "call 13912345678 or ann@example.org", "score": 0.1})
        item = service.write(queue.lease, "bob", time.time()).item
        assert item.content == "call [phone] or [email]"
    assert b"13912345678" not in b"".join(path.read_bytes() for path in tmp_path.glob("t.db*"))


def test_a_masked_answer_is_given_out_when_a_person_releases_it(model: Upstream, tmp_path: Path) -> None:
    """The address follows a line break: masking the JSON's text would eat the n of its escape."""
    with served(service_of(model.url, str(tmp_path / "t.db"), tmp_path, mask=True)) as service:
        body = service.chat({"say": "mail:\nann@example.org", "score": 0.1})[2]
        judge_next(service, 0.0)
        ticket = service.ask("GET", f"/v1/tickets/{body['tolerate']['ticket']}")[2]
        assert ticket["completion"]["choices"][0]["message"]["content"] == "mail:\n[email]"


# Streams


def test_a_stream_sends_comments_until_the_verdict(
    desk: Served, model: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model answers only after a comment has come."""
    monkeypatch.setattr(app, "KEEP_ALIVE_SECONDS", 0.01)
    model.release.clear()
    content = json.dumps({"say": "patience", "score": 0.9, "hold": True})
    body = {"model": "support", "messages": [{"role": "user", "content": content}], "stream": True}
    headers = {"authorization": f"Bearer {desk.key}"}
    request = urllib.request.Request(f"{desk.url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with OPENER.open(request, timeout=DEADLINE_SECONDS) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.readline() == b": held until the verdict\n"
        model.release.set()
        assert b"patience" in response.read()


def test_an_uncertified_stream_is_marked_in_every_chunk(model: Upstream, url: str, tmp_path: Path) -> None:
    with served(service_of(model.url, url, tmp_path, stream="not certified")) as service:
        _, _, text = service.chat({"say": "word by word", "score": 0.1}, stream=True)
        events = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
        assert len(events) > 3 and all(event["tolerate"] == "not certified" for event in events)
        assert service.chat({"say": "whole", "score": 0.1})[1]["x-tolerate-decision"] == "review"
        assert service.chat({"fail": 503}, stream=True)[0] >= 500


BROKEN = [
    ["data: {\n\n"],
    ["data: []\n\n"],
    ['data: {"choices": [{"index": 0, "delta": {"content": "SECRET"}}]}\n\n'],  # it never ends
    ['data: {"choices": [{"index": 0, "delta": {"content": 7}, "finish_reason": "stop"}]}\n\n'],
    ['data: {"choices": [{"index": -1, "delta": {"content": "SECRET"}, "finish_reason": "stop"}]}\n\n'],
    ['data: {"error": {"message": "SECRET"}}\n\n'],
    [b"\xff\xfe SECRET"],
    [],
    ["data: [DONE]\n\n"],
    [
        'data: {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 9}]}, "finish_reason": "stop"}]}\n\n'
    ],
]


@pytest.mark.parametrize("pieces", BROKEN)
def test_a_broken_stream_is_an_error_and_lets_nothing_out(desk: Served, pieces: list) -> None:
    shown = [piece.decode("latin-1") if isinstance(piece, bytes) else piece for piece in pieces] or ["\n"]
    status, _, body = desk.chat({"pieces": shown, "score": 1.0}, stream=True)
    assert status == 502 and "SECRET" not in str(body)


# A certificate and what it holds for


def other(service: ServiceSettings, **tier: object) -> ServiceSettings:
    job = service.jobs[0]
    return replace(service, jobs=(replace(job, tiers=(replace(job.tiers[0], **tier),)),))


@pytest.mark.parametrize("change", [{"model": "another"}, {"prompt": "Be brief."}, {"judge": "surest"}])
def test_another_model_prompt_or_judge_makes_it_void(
    model: Upstream, url: str, tmp_path: Path, change: dict
) -> None:
    service = other(service_of(model.url, url, tmp_path), model="tiny", prompt="Be kind.")
    good = {"say": "hi", "score": 0.9}
    with served(service) as running:
        assert running.chat(good)[1]["x-tolerate-decision"] == "release"
    with served(other(service, **change)) as running:
        key = running.write(people.add_key, "k", "ann", time.time())
        ask = {"model": "support", "messages": [{"role": "user", "content": json.dumps(good)}]}
        _, headers, body = running.ask("POST", "/v1/chat/completions", ask, key)
        assert (
            headers["x-tolerate-decision"] == "review"
            and body["tolerate"]["reason"] == "no certificate stands"
        )
        (promise,) = running.write(certificates.history, "support")
        assert promise.status == "void" and next(iter(change)) in promise.why
    with served(service) as running:  # what it holds for is back, and so is the promise
        (promise,) = running.write(certificates.history, "support")
        assert promise.status == "active"
    assert replay(url).holds


def test_a_changed_guide_or_table_makes_it_void(model: Upstream, url: str, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("loss\n0\n")
    service = other(service_of(model.url, url, tmp_path, guide="one"), table=str(table))
    with served(service) as running:
        assert running.write(certificates.active)
    table.write_text("loss\n1\n")
    with served(replace(service, jobs=(replace(service.jobs[0], guide="two"),))) as running:
        assert not running.write(certificates.active)
        (promise,) = running.write(certificates.history, "support")
        assert "guide, data" in promise.why


def test_a_model_that_answers_under_another_name_makes_it_void(desk: Served) -> None:
    assert desk.chat({"say": "a", "score": 0.9})[1]["x-tolerate-decision"] == "release"
    assert desk.chat({"say": "b", "score": 0.9, "model": "swapped"})[1]["x-tolerate-decision"] == "review"
    assert desk.chat({"say": "c", "score": 0.9})[1]["x-tolerate-decision"] == "review"
    (alarm,) = desk.write(certificates.alarms, "support")
    assert alarm["kind"] == "void" and "swapped" in alarm["why"]


def test_a_system_prompt_that_is_not_the_certified_one_is_held(
    model: Upstream, url: str, tmp_path: Path
) -> None:
    service = other(service_of(model.url, url, tmp_path), prompt="Be kind.")
    with served(service) as running:
        user = {"role": "user", "content": json.dumps({"say": "a", "score": 0.9})}
        for system, decision in (("Be kind.", "release"), ("Be cruel.", "review")):
            ask = {"model": "support", "messages": [{"role": "system", "content": system}, user]}
            assert running.ask("POST", "/v1/chat/completions", ask)[1]["x-tolerate-decision"] == decision
        model.requests.clear()
        assert running.chat({"say": "a", "score": 0.9})[1]["x-tolerate-decision"] == "release"
        assert model.requests[0]["messages"][0] == {"role": "system", "content": "Be kind."}


# The watch


def test_reviews_withdraw_a_promise_and_a_restart_does_not_bring_it_back(
    model: Upstream, url: str, tmp_path: Path
) -> None:
    service = service_of(model.url, url, tmp_path, share=1.0)
    with served(service) as running:
        for _ in range(20):
            running.chat({"say": "wrong", "score": 0.9})
        for _ in range(20):
            judge_next(running, 1.0)
        # The commit of the verdict that proves the promise wrong withdraws it: the next answer is held.
        assert running.chat({"say": "SECRET", "score": 0.9})[1]["x-tolerate-decision"] == "review"
        overview = running.ask("GET", "/v1/watch/support")[2]
        assert (
            overview["tiers"][0]["certificate"]["ended_by"] == "watch"
            and overview["alarms"][0]["kind"] == "risk"
        )
    with served(service) as running:
        assert not running.write(certificates.active)
    assert replay(url).holds


def test_only_the_drawn_share_is_evidence(model: Upstream, url: str, tmp_path: Path) -> None:
    with served(service_of(model.url, url, tmp_path, share=0.0)) as running:
        for _ in range(30):
            running.chat({"say": "bad", "score": 0.1})
        for _ in range(30):
            judge_next(running, 1.0)
        assert (
            running.write(certificates.active)
            and running.ask("GET", "/v1/watch/support")[2]["tiers"][0]["labels"] == 0
        )


def test_webhooks_are_told_of_alarms(model: Upstream, url: str, tmp_path: Path) -> None:
    service = service_of(model.url, url, tmp_path)
    service = replace(service, webhooks=(f"{model.url}/hook/completions",))
    with served(service) as running:
        running.chat({"say": "a", "score": 0.9})
        model.requests.clear()
        running.chat({"say": "b", "score": 0.9, "model": "swapped"})
        eventually(lambda: any("event" in body for body in model.requests))
        assert next(body for body in model.requests if "event" in body)["kind"] == "void"


# Upstreams that fail


def test_a_failure_is_tried_again(desk: Served) -> None:
    assert desk.chat({"say": "second try", "score": 0.9, "fail": 503, "times": 1})[0] == 200


def test_statuses_of_proxies_are_tried_again_as_the_clients_do(desk: Served) -> None:
    assert desk.chat({"say": "second try", "score": 0.9, "fail": 522, "times": 1})[0] == 200


@pytest.mark.parametrize(
    ("fail", "status"), [(500, 502), (503, 502), (429, 429), (400, 400), (401, 502), (418, 502)]
)
def test_failures_have_the_right_status(desk: Served, fail: int, status: int) -> None:
    assert desk.chat({"fail": fail, "why": status})[0] == status


@pytest.mark.parametrize(
    "raw", ["", "[]", "{}", '{"choices": []}', '{"choices": [7]}', '{"choices": [{"text": "SECRET"}]}']
)
def test_a_malformed_answer_is_not_passed_on(desk: Served, raw: str) -> None:
    status, _, body = desk.chat({"raw": raw})
    assert status == 502 and "SECRET" not in str(body)


def test_a_breaker_rests_and_a_fallback_answers(model: Upstream, url: str, tmp_path: Path) -> None:
    dead = "http://127.0.0.1:9/v1"
    service = other(service_of(model.url, url, tmp_path), upstream=dead, fallback=(model.url,))
    with served(service) as running:
        for _ in range(4):
            assert (
                running.chat({"say": "from elsewhere", "score": 0.9})[1]["x-tolerate-decision"] == "release"
            )
        assert running.running.upstreams.breakers[dead].failures >= 5


def test_if_the_row_cannot_be_written_nothing_is_released(desk: Served) -> None:
    real = desk.running.writer._db

    class Full:
        def run(self, sql: str, *values: object) -> int:
            if sql == "COMMIT":
                raise OSError("no space left on device")
            return real.run(sql, *values)

        def __getattr__(self, name: str):
            return getattr(real, name)

    desk.running.writer._db = Full()
    try:
        for stream in (False, True):
            status, _, body = desk.chat({"say": "SECRET", "score": 0.9}, stream=stream)
            assert status == 503 and "SECRET" not in str(body) and "not_durable" in str(body)
    finally:
        desk.running.writer._db = real


def test_a_stop_finishes_what_was_taken(model: Upstream, url: str, tmp_path: Path) -> None:
    """A request in flight is answered, one that waits for a person gets its ticket, and the ledger says it stopped."""
    service = replace(service_of(model.url, url, tmp_path, wait=DEADLINE_SECONDS), drain=DEADLINE_SECONDS)
    model.release.clear()
    with ThreadPoolExecutor(3) as pool:
        with served(service) as running:
            slow = pool.submit(running.chat, {"say": "finished", "score": 0.9, "hold": True})
            waiting = pool.submit(running.chat, {"say": "SECRET", "score": 0.1})
            eventually(lambda: running.write(review_data.backlog, "support", time.time()).open)
            eventually(lambda: running.running.app.in_flight == 2)

            def release() -> None:
                eventually(lambda: running.running.app.stopping)
                model.release.set()

            pool.submit(release)
        assert slow.result(DEADLINE_SECONDS)[2]["choices"][0]["message"]["content"] == "finished"
        assert waiting.result(DEADLINE_SECONDS)[2]["tolerate"]["decision"] == "review"
    with closing(connect(url)) as db:
        assert newest(db, 1)[0]["kind"] == "stopped"


# Bad input and limits


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"[]", 400), (b"\xff", 400), (b'{"model": 7}', 400), (b"[" * 5000, 400),
        (b'{"model": "x", "messages": "hi"}', 400), (b'{"model": "x", "messages": [{"role": 7}]}', 400),
        (b'{"model": "x", "messages": [{"role": "user", "content": 3}]}', 400),
        (b'{"model": "x", "messages": [{"role": "user", "content": "a"}], "n": 99}', 400),
        (b'{"model": "x", "messages": [{"role": "user", "content": "a"}], "stream": "yes"}', 400),
        (b'{"a": ' * 80 + b"1" + b"}" * 80, 400), (b"x" * 5_000_000, 413),
    ],
)  # fmt: skip
def test_bad_bodies(desk: Served, body: bytes, status: int) -> None:
    code, _, response = desk.ask("POST", "/v1/chat/completions", body)
    assert code == status and "Traceback" not in str(response)
    assert set(response["error"]) == {"message", "type", "param", "code"}


def test_paths_methods_and_keys(desk: Served) -> None:
    assert desk.ask("GET", "/v1/nothing")[0] == 404
    status, headers, _ = desk.ask("GET", "/v1/chat/completions")
    assert status == 405 and headers["allow"] == "POST"
    assert desk.ask("GET", "/v1/models", key=None)[0] == 401
    assert desk.ask("GET", "/v1/models", key="tol_no")[0] == 401
    assert desk.ask("GET", "/healthz", key=None)[2] == {"alive": True}
    assert b"tolerate_decisions_total" in desk.ask("GET", "/metrics", key=None)[2].encode()
    assert desk.ask("GET", "/", key=None)[0] == 303


def test_wrong_keys_and_rates_are_limited(url: str, tmp_path: Path) -> None:
    """With a clock of our own: 2 requests a second of one key, 30 wrong keys at once from one address."""
    now = [0.0]

    async def life() -> None:
        running, _ = await started(inside.service_of(url, tmp_path))
        gateway = app.App(running.engine, running.reader, clock=lambda: now[0])
        add_slow = lambda db: people.add_key(db, "slow", "ann", time.time(), rate=2.0)  # noqa: E731
        slow = await running.writer.do(add_slow)

        async def statuses(key: str, count: int) -> list[int]:
            return [(await call(gateway, "GET", "/v1/models", None, key)).status for _ in range(count)]

        assert await statuses(slow, 4) == [200, 200, 429, 429]
        now[0] += 0.5
        assert await statuses(slow, 2) == [200, 429]
        assert await statuses("tol_no", 31) == [401] * 30 + [429]
        # A right key is not locked out with the wrong ones.
        assert await statuses(running.initial_secrets.key, 1) == [200]
        await running.stop()

    asyncio.run(life())


def test_a_revoked_key_opens_nothing_at_once(desk: Served) -> None:
    secret = desk.write(people.add_key, "k", "ann", time.time())
    assert desk.ask("GET", "/v1/models", key=secret)[0] == 200
    key = desk.write(people.key, people.digest(secret), time.time())
    desk.write(people.revoke_key, key.id, "ann", time.time())
    desk.running.app.forget_keys()
    assert desk.ask("GET", "/v1/models", key=secret)[0] == 401


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0/",
        "ftp://x/",
        "http://a:b@c/",
    ],
)
def test_forbidden_addresses(url: str) -> None:
    with pytest.raises(OptionError):
        check_url(url, private=True)


def test_private_addresses_can_be_forbidden() -> None:
    for url in ("http://127.0.0.1/", "http://10.1.2.3/", "http://[fd00::1]/", "http://localhost/"):
        with pytest.raises(OptionError, match="never called"):
            check_url(url, private=False)


def test_settings_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    (tmp_path / "guide.md").write_text("Be strict.")
    path.write_text(
        'port = 0\n[jobs.support]\nshare = 1\nguide = "guide.md"\n[[jobs.support.tiers]]\nupstream = "http://localhost:1/v1"\n'
    )
    job = load(path).jobs[0]
    assert (job.share, job.guide, job.tiers[0].name) == (1.0, "Be strict.", "tier1")
    for text, message in (
        ("[jobs.a]\nshre = 1\n[[jobs.a.tiers]]\nupstream = 'u'", 'Did you mean "share"'),
        ("[jobs.a]\n", "has no tiers"),
        ("", "names no job"),
        ("[jobs.a]\nshare = 2\n[[jobs.a.tiers]]\nupstream = 'u'", "expected a share"),
        ("[jobs.a]\n[[jobs.a.tiers]]\nupstream = 'u'\nstrategy = 'best-of-99'", "unknown"),
        ("[jobs.'a b']\n[[jobs.'a b'.tiers]]\nupstream = 'u'", "not a valid name of a job"),
    ):
        path.write_text(text)
        with pytest.raises(TolerateError, match=re.escape(message)):
            load(path)


def test_the_settings_of_the_docs_are_settings(tmp_path: Path) -> None:
    """The TOML file that docs/service.md shows can be served as it stands."""
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text("utf-8")
    (text,) = re.findall(r"```\n(database = .*?)```", page, re.S)
    (tmp_path / "service.toml").write_text(text)
    (tmp_path / "guide.md").write_text("Be strict.")
    job = load(tmp_path / "service.toml").jobs[0]
    assert [tier.name for tier in job.tiers] == ["small", "large"] and job.guide == "Be strict."
    assert [grade.loss for grade in job.scale] == [0.0, 0.3, 1.0] and job.tiers[0].candidates == 3
