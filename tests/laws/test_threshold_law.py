"""The promise of `certify`: broken in at most 1 - confidence of the samples, whatever the population.

Exactly, by summing over all samples of tied scores; by simulation over populations, sizes, clusters,
graded losses and weights. A broken twin of each method shows that the law would catch it.
"""

from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import binom

from tolerate.stats.bounds import binomial_p
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.threshold import find

Array = np.ndarray
Rule = Callable[
    [Sample, float, float], float
]  # sample, tolerance, delta -> released are scores above this edge
NOTHING, EVERYTHING = np.inf, -np.inf
STRAY = 1e-4  # chance that a law cries wolf about a valid method


def ours(sample: Sample, tolerance: float, delta: float) -> float:
    largest = (
        None if sample.weights is None else 4.0
    )  # stated: a small sample may hold none of the heavy rows
    rule = find(sample, dict.fromkeys(sample.losses, tolerance), delta, largest=largest)
    return {"all": EVERYTHING, "nothing": NOTHING}.get(
        rule.scope, rule.edge if rule.edge is not None else 0.0
    )


def peeking(sample: Sample, tolerance: float, delta: float) -> float:
    """Broken: the largest prefix whose p-value is small, out of all prefixes, without correction."""
    assert sample.scores is not None
    order = np.argsort(-sample.scores, kind="stable")
    errors, sizes = np.cumsum(sample.losses["loss"][order]), np.arange(1, len(order) + 1)
    good = np.flatnonzero(binomial_p(errors, sizes, tolerance) <= delta)
    if not len(good):
        return NOTHING
    size = sizes[good[-1]]
    return EVERYTHING if size == len(order) else float(sample.scores[order[size]])


def strictest_anyway(sample: Sample, tolerance: float, delta: float) -> float:
    """Broken: where nothing passes, the strictest threshold is used all the same."""
    edge = ours(sample, tolerance, delta)
    assert sample.scores is not None
    return float(np.quantile(sample.scores, 0.95)) if edge == NOTHING else edge


def rows_for_clusters(sample: Sample, tolerance: float, delta: float) -> float:
    """Broken: every row counts as independent."""
    return ours(Sample(sample.losses, sample.scores, None, None, None), tolerance, delta)


def lost_variance(sample: Sample, tolerance: float, delta: float) -> float:
    """Broken: a normal interval with the sample's deviation; no errors give certainty."""
    assert sample.scores is not None
    best = NOTHING
    for share in np.arange(0.05, 1.0, 0.05):
        edge = float(np.quantile(sample.scores, 1 - share))
        losses = sample.losses["loss"][sample.scores > edge]
        if len(losses) and losses.mean() + 1.2816 * losses.std() / np.sqrt(len(losses)) <= tolerance:
            best = edge
    return best


# Exactly: n rows, scores tied in a few groups, every possible sample weighed by its chance.


def samples_of(n: int, groups: int) -> Array:
    """All ways in which n rows fall into groups x (fine, wrong): [ways, 2 * groups]."""
    cells = 2 * groups
    bars = np.array(list(combinations(range(n + cells - 1), cells - 1)))
    ends = np.hstack([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), n + cells - 1)])
    return np.diff(ends, axis=1) - 1


def worst_chance(n: int, groups: int, tolerance: float, delta: float, rule: Rule) -> float:
    """The largest chance of a broken promise over a grid of populations with tied scores."""
    ways = samples_of(n, groups)
    values = np.arange(groups, 0, -1.0)
    released = np.array([int((values > _edge(way, values, tolerance, delta, rule)).sum()) for way in ways])
    ways_log = gammaln(n + 1) - gammaln(ways + 1).sum(axis=1)
    worst = 0.0
    for population in _populations(groups, tolerance):
        shares, rates = population
        risks = np.cumsum(shares * rates) / np.cumsum(shares)
        broken = (released > 0) & (risks[np.maximum(released - 1, 0)] > tolerance + 1e-12)
        cells = np.stack([shares * (1 - rates), shares * rates], axis=1).ravel()
        logs = ways_log[broken] + ways[broken] @ np.log(np.maximum(cells, 1e-300))
        worst = max(worst, float(np.exp(logs).sum()))
    return worst


