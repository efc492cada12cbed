"""Agreement of reviewers beyond chance: Cohen's kappa for two, Krippendorff's alpha for any number."""

from collections.abc import Mapping
from itertools import combinations

Ratings = Mapping[str, Mapping[str, float]]  # item -> reviewer -> loss


def kappa(ratings: Ratings, first: str, second: str) -> float | None:
    """Cohen's kappa of two reviewers on the items both judged: 1 is perfect, 0 is chance; None if it is undefined.

    Cohen (1960).

    >>> kappa({"a": {"x": 0, "y": 0}, "b": {"x": 1, "y": 1}}, "x", "y")
    1.0
    """
    pairs = [
        (verdicts[first], verdicts[second])
        for verdicts in ratings.values()
        if first in verdicts and second in verdicts
    ]
    if not pairs:
        return None
    n = len(pairs)
    values = {value for pair in pairs for value in pair}
    agreement = sum(a == b for a, b in pairs) / n
    chance = sum(sum(a == v for a, _ in pairs) * sum(b == v for _, b in pairs) for v in values) / n**2
    return None if chance == 1 else (agreement - chance) / (1 - chance)


def alpha(ratings: Ratings, *, interval: bool = False) -> float | None:
    """Krippendorff's alpha over items with two verdicts or more; interval: graded losses, by squared distance.

    1 - (disagreement seen) / (disagreement by chance); None where nobody could have disagreed.
    Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability".

    >>> alpha({"a": {"x": 0, "y": 0}, "b": {"x": 1, "y": 1}, "c": {"x": 1, "y": 0}})
    0.4444...
    """
    units = [list(verdicts.values()) for verdicts in ratings.values() if len(verdicts) > 1]
    values = [value for unit in units for value in unit]
    if len(values) < 2:
        return None
    observed = sum(_disagreement(unit, interval) / (len(unit) - 1) for unit in units) / len(values)
    chance = _disagreement(values, interval) / (len(values) - 1) / len(values)
    return None if chance == 0 else 1 - observed / chance


def _disagreement(values: list[float], interval: bool) -> float:
    """Sum of the differences of all ordered pairs: squared if interval, else 1 for unequal values."""
    if interval:
        n, total, squares = len(values), sum(values), sum(v * v for v in values)
        return 2 * (n * squares - total * total)
    counts = {value: values.count(value) for value in set(values)}
    return float(len(values) ** 2 - sum(count**2 for count in counts.values()))


def kappa_by_pair(ratings: Ratings) -> list[tuple[str, str, float | None, int]]:
    """Kappa of every two reviewers, with the number of items both judged."""
    names = sorted({name for verdicts in ratings.values() for name in verdicts})
    return [
        (
            first,
            second,
            kappa(ratings, first, second),
            sum(first in verdicts and second in verdicts for verdicts in ratings.values()),
        )
        for first, second in combinations(names, 2)
    ]
