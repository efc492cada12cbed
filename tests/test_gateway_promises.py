"""The promises of the service, in short: kills, losses of power, fuzzed streams, every order of events. Long: tests/laws."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.service_checks import Leaky, fuzz_streams, kills, power_losses
from tests.service_fakes import Served, Upstream, certificate, served, upstream
from tests.test_gateway import service_of
from tolerate.gateway import wire
from tolerate.gateway.server import Running
from tolerate.gateway.settings import JobSettings, Service, Tier
from tolerate.gateway.upstream import Answer
from tolerate.store import connect, people, promises, queue
from tolerate.store.verify import verify


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    with upstream() as fake:
        yield fake


def test_killed_under_load(model: Upstream, tmp_path: Path) -> None:
    heard = kills(6, tmp_path, model.url)
    assert heard.released and heard.held and heard.verdicts


def test_power_lost(tmp_path: Path) -> None:
    assert power_losses(12, tmp_path) > 50


def test_a_disk_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """The broken twin: if syncs do nothing, answers are lost, and the check says so."""
    with pytest.raises(
        Exception, match=r"row is gone|is missing|does not hold|malformed|no such table|not a database"
    ):
        power_losses(12, tmp_path, lies=True)


def test_no_token_before_the_verdict(tmp_path: Path) -> None:
    released, held = asyncio.run(fuzz_streams(600, tmp_path))
    assert released > 30 and held > 300


def test_a_gateway_that_streams_at_once_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="before its row"):
        asyncio.run(fuzz_streams(64, tmp_path, app_type=Leaky))


# Every order of events: a model of the service, and the service, side by side


class Scripted:
    """An upstream that answers with the score and name that it is told."""

    def __init__(self) -> None:
        self.score, self.name = 0.9, "m"
        self.breakers: dict[str, Any] = {}

    async def close(self) -> None: ...
    async def tell(self, url: str, body: Any) -> bool:
        return True

    async def complete(self, tier: Tier, ask: wire.Ask, body: Any) -> Answer:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "SECRET"},
            "finish_reason": "stop",
            "score": self.score,
        }
        return Answer({"id": "1", "model": self.name, "choices": [choice]}, None)


class Life(RuleBasedStateMachine):
    """What is believed of the service: which certificate stands, and what it holds for."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = Path(tempfile.mkdtemp(prefix="life-"))
        self.loop = asyncio.new_event_loop()
        self.upstream = Scripted()
        self.model, self.guide = "one", "g1"
        self.stands: dict[str, Any] | None = None  # threshold, model, guide, served
        self.released_under_void = False
        self.open()

    def open(self) -> None:
        tier = Tier("main", "http://127.0.0.1:9/v1", self.model, "given")
        job = JobSettings("support", (tier,), share=0.5, guide=self.guide)
        self.running = Running(Service((job,), str(self.folder / "life.db")))
        self.running.upstreams = self.running.gate.upstreams = self.upstream  # type: ignore[assignment]
        self.loop.run_until_complete(self.running.start())
        self.job, self.tier = job, tier
        if self.running.first.key:
            self.key = self.write(
                lambda db: people.key(db, people.digest(self.running.first.key), time.time())
            )

    def write(self, work: Any) -> Any:
        return self.running.writer.submit(work).result(30)

    @rule(score=st.sampled_from([0.1, 0.5, 0.9]), name=st.sampled_from(["m", "m", "m", "n"]))
    def ask(self, score: float, name: str) -> None:
        self.upstream.score, self.upstream.name = score, name
        ask = wire.ask_of(wire.CHAT, {"model": "support", "messages": [{"role": "user", "content": "hi"}]})
        reply = self.loop.run_until_complete(self.running.gate.complete(self.job, ask, self.key))
        if self.stands is not None:
            if self.stands["served"] is None:
                self.stands["served"] = name
            elif self.stands["served"] != name:
                self.stands = None
        allowed = self.stands is not None and score >= self.stands["threshold"]
        assert reply.released == allowed
        assert reply.released or "SECRET" not in str(reply.body)

    @rule(threshold=st.sampled_from([0.3, 0.8]))
    def install(self, threshold: float) -> None:
        id = self.write(
            lambda db: promises.propose(
                db, "support", "main", certificate(threshold=threshold), {}, "ann", time.time()
            )
        )
        self.loop.run_until_complete(self.running.install(self.job, self.tier, id, "ann"))
        self.stands = {"threshold": threshold, "model": self.model, "guide": self.guide, "served": None}

    @rule()
    def withdraw(self) -> None:
        self.write(lambda db: promises.withdraw(db, "support", None, "ann", "enough", time.time()))
        self.stands = None

    @rule(model=st.sampled_from(["one", "two"]), guide=st.sampled_from(["g1", "g2"]))
    def restart(self, model: str, guide: str) -> None:
        self.loop.run_until_complete(self.running.stop())
        self.model, self.guide = model, guide
        self.open()
        if self.stands is not None and (self.stands["model"], self.stands["guide"]) != (model, guide):
            self.stands = None

    @precondition(lambda self: self.stands is not None)
    @rule(wrong=st.booleans(), many=st.integers(1, 25))
    def reviews(self, wrong: bool, many: int) -> None:
        for _ in range(many):
            task = self.write(lambda db: queue.lease(db, "bob", time.time()))
            if task is None:
                break
            self.write(
                lambda db, task=task: queue.verdict(
                    db, task.slot, "bob", float(wrong), time.time() - 60, nonce=str(time.time_ns())
                )
            )
            self.loop.run_until_complete(self.running.settle())
        if not self.write(lambda db: promises.active(db)):
            (alarm,) = self.write(lambda db: promises.alarms(db, "support", 1))
            assert alarm["kind"] == "risk" and wrong
            self.stands = None

    @invariant()
    def the_books_agree(self) -> None:
        standing = self.running.writer.standing
        assert bool(standing) == (self.stands is not None)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.running.stop())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        db = connect(str(self.folder / "life.db"))
        assert verify(db).holds
        db.close()
        shutil.rmtree(self.folder)