def _edge(way: Array, values: Array, tolerance: float, delta: float, rule: Rule) -> float:
    pairs = way.reshape(-1, 2)
    scores = np.repeat(values, pairs.sum(axis=1))
    losses = np.concatenate([np.repeat([0.0, 1.0], pair) for pair in pairs])
    return rule(Sample({"loss": losses}, scores, None, None, None), tolerance, delta)


def _populations(groups: int, tolerance: float) -> list[tuple[Array, Array]]:
    shares = [s for s in product((0.02, 0.1, 0.3, 0.6, 0.8), repeat=groups - 1) if sum(s) < 0.99]
    rates = np.minimum(1.0, tolerance * np.array([0.0, 0.5, 0.9, 1.0, 1.05, 1.3, 2.0, 3.3]))
    return [
        (np.array([*share, 1 - sum(share)]), np.array(rate))
        for share in shares
        for rate in product(rates, repeat=groups)
    ]


@pytest.mark.law
@pytest.mark.parametrize(
    ("n", "groups", "tolerance"), [(10, 2, 0.3), (16, 2, 0.2), (10, 3, 0.3), (20, 2, 0.1)]
)
def test_exact_with_tied_scores(n: int, groups: int, tolerance: float) -> None:
    assert worst_chance(n, groups, tolerance, 0.2, ours) <= 0.2


def test_exact_law_catches_peeking() -> None:
    assert worst_chance(12, 2, 0.3, 0.2, ours) <= 0.2
    assert worst_chance(12, 3, 0.5, 0.2, strict_first_lenient) > 0.2


def strict_first_lenient(sample: Sample, tolerance: float, delta: float) -> float:
    """Broken: any of the groups may pass by itself, without correction; the most lenient wins."""
    assert sample.scores is not None
    best = NOTHING
    for edge in [*np.unique(sample.scores)[::-1], EVERYTHING]:
        rows = sample.scores > edge
        if (
            rows.any()
            and float(binomial_p(sample.losses["loss"][rows].sum(), rows.sum(), tolerance)) <= delta
        ):
            best = float(edge)
    return best


# By simulation: u is uniform, the score is u or something that ranks as u; p(u) is the error rate there.

POPULATIONS: dict[str, Callable[[Array], Array]] = {
    "calibrated": lambda u: 1 - u**0.25,
    "mostly fine": lambda u: 0.01 + 0.09 * (1 - u) ** 2,
    "overconfident top": lambda u: np.where(u > 0.98, 0.15, 0.004 + 0.22 * (1 - u) ** 1.5),
    "upside down": lambda u: 0.1 * u,
    "waves": lambda u: 0.05 * (1 + 0.9 * np.sin(25 * u)),
    "flat at the tolerance": lambda u: 0.0501 + 0 * u,
    "just above below the top": lambda u: np.where(u > 0.8, 0.045, 0.06),
    "rare errors": lambda u: np.where(u > 0.9, 0.0, 0.0558),
}


def risk_above(population: Callable[[Array], Array], edge: float) -> float:
    """The true risk of what is scored above an edge."""
    places = np.linspace(max(0.0, edge), 1, 20001)
    return float(population((places[1:] + places[:-1]) / 2).mean())


def broken_share(
    rule: Rule, name: str, n: int, runs: int, delta: float = 0.1, tolerance: float = 0.05
) -> float:
    """How often the promise breaks."""
    rng = np.random.default_rng([n, runs, sorted(POPULATIONS).index(name)])
    population = POPULATIONS[name]
    broken = 0
    for _ in range(runs):
        u = rng.random(n)
        losses = (rng.random(n) < population(u)).astype(float)
        edge = rule(Sample({"loss": losses}, u, None, None, None), tolerance, delta)
        broken += edge < 1 and risk_above(population, edge) > tolerance
    return broken / runs


def allowed(runs: int, delta: float) -> float:
    """What a valid method's simulated share stays below, but for a chance of STRAY."""
    return float(binom.ppf(1 - STRAY, runs, delta)) / runs


@pytest.mark.law
@pytest.mark.parametrize("n", [50, 200, 1000, 5000])
@pytest.mark.parametrize("name", sorted(POPULATIONS))
def test_rows(name: str, n: int) -> None:
    runs = 400 if n == 5000 else 1500
    assert broken_share(ours, name, n, runs) <= allowed(runs, 0.1)


