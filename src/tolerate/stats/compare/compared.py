"""A strategy among those compared, with its certificate and the cost of an accepted item."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tolerate.errors import OptionError, hint
from tolerate.records import Certificate, Floats
from tolerate.stats.compare.cascade import Cascade


@dataclass(frozen=True)
class ComparedStrategy:
    """One strategy, what it may release, and the cost of an accepted item."""

    name: str
    certificate: Certificate | Cascade
    cost: float  # of an accepted item: making it, and a review where it is not released


def cheapest_first(rows: Iterable[ComparedStrategy]) -> list[ComparedStrategy]:
    """The strategies by cost; where costs are equal, proven ones first."""
    return sorted(rows, key=lambda row: (row.cost, not row.certificate.proven))


def checked_costs(costs: Mapping[str, float], names: Sequence[str], review: float) -> Floats:
    """[k] the cost of one item of each strategy; raises OptionError that names what is missing or below 0."""
    missing = sorted(set(names) - set(costs))
    if missing:
        suggestion = f" {hint(missing[0], costs)}" if costs else ""
        raise OptionError(
            f"no cost is given for {', '.join(missing)}; expected the cost of one item of each strategy.{suggestion}"
        )
    values = np.array([float(costs[name]) for name in names])
    if not (np.isfinite(values).all() and np.isfinite(review) and review >= 0 and (values >= 0).all()):
        raise OptionError("costs and the price of a review cannot be below 0, and must be numbers")
    return values
