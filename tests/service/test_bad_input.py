"""Bad input of every kind: the right status, an error in OpenAI's shape, no trace, nothing released."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.inside import call, chat, service_of, started
from tests.support.service_fakes import replay
from tolerate.service.app import App
from tolerate.service.http.requests import Request, Send

CHAT, TEXT, DECIDE = "/v1/chat/completions", "/v1/completions", "/v1/decide"
HI = [{"role": "user", "content": "{}"}]
FINE = {"job": "support", "content": "x", "score": 0.9}
DEEP = b'{"model": "support", "messages": ' + b"[" * 100 + b"]" * 100 + b"}"


def hi(**more: Any) -> dict[str, Any]:
    return {"model": "support", "messages": HI, **more}


BODIES: list[tuple[str, Any, int, str | None]] = [  # path, body, status, param
    (CHAT, b"", 400, None),
    (CHAT, b"{", 400, None),
    (CHAT, b"[]", 400, None),
    (CHAT, b"null", 400, None),
    (CHAT, b'"text"', 400, None),
    (CHAT, b"\xff\xfe", 400, None),
    (CHAT, b'{"model": "\xff"}', 400, None),
    (CHAT, b'{"model": "support", "messages": [{"role": "user", "content": "\\ud800"}]}', 400, None),
    (CHAT, b"\x1f\x8b\x08\x00", 400, None),
    (CHAT, DEEP, 400, None),
    (CHAT, b'{"model": "' + b"x" * (4 * 2**20), 413, None),
    (CHAT, {}, 400, "model"),
    (CHAT, {"model": ""}, 400, "model"),
    (CHAT, {"model": 7, "messages": HI}, 400, "model"),
    (CHAT, {"model": "support"}, 400, "messages"),
    (CHAT, hi(messages=[]), 400, "messages"),
    (CHAT, hi(messages="hello"), 400, "messages"),
    (CHAT, hi(messages=["hello"]), 400, "messages[0]"),
    (CHAT, hi(messages=[{"content": "x"}]), 400, "messages[0]"),
    (CHAT, hi(messages=[{"role": 1, "content": "x"}]), 400, "messages[0]"),
    (CHAT, hi(messages=[*HI, {"role": "user", "content": 7}]), 400, "messages[1].content"),
    (CHAT, hi(messages=[{"role": "user", "content": ["x"]}]), 400, "messages[0].content"),
    (CHAT, hi(stream="yes"), 400, "stream"),
    (CHAT, hi(stream=1), 400, "stream"),
    (CHAT, hi(stream_options=[]), 400, "stream_options"),
    (CHAT, hi(n=0), 400, "n"),
    (CHAT, hi(n=17), 400, "n"),
    (CHAT, hi(n=True), 400, "n"),
    (CHAT, hi(n="2"), 400, "n"),
    (CHAT, hi(n=1.5), 400, "n"),
    (CHAT, hi(n=10**400), 400, None),
    (CHAT, hi(metadata=[1]), 400, "metadata"),
    (TEXT, {"model": "support"}, 400, "prompt"),
    (TEXT, {"model": "support", "prompt": 7}, 400, "prompt"),
    (TEXT, {"model": "support", "prompt": ["a", "b"]}, 400, "prompt"),
    (TEXT, {"model": "support", "prompt": [[1, 2]]}, 400, "prompt"),
    (DECIDE, {}, 400, "job"),
    (DECIDE, {**FINE, "job": "other", "tier": 1}, 400, "tier"),
    (DECIDE, {**FINE, "content": None}, 400, "content"),
    (DECIDE, {**FINE, "content": 7}, 400, "content"),
    (DECIDE, {**FINE, "score": "0.9"}, 400, "score"),
    (DECIDE, {**FINE, "score": True}, 400, "score"),
    (DECIDE, {**FINE, "score": [1]}, 400, "score"),
    (DECIDE, b'{"job": "support", "content": "x", "score": NaN}', 400, None),
    (DECIDE, b'{"job": "support", "content": "x", "score": Infinity}', 400, None),
    (DECIDE, b'{"job": "support", "content": "x", "score": 1e999}', 400, None),
    (DECIDE, {**FINE, "tier": "none"}, 404, "tier"),
    (DECIDE, {**FINE, "slice": 7}, 400, "slice"),
    (DECIDE, {**FINE, "cluster": []}, 400, "cluster"),
]
ODD = [
    "\0",
    "a\0b",
    "\x1b[31m",
    "\u202egnp.exe",
    "\ufffe",
    "🙂" * 50,
    "'; DROP TABLE ledger; --",
    "{{7*7}}",
    "%s?%(x)s",
]


def check(heard: Any, status: int, param: str | None = None) -> None:
    """An error as OpenAI's clients read it, with nothing of our inside."""
    assert heard.status == status, (heard.status, heard.body)
    error = heard.json["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"] and error["code"]
    assert error["param"] == param
    for inside in (b"Traceback", b'File "', b"tolerate/", b"sqlite", b"psycopg", b"tol_"):
        assert inside not in heard.body or inside == b"tol_"


