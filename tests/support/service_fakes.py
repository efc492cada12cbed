"""What the tests of the service share: databases of both kinds, certificates, and an upstream of a few lines."""

import asyncio
import contextlib
import json
import math
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support import postgres
from tests.support.waiting import DEADLINE_SECONDS
from tolerate.records import Certificate
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
from tolerate.store import connect
from tolerate.store.verify import Replay, verify


def certificate(tolerance: float = 0.05, threshold: float | None = 0.5, **more: object) -> Certificate:
    """A certificate that releases from a threshold on; everything where it is None."""
    record = {
        "tolerance": tolerance,
        "confidence": 0.95,
        "scope": "all" if threshold is None else "above",
        "threshold": threshold,
        "coverage": 0.5,
        "risk_bound": tolerance,
        "risk_seen": 0.01,
        "labels": 1000,
        "clusters": 1000,
        "released": 500,
        "method": "a test",
    }
    return Certificate.from_json({**record, **more})


def write_certificate(folder: Path, name: str = "certificate.json", **more: object) -> str:
    """The path of a new certificate file."""
    path = folder / name
    path.write_text(certificate(**more).dumps())
    return str(path)


def service_of(url: str, database: str, folder: Path, **more: object) -> ServiceSettings:
    """One job with one tier and a certificate. more: settings of the job."""
    tier = TierSettings("main", url, judge="given", certificate=write_certificate(folder), retries=1)
    job = replace(JobSettings("support", (tier,), share=0.0), **more)
    return ServiceSettings((job,), database=database, port=0)


def replay(url: str) -> Replay:
    """What the verification of the ledger says."""
    db = connect(url, read_only=True)
    try:
        return verify(db)
    finally:
        db.close()


def database(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty database; of PostgreSQL a schema of its own."""
    if kind == "sqlite":
        yield str(folder / "tolerate.db")
        return
    server = postgres.server()
    if server is None:
        pytest.skip("no PostgreSQL: install it (apt-get install postgresql), or set TOLERATE_POSTGRES")
    import psycopg

    schema = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {schema}")
    yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f"DROP SCHEMA {schema} CASCADE")


# A model behind an address: what it answers stands in the last message, as JSON


class Upstream:
    """A fake model: the last message says what it answers.

    Keys: say, score, calls, fail, times, raw, pieces, model, and hold, which keeps the answer back until `release` is
    set. requests: the bodies that it was sent.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.model: str | None = "tiny"
        self.release = threading.Event()
        self._fails: dict[str, int] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/models"):
            return web.json_response({"data": [{"id": "tiny"}]})
        body = await request.json()
        self.requests.append(body)
        text = body["messages"][-1].get("content") if "messages" in body else body["prompt"]
        instructions = _instructions(text)
        if instructions.get("hold"):
            await asyncio.to_thread(self.release.wait, DEADLINE_SECONDS)
        if "fail" in instructions and self._fails.get(text, 0) < instructions.get("times", 99):
            self._fails[text] = self._fails.get(text, 0) + 1
            return web.json_response({"error": "no"}, status=instructions["fail"])
        if "raw" in instructions:
            return web.Response(text=instructions["raw"], content_type="application/json")
        whole = self.answer(body, instructions)
        return (
            await self.stream(request, body, whole, instructions)
            if body.get("stream")
            else web.json_response(whole)
        )

    def answer(self, body: dict[str, Any], instructions: dict[str, Any]) -> dict[str, Any]:
        n = body.get("n") or 1
        says = instructions.get("says") or [instructions.get("say", "hello")] * n
        scores = instructions.get("scores") or [instructions.get("score", 0.9)] * n
        choices = []
        for i, (say, score) in enumerate(zip(says, scores, strict=True)):
            choice: dict[str, Any] = {"index": i, "finish_reason": "stop", "score": score}
            if "prompt" in body:
                choice["text"] = say
            else:
                choice["message"] = {"role": "assistant", "content": say}
            if "calls" in instructions:
                choice["message"] = {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": instructions["calls"],
                }
                choice["finish_reason"] = "tool_calls"
            if body.get("logprobs") and "prompt" not in body:
                logprob = {"token": say, "logprob": math.log(score), "bytes": None, "top_logprobs": []}
                choice["logprobs"] = {"content": [logprob], "refusal": None}
            choices.append(choice)
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        name = "text_completion" if "prompt" in body else "chat.completion"
        answer = {"id": "up-1", "object": name, "created": 1, "choices": choices, "usage": usage}
        return {**answer, "model": instructions.get("model", self.model)}

    async def stream(
        self, request: web.Request, body: dict[str, Any], whole: dict[str, Any], instructions: dict[str, Any]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for piece in instructions.get("pieces") or pieces_of(whole, "prompt" in body):
            await response.write(piece.encode() if isinstance(piece, str) else piece)
        await response.write_eof()
        return response


def _instructions(text: Any) -> dict[str, Any]:
    """What the last message says the answer is; any other text is answered with itself."""
    try:
        value = json.loads(text)
        return value if isinstance(value, dict) and value else {"say": f"echo {text}"}
    except (TypeError, ValueError):
        return {"say": f"echo {text}"}


def pieces_of(whole: dict[str, Any], text: bool) -> list[str]:
    """A whole answer as the events of a stream, word by word."""
    events: list[dict[str, Any]] = []
    for choice in whole["choices"]:
        index = choice["index"]
        message = choice.get("message") or {"content": choice.get("text")}
        for word in re.split(r"(?<= )", message.get("content") or ""):
            part = {"text": word} if text else {"delta": {"role": "assistant", "content": word}}
            events.append({"choices": [{"index": index, "finish_reason": None, **part}]})
        for place, call in enumerate(message.get("tool_calls") or []):
            whole_call = {"index": place, "id": call["id"], "type": "function"}
            start = {**whole_call, "function": {"name": call["function"]["name"], "arguments": ""}}
            events.append({"choices": [{"index": index, "delta": {"tool_calls": [start]}}]})
            for sign in call["function"]["arguments"]:
                more = {"index": place, "function": {"arguments": sign}}
                events.append({"choices": [{"index": index, "delta": {"tool_calls": [more]}}]})
        end = {"text": ""} if text else {"delta": {}}
        ends = {"index": index, "finish_reason": choice["finish_reason"], "score": choice["score"], **end}
        events.append({"choices": [ends]})
    events.append({"choices": [], "usage": whole["usage"]})
    head = {"id": whole["id"], "created": 1, "model": whole["model"]}
    return [f"data: {json.dumps({**head, **event})}\n\n" for event in events] + ["data: [DONE]\n\n"]


class Thread:
    """An event loop in a thread, with something that runs in it, and a clock that tests may advance."""

    def __init__(self, work: Callable[["Thread"], Awaitable[None]]) -> None:
        self.ready, self.error, self.result = threading.Event(), None, None
        self.loop = asyncio.new_event_loop()
        self._advanced = 0.0
        self.loop.time = lambda: time.monotonic() + self._advanced  # type: ignore[method-assign]
        self.end = asyncio.Event()
        self._work = work
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(DEADLINE_SECONDS), "it did not start"
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self.loop.run_until_complete(self._work(self))
        except BaseException as error:
            self.error = error
            self.ready.set()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in that loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE_SECONDS)

    def advance(self, seconds: float) -> None:
        """Advance the loop's clock: its timers that are due then run now."""
        self._advanced += seconds
        self.loop.call_soon_threadsafe(lambda: None)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.end.set)
        self.thread.join(DEADLINE_SECONDS)
        if self.error is not None:
            raise self.error


