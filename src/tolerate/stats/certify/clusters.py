"""Clusters: rows that are sampled together are tested together.

Items that share a question, a document or a call are not independent; counting rows broke 95%
promises in up to 27% of cluster resamples of real data. The sampling unit is the cluster, its
evidence the sum of its released items' (loss - tolerance): the risk E[sum of losses] / E[number
released] is above the tolerance exactly if the mean of that sum is above 0.

Two methods share the level, and the one that releases more is taken:

- **Totals.** A random part of the clusters fixes thresholds and start; the others are tested by betting on their
  sums. Thresholds must not depend on the clusters that test them. Good where items of a cluster differ.
- **One a cluster.** One item of each cluster is picked at random, and retained with a chance in proportion to the
  cluster's size. The picks are independent draws from all items, so the exact sequence for rows applies as it is and
  needs no design part. Good where a cluster stands or falls as one, and for few clusters. 0/1 losses only.

Valid for any number, size and dependence inside clusters, if none to come is larger than the largest seen or
stated: one cluster of a thousand bad items would outweigh all that was seen.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tolerate.records import Floats
from tolerate.stats.certify.fixed_sequence import last_passing
from tolerate.stats.certify.prefixes import WHOLE_LEVEL_SHARE, ReleaseRule, Tolerances
from tolerate.stats.certify.ranked import LOWEST_EDGE
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.tally import CountEvidence, MemorySource
from tolerate.stats.certify.totals import RELEASE_ALL_EDGE, UnitTotals, largest_unit_weight, unit_totals

DESIGN_SHARE = 0.2  # share of the clusters that fixes thresholds and start; the rest tests
NUM_STEPS = 40  # thresholds of the sequence, at even shares of the design part
PICKS_LEVEL_SHARE = 0.4  # of the level, for one item a cluster; the totals have the rest
PICKS_METHOD = (
    "exact binomial tests of one item a cluster, drawn by lot, fixed sequence (LTT, arXiv 2110.01052)"
)
TOTALS_METHOD = "betting tests (arXiv 2010.09686) of cluster totals, fixed sequence (LTT, arXiv 2110.01052)"


@dataclass(frozen=True)
class ClusterDesign:
    """Results of the design part: the thresholds to test, where to start, and how gains vary."""

    edges: Floats  # strict to lenient
    start: int
    variances: list[dict[str, float]]  # of a unit's gain, by step and loss


def find_by_clusters(
    sample: Sample, tolerances: Tolerances, delta: float, rng: np.random.Generator, largest: float | None
) -> ReleaseRule:
    """The larger of what the totals prove and what one item a cluster proves; they share the level."""
    if not sample.binary:
        return find_by_totals(sample, tolerances, delta, rng, largest)
    by_picks = find_by_picks(sample, tolerances, delta * PICKS_LEVEL_SHARE, rng, largest)
    by_totals = find_by_totals(sample, tolerances, delta * (1 - PICKS_LEVEL_SHARE), rng, largest)
    return by_picks if _released_share(sample, by_picks) > _released_share(sample, by_totals) else by_totals


def find_by_picks(
    sample: Sample, tolerances: Tolerances, delta: float, rng: np.random.Generator, largest: float | None
) -> ReleaseRule:
    """Exact tests of one item a cluster: independent draws from all items, each as likely as its weight."""
    rows = pick_rows(sample, rng, largest)
    if not len(rows):
        return ReleaseRule("nothing", None, PICKS_METHOD)
    picked = replace(sample.part(rows), clusters=None, weights=None)
    return replace(CountEvidence(MemorySource(picked)).find(tolerances, delta), method=PICKS_METHOD)


def pick_rows(sample: Sample, rng: np.random.Generator, largest: float | None) -> NDArray[np.int64]:
    """Rows of at most one item a cluster.

    A cluster is retained with chance (its weight / the largest weight a cluster can have), an item of it picked with
    chance (its weight / the cluster's). So each item of the population is picked with one chance per unit of weight.
    """
    assert sample.clusters is not None
    weights = np.ones(len(sample)) if sample.weights is None else sample.weights
    order = np.argsort(sample.clusters, kind="stable")
    ends = np.cumsum(weights[order])
    sizes = np.bincount(sample.clusters, weights=weights)
    first = np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
    draws = first + rng.random(len(sizes)) * largest_unit_weight(sample, largest)
    retained = draws < first + sizes
    return order[np.minimum(np.searchsorted(ends, draws[retained], side="right"), len(order) - 1)]


def _released_share(sample: Sample, rule: ReleaseRule) -> float:
    """The share of the sample that is released."""
    if rule.edge is None or sample.scores is None:
        return float(rule.scope == "all")
    return float(np.mean(sample.scores > rule.edge))


def find_by_totals(
    sample: Sample, tolerances: Tolerances, delta: float, rng: np.random.Generator, largest: float | None
) -> ReleaseRule:
    """Betting tests of cluster totals: everything first, then thresholds from the start on."""
    units = unit_totals(sample, rng, largest)
    if sample.scores is None or not np.isfinite(units.scores).any():
        return ReleaseRule(
            "all" if units.safe(RELEASE_ALL_EDGE, tolerances, delta) else "nothing", None, TOTALS_METHOD
        )
    if units.safe(RELEASE_ALL_EDGE, tolerances, delta * WHOLE_LEVEL_SHARE):
        return ReleaseRule("all", None, TOTALS_METHOD)
    level = delta * (1 - WHOLE_LEVEL_SHARE)
    first = units.unit < int(np.ceil(DESIGN_SHARE * units.units))  # units are in random order
    design_part, tested = units.part(first), units.part(~first)
    design = plan_thresholds(design_part, tolerances, level, tested.units)
    last = last_passing(
        len(design.edges),
        design.start,
        lambda step: tested.safe(float(design.edges[step]), tolerances, level, design.variances[step]),
    )
    return _release_rule(last, design.edges)


def plan_thresholds(
    design_part: UnitTotals, tolerances: Tolerances, delta: float, units: int
) -> ClusterDesign:
    """Thresholds at quantiles of the design part, and the start from which it expects to release most."""
    edges = _edges(design_part.scores)
    outlooks = [
        [_outlook(design_part, name, edge, t, delta, units) for name, t in tolerances.items()]
        for edge in edges
    ]
    chances = np.array([np.prod([chance for chance, _ in step]) for step in outlooks])
    released = np.array([np.mean(design_part.above(edge)) for edge in edges])
    return ClusterDesign(
        edges=edges,
        start=int(np.argmax(np.sqrt(released) * chances)),
        variances=[dict(zip(tolerances, (spread for _, spread in step), strict=True)) for step in outlooks],
    )


def _edges(scores: NDArray[np.floating]) -> Floats:
    shares = np.arange(1, NUM_STEPS) / NUM_STEPS
    inside = np.unique(np.quantile(scores, shares, method="lower"))[::-1]
    finite = inside[np.isfinite(inside)].astype(np.float64)
    return np.concatenate([finite, [LOWEST_EDGE, RELEASE_ALL_EDGE]])


def _outlook(
    design_part: UnitTotals, name: str, edge: float, tolerance: float, delta: float, units: int
) -> tuple[float, float]:
    """The estimated chance that `units` clusters prove this threshold, and the variance of their gains."""
    gains = np.zeros(design_part.units)
    observed = design_part.gains(name, edge, tolerance)
    gains[: len(observed)] = observed
    # One more cluster, as bad as the tolerance allows, keeps a small design part from being too sure.
    worst = (design_part.largest * (1 - tolerance)) ** 2 * tolerance * (len(observed) > 0)
    variance = (gains.var() * design_part.units + worst) / (design_part.units + 1) + 1e-12
    drift = -gains.mean() / np.sqrt(variance)
    need = np.sqrt(-2 * np.log(delta))
    chance = float(ndtr((drift * np.sqrt(units) - need) / np.sqrt(1 + units / design_part.units)))
    return chance, float(variance)


def _release_rule(last: int | None, edges: Floats) -> ReleaseRule:
    if last is None:
        return ReleaseRule("nothing", None, TOTALS_METHOD)
    if np.isnan(edges[last]):
        return ReleaseRule("all", None, TOTALS_METHOD)
    return ReleaseRule("above", float(edges[last]), TOTALS_METHOD)
