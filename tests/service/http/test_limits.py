"""Who is slow or endless is let go, and nothing secret is written to the log or the database."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.service_fakes import Served, Upstream, certificate, served, upstream
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
from tolerate.service.http.connection import MAX_HEAD_BYTES

SOON = 0.3  # seconds that the service waits for a request
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
BODY = b"POST /v1/decide HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: 99\r\n\r\n{"


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    with upstream() as fake:
        yield fake


@pytest.fixture(scope="module")
def service(model: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(service_of(model.url, tmp_path_factory.mktemp("limits"))) as running:
        yield running


def service_of(url: str, folder: Path, **more: object) -> ServiceSettings:
    path = folder / "certificate.json"
    path.write_text(certificate().dumps())
    tier = TierSettings("main", url, judge="given", key="sk-upstream-secret", certificate=str(path))
    job = JobSettings("support", (tier,), share=1.0)
    return ServiceSettings((job,), str(folder / "t.db"), port=0, receive=SOON, **more)


def talk(url: str, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the service closes the connection; an error if it never does."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        heard = b""
        try:
            for piece in pieces:
                line.sendall(piece)
                time.sleep(pause)
            while more := line.recv(2**16):
                heard += more
        except (ConnectionResetError, BrokenPipeError):
            pass
        return heard


def test_who_sends_nothing_is_let_go(service: Served) -> None:
    assert talk(service.url) == b""


def test_who_sends_a_head_byte_by_byte_is_let_go(service: Served) -> None:
    pieces = [HEALTH[place : place + 1] for place in range(len(HEALTH) - 1)]
    assert talk(service.url, *pieces, pause=SOON / 10) == b""


def test_a_second_head_that_does_not_end_is_let_go(service: Served) -> None:
    assert talk(service.url, HEALTH, HEALTH[:20]).startswith(b"HTTP/1.1 200 OK")


def test_headers_without_end_are_refused(service: Served) -> None:
    lines = [b"GET /healthz HTTP/1.1\r\n", *[b"x: " + b"y" * 1000 + b"\r\n"] * (HEAD // 1000 + 10)]
    assert talk(service.url, *lines) in (b"", *[b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
        b"content-length: 0\r\nconnection: close\r\n\r\n"])  # fmt: skip


def test_a_body_that_does_not_come_is_refused(service: Served) -> None:
    heard = talk(service.url, BODY % service.key.encode())
    assert heard.startswith(b"HTTP/1.1 408 ") and b"Traceback" not in heard


def test_a_slow_answer_is_none_of_this(service: Served) -> None:
    """The limits are on what comes in; a model may take its time, and a connection may wait for the next request."""
    status, _, body = service.chat({"say": "hello", "score": 0.9, "sleep": 3 * SOON})
    assert status == 200 and body["choices"][0]["message"]["content"] == "hello"


def test_no_secret_is_written(model: Upstream, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Keys, passwords, cookies and the upstream's key: neither in the log nor in the clear in the database's files."""
    secrets = ["sk-upstream-secret", "wrong-password-7"]
    hook = f"{model.url}/hook"
    with served(service_of(model.url, tmp_path, access_log=True, webhooks=(hook,))) as service:
        secrets += [service.key, service.password, service.key[:-4]]
        for score in (0.9, 0.1):
            assert service.chat({"say": "hello", "score": score})[0] == 200
        assert service.chat({"fail": 500})[0] >= 500
        assert service.ask("GET", "/v1/models", key=service.key[:-1] + "x")[0] == 401
        form = {"name": "owner", "password": "wrong-password-7"}
        assert _login(service, form)[0] in (401, 403)
        status, headers, _ = _login(service, {**form, "password": service.password})
        assert status == 303
        secrets.append(headers["set-cookie"].partition("=")[2].partition(";")[0])
        service.ask("GET", f"/nowhere?key={service.key}")
        service.write(_withdraw)
        logged = capfd.readouterr()
    said = logged.err + logged.out + capfd.readouterr().err
    assert '"event":"request"' in said  # the log was on
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in secrets:
        assert secret not in said and secret.encode() not in kept, secret


def _login(service: Served, form: dict[str, str]):
    raw = urlencode(form).encode()
    kind = "application/x-www-form-urlencoded"
    return service.ask("POST", "/desk/login", raw, key=None, origin=service.url, content_type=kind)


def _withdraw(db: object) -> None:
    from tolerate.store import promises

    promises.withdraw(db, "support", None, "ann", "enough", 1.0)
