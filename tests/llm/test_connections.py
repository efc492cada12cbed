"""Connections that stay open, and servers that answer in streams: put together, retried, never paid for twice."""

import gc
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_openai import Fake, cut, hang_up, serving, status
from tolerate.errors import RunError
from tolerate.llm import connections
from tolerate.llm.client import ServedModel
from tolerate.llm.connections import ConnectionPool
from tolerate.llm.http import post_json
from tolerate.llm.openai_format import MalformedAnswer, ReportedError
from tolerate.llm.rate_limit import RateLimiter
from tolerate.llm.retry import TransientError
from tolerate.llm.stream import read_stream

PROMPTS = [f"p{n}" for n in range(24)]


def served(fake: Fake, settings: str = "", cache: Path | None = None) -> ServedModel:
    return ServedModel(fake.name(settings), cache, limiter=RateLimiter(sleep=lambda seconds: False))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the end of a stream may come late; a connection is given up only if it never comes."""
    monkeypatch.setattr(connections, "END_SECONDS", 60.0)


def two(prompt: str, seed: int) -> str:
    return f"{prompt} {seed}"


def texts(model: ServedModel, prompts: list[str] = PROMPTS, n: int = 1) -> list[list[str]]:
    return [[answer.text for answer in row] for row in model.write(prompts, n)]


def test_connections_are_kept_one_a_thread() -> None:
    with serving(two, keeps=True) as fake:
        model = served(fake, "parallel=3")
        assert texts(model) == [[f"{p} 0"] for p in PROMPTS]
        texts(model, ["more"])
        assert fake.connections == model.connections.opened <= 3 and len(fake.bodies) == len(PROMPTS) + 1
        model.connections.close()
    with serving(two) as fake:  # the twin: a server that closes gets a connection a request
        assert texts(served(fake)) and fake.connections == len(PROMPTS)


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_try() -> None:
    with serving(two, keeps=True) as fake:
        model = served(fake, "parallel=1")
        texts(model, ["a"])
        (connection,) = next(iter(model.connections._idle.values()))
        connection.sock.shutdown(2)
        assert texts(model, ["b"]) == [["b 0"]] and model.usage.failed_attempts == 0 and fake.connections == 2
        model.connections.close()


@pytest.mark.parametrize("fault", [status(500), cut, hang_up], ids=["500", "cut", "hung up"])
def test_faults_on_kept_connections_are_tried_again(fault: Any) -> None:
    with serving(two, keeps=True) as fake:
        fake.faults = [None, fault]
        model = served(fake, "parallel=1")
        assert (
            texts(model, ["a", "b", "c"]) == [["a 0"], ["b 0"], ["c 0"]] and model.usage.failed_attempts == 1
        )
        model.connections.close()


def test_what_is_open_is_closed_when_nobody_asks_any_more() -> None:
    with serving(two, keeps=True) as fake:
        model = served(fake)
        texts(model)
        (idle,) = [list(answers) for answers in model.connections._idle.values()]
        del model
        gc.collect()
        assert idle and all(connection.sock is None for connection in idle)


def test_a_proxy_that_the_environment_names_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert post_json("http://models.example/v1/x?a=1", {}) == {}
        assert paths == ["http://models.example/v1/x?a=1"]
        with pytest.raises(TransientError, match=r"cannot reach 127\.0\.0\.1:9"):
            post_json("http://127.0.0.1:9/v1", {}, direct=True)
    finally:
        server.shutdown()
        server.server_close()


# Streams


@pytest.mark.parametrize("kind", ["always", "only"])
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "closed"])
def test_servers_that_stream_give_the_same_answers(kind: str, keeps: bool, tmp_path: Path) -> None:
    with serving(two) as fake:
        plain = served(fake)
        expected = plain.write(PROMPTS, 2)
    with serving(two, streams=kind, keeps=keeps) as fake:
        model = served(fake, "parallel=2", tmp_path / "a.sqlite")
        answers = model.write(PROMPTS, 2)
        assert [[(a.text, a.mean_logprob, a.min_logprob, a.ended) for a in row] for row in answers] == [
            [(a.text, a.mean_logprob, a.min_logprob, a.ended) for a in row] for row in expected
        ]
        assert model.usage.failed_attempts == 0 and model.usage.requests == len(PROMPTS)
        if kind == "only":
            refusals = [body for body in fake.bodies if not body.get("stream")]
            assert len(refusals) == 1 and fake.bodies[-1]["stream_options"] == {"include_usage": True}
            assert (model.usage.prompt_tokens, model.usage.completion_tokens) == (
                plain.usage.prompt_tokens,
                plain.usage.completion_tokens,
            ) and model.usage.counted
        assert fake.connections <= 2 or not keeps
        # What came as a stream is kept like any other answer.
        sent = len(fake.bodies)
        again = served(fake, cache=tmp_path / "a.sqlite")
        assert again.write(PROMPTS, 2) == answers and len(fake.bodies) == sent
        model.connections.close()


def test_streams_that_are_cut_are_tried_again_and_have_a_limit(tmp_path: Path) -> None:
    with serving(two, streams="always", keeps=True, cuts=2) as fake:
        model = served(fake, "parallel=1", tmp_path / "a.sqlite")
        assert texts(model, ["a", "b"]) == [["a 0"], ["b 0"]]
        assert model.usage.failed_attempts == 2 and model.usage.requests == 2 and len(fake.bodies) == 4
        fake.cuts = 99
        with pytest.raises(RunError, match=r"(stream|connection).* 127.*(cut|broke).*\(3 tries\).*kept"):
            texts(served(fake, "tries=3", tmp_path / "a.sqlite"), ["a", "c"])
        fake.cuts, before = 0, len(fake.bodies)
        assert texts(served(fake, cache=tmp_path / "a.sqlite"), ["a", "b", "c"])[2] == ["c 0"]
        assert len(fake.bodies) == before + 1  # a and b were paid for already
        model.connections.close()


def test_a_server_without_log_probabilities_or_usage_in_its_stream() -> None:
    with serving(two, streams="only", logprobs=False, usage=False, refused=("stream_options",)) as fake:
        model = served(fake)
        answers = model.write(["a"])
        assert answers[0][0].text == "a 0" and math.isnan(answers[0][0].mean_logprob)
        assert (
            "stream_options" not in fake.bodies[-1]
            and not model.usage.counted
            and model.usage.completion_tokens > 0
        )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "was cut"),
        (b"data: [DONE]\n\n", "was cut"),
        (b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', "was cut"),
        (b"data: {half\n\n", "not JSON"),
        (b"data: {half\ndata: [DONE]\n\n", "not JSON"),
        (b'data: {"choices": [7]}\n\n', "not an object"),
        (b'data: {"choices": [{"delta": {"content": [1]}}]}\n\n', "not text"),
        (b"data: 7\n\n", "not an object"),
    ],
)
def test_streams_that_are_none(data: bytes, message: str) -> None:
    with pytest.raises(MalformedAnswer, match=message):
        read_stream([data], 1000)


def test_an_error_in_a_stream_is_the_servers_own() -> None:
    with pytest.raises(ReportedError, match="overloaded"):
        read_stream([b'data: {"error": {"message": "overloaded"}}\n\n'], 1000)


LENIENT = [
    b'data: {"choices": [{"delta": {"content": "four"}}]}\n\ndata: [DONE]\n\n',  # no reason for the end
    b'data: {"choices": [{"message": {"content": "four"}, "finish_reason": "stop"}]}',  # a message, and no line break
    b'data: {"id": 1}\r\n\r\ndata: {"choices": [{"index": null, "delta": {"content": "four"}}]}\r\n\r\ndata: [DONE]\r\n',
    b'data: {"choices":\ndata: [{"delta": {"content": "four"}, "finish_reason": "stop"}]}\n\n',  # over two lines
    b'data: {"choices": [{"delta": {"content": "fo"}}]}\ndata: {"choices": [{"delta": {"content": "ur"}}]}\ndata: [DONE]\n',
    b'data: {"choices": [{"delta": {"content": "four"}, "logprobs": {"x": NaN}}]}\n\ndata: [DONE]\n\n',
]


@pytest.mark.parametrize("data", LENIENT)
def test_streams_as_sloppy_servers_send_them(data: bytes) -> None:
    (choice,) = read_stream([data], 1000)["choices"]
    assert choice["message"]["content"] == "four"


def test_a_stream_has_a_limit() -> None:
    with pytest.raises(MalformedAnswer, match="too long"):
        read_stream([b": a comment\n" * 100], 1000)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_may_be_cut_anywhere(size: int) -> None:
    with serving(two) as fake:
        data = b": a comment\r\n\r\n" + b"".join(
            fake.events({"model": "m", "n": 2, "messages": [{"content": "é好"}]})
        )
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    answers = read_stream(parts, 10_000)
    assert [choice["message"]["content"] for choice in answers["choices"]] == ["é好 0", "é好 1"]
    assert json.dumps(answers)


def test_a_pool_keeps_a_connection_until_it_is_closed() -> None:
    with serving(two, keeps=True) as fake:
        pool = ConnectionPool(direct=True)
        post_json(
            f"http://127.0.0.1:{fake.port}/v1/chat/completions",
            {"model": "m", "messages": [{"content": "a"}]},
            pool=pool,
        )
        assert sum(map(len, pool._idle.values())) == 1
        pool.close()
        assert sum(map(len, pool._idle.values())) == 0
