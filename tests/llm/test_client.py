"""Models behind a server: the wire, what goes wrong on it, limits, prices, and never paying twice."""

import json
import math
import random
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.support.fake_openai import (
    Fake,
    Fault,
    cut,
    cut_chunks,
    dripping,
    hang_up,
    serving,
    silent,
    status,
    text,
)
from tolerate.errors import OptionError, RunError, TolerateError
from tolerate.llm.cache import ResponseCache
from tolerate.llm.client import ServedModel
from tolerate.llm.endpoint_names import parse_endpoint
from tolerate.llm.http import post_json
from tolerate.llm.rate_limit import RateLimiter
from tolerate.llm.retry import TransientError, retry, retry_after_seconds


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(lambda prompt, seed: f"{prompt} {seed}") as server:
        yield server


def served(fake: Fake, settings: str = "", cache: Path | None = None) -> ServedModel:
    """A client of the fake server that does not really sleep."""
    return ServedModel(fake.name(settings), cache, limiter=RateLimiter(sleep=lambda seconds: False))


def test_it_answers_in_order_with_seeds_and_log_probabilities(fake: Fake) -> None:
    answers = served(fake).write(["a", "b", "a"], 3, seed=7)
    assert [[answer.text for answer in row] for row in answers] == [
        ["a 7", "a 8", "a 9"],
        ["b 7", "b 8", "b 9"],
        ["a 7", "a 8", "a 9"],
    ]
    assert answers[0][0].mean_logprob == pytest.approx(-0.15) and answers[0][0].min_logprob == pytest.approx(
        -0.2
    )
    assert len(fake.bodies) == 2  # the same prompt is asked once, with all its candidates
    assert fake.headers[0]["path"] == "/v1/chat/completions"


