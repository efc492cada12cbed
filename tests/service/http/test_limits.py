"""Who is slow or endless is let go, and nothing secret is written to the log or the database."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.service_fakes import Served, Upstream, certificate, served, upstream
from tests.support.waiting import DEADLINE_SECONDS, eventually
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
from tolerate.service.http.connection import MAX_HEAD_BYTES

RECEIVE_SECONDS = 10.0  # that the service waits for a request, on a clock that the tests advance
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


def service_of(url: str, folder: Path, **settings: object) -> ServiceSettings:
    path = folder / "certificate.json"
    path.write_text(certificate().dumps())
    tier = TierSettings(
        "main", url, judge="given", key="sk-upstream-secret", certificate=str(path), timeout=1e6
    )
    job = JobSettings("support", (tier,), share=1.0)
    return ServiceSettings((job,), str(folder / "t.db"), port=0, receive=RECEIVE_SECONDS, **settings)


def connect(service: Served) -> socket.socket:
    host, _, port = service.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS)


def read_until_closed(service: Served, connection: socket.socket) -> bytes:
    """What the service still sends until it closes the connection, while its clock goes on."""
    received: list[bytes] = []
    connection.settimeout(0.05)

    def is_closed() -> bool:
        try:
            received.append(connection.recv(2**16))
        except TimeoutError:
            service.thread.advance(RECEIVE_SECONDS / 4)
            return False
        except ConnectionResetError:
            return True
        return received[-1] == b""

    eventually(is_closed)
    return b"".join(received)


def test_who_sends_nothing_is_let_go(service: Served) -> None:
    with connect(service) as connection:
        assert read_until_closed(service, connection) == b""


def test_who_sends_a_head_byte_by_byte_is_let_go(service: Served) -> None:
    """The clock goes on with each byte, so that the head takes longer than it may."""
    with connect(service) as connection:
        try:
            for index in range(len(HEALTH) - 1):
                connection.sendall(HEALTH[index : index + 1])
                service.thread.advance(RECEIVE_SECONDS / 10)
        except (BrokenPipeError, ConnectionResetError):
            return
        assert read_until_closed(service, connection) == b""


def test_a_second_head_that_does_not_end_is_let_go(service: Served) -> None:
    with connect(service) as connection:
        connection.sendall(HEALTH)
        assert connection.recv(2**16).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(HEALTH[:20])
        assert b"HTTP" not in read_until_closed(service, connection)


def test_headers_without_end_are_refused(service: Served) -> None:
    line = b"x: " + b"y" * 1000 + b"\r\n"
    refusal = (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    with connect(service) as connection:
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\n" + line * (MAX_HEAD_BYTES // 1000 + 10))
        except (BrokenPipeError, ConnectionResetError):
            return
        assert read_until_closed(service, connection) in (b"", refusal)


def test_a_body_that_does_not_come_is_refused(service: Served) -> None:
    with connect(service) as connection:
        connection.sendall(BODY % service.key.encode())
        response = read_until_closed(service, connection)
        assert response.startswith(b"HTTP/1.1 408 ") and b"Traceback" not in response


def test_a_slow_answer_is_none_of_this(service: Served, model: Upstream) -> None:
    """The limits are on what comes in; a model may take its time."""
    model.release.clear()
    before = len(model.requests)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(service.chat, {"say": "hello", "score": 0.9, "hold": True})
        eventually(lambda: len(model.requests) > before)
        service.thread.advance(3 * RECEIVE_SECONDS)
        model.release.set()
        status, _, body = answer.result(DEADLINE_SECONDS)
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
    log = logged.err + logged.out + capfd.readouterr().err
    assert '"event":"request"' in log  # the log was on
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in secrets:
        assert secret not in log and secret.encode() not in files, secret


def _login(service: Served, form: dict[str, str]):
    raw = urlencode(form).encode()
    kind = "application/x-www-form-urlencoded"
    return service.ask("POST", "/desk/login", raw, key=None, origin=service.url, content_type=kind)


def _withdraw(db: object) -> None:
    from tolerate.store import certificates

    certificates.withdraw(db, "support", None, "ann", "enough", 1.0)
