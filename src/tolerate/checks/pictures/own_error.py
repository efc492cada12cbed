"""How often a check itself is wrong, measured on real pictures whose class is known."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.checks import Verdicts
from tolerate.errors import DataError, OptionError
from tolerate.stats.bounds import binomial_upper


@dataclass(frozen=True)
class OwnError:
    """What a check said of real pictures that nothing else has seen: each should have passed."""

    pictures: int
    misread: int  # read as another class
    none: int  # read as none of the classes

    @property
    def rate(self) -> float:
        """Share of real pictures that the check called wrong."""
        return (self.misread + self.none) / self.pictures

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Where the rate lies for pictures of this kind, both ends exact. Clopper & Pearson (1934).

        >>> OwnError(pictures=100, misread=3, none=2).interval()
        (0.0164..., 0.1128...)
        """
        wrong, side = self.misread + self.none, 1 - (1 - confidence) / 2
        low = 1 - float(binomial_upper(self.pictures - wrong, self.pictures, side))
        return max(low, 0.0), float(binomial_upper(wrong, self.pictures, side))

    def to_json(self) -> dict[str, Any]:
        """Counts, rate and 95% interval."""
        low, high = self.interval()
        return {**asdict(self), "rate": self.rate, "low": low, "high": high, "confidence": 0.95}

    def sentence(self, lang: str = "en") -> str:
        """One sentence for a certificate.

        >>> OwnError(pictures=200, misread=1, none=1).sentence()
        'Of 200 further real pictures it misread 1 and could not read 1: 1% wrong (95% interval 0.12% to 3.6%).'
        """
        if lang not in _SENTENCES:
            raise OptionError(f'there are no words in "{lang}"; expected {" or ".join(_SENTENCES)}')
        low, high = self.interval()
        shares = {"rate": _percent(self.rate), "low": _percent(low), "high": _percent(high)}
        return _SENTENCES[lang].format(n=f"{self.pictures:,}", misread=self.misread, none=self.none, **shares)


_SENTENCES = {
    "en": "Of {n} further real pictures it misread {misread} and could not read {none}: {rate} wrong "
    "(95% interval {low} to {high}).",
    "zh": "在另外 {n} 张真图上,它读错 {misread} 张,读不出 {none} 张:错误率 {rate}(95% 区间 {low} 至 {high})。",
}


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"


def own_error(read: NDArray[np.int64], truth: NDArray[np.int64], classes: Sequence[str]) -> OwnError:
    """Count a reader's errors on real pictures: its labels against the true ones, len(classes) for none.

    >>> own_error(np.array([0, 1, 2, 1]), np.array([0, 1, 1, 0]), ["a", "b"])
    OwnError(pictures=4, misread=1, none=1)
    """
    if len(read) == 0 or len(read) != len(truth):
        raise DataError(
            f"{len(read)} readings of {len(truth)} pictures; expected one of each, and one at least"
        )
    none = read == len(classes)
    return OwnError(len(read), int((~none & (read != truth)).sum()), int(none.sum()))


def own_error_of(verdicts: Verdicts, classes: Sequence[str]) -> OwnError:
    """Count any check's errors from its verdicts on real pictures, each asked for as what it is.

    Wrong ones that it read as a class are misread; for the others it saw none of the classes.

    >>> own_error_of(Verdicts(np.array([0.0, 1.0, 1.0]), ["a", "b", "too little ink"]), ["a", "b"])
    OwnError(pictures=3, misread=1, none=1)
    """
    if not len(verdicts.losses):
        raise DataError("there are no verdicts to count; expected one at least")
    wrong = [read for read, loss in zip(verdicts.reads, verdicts.losses, strict=True) if loss > 0]
    misread = sum(read in classes for read in wrong)
    return OwnError(len(verdicts.losses), misread, len(wrong) - misread)