def test_bodies(url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        running, _ = await started(service_of(url, tmp_path))
        for path, body, status, param in BODIES:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            check(await call(running.app, "POST", path, raw, running.initial_secrets.key), status, param)
        await running.stop()

    asyncio.run(run())
    assert '"fault"' not in capfd.readouterr().err


WAYS = [  # method, path, status
    ("GET", CHAT, 405), ("PUT", CHAT, 405), ("DELETE", "/v1/models", 405), ("TRACE", "/healthz", 405),
    ("POST", "/v1/models/support", 405), ("POST", "/v1/tickets/x", 405), ("GET", "/v1/models/none", 404),
    ("GET", "/v1/models/", 404), ("GET", "/v1/tickets/x", 404), ("GET", "/v1/tickets/tk_" + "0" * 24, 404),
    ("GET", "/v1/watch/none", 404), ("GET", "/v1/watch/\0", 404), ("GET", "/nowhere", 404), ("GET", "//", 404),
    ("GET", "/v1/../etc/passwd", 404), ("POST", "/" + "x" * 9000, 404), ("BREW", "/v1/models", 405),
]  # fmt: skip


def test_ways_and_keys(url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        running, _ = await started(service_of(url, tmp_path))
        for method, path, status in WAYS:
            check_ = await call(running.app, method, path, None, running.initial_secrets.key)
            assert check_.status == status, (method, path, check_.status)
            check(check_, status, check_.json["error"]["param"])
        for key in ("", "x", "tol_wrong", "tol_\u00ff", running.initial_secrets.key[:-1]):
            assert (await call(running.app, "POST", CHAT, chat({}), key)).status == 401
        small = await running.writer.do(_read_only)
        check(await call(running.app, "POST", CHAT, chat({}), small), 403)
        check(await call(running.app, "POST", DECIDE, FINE, small), 403)
        await running.stop()

    asyncio.run(run())
    assert '"fault"' not in capfd.readouterr().err


def _read_only(db: Any) -> str:
    from tolerate.store import people

    return people.add_key(db, "small", "ann", 1.0, scopes=("read",))


def test_odd_text_is_kept_and_shown_on_both_databases(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever stands in prompts, answers, slices and scores: an answer or a refusal, a row, an item, no failure."""

    async def run() -> None:
        running, _ = await started(service_of(url, tmp_path, share=1.0, slices=tuple(ODD)))
        key = running.initial_secrets.key
        for odd in ODD:
            for score in (0.9, 0.1):
                about = {"slice": odd, "cluster": odd}
                body = chat({"say": odd, "score": score}, metadata=about, stream=score > 0.5)
                body["messages"].insert(0, {"role": "user", "content": odd})
                heard = await call(running.app, "POST", CHAT, body, key)
                assert heard.status == 200 and b'"error"' not in heard.body, (odd, heard.body)
                body = {**FINE, "score": score, "content": odd, "prompt": odd, **about}
                heard = await call(running.app, "POST", DECIDE, body, key)
                assert heard.status == 200, (odd, heard.body)
        for score in (2**63, -(2**63), 10**300, 1.7e308, -1.7e308, 5e-324, -0.0):
            heard = await call(running.app, "POST", DECIDE, {**FINE, "score": score}, key)
            assert heard.status == 200, (score, heard.body)
        heard = await call(running.app, "GET", "/v1/watch/support", None, key)
        assert heard.status == 200 and heard.json["queue"]["open"] == 4 * len(ODD) + 7
        await running.flush()
        await running.stop()

    asyncio.run(run())
    assert '"fault"' not in capfd.readouterr().err
    assert replay(url).faults == []


def test_a_failure_inside_is_told_without_its_trace(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fails(request: Request, send: Send) -> None:
        raise ZeroDivisionError("a secret detail")

    async def run() -> None:
        running, _ = await started(service_of(url, tmp_path))
        app = App(running.engine, running.reader, desk=fails)
        check(await call(app, "GET", "/desk"), 500)
        await running.stop()

    asyncio.run(run())
    assert "a secret detail" not in capfd.readouterr().err
