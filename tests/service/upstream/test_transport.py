"""UpstreamPool to models over real sockets: connections are kept, every way of ending a body is read, nonsense is refused."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from tests.support.waiting import DEADLINE_SECONDS, eventually_async
from tolerate.service.upstream.transport import BodyTooLong, ConnectionBroken, UpstreamPool

HEAD = b"HTTP/1.1 200 OK\r\n"


async def answering(
    answers: list[bytes | None],
    use: Callable[[UpstreamPool, str, list[int]], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> None:
    """A server that gives these answers, one a request, whatever is asked; None closes. seen: requests a connection."""
    requests: list[int] = []
    remaining, handlers = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        requests.append(0)
        place = len(requests) - 1
        while remaining:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
            requests[place] += 1
            answer = remaining.pop(0)
            if answer is None:
                break
            last = not remaining or remaining[0] is None  # then the connection is closed after it
            for cut in range(0, len(answer), 7):
                writer.write(answer[cut : cut + 7])
                await asyncio.sleep(0)
            if last or (b"content-length" not in answer and b"chunked" not in answer):
                break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    calls = UpstreamPool(private=True)
    try:
        await use(
            calls,
            f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/x",
            requests,
        )
    finally:
        await calls.close()
        server.close()
        await asyncio.gather(*handlers)


async def ask(calls: UpstreamPool, url: str, most: int = 1000, timeout: float = DEADLINE_SECONDS) -> bytes:
    async with calls.post(url, b"{}", {"a": "b"}, timeout) as response:
        return await response.read(most)


def run(answers: list[bytes | None], use: Callable[[UpstreamPool, str, list[int]], Awaitable[None]]) -> None:
    asyncio.run(answering(answers, use))


LENGTH = HEAD + b"content-length: 5\r\n\r\nhello"
CHUNKS = HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"


def test_a_connection_is_used_again() -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        for _ in range(4):
            assert await ask(calls, url) == b"hello"
        assert requests == [4]

    run([LENGTH, CHUNKS, EARLY + LENGTH, LENGTH], use)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"\r\nhello",  # until the end
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        HEAD + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
        LENGTH + LENGTH,  # an answer that nobody asked for
    ],
)
def test_a_connection_that_is_over_is_not_used_again(answer: bytes) -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        assert await ask(calls, url) == b"hello"
        await eventually_async(lambda: not any(line.reusable for line in calls._open))
        assert await ask(calls, url) == b"hello"
        assert len(requests) == 2

    run([answer, LENGTH, LENGTH], use)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-OpenSSH_9\r\ncontent-length: 5\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
        HEAD + b"content-length: five\r\n\r\nhello",
        HEAD + b"x: " + b"y" * 2**17 + b"content-length: 0\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes | None) -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        with pytest.raises(ConnectionBroken):
            await ask(calls, url)
        assert await ask(calls, url) == b"hello"

    run([answer, LENGTH], use)


def test_a_body_that_is_cut_off_is_refused() -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        async with calls.post(url, b"", {}, DEADLINE_SECONDS) as response:
            with pytest.raises(ConnectionBroken):
                await response.read(1000)

    run([HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", None], use)


def test_limits_of_size_and_time() -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        with pytest.raises(BodyTooLong):
            await ask(calls, url, most=4)
        assert await ask(calls, url) == b"hello"  # on a new connection
        with pytest.raises(TimeoutError):
            await ask(calls, url, timeout=0.05)
        assert len(requests) == 2

    run([LENGTH, LENGTH, HEAD + b"content-length", LENGTH], use)


def test_addresses_are_looked_at_when_a_connection_is_made() -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        public = UpstreamPool(private=False)
        with pytest.raises(OSError, match="no address that may be called"):
            await ask(public, url.replace("127.0.0.1", "localhost"))
        with pytest.raises(ValueError, match="must not break"):
            calls.post(url, b"", {"authorization": "a\r\nx: y"}, 5.0)
        assert requests == []

    run([LENGTH], use)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def over_tls(
    authority: trustme.CA, names: str, use: Callable[[UpstreamPool, str, list[int]], Awaitable[None]]
) -> None:
    """A server whose certificate is for these names, signed by the authority."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(names).configure_cert(tls)
    asyncio.run(answering([LENGTH, LENGTH], use, tls))


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine trusts the authority, as administrators arrange it."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


@pytest.mark.usefixtures("trusted")
def test_a_model_behind_tls(authority: trustme.CA) -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        for _ in range(2):
            assert await ask(calls, url) == b"hello"
        assert requests == [2]  # the connection is kept

    over_tls(authority, "127.0.0.1", use)


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name_is_refused(authority: trustme.CA) -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate is not valid"):
            await ask(calls, url)
        assert sum(requests) == 0  # nothing was sent

    over_tls(authority, "example.org", use)


def test_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    async def use(calls: UpstreamPool, url: str, requests: list[int]) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer|self.signed"):
            await ask(calls, url)
        assert sum(requests) == 0

    over_tls(authority, "127.0.0.1", use)
