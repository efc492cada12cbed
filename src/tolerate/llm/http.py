"""One request over HTTP: JSON out, JSON back within a time limit, and every failure of one of two kinds.

`Passing` may go away: the network, a time-out, a busy or broken server, a reply that was cut or is no JSON.
`Refused` will not: a wrong key, an unknown model, a request that the server does not understand.
A reply that comes as a stream of events is put together into the one that was asked for.
"""

import email.utils
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tolerate.errors import RunError
from tolerate.llm.connections import Line, NotReached, host_of
from tolerate.llm.stream import Cut, assembled

LARGEST = 64 << 20  # bytes of a reply
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}  # statuses worth another try
NEVER = ("insufficient_quota", "billing_hard_limit_reached")  # said with 429, and waiting does not help


class Passing(RunError):
    """A failure that may go away. `wait`: seconds that the server asked to wait, if it did."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class Refused(RunError):
    """A failure that will not go away by itself. `status` and `error`: what the server answered."""

    def __init__(self, what: str, status: int = 0, error: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.status, self.error = status, dict(error or {})


def post(
    url: str,
    body: Mapping[str, Any],
    *,
    key: str | None = None,
    timeout: float = 120.0,
    direct: bool = False,
    line: Line | None = None,
) -> Any:
    """Send JSON and return the JSON that came back. Raises Passing or Refused.

    timeout: seconds from the start until the whole reply is there. direct: ask no proxy. line: connections that
    stay open between requests; without one the connection is closed afterwards. Redirects are not followed: a key
    must not go to another server.
    """
    own = line or Line(direct=direct)
    try:
        return _post(own, url, body, key, timeout)
    except (Passing, Refused) as failure:
        if key and key in str(failure):  # some servers repeat what they were sent
            failure.args = (str(failure).replace(key, "(the key)"),)
        raise
    finally:
        if line is None:
            own.close()


def _post(line: Line, url: str, body: Mapping[str, Any], key: str | None, timeout: float) -> Any:
    host, deadline = host_of(url), time.monotonic() + timeout
    try:
        with line.asked(url, json.dumps(body).encode(), _headers(key), timeout) as reply:
            if reply.status != 200:
                raise _failure(reply, host, deadline, timeout)
            if "event-stream" in (reply.headers.get("Content-Type") or ""):
                return _streamed(_parts(reply, deadline, host, timeout), host)
            data = _whole(reply, deadline, host, timeout)
    except TimeoutError:
        raise Passing(f"{host} did not answer within {timeout:g} s") from None
    except NotReached as error:
        raise Passing(f"cannot reach {host}: {error}") from None
    except (http.client.HTTPException, OSError) as error:
        raise Passing(f"the connection to {host} broke: {error or type(error).__name__}") from None
    return _streamed(iter([data]), host) if data.startswith(b"data:") else _json(data, host)


def _streamed(parts: Iterator[bytes], host: str) -> Any:
    """The whole reply that a stream of events adds up to."""
    try:
        return assembled(parts)
    except Cut as cut:
        raise Passing(f"the stream of {host} {cut}") from None


def _headers(key: str | None) -> dict[str, str]:
    plain = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "tolerate"}
    return {**plain, "Authorization": f"Bearer {key}"} if key else plain


def _whole(reply: Any, deadline: float, host: str, timeout: float) -> bytes:
    """All bytes of a reply."""
    found = b"".join(_parts(reply, deadline, host, timeout))
    announced = reply.headers.get("Content-Length")
    if announced and announced.isdigit() and len(found) < int(announced):
        raise Passing(f"the reply of {host} was cut: {len(found)} of {announced} bytes came")
    return found


def _parts(reply: Any, deadline: float, host: str, timeout: float) -> Iterator[bytes]:
    """A reply as it comes; a server that sends it ever so slowly does not get more time for it."""
    size = 0
    while chunk := reply.read1(1 << 16):
        size += len(chunk)
        if size > LARGEST:
            raise Refused(f"{host} sent more than {LARGEST >> 20} MB in one reply")
        if time.monotonic() > deadline:
            raise Passing(f"{host} was still sending after {timeout:g} s")
        yield chunk


def _json(data: bytes, host: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        start = data[:60].decode("utf-8", "replace")
        raise Passing(f"{host} answered with what is no JSON: {start!r}") from None


def _failure(reply: Any, host: str, deadline: float, timeout: float) -> RunError:
    """What a status other than success means."""
    said, status = _said(reply, host, deadline, timeout), int(reply.status)
    text = f"{host} answered {status} {reply.reason}" + (f": {said['message']}" if said["message"] else "")
    if said["code"] in NEVER:
        return Refused(
            f"{text}. The account has no credit left: add some, then run the same command", status, said
        )
    if status in AGAIN:
        return Passing(text, _wait(reply.headers))
    return Refused(text + _advice(status), status, said)


def _said(reply: Any, host: str, deadline: float, timeout: float) -> dict[str, str]:
    """The message, parameter and code in an error's body, as far as they are there."""
    try:
        body = _json(_whole(reply, deadline, host, timeout), host)
    except (RunError, http.client.HTTPException, OSError):
        body = {}
    inner = body.get("error", body) if isinstance(body, dict) else {}
    inner = inner if isinstance(inner, dict) else {"message": inner}
    return {name: str(inner.get(name) or "")[:300] for name in ("message", "param", "code")}


def _advice(status: int) -> str:
    if status in (401, 403):
        return (
            ". Is the key right, and in the environment variable OPENAI_API_KEY (or the one named by #key=)?"
        )
    if status == 404:
        return ". Is the model's name right, and does the address end in the API's root, such as /v1?"
    if 300 <= status < 400:
        return ". The server points elsewhere, where the key would not be safe; give the final address"
    return ""


def _wait(headers: Any) -> float | None:
    """Seconds that a server asks to wait: retry-after-ms, or Retry-After as seconds or as a date."""
    try:
        if (said := headers.get("retry-after-ms")) is not None:
            return max(float(said) / 1000, 0.0)
        said = headers.get("Retry-After")
        if said is None:
            return None
        if said.strip().replace(".", "", 1).isdigit():
            return float(said)
        return max(email.utils.parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None
