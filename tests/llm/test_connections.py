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
from tolerate.llm.client import Served
from tolerate.llm.connections import Line
from tolerate.llm.http import Passing, post
from tolerate.llm.stream import Cut, assembled

PROMPTS = [f"p{n}" for n in range(24)]


def served(fake: Fake, settings: str = "", answers: Path | None = None) -> Served:
    one = Served(fake.name(settings), answers)
    one.gate._sleep = lambda seconds: False
    return one


def two(prompt: str, seed: int) -> str:
    return f"{prompt} {seed}"


def texts(one: Served, prompts: list[str] = PROMPTS, n: int = 1) -> list[list[str]]:
    return [[answer.text for answer in row] for row in one.write(prompts, n)]


def test_connections_are_kept_one_a_thread() -> None:
    with serving(two, keeps=True) as fake:
        one = served(fake, "parallel=3")
        assert texts(one) == [[f"{p} 0"] for p in PROMPTS]
        texts(one, ["more"])
        assert fake.connections == one.line.made <= 3 and len(fake.bodies) == len(PROMPTS) + 1
        one.line.close()
    with serving(two) as fake:  # the twin: a server that closes gets a connection a request
        assert texts(served(fake)) and fake.connections == len(PROMPTS)


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_try() -> None:
    with serving(two, keeps=True) as fake:
        one = served(fake, "parallel=1")
        texts(one, ["a"])
        (connection,) = next(iter(one.line._free.values()))
        connection.sock.shutdown(2)
        assert texts(one, ["b"]) == [["b 0"]] and one.bill.tries == 0 and fake.connections == 2
        one.line.close()


@pytest.mark.parametrize("fault", [status(500), cut, hang_up], ids=["500", "cut", "hung up"])
def test_faults_on_kept_connections_are_tried_again(fault: Any) -> None:
    with serving(two, keeps=True) as fake:
        fake.faults = [None, fault]
        one = served(fake, "parallel=1+timeout=1")
        assert texts(one, ["a", "b", "c"]) == [["a 0"], ["b 0"], ["c 0"]] and one.bill.tries == 1
        one.line.close()


def test_what_is_open_is_closed_when_nobody_asks_any_more() -> None:
    with serving(two, keeps=True) as fake:
        one = served(fake)
        texts(one)
        (connections,) = [list(found) for found in one.line._free.values()]
        del one
        gc.collect()
        assert connections and all(connection.sock is None for connection in connections)


def test_a_proxy_that_the_environment_names_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
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
        assert post("http://models.example/v1/x?a=1", {}) == {}
        assert asked == ["http://models.example/v1/x?a=1"]
        with pytest.raises(Passing, match=r"cannot reach 127\.0\.0\.1:9"):
            post("http://127.0.0.1:9/v1", {}, direct=True)
    finally:
        server.shutdown()
        server.server_close()


# Streams


@pytest.mark.parametrize("kind", ["always", "only"])
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "closed"])
def test_servers_that_stream_give_the_same_answers(kind: str, keeps: bool, tmp_path: Path) -> None:
    with serving(two) as fake:
        plain = served(fake)
        wanted = plain.write(PROMPTS, 2)
    with serving(two, streams=kind, keeps=keeps) as fake:
        one = served(fake, "parallel=2", tmp_path / "a.sqlite")
        found = one.write(PROMPTS, 2)
        assert [[(a.text, a.mean, a.least, a.ended) for a in row] for row in found] == [
            [(a.text, a.mean, a.least, a.ended) for a in row] for row in wanted
        ]
        assert one.bill.tries == 0 and one.bill.asked == len(PROMPTS)
        if kind == "only":
            refusals = [body for body in fake.bodies if not body.get("stream")]
            assert len(refusals) == 1 and fake.bodies[-1]["stream_options"] == {"include_usage": True}
            assert (one.bill.read, one.bill.written) == (
                plain.bill.read,
                plain.bill.written,
            ) and one.bill.counted
        assert fake.connections <= 2 or not keeps
        # What came as a stream is kept like any other answer.
        asked = len(fake.bodies)
        again = served(fake, answers=tmp_path / "a.sqlite")
        assert again.write(PROMPTS, 2) == found and len(fake.bodies) == asked
        one.line.close()


def test_streams_that_are_cut_are_tried_again_and_have_a_limit(tmp_path: Path) -> None:
    with serving(two, streams="always", keeps=True, cuts=2) as fake:
        one = served(fake, "parallel=1", tmp_path / "a.sqlite")
        assert texts(one, ["a", "b"]) == [["a 0"], ["b 0"]]
        assert one.bill.tries == 2 and one.bill.asked == 2 and len(fake.bodies) == 4
        fake.cuts = 99
        with pytest.raises(RunError, match=r"(stream|connection).* 127.*(cut|broke).*\(3 tries\).*kept"):
            texts(served(fake, "tries=3", tmp_path / "a.sqlite"), ["a", "c"])
        fake.cuts, before = 0, len(fake.bodies)
        assert texts(served(fake, answers=tmp_path / "a.sqlite"), ["a", "b", "c"])[2] == ["c 0"]
        assert len(fake.bodies) == before + 1  # a and b were paid for already
        one.line.close()


def test_a_server_without_log_probabilities_or_usage_in_its_stream() -> None:
    with serving(two, streams="only", logprobs=False, usage=False, refused=("stream_options",)) as fake:
        one = served(fake)
        found = one.write(["a"])
        assert found[0][0].text == "a 0" and math.isnan(found[0][0].mean)
        assert "stream_options" not in fake.bodies[-1] and not one.bill.counted and one.bill.written > 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "was cut"),
        (b"data: [DONE]\n\n", "was cut"),
        (b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', "was cut"),
        (b"data: {half\n\n", "no JSON"),
        (b'data: {"error": {"message": "overloaded"}}\n\n', "overloaded"),
        (b'data: {"choices": [7]}\n\n', "another shape"),
        (b"data: 7\n\n", "went wrong"),
    ],
)
def test_streams_that_are_none(data: bytes, said: str) -> None:
    with pytest.raises(Cut, match=said):
        assembled([data])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_may_be_cut_anywhere(size: int) -> None:
    with serving(two) as fake:
        data = b": a comment\r\n\r\n" + b"".join(
            fake.events({"model": "m", "n": 2, "messages": [{"content": "é好"}]})
        )
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    found = assembled(parts)
    assert [one["message"]["content"] for one in found["choices"]] == ["é好 0", "é好 1"]
    assert json.dumps(found)


def test_a_line_without_a_limit_is_closed_after_each_request() -> None:
    with serving(two, keeps=True) as fake:
        line = Line(direct=True)
        post(
            f"http://127.0.0.1:{fake.port}/v1/chat/completions",
            {"model": "m", "messages": [{"content": "a"}]},
            line=line,
        )
        assert sum(map(len, line._free.values())) == 1
        line.close()
        assert sum(map(len, line._free.values())) == 0