FAULTS: dict[str, Fault] = {
    "429": status(429),
    "500": status(500),
    "503 in plain words": status(503, "busy"),
    "no JSON": text(b"<html>oops</html>"),
    "half a JSON": text(b'{"choices": [{"message"'),
    "deep nonsense": text(b"[" * 100_000),
    "no choices": text(b'{"object": "chat.completion"}'),
    "choices of another shape": text(b'{"choices": [{"text": "old"}]}'),
    "a number": text(b"7"),
    "an error with status 200": text(b'{"error": {"message": "overloaded"}}'),
    "cut": cut,
    "cut stream": cut_chunks,
    "hung up": hang_up,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_may_pass_is_tried_again(fake: Fake, fault: Fault) -> None:
    fake.faults = [fault, fault]
    model = served(fake)
    assert model.write(["a"])[0][0].text == "a 0"
    assert (model.usage.requests, model.usage.failed_attempts) == (1, 2)


@pytest.mark.parametrize(
    ("fault", "message"), [(silent, "did not answer within"), (dripping, "was still sending after")]
)
def test_a_time_out_covers_the_whole_reply(fake: Fake, fault: Fault, message: str) -> None:
    fake.faults = [fault]
    with pytest.raises(TransientError, match=message):
        post_json(f"http://127.0.0.1:{fake.port}/v1/chat/completions", {}, timeout=0.3, direct=True)


def test_tries_have_a_limit_and_finished_work_is_kept(fake: Fake, tmp_path: Path) -> None:
    fake.faults = [None, *[status(500)] * 99]
    with pytest.raises(RunError, match=r"500.*\(3 tries\).*kept"):
        served(fake, "tries=3+parallel=1", tmp_path / "a.sqlite").write(["a", "b"])
    fake.faults, before = [], len(fake.bodies)
    again = served(fake, cache=tmp_path / "a.sqlite")
    assert [row[0].text for row in again.write(["a", "b"])] == ["a 0", "b 0"]
    assert len(fake.bodies) == before + 1 and again.usage.cached == 1


@pytest.mark.parametrize(
    ("code", "body", "message"),
    [
        (401, None, "key"),
        (404, None, "/v1"),
        (400, {"error": {"message": "context too long"}}, "context too long"),
        (307, None, "elsewhere"),
        (429, {"error": {"message": "no money", "code": "insufficient_quota"}}, "credit"),
    ],
)
def test_what_will_not_pass_ends_at_once(fake: Fake, code: int, body: object, message: str) -> None:
    fake.faults = [status(code, body, Location="http://127.0.0.1:1/")]
    with pytest.raises(RunError, match=message):
        served(fake).write(["a", "b", "c"])
    assert len(fake.bodies) == 1


def test_a_server_that_is_not_there_is_named() -> None:
    model = ServedModel(
        "openai:m@http://127.0.0.1:9/v1#tries=2", None, limiter=RateLimiter(sleep=lambda seconds: False)
    )
    with pytest.raises(RunError, match=r"cannot reach 127\.0\.0\.1:9.*2 tries"):
        model.write(["a"])


def test_without_a_network_the_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    model = ServedModel(
        "openai:m@https://models.example/v1#tries=2", None, limiter=RateLimiter(sleep=lambda seconds: False)
    )
    with pytest.raises(RunError, match=r"cannot reach models\.example.*name resolution.*kept"):
        model.write(["a"])


def test_fields_that_a_server_refuses_are_left_out(fake: Fake, tmp_path: Path) -> None:
    fake.refused = ("max_tokens", "logprobs", "seed", "n")
    model = served(fake, cache=tmp_path / "a.sqlite")
    answers = model.write(["a", "b"], 2)
    assert [len(row) for row in answers] == [2, 2] and math.isnan(answers[0][0].mean_logprob)
    assert fake.bodies[-1].keys() == {"model", "messages", "temperature", "max_completion_tokens"}
    sent = len(fake.bodies)
    assert served(fake, cache=tmp_path / "a.sqlite").write(["a", "b"], 2) != [] and len(fake.bodies) == sent


def test_a_server_that_ignores_n_is_asked_for_each(fake: Fake, tmp_path: Path) -> None:
    fake.many = False
    answers = served(fake, cache=tmp_path / "a.sqlite").write(["a"], 3)
    assert [answer.text for answer in answers[0]] == ["a 0", "a 1", "a 2"]
    served(fake, cache=tmp_path / "a.sqlite").write(["a"], 3)
    assert len(fake.bodies) == 3


def test_log_probabilities_may_be_missing_or_nonsense(fake: Fake) -> None:
    fake.logprobs = False
    assert math.isnan(served(fake).write(["a"])[0][0].mean_logprob)
    choice = {
        "message": {"content": "x"},
        "logprobs": {"content": [{"logprob": None}, {"logprob": -9999.0}, 3]},
    }
    fake.faults = [text(json.dumps({"choices": [choice]}).encode())]
    assert served(fake).write(["a"])[0][0].min_logprob == -9999.0


@pytest.mark.parametrize("message", ["héé 你好 🙂", "\ud83d half", "", "a\x00b", "line\r\nline"])
def test_any_text_comes_through(message: str, tmp_path: Path) -> None:
    with serving(lambda prompt, seed: message) as fake:
        answers = served(fake, cache=tmp_path / "a.sqlite").write(["你好 \ud83d"])[0][0].text
        assert answers == message.replace("\ud83d", "?")
        assert served(fake, cache=tmp_path / "a.sqlite").write(["你好 \ud83d"])[0][0].text == answers


def test_content_in_parts_and_refusals_are_read(fake: Fake) -> None:
    parts = {
        "message": {"content": [{"type": "text", "text": "four"}, {"type": "image"}]},
        "finish_reason": "length",
    }
    fake.faults = [text(json.dumps({"choices": [parts]}).encode())]
    answers = served(fake).write(["a"])[0][0]
    assert answers.text == "four" and not answers.ended
    fake.faults = [text(b'{"choices": [{"message": {"content": null, "refusal": "no"}}]}')]
    assert served(fake).write(["a"])[0][0].text == ""


# Waiting


def waits(failures: list[TransientError | None], longest: float = 120.0) -> tuple[list[float], int]:
    """The waits between tries that fail like this, with a clock that moves by them; and how many tries it took."""
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    remaining = list(failures)

    def request() -> int:
        failure = remaining.pop(0)
        if failure is not None:
            raise failure
        return len(failures) - len(remaining)

    limiter = RateLimiter(clock=lambda: now[0], sleep=sleep)
    return slept, retry(request, limiter, rng=random.Random(0), longest=longest)


def test_waits_grow_and_what_the_server_asks_for_is_kept() -> None:
    slept, attempts = waits([TransientError("busy")] * 5 + [None])
    assert attempts == 6 and len(slept) == 5
    assert all(wait <= 2**index for index, wait in enumerate(slept))
    assert waits([TransientError("busy", wait_seconds=7.5), None])[0] == [7.5]


def test_a_server_that_asks_to_wait_an_hour_is_not_waited_for() -> None:
    with pytest.raises(RunError, match="3600 s.*kept"):
        waits([TransientError("busy", wait_seconds=3600)])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": formatdate(1_000_060, usegmt=True)}, 60.0),
        ({"retry-after": formatdate(999_940, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers.get, now=1_000_000.0) == seconds


def test_the_wait_of_a_reply_is_kept(fake: Fake) -> None:
    fake.faults = [status(429, Retry_After="3")]
    slept: list[float] = []
    limiter = RateLimiter(clock=lambda: 0.0, sleep=slept.append)
    ServedModel(fake.name(), None, limiter=limiter).write(["a"])
    assert max(slept) == 3.0


@pytest.mark.parametrize(("requests", "tokens"), [(60.0, 0.0), (0.0, 6000.0), (600.0, 6000.0)])
def test_no_minute_holds_more_than_its_limit(requests: float, tokens: float) -> None:
    """Three hundred requests of 100 tokens against a clock of our own: counted in every window of 60 s."""
    now, starts = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    limiter = RateLimiter(requests, tokens, clock=lambda: now[0], sleep=sleep)
    for _ in range(300):
        limiter.acquire(100)
        starts.append(now[0])
    allowed = min(requests or math.inf, tokens / 100 or math.inf)
    for index, start in enumerate(starts):
        assert sum(start <= other < start + 60 for other in starts[index:]) <= allowed + 1
    assert starts[-1] == pytest.approx(60 * 299 / allowed)


def test_the_limit_of_tokens_learns_what_was_used() -> None:
    slept: list[float] = []
    limiter = RateLimiter(tokens=600, clock=lambda: 0.0, sleep=slept.append)
    limiter.acquire(600)
    limiter.correct(600, 10)
    limiter.acquire(600)
    assert slept == [pytest.approx(1.0)]


def test_requests_go_side_by_side(fake: Fake) -> None:
    """Four that wait for each other can only end if they are under way at once."""
    together = threading.Barrier(4, timeout=60)
    fake.faults = [None, *[lambda to: together.wait() * 0 == 1] * 4]
    assert len(served(fake, "parallel=4").write([str(number) for number in range(5)])) == 5


# Money and memory


def test_the_bill_counts_tokens_and_dollars(fake: Fake) -> None:
    model = served(fake, "in=1000+out=2000")
    model.write(["a", "b"], 2)
    assert model.usage.prompt_tokens == 20 and model.usage.completion_tokens == 20 and model.usage.counted
    assert model.usage.dollars == pytest.approx((20 * 1000 + 20 * 2000) / 1e6)
    fake.usage = False
    model.write(["c"])
    assert not model.usage.counted and model.usage.completion_tokens == 21 and "about" in str(model.usage)


def test_it_stops_when_enough_is_spent(fake: Fake, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="most=0.05.*kept"):
        served(fake, "in=1000+out=2000+most=0.05+parallel=1", tmp_path / "a.sqlite").write(list("abcdef"))
    assert len(fake.bodies) == 3  # 2 cents each


def test_another_request_is_not_answered_from_memory(fake: Fake, tmp_path: Path) -> None:
    for settings, seed in (("", 0), ("", 1), ("temperature=0", 0), ("tokens=5", 0)):
        served(fake, settings, tmp_path / "a.sqlite").write(["a"], seed=seed)
    assert len(fake.bodies) == 4
    served(fake, "rpm=9+parallel=2+in=3", tmp_path / "a.sqlite").write(["a"])  # not part of the request
    assert len(fake.bodies) == 4


def test_a_killed_run_pays_for_nothing_twice(tmp_path: Path) -> None:
    """The process is killed by force between answers; the second one asks only for what is missing."""
    fourth = threading.Event()
    with serving(lambda prompt, seed: prompt) as fake:
        fake.faults = [None, None, None, lambda client: fourth.set() is None and silent(client)]
        code = (
            "import sys; from tolerate.llm.client import ServedModel; "
            f"ServedModel({fake.name('parallel=1')!r}, sys.argv[1]).write([str(i) for i in range(6)])"
        )
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.sqlite")])
        assert fourth.wait(60)
        child.kill()
        child.wait()
        paid = len(fake.bodies) - 1
        model = served(fake, cache=tmp_path / "a.sqlite")
        assert [row[0].text for row in model.write([str(i) for i in range(6)])] == list("012345")
        assert paid == 3 and model.usage.cached == 3 and model.usage.requests == 3


def test_a_damaged_memory_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"no database at all, " * 100)
    with pytest.raises(RunError, match=r"a\.sqlite.*TOLERATE_CACHE"):
        ResponseCache(tmp_path / "a.sqlite").get("x")


# Keys


def test_the_key_is_sent_and_written_nowhere(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    echo = {"error": {"message": "the key sk-very-secret is wrong"}}
    served(fake, cache=tmp_path / "a.sqlite").write(["a"])
    assert fake.headers[0]["Authorization"] == "Bearer sk-very-secret"
    fake.faults = [status(401, echo)]
    with pytest.raises(RunError) as error:
        served(fake).write(["b"])
    fake.faults = [status(500, echo)] * 2
    with pytest.raises(RunError) as second:
        served(fake, "tries=2").write(["b"])
    assert "sk-very-secret" not in f"{error.value}{second.value}{error.value.__cause__}" + "".join(
        capfd.readouterr()
    )
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as db:
        assert "sk-very-secret" not in "\n".join(db.iterdump())
    assert (tmp_path / "a.sqlite").stat().st_mode & 0o077 == 0


def test_a_key_does_not_travel_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("MINE", "sk-2")
    assert parse_endpoint("openai:m@http://far.example/v1").secret() is None
    assert parse_endpoint("openai:m@https://far.example/v1").secret() == "sk-1"
    assert parse_endpoint("openai:m@https://far.example/v1#key=MINE").secret() == "sk-2"
    with pytest.raises(OptionError, match="unencrypted"):
        parse_endpoint("openai:m@http://far.example/v1#key=MINE").secret()
    with pytest.raises(OptionError, match="THEIRS is not set"):
        parse_endpoint("openai:m@https://far.example/v1#key=THEIRS").secret()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai:m", "openai:MODEL@URL"),
        ("openai:@http://h/v1", "openai:MODEL@URL"),
        ("openai:m@ftp://h", "openai:MODEL@URL"),
        ("openai:m@http://", "openai:MODEL@URL"),
        ("openai:m@http://h:port/v1", "no usable address"),
        ("openai:m@https://me:secret@h/v1", "password"),
        ("openai:m@http://h/v1#rpms=3", 'Did you mean "rpm"'),
        ("openai:m@http://h/v1#rpm=many", "expected a number"),
        ("openai:m@http://h/v1#rpm=nan", "expected a number"),
        ("openai:m@http://h/v1#tries=0", "at least 1"),
        ("openai:m@http://h/v1#timeout=0", "expected a number"),
        ("openai:m@http://h/v1#logprobs=maybe", "yes or no"),
        ("openai:m@http://h/v1#key=sk-abc-123", "environment variable"),
        ("openai:m@http://h/v1#most=3", "needs prices"),
    ],
)
def test_a_name_that_means_nothing_is_refused(name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as error:
        parse_endpoint(name)
    assert "sk-abc" not in str(error.value) and "secret" not in str(error.value)


def test_every_error_is_one_that_the_command_line_tells() -> None:
    assert issubclass(TransientError, TolerateError)


# The official client speaks the same wire format


def test_the_official_client_understands_the_fake_and_sends_what_we_send(fake: Fake) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"http://127.0.0.1:{fake.port}/v1", api_key="x", max_retries=0) as client:
        reply = client.chat.completions.create(
            model="fake",
            messages=[{"role": "system", "content": "be brief"}, {"role": "user", "content": "a"}],
            temperature=0.7,
            max_tokens=512,
            seed=3,
            n=2,
            logprobs=True,
        )
        served(fake).write(["a"], 2, seed=3, system="be brief")
        assert fake.bodies[0] == fake.bodies[1]
        assert [choice.message.content for choice in reply.choices] == ["a 3", "a 4"]
        assert reply.choices[0].logprobs.content[0].logprob == -0.1 and reply.usage.prompt_tokens == 10
        fake.faults = [status(429)]
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "a"}])
