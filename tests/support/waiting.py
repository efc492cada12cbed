"""Waiting in tests: until something has happened, with a deadline that only makes a failing test slow."""

import asyncio
import time
from collections.abc import Callable

DEADLINE_SECONDS = 300.0  # nothing takes so long, however busy the machine is


def eventually(condition: Callable[[], object]) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


async def eventually_async(condition: Callable[[], object]) -> None:
    """Wait in an event loop until the condition is true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.001)
