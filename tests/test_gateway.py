"""The gateway keeps the promise: what is released, what is held, and that nothing leaves before its row."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from tests.service_fakes import Served, Upstream, certificate, database, served, upstream
from tolerate.gateway.settings import JobSettings, Service, Tier
from tolerate.store import connect
from tolerate.store.verify import Replay, verify


def write_certificate(folder: Path, name: str = "certificate.json", **more: object) -> str:
    path = folder / name
    path.write_text(certificate(**more).dumps())
    return str(path)


def service_of(url: str, database: str, folder: Path, **more: object) -> Service:
    tier = Tier("main", url, judge="given", certificate=write_certificate(folder), retries=1)
    job = replace(JobSettings("support", (tier,), share=0.0), **more)
    return Service((job,), database=database, port=0)


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    with upstream() as fake:
        yield fake


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from database(request.param, tmp_path)


@pytest.fixture
def desk(model: Upstream, tmp_path: Path) -> Iterator[Served]:
    """The plain case: one job, one tier, SQLite."""
    with served(service_of(model.url, str(tmp_path / "t.db"), tmp_path)) as service:
        yield service


def replay(url: str) -> Replay:
    db = connect(url, read_only=True)
    try:
        return verify(db)
    finally:
        db.close()


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
    found = replay(url)
    assert found.holds and found.decisions == 6 and found.released == 4


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
            found: dict[int, list[str]] = {}
            for chunk in stream:
                for call in chunk.choices[0].delta.tool_calls or []:
                    part = found.setdefault(call.index, ["", ""])
                    part[0] += call.function.name or ""
                    part[1] += call.function.arguments or ""
        assert found == {0: ["look", '{"at": "北京"}'], 1: ["wait", "{}"]}


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
