"""What may be released on its score: the largest part of which the risk is provably within the tolerance.

`certify` answers with a `Certificate`. The promise: P(risk of what is released <= tolerance) >=
confidence, over the draw of the labelled sample, whatever the scores are worth.

**Rows that stand alone, losses 0 or 1** (exact). Let v be the (k+1)-th largest score. Given v, the
rows scored above v are an independent sample from what the rule "release above v" releases, so
the binomial test of their errors is exact. The prefixes k are tested in increasing order from a
start that does not depend on the losses tested, each at the full level, until one fails. Then the
chance that an unsafe prefix is released is at most 1 - confidence: only the first unsafe one of
the sequence matters, and among the rows above it the errors are stochastically at least
binomial(k, tolerance), also given which earlier prefixes were safe (docs/ideas/threshold.md has the proof).

**Clusters, graded losses, weights.** The claim "the risk above v exceeds the tolerance" says that a
mean over independent units is positive (`totals.py`); it is tested by betting. A random part of the
units fixes the thresholds and where to start; the rest tests them.

**Several losses.** A threshold is unsafe if one of its risks exceeds its tolerance; it passes only if
every loss's test passes. At the first unsafe threshold of the walk one given claim is true, and
its test alone passes with probability at most 1 - confidence: no correction is needed.

Angelopoulos et al. 2110.01052 (fixed-sequence testing); Geifman & El-Yaniv 2017; Waudby-Smith & Ramdas 2010.09686.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import tolerate
from tolerate.errors import OptionError
from tolerate.records import Certificate, Scope, Table
from tolerate.stats.ranked import EVERYTHING, Ranked, ranked, threshold_above
from tolerate.stats.samples import (
    Losses,
    Sample,
    Tolerances,
    fingerprint,
    sample,
    share,
    tolerances_of,
)
from tolerate.stats.totals import EVERY_ROW, Totals, totals
from tolerate.stats.walk import critical, sizes, walk
from tolerate.words import number, sentence

HASHED_ROWS = 1_000_000  # columns given as arrays are hashed up to this length
DESIGN = 0.2  # share of the units that fixes thresholds and start, where the rest then tests
START = 0.2  # of the sample: the first prefix tested, unless something better is known
BINOMIAL = "exact binomial tests of score prefixes in a fixed sequence"
BETTING = "betting tests of unit totals above thresholds in a fixed sequence"


@dataclass(frozen=True)
class Found:
    """What a walk found: the edge above which is released, and how it was proven."""

    scope: Scope
    edge: float | None  # release what is scored above it; None unless scope is "above"
    method: str
    assumptions: tuple[str, ...] = ()


def certify(
    table: Table | None = None,
    *,
    losses: Losses | None = None,
    scores: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    slices: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    tolerance: Tolerances,
    confidence: float = 0.95,
    comparisons: int = 1,
    seed: int = 0,
    largest_cluster: float | None = None,
    losses_by: str = "",
) -> Certificate:
    """Certify the largest part that can be released with risk at most the tolerance.

    table, or losses= and the other columns as arrays; losses may be a dict of several losses,
        with a dict of their tolerances: all of them hold for what is released.
    comparisons: how many certificates share this confidence; the level is divided among them.
    seed: of the random order in which clusters and graded losses are tested.
    largest_cluster: the most items (or weight) that a cluster of the population can have, if known.

    >>> rng = np.random.default_rng(1)
    >>> scores = rng.random(2000)
    >>> wrong = rng.random(2000) > scores**0.25
    >>> cert = certify(losses=wrong, scores=scores, tolerance=0.05, confidence=0.9)
    >>> cert.scope, cert.risk_bound
    ('above', 0.05)
    """
    given = sample(table, losses, scores, clusters, slices, weights)
    tolerances = tolerances_of(tolerance, list(given.losses))
    delta = (1 - share(confidence, "confidence", 0.95)) / _count(comparisons)
    rows = given.clusters is None and given.weights is None and given.binary
    if rows:
        found = _walk_rows(ranked(given), given, tolerances, delta)
    else:
        found = _walk_units(given, tolerances, delta, np.random.default_rng(seed), largest_cluster)
    options = {"comparisons": comparisons, "seed": seed, "largest_cluster": largest_cluster}
    return _certificate(given, found, tolerances, confidence, options, losses_by)


def _count(comparisons: int) -> int:
    if not (isinstance(comparisons, int | np.integer) and comparisons >= 1):
        raise OptionError(f"comparisons is {comparisons!r}; expected a whole number, 1 or more")
    return int(comparisons)


def _walk_rows(order: Ranked, given: Sample, tolerances: Mapping[str, float], delta: float) -> Found:
    """Exact binomial tests of prefixes of the ranking, from the start on."""
    n = len(order)
    hardest = min(tolerances.values())
    tried = sizes(n, hardest, delta)
    if given.scores is None:
        tried = tried[tried == n]
    edges = order.edges(tried)
    whole = tried == n
    counts = np.where(whole, n, order.above(edges))
    passes = np.ones(len(tried), bool)
    for name, tolerance in tolerances.items():
        errors = np.where(whole, len(order.wrong[name]), order.errors(name, edges))
        passes &= errors <= critical(counts, tolerance, delta)
    possible = np.flatnonzero((tried >= START * n) & (critical(counts, hardest, delta) >= 0))
    if not len(possible):
        return Found("nothing", None, BINOMIAL)
    last = walk(len(tried), int(possible[0]), lambda step: bool(passes[step]))
    return _found(last, whole, edges, BINOMIAL)


def _found(last: int | None, whole: NDArray[Any], edges: NDArray[Any], method: str) -> Found:
    if last is None:
        return Found("nothing", None, method)
    return Found("all", None, method) if whole[last] else Found("above", float(edges[last]), method)


def _walk_units(
    given: Sample,
    tolerances: Mapping[str, float],
    delta: float,
    rng: np.random.Generator,
    largest: float | None,
) -> Found:
    """Betting tests of unit totals; thresholds and start from a random design part."""
    everything = totals(given, rng, largest)
    if given.scores is None:
        return _found(
            0 if _safe(everything, EVERY_ROW, tolerances, delta) else None,
            np.array([True]),
            np.array([0.0]),
            BETTING,
        )
    design = everything.unit < int(np.ceil(DESIGN * given.units))
    seen, tested = (totals(given.part(rows), rng, everything.largest) for rows in (design, ~design))
    edges = _design_edges(seen)
    start = _design_start(seen, edges, tolerances, delta, tested.units)
    last = walk(len(edges), start, lambda step: _safe(tested, edges[step], tolerances, delta))
    return _found(last, np.isnan(edges), edges, BETTING)


def _safe(units: Totals, edge: float, tolerances: Mapping[str, float], delta: float) -> bool:
    return all(units.p(name, edge, tolerance, delta) <= delta for name, tolerance in tolerances.items())


def _design_edges(seen: Totals) -> NDArray[np.float64]:
    """Thresholds at quantiles of the design part, strict to lenient; everything comes last."""
    shares = np.linspace(0.05, 1, 39)[:-1]
    inside = np.quantile(seen.scores, 1 - shares, method="lower")
    inside = np.unique(inside[np.isfinite(inside)])[::-1]
    return np.concatenate([inside, [EVERYTHING], [EVERY_ROW]])


def _design_start(
    seen: Totals, edges: NDArray[np.float64], tolerances: Mapping[str, float], delta: float, units: int
) -> int:
    """The edge of the largest (released share) * (chance to pass), as the design part foresees it."""
    from scipy.special import ndtr

    value = np.zeros(len(edges))
    for step, edge in enumerate(edges):
        released = np.ones(len(seen.scores), bool) if np.isnan(edge) else seen.scores > edge
        chance = 1.0
        for name, tolerance in tolerances.items():
            gains = np.zeros(seen.units)
            given = seen.gains(name, edge, tolerance)
            gains[: len(given)] = given
            guess = (
                np.sqrt((gains.var() * seen.units + seen.largest**2 * tolerance) / (seen.units + 1)) + 1e-12
            )
            drift = -gains.mean() / guess
            chance *= float(
                ndtr((drift * np.sqrt(units) - np.sqrt(-2 * np.log(delta))) / np.sqrt(1 + units / seen.units))
            )
        value[step] = released.mean() * chance
    return int(np.argmax(value))


def _certificate(
    given: Sample,
    found: Found,
    tolerances: Mapping[str, float],
    confidence: float,
    options: dict[str, Any],
    losses_by: str,
) -> Certificate:
    released = _released(given, found)
    main = next(iter(tolerances))
    anything = found.scope != "nothing"
    weights = np.ones(len(given)) if given.weights is None else given.weights
    seen = {
        name: float(np.average(losses[released], weights=weights[released])) if released.any() else None
        for name, losses in given.losses.items()
    }
    kind = np.dtype(np.float64) if given.scores is None else given.scores.dtype
    return Certificate(
        tolerance=tolerances[main],
        confidence=float(confidence),
        scope=found.scope,
        threshold=None if found.edge is None else threshold_above(found.edge, kind),
        coverage=float(weights[released].sum() / weights.sum()),
        risk_bound=tolerances[main] if anything else None,
        risk_seen=seen[main] if anything else None,
        labels=len(given),
        clusters=given.units,
        released=int(released.sum()),
        method=found.method,
        assumptions=_assumptions(given, options),
        losses_by=losses_by,
        names=given.names,
        options=options,
        data_sha256=given.sha256 or (fingerprint(given) if len(given) <= HASHED_ROWS else None),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=tolerate.__version__,
    )


def _released(given: Sample, found: Found) -> NDArray[np.bool_]:
    if found.scope == "all":
        return np.ones(len(given), bool)
    if found.scope == "nothing" or given.scores is None or found.edge is None:
        return np.zeros(len(given), bool)
    return np.asarray(given.scores > found.edge)  # NaN is never above


def _assumptions(given: Sample, options: Mapping[str, Any]) -> tuple[str, ...]:
    """What the promise rests on, in words."""
    said = [sentence("same")]
    if not given.named_clusters:
        said.append(sentence("rows"))
    elif given.clusters is not None:
        said.append(sentence("clusters", cluster=given.names.get("cluster", "as given")))
        said.append(sentence("largest", size=number(_largest(given, options["largest_cluster"]))))
    if given.weights is not None:
        said.append(sentence("weights", size=number(float(given.weights.max()))))
    if options["comparisons"] > 1:
        said.append(sentence("shared", count=str(options["comparisons"])))
    return (*said, sentence("judged"))


def _largest(given: Sample, stated: float | None) -> float:
    seen = float(np.bincount(given.clusters).max()) if given.clusters is not None else 1.0
    return seen if stated is None else max(seen, stated)
