"""The four text jobs with real checks, run whole: what each may release at each tolerance, with and without refining.

For each job the map (share released by each strategy at each tolerance, all at the job's confidence), what of it was
wrong on fresh requests, and CPU seconds of the whole command with one thread. Then the promise itself: the run's own
requests stand for a population, samples are drawn from them anew, and each certificate is held to the risk of the
whole. At most 5% of the promises may break.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._mnist import ROOT, say
from tolerate.base.files import slug
from tolerate.jobs import job
from tolerate.runs.pipeline import Options, run
from tolerate.runs.summary import released
from tolerate.stats.certify.threshold import certify

RAW = Path(os.environ.get("TOLERATE_SHARED", ROOT.parent / "shared" / "data")) / "raw"
DATA = {
    "casenotes": None,
    "restaurants": RAW / "e2e_nlg",
    "support": RAW,
    "poems": RAW / "chinese_poetry",
}
Floats = NDArray[np.float64]


def told(name: str, summary: Mapping[str, Any], seconds: float) -> None:
    """The map of a run, its proof, and its figures."""
    tolerances = [row["tolerance"] for row in summary["best"]]
    say(f"\n{name}: share released at each tolerance, {seconds:.0f} CPU s\n")
    say(f"{'strategy':36} {'wrong':>6} " + " ".join(f"{one:>6.1%}" for one in tolerances))
    for one in summary["strategies"]:
        shares = " ".join(f"{point['coverage']:6.3f}" for point in one["points"])
        say(f"{one['id']:36} {one['risk']:6.3f} {shares}")
    proofs = [row["proof"] for row in summary["best"]]
    wrong = [f"{one['wrong']}/{one['released']}" if one else "-" for one in proofs]
    say(f"{'wrong of released, fresh':43} " + " ".join(wrong))
    for model in summary["models"]:
        figures = {key: each for key, each in model["metrics"].items() if isinstance(each, float)}
        say(f"{model['name']}: " + ", ".join(f"{key} {each:.4f}" for key, each in figures.items()))


def population(
    folder: Path, summary: Mapping[str, Any], strategy: Mapping[str, Any]
) -> tuple[Floats, Floats]:
    """Losses and scores of all requests of a run that this strategy answered."""
    kept = []
    with np.load(folder / "drawn" / f"{slug(strategy['model'])}.npz") as drawn:
        kept.append((drawn[f"loss {strategy['refine']}"], drawn[f"score {strategy['refine']}"]))
    fresh = folder / "fresh" / f"{slug(strategy['id'])}.npz"
    if fresh.exists():
        with np.load(fresh) as more:
            kept.append((more["losses"], more["scores"]))
    return np.concatenate([one for one, _ in kept]), np.concatenate([one for _, one in kept])


def promises(losses: Floats, scores: Floats, labels: int, tolerance: float, among: int, draws: int) -> str:
    """How many of the certificates from fresh samples of a population are broken by the population itself."""
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
        out = released(certificate.scope, certificate.threshold, scores)
        shares.append(out.mean())
        broken += bool(out.any()) and losses[out].mean() > tolerance
    return f"{tolerance:.1%}: {np.mean(shares):.3f} released, {broken} of {draws} broken"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(DATA), help="jobs, separated by commas")
    parser.add_argument("--models", default="", help="other models than the job's, separated by commas")
    parser.add_argument("--seeds", type=int, default=1, help="whole runs of each job")
    parser.add_argument("--draws", type=int, default=200, help="samples drawn anew from a run's requests")
    parser.add_argument("--out", type=Path, help="where the runs are kept; by default nowhere")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as spare:
        for name in chosen.only.split(","):
            for seed in range(chosen.seeds):
                models = tuple(filter(None, chosen.models.split(",")))
                options = Options(data=DATA[name], models=models, seed=seed, workers=0)
                folder = (chosen.out or Path(spare)) / f"{name}-{seed}"
                began = time.process_time()
                summary = run(job(name), folder, options)
                told(f"{name}, seed {seed}", summary, time.process_time() - began)
                best = max(summary["strategies"], key=lambda one: sum(p["coverage"] for p in one["points"]))
                losses, scores = population(folder, summary, best)
                say(f"samples drawn anew from {len(losses):,} requests of {best['id']}:")
                for tolerance in job(name).tolerances:
                    among = len(summary["strategies"])
                    say("  " + promises(losses, scores, job(name).labels, tolerance, among, chosen.draws))


if __name__ == "__main__":
    main()
