"""Share released at tolerance 5%, confidence 90%: ours beside the field's methods; then real data, by cluster.

    python -m benchmarks.threshold [--runs 300]

Populations A (calibrated, 20% wrong), B (4% wrong) and C (9.5% wrong, an overconfident top 2%). The
peers' methods are written anew from their papers. On real data each set is the population, clusters
are drawn with replacement, and a promise is broken when the risk of what the threshold releases
from the whole set is above the tolerance.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tolerate.stats.bounds import binomial_p, binomial_upper, hoeffding_bentkus_p
from tolerate.stats.samples import Sample
from tolerate.stats.start import History, history_of
from tolerate.stats.threshold import find

Array = np.ndarray
Method = Callable[[Array, Array], float]  # losses, scores -> release what is scored above; inf is nothing
TOLERANCE, DELTA = 0.05, 0.1
POPULATIONS: dict[str, Callable[[Array], Array]] = {
    "A": lambda u: 1 - u**0.25,
    "B": lambda u: 0.01 + 0.09 * (1 - u) ** 2,
    "C": lambda u: np.where(u > 0.98, 0.15, 0.004 + 0.22 * (1 - u) ** 1.5),
}
SETS = {  # file: score column, tolerance
    "judge_llmbar": ("score_agree", 0.1),
    "translation_mlqe": ("score_logprob", 0.1),
    "chat_begin": ("score_overlap", 0.4),
    "maths_gsm8k": ("score_agree", 0.3),
    "medical_thoughtsource": ("score_agree", 0.3),
    "image_agiqa3k": ("score_quality", 0.2),
}


def ours(losses: Array, scores: Array, history: History | None = None) -> float:
    """`certify`."""
    found = find(
        Sample({"loss": losses}, scores, None, None, None), {"loss": TOLERANCE}, DELTA, history=history
    )
    return {"all": -np.inf, "nothing": np.inf}.get(
        found.scope, found.edge if found.edge is not None else np.inf
    )


def _prefixes(losses: Array, scores: Array, shares: Array) -> tuple[Array, Array, Array]:
    """Edges, rows and errors of prefixes of these shares."""
    order = np.argsort(-scores, kind="stable")
    rows = np.maximum(1, np.round(shares * len(scores)).astype(int))
    ranked = np.append(scores[order], -np.inf)
    return ranked[rows], rows, np.cumsum(losses[order])[rows - 1]


def ltt_bonferroni(losses: Array, scores: Array) -> float:
    """LTT with Hoeffding-Bentkus p-values and Bonferroni over 100 thresholds (2110.01052)."""
    edges, rows, errors = _prefixes(losses, scores, np.arange(1, 101) / 100)
    good = np.flatnonzero(hoeffding_bentkus_p(errors / rows, rows, TOLERANCE) <= DELTA / 100)
    return float(edges[good[-1]]) if len(good) else np.inf


def fixed_sequence(start: float) -> Method:
    """LTT, fixed sequence of 100 thresholds with exact p-values from a start that an expert names."""

    def method(losses: Array, scores: Array) -> float:
        shares = np.arange(1, 101) / 100
        edges, rows, errors = _prefixes(losses, scores, shares[shares >= start - 1e-9])
        passed = binomial_p(errors, rows, TOLERANCE) <= DELTA
        last = len(passed) if passed.all() else int(np.argmin(passed))
        return float(edges[last - 1]) if last else np.inf

    return method


def sgr(losses: Array, scores: Array) -> float:
    """SGR (Geifman and El-Yaniv 2017): binary search over thresholds, delta / log2(n) each."""
    steps = int(np.ceil(np.log2(len(losses))))
    low, high, best = 0, len(losses), np.inf
    for _ in range(steps):
        middle = max(1, (low + high) // 2)
        edges, rows, errors = _prefixes(losses, scores, np.array([middle / len(losses)]))
        if float(binomial_upper(errors[0], rows[0], 1 - DELTA / steps)) <= TOLERANCE:
            best, low = float(edges[0]), middle
        else:
            high = middle
    return best


METHODS: dict[str, Method] = {
    "LTT, Hoeffding-Bentkus + Bonferroni": ltt_bonferroni,
    "SGR": sgr,
    "fixed sequence, strict-first": fixed_sequence(0.01),
    "fixed sequence, expert's start 20%": fixed_sequence(0.2),
    "tolerate": ours,
}


def released(edge: float) -> float:
    return float(np.clip(1 - edge, 0, 1)) if np.isfinite(edge) else float(edge < 0)


def synthetic(runs: int) -> None:
    print(
        f"{'mean share released':38} "
        + " ".join(f"{name + ' ' + str(n):>9}" for n in (500, 1000, 5000) for name in "ABC")
    )
    for name, method in METHODS.items():
        print(f"{name:38} " + _cells(runs, lambda losses, scores, _, m=method: m(losses, scores)), flush=True)
    with_past = _cells(runs, lambda losses, scores, past: ours(losses, scores, past))
    print(f"{'tolerate, 1,000 historic labels':38} " + with_past)


def _cells(runs: int, method: Callable[[Array, Array, History], float]) -> str:
    cells = []
    for n in (500, 1000, 5000):
        for population in POPULATIONS.values():
            rng = np.random.default_rng(n)
            shares = []
            for _ in range(runs if n < 5000 else max(20, runs // 4)):
                u, past = rng.random(n), rng.random(1000)
                losses = (rng.random(n) < population(u)).astype(float)
                history = history_of((rng.random(1000) < population(past)).astype(float), past)
                shares.append(released(method(losses, u, history)))
            cells.append(f"{np.mean(shares):9.3f}")
    return " ".join(cells)


def real(runs: int, folder: Path) -> None:
    import csv
    import gzip

    print(
        f"\n{'real data, 95%: broken / released':28} {'tolerance':>9} {'by cluster':>16} {'rows (broken twin)':>20}"
    )
    for name, (wanted, tolerance) in SETS.items():
        with gzip.open(folder / "labelled" / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = [column for column in rows[0] if column.startswith("score_")]
        column = wanted if wanted in columns else columns[0]
        losses = np.array([float(row["error"]) for row in rows])
        scores = np.array([float(row[column]) if row[column] else np.nan for row in rows])
        clusters = np.unique([row.get("group_id", row["item_id"]) for row in rows], return_inverse=True)[1]
        cells = [_resampled(losses, scores, clusters, tolerance, runs, by) for by in (True, False)]
        print(f"{name + ' ' + column:28} {tolerance:9.2f} {cells[0]:>16} {cells[1]:>20}", flush=True)


def _resampled(losses: Array, scores: Array, clusters: Array, tolerance: float, runs: int, by: bool) -> str:
    """Broken promises and mean share released over resamples of whole clusters."""
    rng = np.random.default_rng(5)
    order = np.argsort(clusters, kind="stable")
    starts = np.searchsorted(clusters[order], np.arange(clusters.max() + 2))
    broken, shares = 0, []
    for _ in range(runs):
        drawn = rng.integers(0, clusters.max() + 1, clusters.max() + 1)
        rows = np.concatenate([order[starts[c] : starts[c + 1]] for c in drawn])
        fresh = np.repeat(np.arange(len(drawn)), np.diff(starts)[drawn])
        given = Sample({"loss": losses[rows]}, scores[rows], fresh if by else None, None, None)
        found = find(given, {"loss": tolerance}, 0.05)
        out = np.ones(len(losses), bool) if found.scope == "all" else np.zeros(len(losses), bool)
        if found.edge is not None:
            out = scores > found.edge
        shares.append(out.mean())
        broken += bool(out.any() and losses[out].mean() > tolerance)
    return f"{broken / runs:.3f} / {np.mean(shares):.3f}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=300)
    runs = options.parse_args().runs
    synthetic(runs)
    shared = Path(os.environ.get("TOLERATE_SHARED", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if (shared / "labelled").is_dir():
        real(min(runs, 200), shared)
    else:
        print(f"\nreal data: no folder {shared / 'labelled'}; set TOLERATE_SHARED")


if __name__ == "__main__":
    main()
