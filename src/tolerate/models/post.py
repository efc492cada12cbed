"""One request over HTTP: JSON out, JSON back within a time limit, and every failure of one of two kinds.

`Passing` may go away: the network, a time-out, a busy or broken server, a reply that was cut or is no JSON.
`Refused` will not: a wrong key, an unknown model, a request that the server does not understand.
"""

import email.utils
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from tolerate.errors import RunError

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


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A key must not follow to another server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never."""


def post(
    url: str, body: Mapping[str, Any], *, key: str | None = None, timeout: float = 120.0, direct: bool = False
) -> Any:
    """Send JSON and return the JSON that came back. Raises Passing or Refused.

    timeout: seconds from the start until the whole reply is there. direct: ask no proxy.
    """
    try:
        return _post(url, body, key, timeout, direct)
    except (Passing, Refused) as failure:
        if key and key in str(failure):  # some servers repeat what they were sent
            failure.args = (str(failure).replace(key, "(the key)"),)
        raise


def _post(url: str, body: Mapping[str, Any], key: str | None, timeout: float, direct: bool) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), _headers(key), method="POST")
    handlers: list[Any] = [_NoRedirects()]
    opener = urllib.request.build_opener(*handlers, *([urllib.request.ProxyHandler({})] if direct else []))
    host, deadline = request.host, time.monotonic() + timeout
    try:
        with opener.open(request, timeout=timeout) as reply:
            data = _whole(reply, deadline, host, timeout)
    except urllib.error.HTTPError as error:
        with error:
            raise _failure(error, host, deadline, timeout) from None
    except TimeoutError:
        raise Passing(f"{host} did not answer within {timeout:g} s") from None
    except urllib.error.URLError as error:
        raise _unreachable(error, host, timeout) from None
    except (http.client.HTTPException, OSError) as error:
        raise Passing(f"the connection to {host} broke: {error or type(error).__name__}") from None
    return _json(data, host)


def _headers(key: str | None) -> dict[str, str]:
    plain = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "tolerate"}
    return {**plain, "Authorization": f"Bearer {key}"} if key else plain


def _whole(reply: Any, deadline: float, host: str, timeout: float) -> bytes:
    """All bytes of a reply; a server that sends them ever so slowly does not get more time for it."""
    found = bytearray()
    while chunk := reply.read1(1 << 16):
        found += chunk
        if len(found) > LARGEST:
            raise Refused(f"{host} sent more than {LARGEST >> 20} MB in one reply")
        if time.monotonic() > deadline:
            raise Passing(f"{host} was still sending after {timeout:g} s")
    announced = reply.headers.get("Content-Length")
    if announced and announced.isdigit() and len(found) < int(announced):
        raise Passing(f"the reply of {host} was cut: {len(found)} of {announced} bytes came")
    return bytes(found)


def _json(data: bytes, host: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        start = data[:60].decode("utf-8", "replace")
        raise Passing(f"{host} answered with what is no JSON: {start!r}") from None


def _failure(error: urllib.error.HTTPError, host: str, deadline: float, timeout: float) -> RunError:
    """What a status other than success means."""
    said = _said(error, host, deadline, timeout)
    text = f"{host} answered {error.code} {error.reason}" + (
        f": {said['message']}" if said["message"] else ""
    )
    if said["code"] in NEVER:
        return Refused(
            f"{text}. The account has no credit left: add some, then run the same command", error.code, said
        )
    if error.code in AGAIN:
        return Passing(text, _wait(error.headers))
    return Refused(text + _advice(error.code), error.code, said)


def _said(error: urllib.error.HTTPError, host: str, deadline: float, timeout: float) -> dict[str, str]:
    """The message, parameter and code in an error's body, as far as they are there."""
    try:
        body = _json(_whole(error, deadline, host, timeout), host)
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


def _unreachable(error: urllib.error.URLError, host: str, timeout: float) -> RunError:
    if isinstance(error.reason, TimeoutError):
        return Passing(f"{host} did not answer within {timeout:g} s")
    return Passing(f"cannot reach {host}: {error.reason}")


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
