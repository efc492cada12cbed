"""Clusters: what is sampled together is tested together.

Items that share a question, a document or a call are not independent; counting rows broke 95%
promises in up to 27% of cluster resamples of real data. The sampling unit is the cluster, its
evidence the sum of its released items' (loss - tolerance): the risk E[sum of losses] / E[number
released] is above the tolerance exactly if the mean of that sum is above 0.

Two ways share the level, and the one that releases more is taken:

- **Totals.** A random part of the clusters fixes thresholds and start; the others are tested by betting on their
  sums. Thresholds must not depend on the clusters that test them. Good where items of a cluster differ.
- **One a cluster.** One item of each cluster is picked by lot, and kept with a chance in proportion to the
  cluster's size. The picks are independent draws from all items, so the exact walk for rows applies as it is and
  needs no part put aside. Good where a cluster stands or falls as one, and for few clusters. 0/1 losses only.

Valid for any number, size and dependence inside clusters, if none to come is larger than the largest seen or
stated: one cluster of a thousand bad items would outweigh all that was seen.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tolerate.records import Floats
from tolerate.stats.certify.fixed_sequence import walk
from tolerate.stats.certify.prefixes import EVERYTHING_SHARE, Found, Tolerances
from tolerate.stats.certify.ranked import EVERYTHING
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.tally import CountEvidence, Rows
from tolerate.stats.certify.totals import EVERY_ROW, Totals, largest_of, totals

DESIGN = 0.2  # share of the clusters that fixes thresholds and start; the rest tests
STEPS = 40  # thresholds of the walk, at even shares of the design part
ONE_SHARE = 0.4  # of the level, for one item a cluster; the totals have the rest
ONE = "exact binomial tests of one item a cluster, drawn by lot, fixed sequence (LTT, arXiv 2110.01052)"
METHOD = "betting tests (arXiv 2010.09686) of cluster totals, fixed sequence (LTT, arXiv 2110.01052)"


@dataclass(frozen=True)
class Design:
    """What the design part says: the thresholds to walk, where to start, and how gains vary."""

    edges: Floats  # strict to lenient
    start: int
    variances: list[dict[str, float]]  # of a unit's gain, by step and loss


def walk_clusters(
    given: Sample, tolerances: Tolerances, delta: float, rng: np.random.Generator, largest: float | None
) -> Found:
    """The larger of what the totals prove and what one item a cluster proves; they share the level."""
    if not given.binary:
        return walk_totals(given, tolerances, delta, rng, largest)
    one = walk_picks(given, tolerances, delta * ONE_SHARE, rng, largest)
    found = walk_totals(given, tolerances, delta * (1 - ONE_SHARE), rng, largest)
    return one if _share(given, one) > _share(given, found) else found


def walk_picks(
    given: Sample, tolerances: Tolerances, delta: float, rng: np.random.Generator, largest: float | None
) -> Found:
    """Exact tests of one item a cluster: independent draws from all items, each as likely as its weight."""
    rows = picks(given, rng, largest)
    if not len(rows):
        return Found("nothing", None, ONE)
    alone = replace(given.part(rows), clusters=None, weights=None)
    return replace(CountEvidence(Rows(alone)).find(tolerances, delta), method=ONE)


def picks(given: Sample, rng: np.random.Generator, largest: float | None) -> NDArray[np.int64]:
    """Rows of at most one item a cluster.

    A cluster is kept with chance (its weight / the largest weight a cluster can have), an item of it picked with chance
    (its weight / the cluster's). So each item of the population is picked with one chance per unit of weight.
    """
    assert given.clusters is not None
    weights = np.ones(len(given)) if given.weights is None else given.weights
    order = np.argsort(given.clusters, kind="stable")
    ends = np.cumsum(weights[order])
    sizes = np.bincount(given.clusters, weights=weights)
    first = np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
    lot = first + rng.random(len(sizes)) * largest_of(given, largest)
    kept = lot < first + sizes
    return order[np.minimum(np.searchsorted(ends, lot[kept], side="right"), len(order) - 1)]


def _share(given: Sample, found: Found) -> float:
    """How much of the sample is released."""
    if found.edge is None or given.scores is None:
        return float(found.scope == "all")
    return float(np.mean(given.scores > found.edge))


def walk_totals(
    given: Sample, tolerances: Tolerances, delta: float, rng: np.random.Generator, largest: float | None
) -> Found:
    """Betting tests of cluster totals: everything first, then thresholds from the start on."""
    units = totals(given, rng, largest)
    if given.scores is None or not np.isfinite(units.scores).any():
        return Found("all" if units.safe(EVERY_ROW, tolerances, delta) else "nothing", None, METHOD)
    if units.safe(EVERY_ROW, tolerances, delta * EVERYTHING_SHARE):
        return Found("all", None, METHOD)
    level = delta * (1 - EVERYTHING_SHARE)
    first = units.unit < int(np.ceil(DESIGN * units.units))  # units are in random order
    seen, tested = units.part(first), units.part(~first)
    design = plan(seen, tolerances, level, tested.units)
    last = walk(
        len(design.edges),
        design.start,
        lambda step: tested.safe(float(design.edges[step]), tolerances, level, design.variances[step]),
    )
    return _found(last, design.edges)


def plan(seen: Totals, tolerances: Tolerances, delta: float, units: int) -> Design:
    """Thresholds at quantiles of the design part, and the start from which it expects to release most."""
    edges = _edges(seen.scores)
    outlooks = [
        [_outlook(seen, name, edge, t, delta, units) for name, t in tolerances.items()] for edge in edges
    ]
    chances = np.array([np.prod([chance for chance, _ in step]) for step in outlooks])
    released = np.array([np.mean(seen.above(edge)) for edge in edges])
    return Design(
        edges=edges,
        start=int(np.argmax(np.sqrt(released) * chances)),
        variances=[dict(zip(tolerances, (spread for _, spread in step), strict=True)) for step in outlooks],
    )


def _edges(scores: NDArray[np.floating]) -> Floats:
    shares = np.arange(1, STEPS) / STEPS
    inside = np.unique(np.quantile(scores, shares, method="lower"))[::-1]
    finite = inside[np.isfinite(inside)].astype(np.float64)
    return np.concatenate([finite, [EVERYTHING, EVERY_ROW]])


def _outlook(
    seen: Totals, name: str, edge: float, tolerance: float, delta: float, units: int
) -> tuple[float, float]:
    """The foreseen chance that `units` clusters prove this threshold, and the variance of their gains."""
    gains = np.zeros(seen.units)
    known = seen.gains(name, edge, tolerance)
    gains[: len(known)] = known
    # One more cluster, as bad as the tolerance allows, keeps a small design part from being too sure.
    worst = (seen.largest * (1 - tolerance)) ** 2 * tolerance * (len(known) > 0)
    variance = (gains.var() * seen.units + worst) / (seen.units + 1) + 1e-12
    drift = -gains.mean() / np.sqrt(variance)
    need = np.sqrt(-2 * np.log(delta))
    chance = float(ndtr((drift * np.sqrt(units) - need) / np.sqrt(1 + units / seen.units)))
    return chance, float(variance)


def _found(last: int | None, edges: Floats) -> Found:
    if last is None:
        return Found("nothing", None, METHOD)
    return Found("all", None, METHOD) if np.isnan(edges[last]) else Found("above", float(edges[last]), METHOD)
