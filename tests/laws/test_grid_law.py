"""The grid: every method of `certify` on every kind of population, at small, middling and large samples.

Each population is a finite list of rows in clusters, from which samples are drawn with replacement; so the risk of
what a rule releases is known exactly. A cell fails where the promise breaks more often than a method that
keeps it would show with a chance of 1e-4 (the binomial quantile states the simulation's own error). Broken
twins - a forgotten cluster, weight, second loss, slice, or choice - are caught by the same cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from scipy.stats import binom

from tolerate.stats.certify.evidence import certified_slices, evidence_of
from tolerate.stats.certify.prefixes import ReleaseRule
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.threshold import find

Array = np.ndarray
TOLERANCE, DELTA, STRAY = 0.05, 0.1, 1e-4
ROWS = 20_000

RATES: dict[str, Callable[[Array], Array]] = {
    "calibrated": lambda u: 1 - u**0.25,
    "overconfident": lambda u: np.where(u > 0.98, 0.15, 0.004 + 0.22 * (1 - u) ** 1.5),
    "non-monotone": lambda u: 0.05 * (1 + 0.9 * np.sin(25 * u)),
    "ties": lambda u: 0.02 + 0.08 * (1 - np.floor(8 * u) / 8),
    "rare errors": lambda u: np.where(u > 0.9, 0.0, 0.0557),
    "just too much": lambda u: 0.0505 + 0 * u,
    "too much": lambda u: 0.06 + 0 * u,
}


@dataclass(frozen=True)
class Population:
    """Rows in clusters; `chance` of being labelled is what weights make up for."""

    losses: dict[str, Array]
    scores: Array
    clusters: Array
    slices: Array
    chance: Array

    def truth(self, edge: float, name: str, rows: Array | None = None) -> float:
        """The risk above an edge, of all rows or of some."""
        out = (self.scores > edge) & (True if rows is None else rows)
        return float(self.losses[name][out].mean()) if out.any() else 0.0

    def draw(self, rng: np.random.Generator, n: int, kind: str) -> Sample:
        """A sample of about n rows, as this kind of labelling brings them in."""
        if kind == "clusters":
            starts = np.searchsorted(self.clusters, np.arange(self.clusters[-1] + 2))
            drawn = rng.integers(0, len(starts) - 1, max(8, round(n * (len(starts) - 1) / ROWS)))
            rows = np.concatenate([np.arange(starts[c], starts[c + 1]) for c in drawn])
            fresh = np.repeat(np.arange(len(drawn)), np.diff(starts)[drawn])
        else:
            chance = self.chance / self.chance.sum() if kind == "weights" else None
            rows, fresh = rng.choice(ROWS, n, p=chance), None
        return Sample(
            losses={name: losses[rows] for name, losses in self.losses.items()},
            scores=self.scores[rows],
            clusters=fresh,
            slices=self.slices[rows],
            weights=self.chance.min() / self.chance[rows] if kind == "weights" else None,
            named_clusters=fresh is not None,
        )


@lru_cache
def population(name: str, kind: str, heavy: bool = False) -> Population:
    """Rows of which the loss at score u has mean RATES[name](u), as exactly as 20,000 rows can."""
    rng = np.random.default_rng([len(name), len(kind), heavy])
    sizes = np.ceil(40 * rng.random(ROWS) ** 6).astype(int) if heavy else np.full(ROWS, 8)
    clusters = np.repeat(np.arange(ROWS), sizes)[:ROWS]
    u = rng.random(ROWS)
    scores = np.floor(8 * u) / 8 if name == "ties" else u
    lot = (rng.permutation(ROWS) + 0.5) / ROWS
    if kind == "clusters":  # nine rows in ten share their cluster's luck; large clusters have less of it
        luck = (rng.permutation(ROWS) + 0.5) / ROWS / (1 + 0.02 * heavy * sizes[:ROWS])
        lot = np.where(rng.random(ROWS) < 0.9, luck[clusters], lot) + 1e-9 * rng.random(ROWS)
        lot = (np.argsort(np.argsort(lot)) + 0.5) / ROWS
    wrong = (lot < RATES[name](u)).astype(float)
    losses = {"loss": wrong * np.where(kind == "graded", rng.beta(2, 1, ROWS), 1.0)}
    if kind == "graded":
        losses["loss"] = np.minimum(1, losses["loss"] * RATES[name](u).mean() / losses["loss"].mean())
    if kind == "two losses":
        losses["grave"] = wrong * (rng.random(ROWS) < 0.4)
    chance = np.where(wrong > 0, 0.25, 1.0) if kind == "weights" else np.ones(ROWS)
    slices = np.empty(ROWS, int)
    slices[np.argsort(wrong, kind="stable")] = np.arange(ROWS) % 20  # each with its share of the errors
    return Population(losses, scores, clusters, slices, chance)


def edge_of(rule: ReleaseRule) -> float:
    return {"all": -np.inf, "nothing": np.inf}.get(rule.scope, np.inf if rule.edge is None else rule.edge)


def allowed(runs: int) -> float:
    return float(binom.ppf(1 - STRAY, runs, DELTA)) / runs


def limits(people: Population) -> dict[str, float]:
    return {name: TOLERANCE if name == "loss" else TOLERANCE / 4 for name in people.losses}


def broken(
    name: str,
    kind: str,
    n: int,
    runs: int,
    heavy: bool = False,
    twin: Callable[[Sample], Sample] = lambda sample: sample,
) -> float:
    """How often a promise breaks."""
    people = population(name, kind, heavy)
    rng, bad = np.random.default_rng([n, runs, len(kind)]), 0
    for _ in range(runs):
        sample = twin(people.draw(rng, n, kind))
        tolerances = {loss: t for loss, t in limits(people).items() if loss in sample.losses}
        largest = (
            None if sample.weights is None else 1.0
        )  # stated: a small sample may hold none of the heavy rows
        edge = edge_of(find(sample, tolerances, DELTA, largest=largest))
        bad += any(people.truth(edge, loss) > t for loss, t in limits(people).items()) and edge < np.inf
    return bad / runs


@pytest.mark.law
@pytest.mark.parametrize("n", [50, 300, 2000, 5000])
@pytest.mark.parametrize("name", sorted(RATES))
@pytest.mark.parametrize("kind", ["rows", "two losses"])
def test_exact_methods(kind: str, name: str, n: int) -> None:
    runs = 150 if n == 5000 else 400
    assert broken(name, kind, n, runs) <= allowed(runs)


@pytest.mark.law
@pytest.mark.parametrize("n", [50, 300, 2000])
@pytest.mark.parametrize("name", sorted(RATES))
@pytest.mark.parametrize("kind", ["graded", "weights"])
def test_betting_methods(kind: str, name: str, n: int) -> None:
    runs = 60 if n == 2000 else 120
    assert broken(name, kind, n, runs) <= allowed(runs)


@pytest.mark.law
@pytest.mark.parametrize("n", [300, 1000, 5000])
@pytest.mark.parametrize("name", sorted(RATES))
@pytest.mark.parametrize("heavy", [False, True])
def test_clusters(heavy: bool, name: str, n: int) -> None:
    """Heavy: from 1 to 40 rows a cluster, and the large ones are worse.

    The largest cluster is stated, for a sample of 8 may not hold one.
    """
    runs, people = 50 if n == 5000 else 100, population(name, "clusters", heavy)
    rng, bad = np.random.default_rng([n, heavy]), 0
    for _ in range(runs):
        sample = people.draw(rng, n, "clusters")
        edge = edge_of(find(sample, {"loss": TOLERANCE}, DELTA, largest=40.0 if heavy else 8.0))
        bad += edge < np.inf and people.truth(edge, "loss") > TOLERANCE
    assert bad / runs <= allowed(runs)


def slices_broken(name: str, n: int, runs: int, shared: bool) -> float:
    """Twenty slices, each with a threshold of its own: how often at least one promise breaks."""
    people = population(name, "rows")
    rng, bad = np.random.default_rng([n, runs]), 0
    for _ in range(runs):
        evidence = evidence_of(people.draw(rng, n, "rows"))
        lines = evidence.slice_lines(ReleaseRule("nothing", None, ""), "loss", DELTA)
        level = DELTA if shared else DELTA * len(lines)
        wrong = False
        for line in certified_slices(evidence, lines, {"loss": TOLERANCE}, level):
            edge = {"all": -np.inf, "nothing": np.inf}.get(line["scope"], line["threshold"])
            edge = np.nextafter(edge, -np.inf) if line["scope"] == "above" else edge
            wrong |= people.truth(float(edge), "loss", people.slices == int(line["name"])) > TOLERANCE
        bad += wrong
    return bad / runs


@pytest.mark.law
@pytest.mark.parametrize("n", [1000, 4000])
@pytest.mark.parametrize("name", sorted(RATES))
def test_slices_hold_together(name: str, n: int) -> None:
    assert slices_broken(name, n, 120, shared=True) <= allowed(120)


def chosen_broken(corrected: bool, runs: int, among: int = 5, n: int = 400) -> float:
    """The best of several hopeless populations is taken."""
    people = population("just too much", "rows")
    rng, bad = np.random.default_rng(among), 0
    level = DELTA / among if corrected else DELTA
    for _ in range(runs):
        rules = [find(people.draw(rng, n, "rows"), {"loss": TOLERANCE}, level) for _ in range(among)]
        bad += any(
            people.truth(edge_of(rule), "loss") > TOLERANCE for rule in rules if rule.scope != "nothing"
        )
    return bad / runs


@pytest.mark.law
def test_a_choice_of_the_best_of_five() -> None:
    assert chosen_broken(True, 400) <= allowed(400)


# In short, and the twins


def rows_only(sample: Sample) -> Sample:
    return Sample(sample.losses, sample.scores, None, None, None)


def first_loss(sample: Sample) -> Sample:
    return Sample({"loss": sample.losses["loss"]}, sample.scores, None, None, None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("overconfident", "rows"),
        ("ties", "two losses"),
        ("just too much", "graded"),
        ("rare errors", "weights"),
        ("just too much", "clusters"),
    ],
)
def test_short(name: str, kind: str) -> None:
    assert broken(name, kind, 300, 60) <= allowed(60)


@pytest.mark.parametrize(
    ("name", "kind", "heavy", "twin"),
    [
        ("just too much", "clusters", True, rows_only),
        ("just too much", "weights", False, rows_only),
        ("calibrated", "two losses", False, first_loss),
    ],
)
def test_what_is_forgotten_is_caught(
    name: str, kind: str, heavy: bool, twin: Callable[[Sample], Sample]
) -> None:
    assert broken(name, kind, 1000, 120, heavy, twin) > allowed(120)


def test_uncorrected_slices_and_choices_are_caught() -> None:
    assert slices_broken("too much", 1200, 60, shared=False) > allowed(60)
    assert chosen_broken(False, 60, among=15) > allowed(60)
