"""Requests over HTTP: JSON sent, JSON received within a time limit, and two kinds of errors for every failure.

`TransientError` may go away: the network, a time-out, a busy or broken server, a reply that was cut or is no JSON.
`PermanentError` will not: a wrong key, an unknown model, a request that the server does not understand.
A reply that comes as a stream of events is put together into the whole answer.
"""

import http.client
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import RunError
from tolerate.llm.connections import ConnectionFailed, ConnectionPool, host_of
from tolerate.llm.openai_format import MalformedAnswer, ReportedError
from tolerate.llm.retry import RETRY_STATUSES, PermanentError, TransientError, retry_after_seconds
from tolerate.llm.stream import read_stream

MAX_RESPONSE_BYTES = 64 << 20
NO_CREDIT_CODES = (
    "insufficient_quota",
    "billing_hard_limit_reached",
)  # come with 429, and waiting does not help


def post_json(
    url: str,
    body: JsonObject,
    *,
    key: str | None = None,
    timeout: float = 120.0,
    direct: bool = False,
    pool: ConnectionPool | None = None,
) -> JsonValue:
    """Send JSON and return the JSON that came back. Raises TransientError or PermanentError.

    timeout: seconds from the start until the whole reply is there. direct: use no proxy. pool: connections that
    stay open between requests; without one the connection is closed afterwards. Redirects are not followed: a key
    must not go to another server.
    """
    connections = pool or ConnectionPool(direct=direct)
    try:
        return _post(connections, url, body, key, timeout)
    except (TransientError, PermanentError) as failure:
        if key and key in str(failure):  # some servers repeat what they were sent
            failure.args = (str(failure).replace(key, "(the key)"),)
        raise
    finally:
        if pool is None:
            connections.close()


def _post(pool: ConnectionPool, url: str, body: JsonObject, key: str | None, timeout: float) -> JsonValue:
    host, deadline = host_of(url), time.monotonic() + timeout
    try:
        with pool.post(url, json.dumps(body).encode(), _headers(key), timeout) as response:
            reply = Reply(response, host, deadline, timeout)
            if response.status != 200:
                raise reply.failure()
            if "event-stream" in (response.headers.get("Content-Type") or ""):
                return _assemble(reply.parts(), host)
            data = reply.read()
    except TimeoutError:
        raise TransientError(f"{host} did not answer within {timeout:g} s") from None
    except ConnectionFailed as error:
        raise TransientError(f"cannot reach {host}: {error}") from None
    except (http.client.HTTPException, OSError) as error:
        raise TransientError(f"the connection to {host} broke: {error or type(error).__name__}") from None
    return _assemble([data], host) if data.startswith(b"data:") else _parse_json(data, host)


def _assemble(parts: Iterable[bytes], host: str) -> JsonObject:
    """The whole reply that a stream of events adds up to."""
    try:
        return read_stream(parts, MAX_RESPONSE_BYTES)
    except ReportedError as error:
        raise TransientError(f"{host} reported an error in its stream: {error}") from None
    except MalformedAnswer as error:
        raise TransientError(f"the reply of {host} has {error}") from None


def _headers(key: str | None) -> dict[str, str]:
    plain = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "tolerate"}
    return {**plain, "Authorization": f"Bearer {key}"} if key else plain


@dataclass(frozen=True)
class Reply:
    """A server's response while its body is read. deadline: on the monotonic clock; timeout: for messages."""

    response: http.client.HTTPResponse
    host: str
    deadline: float
    timeout: float

    def read(self) -> bytes:
        """All bytes of the body."""
        data = b"".join(self.parts())
        announced = self.response.headers.get("Content-Length")
        if announced and announced.isdigit() and len(data) < int(announced):
            raise TransientError(f"the reply of {self.host} was cut: {len(data)} of {announced} bytes came")
        return data

    def parts(self) -> Iterator[bytes]:
        """Yield the body in parts as it arrives; the time limit is that of the whole body."""
        size = 0
        while chunk := self.response.read1(1 << 16):
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise PermanentError(f"{self.host} sent more than {MAX_RESPONSE_BYTES >> 20} MB in one reply")
            if time.monotonic() > self.deadline:
                raise TransientError(f"{self.host} was still sending after {self.timeout:g} s")
            yield chunk

    def failure(self) -> RunError:
        """The error that a status other than success means."""
        error, status = self._error(), int(self.response.status)
        text = f"{self.host} answered {status} {self.response.reason}"
        text += f": {error['message']}" if error["message"] else ""
        if error["code"] in NO_CREDIT_CODES:
            advice = "The account has no credit left: add some, then run the same command"
            return PermanentError(f"{text}. {advice}", status, error)
        if status in RETRY_STATUSES:
            return TransientError(text, retry_after_seconds(self.response.headers.get))
        return PermanentError(text + _advice(status), status, error)

    def _error(self) -> dict[str, str]:
        """The message, parameter and code in an error's body; empty where it has none."""
        try:
            body = _parse_json(self.read(), self.host)
        except (RunError, http.client.HTTPException, OSError):
            body = {}
        inner = body.get("error", body) if isinstance(body, dict) else {}
        fields = inner if isinstance(inner, dict) else {"message": inner}
        return {name: str(fields.get(name) or "")[:300] for name in ("message", "param", "code")}


def _parse_json(data: bytes, host: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(data)
    except (ValueError, RecursionError):
        start = data[:60].decode("utf-8", "replace")
        raise TransientError(f"{host} answered with what is no JSON: {start!r}") from None
    return value


def _advice(status: int) -> str:
    if status in (401, 403):
        return (
            ". Is the key right, and in the environment variable OPENAI_API_KEY (or the one named by #key=)?"
        )
    if status == 404:
        return ". Is the model's name right, and does the address end in the API's root, such as /v1?"
    if 300 <= status < 400:
        return ". The server redirects elsewhere, where the key would not be safe; give the final address"
    return ""
