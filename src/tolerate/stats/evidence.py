"""What the labelled sample shows of what is released: of every loss, and of every slice."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.stats.bounds import binomial_upper
from tolerate.stats.prefixes import Found
from tolerate.stats.ranked import threshold_above
from tolerate.stats.samples import Sample, is_binary
from tolerate.stats.totals import EVERY_ROW, totals

Line = dict[str, Any]
Finder = Callable[[Sample, Mapping[str, float], float], Found]  # sample, tolerances, level


def released_rows(given: Sample, found: Found) -> NDArray[np.bool_]:
    """Which rows the rule releases; a missing score is never above a threshold."""
    if found.scope == "all":
        return np.ones(len(given), bool)
    if found.scope == "nothing" or given.scores is None or found.edge is None:
        return np.zeros(len(given), bool)
    return np.asarray(given.scores > found.edge)


def mean_loss(given: Sample, name: str, rows: NDArray[np.bool_]) -> float | None:
    """The weighted mean of a loss over some rows; None if there are none."""
    if given.weights is None:
        count = int(np.count_nonzero(rows))
        return float(given.losses[name] @ rows / count) if count else None
    total = float(given.weights @ rows)
    return float((given.losses[name] * given.weights) @ rows / total) if total else None


def threshold_of(given: Sample, found: Found) -> float | None:
    """The lowest released score, in the precision of the scores."""
    if found.edge is None:
        return None
    return threshold_above(found.edge, np.dtype(np.float64) if given.scores is None else given.scores.dtype)


def loss_lines(
    given: Sample, tolerances: Mapping[str, float], rows: NDArray[np.bool_], bound: float | None
) -> list[Line]:
    """One line a loss: what was seen of it among the released, and what is proven."""
    anything = bool(rows.any())
    only = len(tolerances) == 1
    return [
        {
            "name": name,
            "tolerance": tolerance,
            "risk_seen": mean_loss(given, name, rows),
            "risk_bound": None if not anything else bound if only and bound is not None else tolerance,
        }
        for name, tolerance in tolerances.items()
    ]


def slice_lines(
    given: Sample, name: str, rows: NDArray[np.bool_], delta: float, seed: int, largest: float | None
) -> list[Line]:
    """One line a slice: its labels, how many of them are released, the risk seen, and an upper bound on it.

    Each bound holds by itself with the certificate's confidence; together they are not promised.
    """
    if given.slices is None:
        return []
    lines = []
    for label, inside in _slices(given):
        released = inside & rows
        bound = upper_bound(given.part(released), name, delta, seed, largest) if released.any() else None
        lines.append(
            {
                "name": label,
                "labels": int(inside.sum()),
                "released": int(released.sum()),
                "risk_seen": mean_loss(given, name, released),
                "risk_bound": bound,
            }
        )
    return lines


def certified_slices(
    given: Sample, lines: list[Line], tolerances: Mapping[str, float], delta: float, find: Finder
) -> list[Line]:
    """The lines with a threshold of each slice's own; all of them hold at once (Bonferroni)."""
    return [
        {**line, **_own(part := given.part(inside), find(part, tolerances, delta / len(lines)))}
        for line, (_, inside) in zip(lines, _slices(given), strict=True)
    ]


def upper_bound(part: Sample, name: str, delta: float, seed: int, largest: float | None) -> float:
    """Upper bound on the risk of the population that these rows are a sample of."""
    losses = part.losses[name]
    if part.clusters is None and part.weights is None and is_binary(losses):
        return float(binomial_upper(losses.sum(), len(losses), 1 - delta))
    units = totals(part, np.random.default_rng(seed), largest)
    low, high = 0.0, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        rejected = units.refuted(name, EVERY_ROW, middle, delta)
        low, high = (low, middle) if rejected else (middle, high)
    return high


def _own(part: Sample, found: Found) -> Line:
    rows = released_rows(part, found)
    return {"scope": found.scope, "threshold": threshold_of(part, found), "coverage": float(rows.mean())}


def _slices(given: Sample) -> list[tuple[str, NDArray[np.bool_]]]:
    assert given.slices is not None
    names, places = np.unique(given.slices.astype(str), return_inverse=True)
    return [(str(name), places.ravel() == place) for place, name in enumerate(names)]
