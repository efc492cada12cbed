"""The cheapest of several strategies, with a promise for the one that is chosen.

Every strategy is certified with delta / (number of strategies). By the union bound all certificates hold
together with probability at least the confidence, so the cheapest may be chosen after looking at them.
Bonferroni's correction; the strategies may share their items, and depend on each other in any way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tolerate.errors import DataError, OptionError
from tolerate.records import Certificate, Table
from tolerate.stats.threshold import certify


@dataclass(frozen=True)
class Compared:
    """One strategy: what it may release, and what an accepted item costs by it."""

    name: str
    certificate: Certificate
    cost: float  # of an accepted item: making it, and a review where it is not released


def compare(
    strategies: Mapping[str, Table],
    costs: Mapping[str, float],
    *,
    tolerance: float,
    confidence: float = 0.95,
    review: float,
) -> list[Compared]:
    """All strategies with their certificates, the cheapest first; all the promises hold together.

    strategies: labelled items of each, by name. costs: of making one item. review: of a person's look
    at one item; what is not released is reviewed, so an accepted item costs
    `cost + (1 - coverage) * review`, and where nothing is released, `review` alone.

    >>> import numpy as np
    >>> tables = {"cheap": Table(losses=np.arange(500) % 4 == 0), "dear": Table(losses=np.zeros(500))}
    >>> best, _ = compare(tables, {"cheap": 0.1, "dear": 0.5}, tolerance=0.05, review=5.0)
    >>> best.name, best.cost
    ('dear', 0.5)
    """
    if not strategies:
        raise DataError("there are no strategies to compare; expected one table each")
    missing = sorted(set(strategies) - set(costs))
    if missing:
        raise OptionError(
            f"no cost is given for {', '.join(missing)}; expected the cost of one item of each strategy"
        )
    if review < 0 or min(costs[name] for name in strategies) < 0:
        raise OptionError("costs and the price of a review cannot be below 0")
    asked: dict[str, Any] = {"tolerance": tolerance, "confidence": confidence, "comparisons": len(strategies)}
    found = [(name, certify(table, **asked)) for name, table in strategies.items()]
    rows = [Compared(name, promise, _cost(promise, costs[name], review)) for name, promise in found]
    return sorted(rows, key=lambda row: row.cost)


def _cost(certificate: Certificate, make: float, review: float) -> float:
    return make + (1 - certificate.coverage) * review if certificate.proven else review
