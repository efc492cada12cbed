"""Complete runs of four text jobs with real checks: what each may release at each tolerance, refined and not.

For each job the map (share released by each strategy at each tolerance, all at the job's confidence), what of it was
wrong on fresh requests, and CPU seconds of the whole command with one thread. Then the promise itself: the run's own
requests stand for a population, samples are drawn from them anew, and each certificate is held to the risk of the
population. At most 5% of the promises may break.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._mnist import ROOT, say
from tolerate.base.files import slug
from tolerate.jobs import job
from tolerate.report.summary import ProofPoint, RunSummary, StrategyResult
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run
from tolerate.stats.certify.threshold import certify

RAW = Path(os.environ.get("TOLERATE_SHARED", ROOT.parent / "shared" / "data")) / "raw"
DATA = {
    "casenotes": None,
    "restaurants": RAW / "e2e_nlg",
    "support": RAW,
    "poems": RAW / "chinese_poetry",
}
Floats = NDArray[np.float64]


def print_run(name: str, summary: RunSummary, seconds: float) -> None:
    """Print the map of a run, its proof, and its figures."""
    say(f"\n{name}: share released at each tolerance, {seconds:.0f} CPU s\n")
    say(f"{'strategy':36} {'wrong':>6} " + " ".join(f"{best.tolerance:>6.1%}" for best in summary.best))
    for strategy in summary.strategies:
        shares = " ".join(f"{point.coverage:6.3f}" for point in strategy.points)
        say(f"{strategy.id:36} {strategy.risk:6.3f} {shares}")
    proofs = [best.proof for best in summary.best if isinstance(best, ProofPoint)]
    wrong = [f"{proof.wrong}/{proof.released}" if proof else "-" for proof in proofs]
    say(f"{'wrong of released, fresh':43} " + " ".join(wrong))
    for model in summary.models:
        figures = model.metrics.figures if model.metrics else {}
        shown = [f"{key} {value:.4f}" for key, value in figures.items() if isinstance(value, float)]
        say(f"{model.name}: " + ", ".join(shown))


def population(folder: Path, strategy: StrategyResult) -> tuple[Floats, Floats]:
    """Losses and scores of all requests of a run that a strategy answered."""
    parts = []
    with np.load(folder / "drawn" / f"{slug(strategy.model)}.npz") as sample:
        parts.append((sample[f"loss {strategy.refine}"], sample[f"score {strategy.refine}"]))
    fresh = folder / "fresh" / f"{slug(strategy.id)}.npz"
    if fresh.exists():
        with np.load(fresh) as fresh_answers:
            parts.append((fresh_answers["losses"], fresh_answers["scores"]))
    return np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])


def promises(losses: Floats, scores: Floats, labels: int, tolerance: float, among: int, draws: int) -> str:
    """The share released and the number of broken promises over new samples from a population."""
    broken, shares = 0, []
    for seed in range(draws):
        chosen = np.random.default_rng(seed).integers(0, len(losses), labels)
        certificate = certify(
            losses=losses[chosen],
            scores=scores[chosen],
            clusters=np.arange(labels),
            tolerance=tolerance,
            confidence=0.95,
            comparisons=among,
        )
        lowest = {"all": -np.inf, "nothing": np.inf}.get(certificate.scope, certificate.threshold)
        mask = scores >= lowest  # False where a score is missing
        shares.append(mask.mean())
        broken += bool(mask.any()) and losses[mask].mean() > tolerance
    return f"{tolerance:.1%}: {np.mean(shares):.3f} released, {broken} of {draws} broken"


def total_coverage(strategy: StrategyResult) -> float:
    """The sum of the shares released over all tolerances."""
    return sum(point.coverage or 0.0 for point in strategy.points)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(DATA), help="jobs, separated by commas")
    parser.add_argument("--models", default="", help="other models than the job's, separated by commas")
    parser.add_argument("--seeds", type=int, default=1, help="whole runs of each job")
    parser.add_argument("--draws", type=int, default=200, help="samples drawn anew from a run's requests")
    parser.add_argument("--out", type=Path, help="folder for the runs; by default they are deleted")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as spare:
        for name in chosen.only.split(","):
            for seed in range(chosen.seeds):
                models = tuple(filter(None, chosen.models.split(",")))
                options = RunOptions(data=DATA[name], models=models, seed=seed, workers=0)
                folder = (chosen.out or Path(spare)) / f"{name}-{seed}"
                began = time.process_time()
                summary = run(job(name), folder, options)
                print_run(f"{name}, seed {seed}", summary, time.process_time() - began)
                best = max(summary.strategies, key=total_coverage)
                losses, scores = population(folder, best)
                say(f"samples drawn anew from {len(losses):,} requests of {best.id}:")
                for tolerance in job(name).tolerances:
                    among = len(summary.strategies)
                    say("  " + promises(losses, scores, job(name).labels, tolerance, among, chosen.draws))


if __name__ == "__main__":
    main()