def test_rows_short() -> None:
    for name in ("flat at the tolerance", "overconfident top"):
        assert broken_share(ours, name, 300, 400) <= allowed(400, 0.1)


@pytest.mark.parametrize(
    ("rule", "name", "n"),
    [
        (peeking, "flat at the tolerance", 1000),
        (strictest_anyway, "overconfident top", 500),
        (lost_variance, "flat at the tolerance", 400),
    ],
)
def test_broken_twins_are_caught(rule: Rule, name: str, n: int) -> None:
    assert broken_share(rule, name, n, 300) > allowed(300, 0.1)


# Clusters: a bad cluster is bad throughout; sizes vary a lot.


def clustered(rng: np.random.Generator, clusters: int, heavy: bool) -> Sample:
    """Rows in clusters of 1 to 40: 6% of clusters are mostly wrong. The risk is above 5% at every threshold."""
    sizes = (
        np.minimum(40, np.ceil(rng.pareto(1.2, clusters) * 2 + 0.01)).astype(int)
        if heavy
        else np.full(clusters, 10)
    )
    cluster = np.repeat(np.arange(clusters), sizes)
    bad = rng.random(clusters) < 0.06
    losses = (rng.random(len(cluster)) < np.where(bad[cluster], 0.9, 0.0)).astype(float)
    return Sample({"loss": losses}, rng.random(len(cluster)), cluster, None, None, named_clusters=True)


def broken_clusters(rule: Rule, heavy: bool, clusters: int, runs: int, delta: float = 0.05) -> float:
    """How often anything is released: scores say nothing, and the risk is 5.4% everywhere."""
    rng = np.random.default_rng([clusters, heavy])
    return float(np.mean([rule(clustered(rng, clusters, heavy), 0.05, delta) < NOTHING for _ in range(runs)]))


@pytest.mark.law
@pytest.mark.parametrize("clusters", [50, 200, 1000])
@pytest.mark.parametrize("heavy", [False, True])
def test_clusters(heavy: bool, clusters: int) -> None:
    assert broken_clusters(ours, heavy, clusters, 400) <= allowed(400, 0.05)


def test_clusters_short_and_the_twin_that_counts_rows() -> None:
    assert broken_clusters(ours, True, 100, 150) <= allowed(150, 0.05)
    assert broken_clusters(rows_for_clusters, True, 100, 150) > allowed(150, 0.05)


# Graded losses and weights.


def graded(rng: np.random.Generator, n: int) -> Sample:
    """Losses of mean .0505 at every score: mostly 0, some small, few 1."""
    u = rng.random(n)
    kind = rng.random(n)
    losses = np.where(kind < 0.03, 1.0, np.where(kind < 0.23, rng.beta(2, 17.5, n), 0.0))
    return Sample({"loss": losses}, u, None, None, None)


def weighted(rng: np.random.Generator, n: int) -> Sample:
    """Wrong items were labelled four times less often: weighted risk 5.2%, plain risk 1.4%."""
    wrong = rng.random(n) < 0.0135
    return Sample({"loss": wrong.astype(float)}, rng.random(n), None, None, np.where(wrong, 4.0, 1.0))


def unweighted(sample: Sample, tolerance: float, delta: float) -> float:
    """Broken: the labels' unequal chances are forgotten."""
    return ours(Sample(sample.losses, sample.scores, None, None, None), tolerance, delta)


def released_share(
    rule: Rule, draw: Callable[[np.random.Generator, int], Sample], n: int, runs: int
) -> float:
    rng = np.random.default_rng(n)
    return float(np.mean([rule(draw(rng, n), 0.05, 0.1) < NOTHING for _ in range(runs)]))


@pytest.mark.law
@pytest.mark.parametrize("n", [50, 200, 1000, 5000])
@pytest.mark.parametrize("draw", [graded, weighted])
def test_graded_and_weighted(draw: Callable[[np.random.Generator, int], Sample], n: int) -> None:
    runs = 150 if n == 5000 else 400
    assert released_share(ours, draw, n, runs) <= allowed(runs, 0.1)


def test_the_twin_that_forgets_weights() -> None:
    assert released_share(unweighted, weighted, 400, 100) > allowed(100, 0.1)
