"""The cheapest of 100 strategies at tolerance 5%: cost of the chosen one against the oracle's, and labels used.

    python -m benchmarks.strategy [--runs 200] [--confidence 0.9]

Ours is the race (`tolerate.Race`), which gets a budget of labels and chooses the strategy of each label.
The peers are reimplemented from their papers. Populations are in `benchmarks/_strategies.py`; each run draws a new one.
If nothing is proven a person does the job, at `PERSON` times the cost of the oracle's choice.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks._strategies import PEERS, PERSON, POPULATIONS, Array, Outcome, World
from tolerate.stats.compare.race import Race

TOLERANCE = 0.05
BUDGETS = (5_000, 10_000, 20_000, 50_000)


def race(rng: np.random.Generator, w: World, budget: int, tolerance: float, delta: float) -> Outcome:
    """Our race, fed in batches."""
    names = {str(arm): float(cost) for arm, cost in enumerate(w.costs)}
    contest = Race(
        names,
        labels=budget,
        tolerance=tolerance,
        confidence=1 - delta,
        review=PERSON,
        seed=int(rng.integers(1 << 31)),
    )
    while contest.open:
        name, size = contest.next_batch
        contest.tell((rng.random(size) < w.risks[int(name)]).astype(float))
    best = contest.best
    return Outcome(None if best is None else int(best.name), contest.used)


METHODS = {**PEERS, "race (ours)": race}


def cost(w: World, outcome: Outcome) -> float:
    """Cost of an accepted item, at most the price of a person."""
    return PERSON if outcome.chosen is None else min(PERSON, float(w.costs[outcome.chosen]))


def cell(name: str, method: str, budget: int, runs: int, delta: float) -> tuple[Array, Array, float]:
    """Cost ratios, labels used, and how often the chosen one is unsafe."""
    costs, labels, broken = [], [], 0
    for run in range(runs):
        rng = np.random.default_rng([run, budget])
        w = POPULATIONS[name](rng, TOLERANCE)
        outcome = METHODS[method](rng, w, budget, TOLERANCE, delta)
        costs.append(cost(w, outcome))
        labels.append(outcome.labels)
        broken += outcome.chosen is not None and bool(w.risks[outcome.chosen] > TOLERANCE)
    return np.array(costs), np.array(labels), broken / runs


def table(runs: int, delta: float, populations: list[str], budgets: list[int]) -> dict[str, list[float]]:
    """Print all cells; returns the mean costs by method and budget of the last population."""
    curves: dict[str, list[float]] = {}
    print(
        f"confidence {1 - delta:g}: cost / oracle's +- standard error (labels used, thousands; promise broken)"
    )
    for name in populations:
        curves = {method: [] for method in METHODS}
        for budget in budgets:
            print(f"\n{name}, {budget:,} labels")
            for method in METHODS:
                start = time.process_time()
                costs, labels, broken = cell(name, method, budget, runs, delta)
                spent = (time.process_time() - start) / runs
                curves[method].append(float(costs.mean()))
                print(
                    f"  {method:32} {costs.mean():6.2f} +- {costs.std() / np.sqrt(runs):4.2f}"
                    f"  ({labels.mean() / 1000:5.1f}k; {broken:.3f})  {spent * 1000:6.1f} ms",
                    flush=True,
                )
    return curves


DRAWN = {  # what the picture shows, and its colour
    "Bonferroni": "#999",
    "Pareto testing": "#c60",
    "race (ours)": "#06c",
}


def picture(curves: dict[str, list[float]], budgets: list[int]) -> str:
    """Cost against labels, both on logarithmic axes, as SVG."""
    left, right, top, bottom = 50.0, 430.0, 20.0, 220.0
    spans = np.log(budgets[0]), np.log(budgets[-1])
    high = np.log(PERSON)

    def position(budget: float, value: float) -> str:
        x = left + (right - left) * (np.log(budget) - spans[0]) / (spans[1] - spans[0])
        return f"{x:.1f},{bottom - (bottom - top) * np.log(value) / high:.1f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 260" font-family="sans-serif" font-size="12">',
        '<rect width="560" height="260" fill="#fff"/>',
    ]
    for value in (1, 2, 5, 10, 20):
        y = position(budgets[0], value).split(",")[1]
        parts.append(
            f'<path d="M{left} {y}H{right}" stroke="#ddd"/><text x="20" y="{y}" dy="4">{value}</text>'
        )
    for budget in budgets:
        x = position(budget, 1).split(",")[0]
        parts.append(f'<text x="{x}" y="236" text-anchor="middle">{budget // 1000}k</text>')
    for name, colour in DRAWN.items():
        points = " ".join(
            position(budget, value) for budget, value in zip(budgets, curves[name], strict=True)
        )
        x, y = points.split(" ")[-1].split(",")
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{float(x) + 6:.0f}" y="{y}" dy="4" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{left}" y="254">labels that one can afford (100 strategies, tolerance 5%)</text>')
    parts.append('<text x="20" y="12">cost, in costs of the best possible choice</text></svg>')
    return "\n".join(parts) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--runs", type=int, default=200)
    options.add_argument("--confidence", type=float, default=0.9)
    options.add_argument("--populations", nargs="*", default=list(POPULATIONS))
    options.add_argument("--budgets", nargs="*", type=int, default=list(BUDGETS))
    options.add_argument("--svg", type=Path, help="draw the last population's curves to this file")
    chosen = options.parse_args()
    curves = table(chosen.runs, 1 - chosen.confidence, chosen.populations, chosen.budgets)
    if chosen.svg is not None:
        chosen.svg.write_text(picture(curves, chosen.budgets), "utf-8")


if __name__ == "__main__":
    main()
