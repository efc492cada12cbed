"""When to ask, and when to ask again: limits a minute, waits that the server asked for, tries with back-off.

A gate is shared by all threads that ask one server. Each request takes a place in a queue of evenly spaced
starts (the generic cell rate algorithm without bursts), so no minute holds more than the limit and one.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tolerate.errors import RunError
from tolerate.llm.http import Passing

T = TypeVar("T")
FIRST = 0.5  # seconds of the first back-off, doubled by each further one


class Stopped(RunError):
    """The work was called off."""


class Gate:
    """Lets requests start no faster than the limits, and none while the server asked to wait.

    requests, tokens: a minute; 0 for no limit.
    """

    def __init__(
        self,
        requests: float = 0.0,
        tokens: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], bool] | None = None,
    ) -> None:
        self.requests, self.tokens, self._clock = requests, tokens, clock
        self.stopped = threading.Event()
        self._sleep = sleep or self.stopped.wait
        self._lock = threading.Lock()
        self._next_request = self._next_token = self._closed_until = clock()

    def enter(self, tokens: float = 0.0) -> None:
        """Wait for a turn; tokens: how many the request is expected to cost."""
        with self._lock:
            now = self._clock()
            start = max(now, self._closed_until)
            if self.requests:
                start = max(start, self._next_request)
            if self.tokens:
                start = max(start, self._next_token)
            self._next_request = start + (60 / self.requests if self.requests else 0.0)
            self._next_token = start + (60 * tokens / self.tokens if self.tokens else 0.0)
        self.rest(start - now)

    def settle(self, expected: float, used: float) -> None:
        """Put right what a request was expected to cost, once it is known."""
        if self.tokens:
            with self._lock:
                self._next_token += 60 * (used - expected) / self.tokens

    def close(self, seconds: float) -> None:
        """Let nobody start for so long: the server asked for it."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)

    def rest(self, seconds: float) -> None:
        """Sleep, unless the work is called off."""
        if seconds > 0:
            self._sleep(seconds)
        if self.stopped.is_set():
            raise Stopped("stopped before it was asked")


def persist(
    ask: Callable[[], T],
    gate: Gate,
    *,
    tries: int = 6,
    longest: float = 120.0,
    tokens: float = 0.0,
    rng: random.Random | None = None,
    failed: Callable[[Passing], None] = lambda _: None,
) -> T:
    """The result of `ask`, tried again after failures that may pass, with growing waits; at most `tries` times.

    A wait that the server names is kept by all threads; without one the waits are drawn between 0 and
    twice the last bound ("full jitter"), so that many clients do not come back at once. longest: seconds; a
    server that asks for more is not waited for.
    """
    rng, last = rng or random.Random(), tries
    for attempt in range(1, tries + 1):
        gate.enter(tokens)
        try:
            return ask()
        except Passing as failure:
            failed(failure)
            if failure.wait is not None and failure.wait > longest:
                raise RunError(
                    f"{failure}; the server asks to wait {failure.wait:.0f} s. What is finished is kept: run the same "
                    "command again later"
                ) from None
            if attempt == last:
                raise RunError(
                    f"{failure} ({tries} tries). What is finished is kept: run the same command again"
                ) from None
            _pause(gate, failure.wait, min(FIRST * 2**attempt, longest), rng)
    raise RunError(f"tries is {tries}; expected at least 1")


def _pause(gate: Gate, asked: float | None, bound: float, rng: random.Random) -> None:
    if asked is not None:
        gate.close(asked)
        gate.rest(asked)
    else:
        gate.rest(bound * rng.random())
