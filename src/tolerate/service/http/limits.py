"""How often a key, or an address, may ask: buckets that fill by the second."""

import time
from collections import OrderedDict


class Buckets:
    """One bucket a name: `rate` tokens a second, `burst` at most; the least used names are forgotten."""

    def __init__(self, rate: float, burst: float, most: int = 10_000) -> None:
        self.rate, self.burst, self._most = rate, burst, most
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def give_back(self, name: str) -> None:
        """Return a token: the try was a good one and does not count."""
        level, at = self._kept.get(name, (self.burst, 0.0))
        self._kept[name] = (min(self.burst, level + 1), at)

    def take(self, name: str, rate: float | None = None, now: float | None = None) -> float:
        """Take one token; 0.0 if there was one, else the seconds until there will be.

        >>> buckets = Buckets(rate=1.0, burst=2.0)
        >>> [buckets.take("ann", now=0.0) for _ in range(3)]
        [0.0, 0.0, 1.0]
        """
        now = time.monotonic() if now is None else now
        rate = self.rate if rate is None else rate
        burst = max(self.burst, rate)
        level, at = self._kept.get(name, (burst, now))
        level = min(burst, level + (now - at) * rate)
        wait = 0.0 if level >= 1 else (1 - level) / rate if rate else 3600.0
        self._kept[name] = (level - 1 if wait == 0 else level, now)
        self._kept.move_to_end(name)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return wait
