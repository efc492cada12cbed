"""Limits a minute on the requests to one server, and pauses that the server asked for.

A limiter is shared by all threads that ask one server. Each request takes a place in a queue of evenly spaced
starts (the generic cell rate algorithm without bursts), so no minute holds more than the limit and one.
"""

import threading
import time
from collections.abc import Callable

from tolerate.errors import RunError


class Cancelled(RunError):
    """The work was cancelled before this request was sent."""


class RateLimiter:
    """Lets requests start no faster than the limits, and none while the server asked to wait.

    requests, tokens: a minute; 0 for no limit. sleep: waits for so many seconds, or until the work is cancelled.
    """

    def __init__(
        self,
        requests: float = 0.0,
        tokens: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.requests, self.tokens, self._clock = requests, tokens, clock
        self.cancelled = threading.Event()
        self._sleep = sleep or self.cancelled.wait
        self._lock = threading.Lock()
        self._next_request = self._next_token = self._paused_until = clock()

    def acquire(self, tokens: float = 0.0) -> None:
        """Wait until a request may start. tokens: how many it is expected to cost."""
        with self._lock:
            now = self._clock()
            start = max(now, self._paused_until)
            if self.requests:
                start = max(start, self._next_request)
            if self.tokens:
                start = max(start, self._next_token)
            self._next_request = start + (60 / self.requests if self.requests else 0.0)
            self._next_token = start + (60 * tokens / self.tokens if self.tokens else 0.0)
        self.wait(start - now)

    def correct(self, expected: float, used: float) -> None:
        """Replace the expected tokens of a request by those it used."""
        if self.tokens:
            with self._lock:
                self._next_token += 60 * (used - expected) / self.tokens

    def pause(self, seconds: float) -> None:
        """Start no request for so long: the server asked for it."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def wait(self, seconds: float) -> None:
        """Sleep; raises Cancelled if the work is cancelled meanwhile."""
        if seconds > 0:
            self._sleep(seconds)
        if self.cancelled.is_set():
            raise Cancelled("stopped before it was asked")
