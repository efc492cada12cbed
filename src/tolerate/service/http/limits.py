"""Rate limits of keys and addresses: token buckets."""

import time
from collections import OrderedDict
from collections.abc import Callable


class TokenBuckets:
    """One bucket a name: `rate` tokens a second, `burst` at most; the least recently used names are forgotten."""

    def __init__(
        self,
        rate: float,
        burst: float,
        max_names: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate, self.burst, self._max_names, self._clock = rate, burst, max_names, clock
        self._levels: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # tokens, and when they were counted

    def give_back(self, name: str) -> None:
        """Return a token: the attempt was a good one and does not count."""
        level, counted = self._levels.get(name, (self.burst, 0.0))
        self._levels[name] = (min(self.burst, level + 1), counted)

    def take(self, name: str, rate: float | None = None, now: float | None = None) -> float:
        """Take one token; 0.0 if there was one, else the seconds until there will be.

        >>> buckets = TokenBuckets(rate=1.0, burst=2.0)
        >>> [buckets.take("ann", now=0.0) for _ in range(3)]
        [0.0, 0.0, 1.0]
        """
        now = self._clock() if now is None else now
        rate = self.rate if rate is None else rate
        burst = max(self.burst, rate)
        level, counted = self._levels.get(name, (burst, now))
        level = min(burst, level + (now - counted) * rate)
        wait = 0.0 if level >= 1 else (1 - level) / rate if rate else 3600.0
        self._levels[name] = (level - 1 if wait == 0 else level, now)
        self._levels.move_to_end(name)
        if len(self._levels) > self._max_names:
            self._levels.popitem(last=False)
        return wait
