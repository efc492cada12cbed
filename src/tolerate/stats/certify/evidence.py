"""What the labelled sample shows of what is released: of every loss, and of every slice.

`Evidence` is all that a certificate asks. Rows that stand alone with 0/1 losses answer by counts
(`tally.CountEvidence`); clusters, graded losses and weights are answered here, from the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tolerate.records import Floats
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.certify.clusters import walk_clusters
from tolerate.stats.certify.first_test import History
from tolerate.stats.certify.prefixes import Found, Tolerances, walk_graded
from tolerate.stats.certify.ranked import bottomed, threshold_above
from tolerate.stats.certify.samples import Sample, is_binary
from tolerate.stats.certify.tally import CountEvidence, Line, Rows, Source, above, edge_of
from tolerate.stats.certify.totals import EVERY_ROW, totals


class Evidence(Protocol):
    """What a certificate asks of the labelled sample."""

    @property
    def labels(self) -> int:
        """Labelled items."""
        ...

    @property
    def units(self) -> int:
        """Independent sampling units among them."""
        ...

    def find(self, tolerances: Tolerances, delta: float, history: History | None = None) -> Found:
        """The largest part that passes at level delta."""
        ...

    def threshold(self, found: Found) -> float | None:
        """The lowest released score."""
        ...

    def released(self, found: Found) -> int:
        """How many rows the rule releases."""
        ...

    def coverage(self, found: Found) -> float:
        """The (weighted) share of the rows that the rule releases."""
        ...

    def risk_seen(self, found: Found, name: str) -> float | None:
        """The (weighted) mean loss of the released; None if there are none."""
        ...

    def slice_lines(self, found: Found, name: str, delta: float) -> list[Line]:
        """One line a slice: its labels, how many of them are released, the risk seen, and a bound on it.

        Each bound holds by itself with the certificate's confidence; together they are not promised.
        """
        ...

    def only(self, slice: str) -> "Evidence":
        """The evidence of one slice."""
        ...

    def without(self, slice: str) -> "Evidence | None":
        """The evidence of all other slices; None if there are none."""
        ...

    def worst_slices(self) -> list[str]:
        """Names of slices, the one with the most summed loss first."""
        ...

    def errors_at(self, name: str, shares: Floats) -> Floats:
        """Summed losses in the top shares of the ranking."""
        ...

    @property
    def scored(self) -> bool:
        """Whether any row has a score."""
        ...


def evidence_of(given: Sample | Source, seed: int = 0, largest: float | None = None) -> Evidence:
    """The evidence in a sample, by the kind that fits it."""
    if not isinstance(given, Sample):
        return CountEvidence(given)
    if given.clusters is None and given.weights is None and given.binary:
        return CountEvidence(Rows(given))
    return RowEvidence(given, seed, largest)


@dataclass(frozen=True)
class RowEvidence:
    """Clusters, graded losses, weights: the rows themselves are read."""

    given: Sample
    seed: int
    largest: float | None

    @property
    def labels(self) -> int:
        return len(self.given)

    @property
    def units(self) -> int:
        return self.given.units

    @property
    def scored(self) -> bool:
        return self.given.scores is not None

    def find(self, tolerances: Tolerances, delta: float, history: History | None = None) -> Found:
        rng = np.random.default_rng(self.seed)
        if self.given.clusters is not None:
            return walk_clusters(self.given, tolerances, delta, rng, self.largest)
        return walk_graded(self.given, tolerances, delta, history, rng, self.largest)

    def threshold(self, found: Found) -> float | None:
        if found.edge is None or self.given.scores is None:
            return None
        return threshold_above(found.edge, self.given.scores.dtype)

    def released(self, found: Found) -> int:
        return int(np.count_nonzero(self._rows(found)))

    def coverage(self, found: Found) -> float:
        rows, weights = self._rows(found), self.given.weights
        return float(rows.mean() if weights is None else weights @ rows / weights.sum())

    def risk_seen(self, found: Found, name: str) -> float | None:
        return _mean_loss(self.given, name, self._rows(found))

    def slice_lines(self, found: Found, name: str, delta: float) -> list[Line]:
        rows, lines = self._rows(found), []
        for label, inside in self._slices():
            released = inside & rows
            part = self.given.part(released)
            lines.append(
                {
                    "name": label,
                    "labels": int(inside.sum()),
                    "released": int(released.sum()),
                    "risk_seen": _mean_loss(self.given, name, released),
                    "risk_bound": self._bound(part, name, delta) if released.any() else None,
                }
            )
        return lines

    def only(self, slice: str) -> Evidence:
        return evidence_of(self.given.part(self._named() == slice), self.seed, self.largest)

    def without(self, slice: str) -> Evidence | None:
        rest = self._named() != slice
        return evidence_of(self.given.part(rest), self.seed, self.largest) if rest.any() else None

    def worst_slices(self) -> list[str]:
        if self.given.slices is None:
            return []
        names, places = np.unique(self._named(), return_inverse=True)
        losses = next(iter(self.given.losses.values()))
        summed = np.bincount(places.ravel(), weights=losses, minlength=len(names))
        return [str(names[place]) for place in np.argsort(-summed, kind="stable")]

    def errors_at(self, name: str, shares: Floats) -> Floats:
        order = np.argsort(-bottomed(self.given), kind="stable")
        summed = np.concatenate([[0.0], np.cumsum(self.given.losses[name][order])])
        return np.asarray(summed[np.ceil(shares * self.labels).astype(np.int64)])

    def _rows(self, found: Found) -> NDArray[np.bool_]:
        return above(edge_of(found), self.labels, self.given.scores)

    def _named(self) -> NDArray[Any]:
        assert self.given.slices is not None
        return self.given.slices.astype(str)

    def _slices(self) -> list[tuple[str, NDArray[np.bool_]]]:
        if self.given.slices is None:
            return []
        names, places = np.unique(self._named(), return_inverse=True)
        return [(str(name), places.ravel() == place) for place, name in enumerate(names)]

    def _bound(self, part: Sample, name: str, delta: float) -> float:
        """Upper bound on the risk of the population that these rows are a sample of."""
        losses = part.losses[name]
        if part.clusters is None and part.weights is None and is_binary(losses):
            return float(binomial_upper(losses.sum(), len(losses), 1 - delta))
        units = totals(part, np.random.default_rng(self.seed), self.largest)
        low, high = 0.0, 1.0
        for _ in range(24):
            middle = (low + high) / 2
            rejected = units.refuted(name, EVERY_ROW, middle, delta)
            low, high = (low, middle) if rejected else (middle, high)
        return high


def loss_lines(
    evidence: Evidence, found: Found, tolerances: Mapping[str, float], sharper: float | None
) -> list[Line]:
    """One line a loss: what was seen of it among the released, and what is proven."""
    anything = evidence.released(found) > 0
    only = len(tolerances) == 1
    return [
        {
            "name": name,
            "tolerance": tolerance,
            "risk_seen": evidence.risk_seen(found, name),
            "risk_bound": None if not anything else sharper if only and sharper is not None else tolerance,
        }
        for name, tolerance in tolerances.items()
    ]


def certified_slices(
    evidence: Evidence, lines: list[Line], tolerances: Mapping[str, float], delta: float
) -> list[Line]:
    """The lines with a threshold of each slice's own; all of them hold at once (Bonferroni)."""
    return [{**line, **_own(evidence.only(line["name"]), tolerances, delta / len(lines))} for line in lines]


def _own(part: Evidence, tolerances: Mapping[str, float], delta: float) -> Line:
    found = part.find(tolerances, delta)
    released = part.released(found) / part.labels
    return {"scope": found.scope, "threshold": part.threshold(found), "coverage": released}


def _mean_loss(given: Sample, name: str, rows: NDArray[np.bool_]) -> float | None:
    """The weighted mean of a loss over some rows; None if there are none."""
    if given.weights is None:
        count = int(np.count_nonzero(rows))
        return float(given.losses[name] @ rows / count) if count else None
    total = float(given.weights @ rows)
    return float((given.losses[name] * given.weights) @ rows / total) if total else None