@contextlib.contextmanager
def upstream() -> Iterator[Upstream]:
    """A fake model on a free port of this machine."""
    fake = Upstream()

    async def work(thread: Thread) -> None:
        app = web.Application()
        app.router.add_route("*", "/v1/{rest:.*}", fake.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        thread.ready.set()
        await thread.end.wait()
        await runner.cleanup()

    thread = Thread(work)
    try:
        yield fake
    finally:
        thread.stop()


@dataclass
class Served:
    """A running service: its address, first key and password, and its inside."""

    url: str
    key: str
    password: str
    running: Any
    thread: Thread

    def ask(self, method: str, path: str, body: Any = None, key: str | None = "", **headers: str):
        """One request: status, headers, and the body (JSON where it is)."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            all_headers["authorization"] = f"Bearer {key or self.key}"
        request = urllib.request.Request(self.url + path, data, all_headers, method=method)
        try:
            with OPENER.open(request, timeout=DEADLINE_SECONDS) as response:
                return response.status, response.headers, _loaded(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, _loaded(error.read())

    def chat(self, say: Any, **more: Any):
        """One chat completion; `say` is for the fake model."""
        content = say if isinstance(say, str) else json.dumps(say)
        body = {"model": "support", "messages": [{"role": "user", "content": content}], **more}
        return self.ask("POST", "/v1/chat/completions", body)

    def write(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return self.running.writer.submit(lambda db: work(db, *arguments, **named)).result(DEADLINE_SECONDS)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


OPENER = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))


def _loaded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


@contextlib.contextmanager
def served(service: Any) -> Iterator[Served]:
    """A service on a free port, in this process."""
    from tolerate.service.server import RunningService, begin_shutdown, create_server

    async def work(thread: Thread) -> None:
        running = RunningService(service)
        try:
            await running.start()
            server = create_server(running, lambda text: None)
            announce = server.on_started

            def started() -> None:
                announce()
                thread.result = running
                thread.ready.set()

            server.on_started = started
            serving = asyncio.ensure_future(server.serve())
            await thread.end.wait()
            begin_shutdown(running, server)
            await serving
        finally:
            await running.stop()

    thread = Thread(work)
    running = thread.result
    initial = running.initial_secrets
    try:
        yield Served(running.engine.base_url, initial.key, initial.password, running, thread)
    finally:
        thread.stop()
