"""Names of models behind servers: `openai:MODEL@URL`, any OpenAI-compatible server, with all its settings.

    openai:gpt-4o-mini@https://api.openai.com/v1#in=0.15+out=0.60+rpm=500
    openai:qwen2.5-7b@http://127.0.0.1:8000/v1

What follows `#` never leaves this machine. A key is read from an environment variable when a request is
sent, and is stored nowhere else.
"""

import os
import re
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from tolerate.errors import OptionError, hint

PREFIX = "openai:"
KEY_VARIABLE = "OPENAI_API_KEY"
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
EXPECTED = "openai:MODEL@URL, such as openai:qwen2.5-7b@http://127.0.0.1:8000/v1"


@dataclass(frozen=True)
class Endpoint:
    """A model behind a server, and how requests to it are made. A limit of 0 is no limit."""

    model: str
    url: str  # of the API's root, such as https://api.openai.com/v1
    temperature: float = 0.7
    tokens: int = 512  # of an answer, at most
    logprobs: bool = True  # request log-probabilities
    parallel: int = 8  # requests under way at once
    rpm: float = 0.0  # requests a minute
    tpm: float = 0.0  # tokens a minute
    timeout: float = 120.0  # seconds of one request
    tries: int = 6  # of one request
    patience: float = 120.0  # longest wait between two tries, seconds
    max_dollars: float = 0.0  # nothing is requested once so much was spent
    key: str = ""  # the environment variable that holds the key; by default OPENAI_API_KEY
    # Prices: dollars for a million tokens read and written.
    price_in: float = 0.0
    price_out: float = 0.0

    @property
    def host(self) -> str:
        """The server's name."""
        return urlsplit(self.url).hostname or ""

    @property
    def local(self) -> bool:
        """Whether the server is this machine."""
        return self.host in LOCAL_HOSTS

    def address(self, path: str) -> str:
        """The URL of a path below the API's root; a query such as Azure's stays at the end.

        >>> Endpoint("m", "https://host/v1?api-version=2").address("chat/completions")
        'https://host/v1/chat/completions?api-version=2'
        """
        parts = urlsplit(self.url)
        joined = f"{parts.path.rstrip('/')}/{path}"
        return urlunsplit(SplitResult(parts.scheme, parts.netloc, joined, parts.query, ""))

    def secret(self) -> str | None:
        """The key, from the environment; None if there is none, or if it would travel in the clear."""
        safe = self.url.startswith("https:") or self.local
        secret = os.environ.get(self.key or KEY_VARIABLE)
        if self.key and not secret:
            raise OptionError(
                f"the environment variable {self.key} is not set; expected the key of {self.host} in it"
            )
        if self.key and not safe:
            raise OptionError(
                f"the key would travel unencrypted to {self.host}; use https, or leave out key={self.key}"
            )
        return secret if safe else None


SETTINGS = {"in": "price_in", "out": "price_out", "most": "max_dollars"}  # name in the text -> field
SETTINGS |= {item.name: item.name for item in fields(Endpoint)[2:] if item.name not in SETTINGS.values()}
_TYPES: dict[str, object] = {item.name: item.type for item in fields(Endpoint)}


def is_endpoint(name: str) -> bool:
    """Whether a model's name means a server.

    >>> is_endpoint("openai:m@http://127.0.0.1:1/v1"), is_endpoint("package.module:Model")
    (True, False)
    """
    return name.startswith(PREFIX)


def parse_endpoint(name: str) -> Endpoint:
    """The endpoint that `openai:MODEL@URL` names, with the settings behind `#`, joined by `+`.

    >>> parse_endpoint("openai:org/m@https://host/v1#in=2.5+out=10+rpm=60").price_out
    10.0
    """
    match = re.fullmatch(
        r"openai:(?P<model>.+?)@(?P<url>https?://[^#\s]+)(?:#(?P<settings>.*))?", name.strip()
    )
    if not match:
        raise OptionError(f'"{name}" names no model behind a server; expected {EXPECTED}')
    _check_url(match["url"], name)
    endpoint = Endpoint(match["model"], match["url"], **_parse_settings(match["settings"] or "", name))
    if endpoint.max_dollars and not (endpoint.price_in or endpoint.price_out):
        raise OptionError(
            f'most={endpoint.max_dollars:g} in "{name}" needs prices: in= and out=, dollars for a million tokens'
        )
    return endpoint


def _check_url(url: str, name: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise OptionError(f'"{name}" has no usable address: {error}; expected {EXPECTED}') from None
    if not parts.hostname:
        raise OptionError(f'"{name}" names no server; expected {EXPECTED}')
    if "@" in parts.netloc:
        raise OptionError(
            f"the address of {parts.hostname} holds a name or a password, which would be written down with the "
            f"run; put the key into {KEY_VARIABLE} instead"
        )


def _parse_settings(text: str, name: str) -> dict[str, Any]:
    """The fields of an endpoint that its name sets."""
    values: dict[str, Any] = {}
    for part in filter(None, text.split("+")):
        key, _, value = part.partition("=")
        if key not in SETTINGS:
            raise OptionError(f'"{key}" in "{name}" is no setting. {hint(key, SETTINGS)}')
        field = SETTINGS[key]
        if _TYPES[field] is str:
            values[field] = _variable(key, value)
        elif _TYPES[field] is bool:
            values[field] = _switch(key, value)
        else:
            values[field] = _number(key, value, int if _TYPES[field] is int else float)
    return values


def _variable(key: str, text: str) -> str:
    """The name of an environment variable."""
    if not re.fullmatch(r"[A-Za-z_]\w*", text):
        # What was written may be the key itself, so it is not repeated.
        raise OptionError(f"the setting {key} names an environment variable, such as {key}=MY_KEY")
    return text


def _switch(key: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise OptionError(f'the setting {key} is "{text}"; expected yes or no')
    return text == "yes"


def _number(key: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = -1
    least = 1 if key in ("tokens", "parallel", "tries") else 0
    if not least <= value < 1e9 or (key == "timeout" and value == 0):
        raise OptionError(f'the setting {key} is "{text}"; expected a number of at least {least or "0"}')
    return value
