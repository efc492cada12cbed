"""`tolerate serve --demo`, as a person tries it: it releases, the model is made worse, the watch takes the promise back."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from urllib.error import HTTPError

import pytest


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirections are answers here."""

    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(Stay)


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(
        url, data, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with OPENER.open(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def form(**fields: str) -> bytes:
    return urllib.parse.urlencode(fields).encode()


@pytest.fixture
def demo() -> Iterator[tuple[str, str, str]]:
    """The demonstration's address, first key and owner's password."""
    words = [sys.executable, "-m", "tolerate", "serve", "--demo", "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if "owner's password" in line:
            break
    text = "".join(said)
    found = re.search(r"gateway +(http://\S+)/v1\s.*first key +(\S+)\s+owner's password +(\S+)", text, re.S)
    assert found, text
    assert "at most 2%" in text  # the certificate in words
    yield found[1], found[2], found[3]
    process.send_signal(signal.SIGTERM)
    with process.stdout:
        process.stdout.read()
    assert process.wait(60) == 0


def until(done: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait for something that takes as long as the machine needs."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def test_a_worse_model_loses_its_promise(demo: tuple[str, str, str]) -> None:
    base, key, password = demo
    origin = {"origin": base}
    status, headers, _ = ask(f"{base}/desk/login", form(name="owner", password=password), **origin)
    assert status == 303
    cookie = headers["set-cookie"].split(";")[0]

    def watch() -> dict[str, object]:
        return json.loads(ask(f"{base}/v1/watch/sums", authorization=f"Bearer {key}")[2])

    def released() -> bool:
        question = {"model": "sums", "messages": [{"role": "user", "content": "What is 17 + 25?"}]}
        sent = json.dumps(question).encode()
        asked = {"authorization": f"Bearer {key}", "content_type": "application/json"}
        status, _, body = ask(f"{base}/v1/chat/completions", sent, **asked)
        assert status == 200
        choice = json.loads(body)["choices"][0]
        assert choice["finish_reason"] in ("stop", "content_filter")
        return choice["finish_reason"] == "stop"

    assert released()
    until(lambda: '"alarms": []' not in json.dumps(watch()) or "sums" in json.dumps(watch()))
    status, _, page = ask(f"{base}/desk/watch/sums", cookie=cookie)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert status == 200 and csrf
    status, *_ = ask(f"{base}/desk/demo", form(csrf=csrf[1], way="worse"), cookie=cookie, **origin)
    assert status == 303
    until(lambda: not released() and '"kind":"risk"' in json.dumps(watch()["alarms"]).replace(" ", ""))
    _, _, page = ask(f"{base}/desk/watch/sums", cookie=cookie)
    assert "withdrawn" in page and "withdrawn" in json.dumps(watch())
    assert not released()
