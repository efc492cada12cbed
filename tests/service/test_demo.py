"""`tolerate serve --demo`, as a person tries it: it releases, the model is made worse, the watch takes the promise back."""

import json
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest

from tests.support.waiting import DEADLINE_SECONDS, eventually


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirections are responses here."""

    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(
        url, data, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with OPENER.open(request, timeout=DEADLINE_SECONDS) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def form(**fields: str) -> bytes:
    return urllib.parse.urlencode(fields).encode()


@pytest.fixture
def demo() -> Iterator[tuple[str, str, str]]:
    """The demonstration's address, first key and owner's password."""
    command = [sys.executable, "-m", "tolerate", "serve", "--demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if "owner's password" in line:
                    break
            text = "".join(lines)
            pattern = r"gateway +(http://\S+)/v1\s.*first key +(\S+)\s+owner's password +(\S+)"
            match = re.search(pattern, text, re.S)
            assert match, text
            assert "at most 2%" in text  # the certificate in words
            yield match[1], match[2], match[3]
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
    assert process.wait(DEADLINE_SECONDS) == 0


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
        headers = {"authorization": f"Bearer {key}", "content_type": "application/json"}
        status, _, body = ask(f"{base}/v1/chat/completions", sent, **headers)
        assert status == 200
        choice = json.loads(body)["choices"][0]
        assert choice["finish_reason"] in ("stop", "content_filter")
        return choice["finish_reason"] == "stop"

    assert released()
    status, _, page = ask(f"{base}/desk/watch/sums", cookie=cookie)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert status == 200 and csrf
    status, *_ = ask(f"{base}/desk/demo", form(csrf=csrf[1], way="worse"), cookie=cookie, **origin)
    assert status == 303
    eventually(lambda: not released() and '"kind":"risk"' in json.dumps(watch()["alarms"]).replace(" ", ""))
    _, _, page = ask(f"{base}/desk/watch/sums", cookie=cookie)
    assert "withdrawn" in page and "withdrawn" in json.dumps(watch())
    assert not released()