def test_no_release_under_a_certificate_that_does_not_stand() -> None:
    few = settings(
        max_examples=7,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    run_state_machine_as_test(Life, settings=few)


def test_a_service_that_kept_a_void_certificate_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: with nothing bound, the machine's first step after the change fails."""
    monkeypatch.setattr("tolerate.gateway.binding.mismatches", lambda bound, now: [])
    life = Life()
    try:
        life.install(0.3)
        life.ask(0.9, "m")
        life.restart("two", "g1")
        with pytest.raises(AssertionError):
            life.the_books_agree()
        with pytest.raises(AssertionError):
            life.ask(0.9, "m")
    finally:
        life.teardown()


# Node's official client


NODE = """
const OpenAI = require("openai");
(async () => {
  const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: process.argv[3], maxRetries: 0 });
  const ask = (say, more) => ({ model: "support", messages: [{ role: "user", content: JSON.stringify(say) }], ...more });
  const out = {};
  out.good = (await client.chat.completions.create(ask({ say: "hello", score: 0.9 }))).choices[0].message.content;
  const held = await client.chat.completions.create(ask({ say: "SECRET", score: 0.1 }));
  out.held = [held.choices[0].finish_reason, held.choices[0].message.content];
  out.streamed = "";
  for await (const chunk of await client.chat.completions.create(ask({ say: "word by word", score: 0.9, sleep: 2.2 }, { stream: true })))
    out.streamed += chunk.choices[0]?.delta?.content ?? "";
  const calls = [{ id: "c1", type: "function", function: { name: "look", arguments: "{\\"a\\": 1}" } }];
  const runner = client.chat.completions.stream(ask({ calls, score: 0.9 }));
  out.tool = (await runner.finalChatCompletion()).choices[0].message.tool_calls[0].function;
  out.models = (await client.models.list()).data.map(model => model.id);
  try { await client.chat.completions.create(ask({ fail: 500 })); } catch (error) { out.error = error.status; }
  console.log(JSON.stringify(out));
})();
"""


def test_nodes_official_client_runs_unchanged(model: Upstream, tmp_path: Path) -> None:
    modules = os.environ.get("TOLERATE_NODE_MODULES", "")
    if shutil.which("node") is None or not (Path(modules) / "openai").is_dir():
        pytest.skip(
            "no Node client: npm install openai somewhere and set TOLERATE_NODE_MODULES to its node_modules"
        )
    (tmp_path / "client.cjs").write_text(NODE)
    with served(service_of(model.url, str(tmp_path / "t.db"), tmp_path)) as desk:
        words = ["node", str(tmp_path / "client.cjs"), desk.url, desk.key]
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=60, env={**os.environ, "NODE_PATH": modules}
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "good": "hello",
        "held": ["content_filter", ""],
        "streamed": "word by word",
        "tool": {"name": "look", "arguments": '{"a": 1}'},
        "models": ["support"],
        "error": 502,
    }


# The description


def test_the_description_is_kept(model: Upstream, tmp_path: Path) -> None:
    """schemathesis calls every route by the OpenAPI description, with good and bad input of every kind."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import Phase, given
    from hypothesis.errors import Unsatisfiable
    from schemathesis.specs.openapi.checks import (
        ignored_auth,
    )  # it would send our key along; keys have their own tests

    def check(desk: Served) -> int:
        schema = schemathesis.openapi.from_url(f"{desk.url}/openapi.json")
        headers = {"authorization": f"Bearer {desk.key}"}
        routes = [found.ok() for found in schema.get_all_operations()]
        for route in routes:
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
                cases = route.as_strategy(generation_mode=mode)

                @settings(
                    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
                    phases=[Phase.generate], database=None,
                )  # fmt: skip
                @given(case=cases)
                def one(case: Any) -> None:
                    answer = case.call_and_validate(headers=headers, excluded_checks=[ignored_auth])
                    assert "Traceback" not in answer.text

                with contextlib.suppress(Unsatisfiable):  # a route without input has no bad input
                    one()
        return len(routes)

    service = service_of(model.url, str(tmp_path / "t.db"), tmp_path)
    with served(service) as desk:
        assert check(desk) == 11
