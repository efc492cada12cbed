"""The service as others meet it: killed while they work at it, Node's official client, its OpenAPI description."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.desk_kills import kill_served_desk
from tests.support.service_fakes import Served, Upstream, served, service_of, upstream


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    with upstream() as fake:
        yield fake


def test_killed_under_load(model: Upstream, tmp_path: Path) -> None:
    wrong, outside = kill_served_desk(tmp_path, model.url, times=6)
    assert wrong == [] and outside.verdicts
    assert set(outside.answers.values()) == {"release", "review"}


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


def test_nodes_official_client_runs_unchanged(model: Upstream, url: str, tmp_path: Path) -> None:
    modules = os.environ.get("TOLERATE_NODE_MODULES", "")
    if shutil.which("node") is None or not (Path(modules) / "openai").is_dir():
        pytest.skip(
            "no Node client: npm install openai somewhere and set TOLERATE_NODE_MODULES to its node_modules"
        )
    (tmp_path / "client.cjs").write_text(NODE)
    with served(service_of(model.url, url, tmp_path)) as desk:
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


def test_the_description_is_kept(model: Upstream, url: str, tmp_path: Path) -> None:
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
        routes = [operation.ok() for operation in schema.get_all_operations()]
        for route in routes:
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
                cases = route.as_strategy(generation_mode=mode)

                @settings(
                    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
                    phases=[Phase.generate], database=None,
                )  # fmt: skip
                @given(case=cases)
                def call_once(case: Any) -> None:
                    answer = case.call_and_validate(headers=headers, excluded_checks=[ignored_auth])
                    assert "Traceback" not in answer.text

                with contextlib.suppress(Unsatisfiable):  # a route without input has no bad input
                    call_once()
        return len(routes)

    service = service_of(model.url, url, tmp_path)
    with served(service) as desk:
        assert check(desk) == 11
