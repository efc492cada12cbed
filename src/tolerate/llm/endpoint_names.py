"""Who answers: `openai:MODEL@URL` names a model behind any OpenAI-compatible server, with all its settings.

    openai:gpt-4o-mini@https://api.openai.com/v1#in=0.15+out=0.60+rpm=500
    openai:qwen2.5-7b@http://127.0.0.1:8000/v1

What follows `#` never leaves this machine. A key is read from an environment variable when a request is
sent, and is kept nowhere else.
"""

import os
import re
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from tolerate.errors import OptionError, hint

PREFIX = "openai:"
KEY = "OPENAI_API_KEY"
LOCAL = {"localhost", "127.0.0.1", "::1"}
EXPECTED = "openai:MODEL@URL, such as openai:qwen2.5-7b@http://127.0.0.1:8000/v1"


@dataclass(frozen=True)
class Endpoint:
    """A model behind a server, and how it is asked. Numbers written as 0 mean: no limit."""

    model: str
    url: str  # of the API's root, such as https://api.openai.com/v1
    temperature: float = 0.7
    tokens: int = 512  # of an answer, at most
    logprobs: bool = True  # ask for log-probabilities
    parallel: int = 8  # requests under way at once
    rpm: float = 0.0  # requests a minute
    tpm: float = 0.0  # tokens a minute
    timeout: float = 120.0  # seconds of one request
    tries: int = 6  # of one request
    patience: float = 120.0  # longest wait between two tries, seconds
    most: float = 0.0  # dollars; nothing is asked once so much was spent
    key: str = ""  # the environment variable that holds the key; OPENAI_API_KEY if not said
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
        return self.host in LOCAL

    def address(self, path: str) -> str:
        """The URL of a call below the API's root; a query such as Azure's stays at the end.

        >>> Endpoint("m", "https://host/v1?api-version=2").address("chat/completions")
        'https://host/v1/chat/completions?api-version=2'
        """
        parts = urlsplit(self.url)
        whole = SplitResult(parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{path}", parts.query, "")
        return urlunsplit(whole)

    def secret(self) -> str | None:
        """The key, from the environment; None if there is none, or if it would travel in the clear."""
        safe = self.url.startswith("https:") or self.local
        found = os.environ.get(self.key or KEY)
        if self.key and not found:
            raise OptionError(
                f"the environment variable {self.key} is not set; expected the key of {self.host} in it"
            )
        if self.key and not safe:
            raise OptionError(
                f"the key would travel unencrypted to {self.host}; use https, or leave out key={self.key}"
            )
        return found if safe else None


_SETTINGS = {"in": "price_in", "out": "price_out"}  # short name in the text -> field
_SETTINGS |= {one.name: one.name for one in fields(Endpoint)[2:] if not one.name.startswith("price")}
_KINDS: dict[str, Any] = {one.name: one.type for one in fields(Endpoint)}


def is_endpoint(name: str) -> bool:
    """Whether a model's name means a server.

    >>> is_endpoint("openai:m@http://127.0.0.1:1/v1"), is_endpoint("package.module:Model")
    (True, False)
    """
    return name.startswith(PREFIX)


def endpoint(name: str) -> Endpoint:
    """The model that `openai:MODEL@URL` names, with the settings behind `#`, joined by `+`.

    >>> endpoint("openai:org/m@https://host/v1#in=2.5+out=10+rpm=60").price_out
    10.0
    """
    found = re.fullmatch(
        r"openai:(?P<model>.+?)@(?P<url>https?://[^#\s]+)(?:#(?P<settings>.*))?", name.strip()
    )
    if not found:
        raise OptionError(f'"{name}" names no model behind a server; expected {EXPECTED}')
    _refuse_url(found["url"], name)
    made = Endpoint(found["model"], found["url"], **_settings(found["settings"] or "", name))
    if made.most and not (made.price_in or made.price_out):
        raise OptionError(
            f'most={made.most:g} in "{name}" needs prices: in= and out=, dollars for a million tokens'
        )
    return made


def _refuse_url(url: str, name: str) -> None:
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
            f"run; put the key into {KEY} instead"
        )


def _settings(text: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, text.split("+")):
        key, _, value = part.partition("=")
        if key not in _SETTINGS:
            raise OptionError(f'"{key}" in "{name}" is no setting. {hint(key, _SETTINGS)}')
        found[_SETTINGS[key]] = _value(key, value, _KINDS[_SETTINGS[key]])
    return found


def _value(key: str, text: str, kind: type) -> Any:
    """A setting's value, of its kind and in its range."""
    if kind is str:
        if not re.fullmatch(r"[A-Za-z_]\w*", text):
            # What was written may be the key itself, so it is not repeated.
            raise OptionError(f"the setting {key} names an environment variable, such as {key}=MY_KEY")
        return text
    if kind is bool:
        if text not in ("yes", "no"):
            raise OptionError(f'the setting {key} is "{text}"; expected yes or no')
        return text == "yes"
    try:
        value = kind(text)
    except ValueError:
        value = -1
    least = 1 if key in ("tokens", "parallel", "tries") else 0
    if not least <= value < 1e9 or (key == "timeout" and value == 0):
        raise OptionError(f'the setting {key} is "{text}"; expected a number of at least {least or "0"}')
    return value
