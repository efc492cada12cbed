"""The error of a check itself, measured on items whose verdict is known."""

from dataclasses import dataclass

from tolerate.stats.bounds import binomial_interval


@dataclass(frozen=True)
class OwnError:
    """Counts of a check's right and wrong verdicts on items whose verdict is known.

    faulty: items with a fault; missed: how many of those it let pass. right: items without a fault; refused: how many
    of those it called wrong; unrecognised: how many of the refused it could not read as anything.
    """

    faulty: int = 0
    missed: int = 0
    right: int = 0
    refused: int = 0
    unrecognised: int = 0

    @property
    def tested(self) -> int:
        """The number of items tested, of both kinds."""
        return self.faulty + self.right

    @property
    def wrong(self) -> int:
        """The number of wrong verdicts."""
        return self.missed + self.refused

    @property
    def rate(self) -> float:
        """The share of wrong verdicts."""
        return self.wrong / self.tested

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of the rate for such items, both ends exact. Clopper & Pearson (1934).

        >>> OwnError(right=100, refused=5).interval()
        (0.0164..., 0.1128...)
        """
        return binomial_interval(self.wrong, self.tested, confidence)
