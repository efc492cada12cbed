"""Rules for retries: which failed requests are sent again, and after how long. The gateway uses them as well."""

import email.utils
import random
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from tolerate.base.json_types import JsonValue
from tolerate.errors import RunError
from tolerate.llm.rate_limit import RateLimiter

T = TypeVar("T")
RETRY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
FIRST_BACKOFF_SECONDS = 0.5  # doubled by each further try


class TransientError(RunError):
    """A failure that may go away: the network, a time-out, a busy or broken server, a reply that cannot be read."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        """wait_seconds: how long the server asked to wait, if it did."""
        super().__init__(message)
        self.wait_seconds = wait_seconds


class PermanentError(RunError):
    """A failure that another try will not mend: a wrong key, an unknown model, a request that is not understood."""

    def __init__(self, message: str, status: int = 0, error: Mapping[str, JsonValue] | None = None) -> None:
        """status, error: what the server answered."""
        super().__init__(message)
        self.status, self.error = status, dict(error or {})


def retry_after_seconds(header: Callable[[str], str | None], now: float | None = None) -> float | None:
    """Seconds that a server asks to wait: retry-after-ms, or Retry-After as seconds or as a date; else None.

    now: seconds since 1970, for tests.

    >>> retry_after_seconds({"retry-after": "3"}.get), retry_after_seconds({"retry-after-ms": "250"}.get)
    (3.0, 0.25)
    >>> retry_after_seconds({"retry-after": "soon"}.get)
    """
    try:
        if milliseconds := header("retry-after-ms"):
            return max(float(milliseconds) / 1000, 0.0)
        text = header("retry-after")
        if not text:
            return None
        if text.strip().replace(".", "", 1).isdigit():
            return float(text)
        return max(
            email.utils.parsedate_to_datetime(text).timestamp() - (time.time() if now is None else now), 0.0
        )
    except (ValueError, TypeError):
        return None


def retry(
    request: Callable[[], T],
    limiter: RateLimiter,
    *,
    attempts: int = 6,
    longest: float = 120.0,
    tokens: float = 0.0,
    rng: random.Random | None = None,
    on_failure: Callable[[TransientError], None] = lambda _: None,
) -> T:
    """The result of `request`, tried again after failures that may go away, at most `attempts` times.

    A wait that the server names holds for all threads; without one the waits are drawn between 0 and twice the last
    bound ("full jitter"), so that many clients do not come back at once. longest: seconds; a server that asks for
    more is not waited for.
    """
    rng = rng or random.Random()
    for attempt in range(1, attempts + 1):
        limiter.acquire(tokens)
        try:
            return request()
        except TransientError as failure:
            on_failure(failure)
            if failure.wait_seconds is not None and failure.wait_seconds > longest:
                raise RunError(
                    f"{failure}; the server asks to wait {failure.wait_seconds:.0f} s. What is finished is kept: "
                    "run the same command again later"
                ) from None
            if attempt == attempts:
                raise RunError(
                    f"{failure} ({attempts} tries). What is finished is kept: run the same command again"
                ) from None
            _wait(limiter, failure.wait_seconds, min(FIRST_BACKOFF_SECONDS * 2**attempt, longest), rng)
    raise RunError(f"tries is {attempts}; expected at least 1")


def _wait(limiter: RateLimiter, seconds: float | None, bound: float, rng: random.Random) -> None:
    if seconds is not None:
        limiter.pause(seconds)
        limiter.wait(seconds)
    else:
        limiter.wait(bound * rng.random())
