"""Cascades on real answers: cost of an item and broken promises, ours beside Bonferroni over a grid and LOTUS's bound.

    python -m benchmarks.cascade [--runs 100] [--items 2000]

Each set is the population; its items are drawn with replacement (they are the clusters: one answer a model and item). A
promise is broken when the risk of what the chosen rule releases from the whole set is above the tolerance.
The cost of the chosen rule is that on the whole set, too. The dear model costs 20, the cheap one 1, a person 100.
The grid's thresholds are quantiles of the whole set, known beforehand. Peers are reimplemented from their papers.
"""

import argparse
import csv
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from tolerate.stats.bounds import binomial_p
from tolerate.stats.compare.cascade import Cascade
from tolerate.stats.compare.rules import RELEASE_ALL, SKIP_TIER, StrategyData, apply_rule, cost_of, rule_grid
from tolerate.stats.compare.strategies import compare

Array = np.ndarray
Rule = tuple[float, ...]
CONFIDENCE, REVIEW = 0.95, 100.0
COSTS = (1.0, 20.0)
SETS = {  # file: score column, cheap and dear model, tolerances
    "exam_mmlu": ("score_qlen", "mixtral", "gpt4", (0.2, 0.25, 0.3)),
    "maths_gsm8k": ("score_agree", "6b_verification", "175b_verification", (0.2, 0.3, 0.4)),
    "medical_thoughtsource": ("score_agree", "flan-T5-xxl", "gpt-4", (0.2, 0.25, 0.3)),
}


def load(path: Path, score: str, models: tuple[str, str]) -> StrategyData:
    """The items that both models answered, with the first answer of each."""
    answers: dict[str, dict[str, tuple[float, float]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            value = float(row[score]) if row[score] else np.nan
            answers.setdefault(row["group_id"], {}).setdefault(row["model"], (float(row["error"]), value))
    answered = [by_model for by_model in answers.values() if all(model in by_model for model in models)]
    losses, scores = (np.array([[by_model[m][i] for m in models] for by_model in answered]) for i in (0, 1))
    n = len(answered)
    scores = np.where(np.isnan(scores), -np.inf, scores)
    return StrategyData("", scores, losses, np.arange(n), np.ones(n), np.array(COSTS), True)


def ours(
    population: StrategyData, rows: Array, tolerance: float, seed: int, chain: bool = True
) -> Rule | None:
    part = population.part(rows)
    names = ("cheap", "dear")
    cheapest = compare(
        losses=dict(zip(names, part.losses.T, strict=True)),
        scores=dict(zip(names, part.scores.T, strict=True)),
        costs=dict(zip(names, COSTS, strict=True)),
        cascades=[names] if chain else [],
        tolerance=tolerance,
        confidence=CONFIDENCE,
        review=REVIEW,
        seed=seed,
    )[0]
    answer = cheapest.certificate
    if not answer.proven:
        return None
    if isinstance(answer, Cascade):
        special = {"all": RELEASE_ALL, "skipped": SKIP_TIER}
        return tuple(special.get(tier.rule, tier.threshold) for tier in answer.tiers)  # type: ignore[misc]
    threshold = RELEASE_ALL if answer.threshold is None else answer.threshold
    return (threshold, SKIP_TIER) if cheapest.name == "cheap" else (SKIP_TIER, threshold)


def single_model(population: StrategyData, rows: Array, tolerance: float, seed: int) -> Rule | None:
    return ours(population, rows, tolerance, seed, chain=False)


def over_grid(
    passes: Callable[[Array, float, int], bool],
) -> Callable[[StrategyData, Array, float, int], Rule | None]:
    """A method that takes the cheapest cascade of a grid that passes."""

    def method(population: StrategyData, rows: Array, tolerance: float, seed: int) -> Rule | None:
        rules, part = rule_grid(population, 12), population.part(rows)
        best, chosen = REVIEW, None
        for rule in rules:
            outcome = apply_rule(part, rule)
            cost = cost_of(part, rule, outcome.tier, REVIEW)
            if cost < best and len(outcome.losses) and passes(outcome.losses, tolerance, len(rules)):
                best, chosen = cost, rule
        return chosen

    return method


def bonferroni(losses: Array, tolerance: float, rules: int) -> bool:
    return float(binomial_p(losses.sum(), len(losses), tolerance)) <= (1 - CONFIDENCE) / rules


def lotus(losses: Array, tolerance: float, rules: int) -> bool:
    """Invalid: a normal bound with the sample's deviation, no correction for the search."""
    return bool(losses.mean() + ndtri(CONFIDENCE) * losses.std() / np.sqrt(len(losses)) <= tolerance)


METHODS = {
    "best single model, threshold (ours)": single_model,
    "cascade, Bonferroni over a grid": over_grid(bonferroni),
    "cascade (ours)": ours,
    "cascade, LOTUS's bound (invalid)": over_grid(lotus),
}


def table(folder: Path, runs: int, items: int, sets: list[str]) -> None:
    for name in sets:
        score, cheap, dear, tolerances = SETS[name]
        population = load(folder / "labelled" / f"{name}.csv.gz", score, (cheap, dear))
        wrong = population.losses.mean(axis=0)
        print(f"\n{name}: {len(population):,} items; {cheap} {wrong[0]:.3f} wrong, {dear} {wrong[1]:.3f}")
        for tolerance in tolerances:
            for method, find in METHODS.items():
                costs, broken = [], 0
                for run in range(runs):
                    rows = np.random.default_rng([run, items]).integers(
                        0, len(population), min(items, len(population))
                    )
                    rule = find(population, rows, tolerance, run)
                    if rule is None:
                        costs.append(REVIEW)
                        continue
                    outcome = apply_rule(population, rule)
                    costs.append(cost_of(population, rule, outcome.tier, REVIEW))
                    broken += bool(len(outcome.losses) and outcome.losses.mean() > tolerance)
                error = np.std(costs) / np.sqrt(runs)
                mean = f"cost {np.mean(costs):6.2f} +- {error:4.2f}"
                print(f"  {tolerance:4.2f}  {method:38} {mean}  broken {broken / runs:.3f}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--runs", type=int, default=100)
    options.add_argument("--items", type=int, default=2000)
    options.add_argument("--sets", nargs="*", default=list(SETS))
    chosen = options.parse_args()
    shared = Path(os.environ.get("TOLERATE_SHARED", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (shared / "labelled").is_dir():
        print(f"no folder {shared / 'labelled'}; set TOLERATE_SHARED")
        return
    table(shared, chosen.runs, chosen.items, chosen.sets)


if __name__ == "__main__":
    main()
