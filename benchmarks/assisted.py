"""What a judge saves: labels to certify a batch of 10,000 as it is, tolerance 2%, and bounds for graded losses.

    python -m benchmarks.assisted [--runs 60]

Prediction-powered intervals are written anew here after PPI++ (2311.01453); they are in the table to show how often
a certificate resting on them would be false.
"""

import argparse

import numpy as np

from tolerate.stats.assisted import JudgedAudit, assisted_upper, prediction_powered
from tolerate.stats.audit import Audit

ITEMS, TOLERANCE = 10_000, 0.02
JUDGES = {"catches 95%, flags 2% of fine": (0.95, 0.02), "80% / 5%": (0.8, 0.05), "useless": (0.04, 0.04)}


def judged(seed: int, rate: float, caught: float, alarms: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    losses = (rng.permutation(ITEMS) < round(rate * ITEMS)).astype(float)
    return losses, rng.random(ITEMS) < np.where(losses == 1, caught, alarms)


def labels(audit: JudgedAudit | Audit, losses: np.ndarray) -> int:
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    return audit.labels


def audits(runs: int) -> None:
    print(f"{'labels, batch certified as it is':40s}{'.5% wrong':>20s}{'1% wrong':>20s}")
    for name, (caught, alarms) in JUDGES.items():
        cells = []
        for rate in (0.005, 0.01):
            data = [judged(seed, rate, caught, alarms) for seed in range(runs)]
            used = [labels(JudgedAudit(f, TOLERANCE, seed=s), x) for s, (x, f) in enumerate(data)]
            plain = [labels(Audit(ITEMS, TOLERANCE, seed=s), x) for s, (x, _) in enumerate(data)]
            cells.append(f"{np.mean(used):.0f} (no judge {np.mean(plain):.0f})")
        print(f"{name:40s}{cells[0]:>20s}{cells[1]:>20s}", flush=True)


def false_certificates(runs: int) -> None:
    print("\nfalse certificates of a 2% promise, 2.01% wrong, judge 50% / 2% (promised: at most 5%)")
    for n in (150, 600, 1000):
        rng, false = np.random.default_rng(n), 0
        for _ in range(runs):
            wrong = (rng.random(n + 10_000) < 0.0201).astype(float)
            guess = (rng.random(n + 10_000) < np.where(wrong == 1, 0.5, 0.02)).astype(float)
            false += prediction_powered(wrong[:n], guess[:n], guess[n:], 0.9).high <= TOLERANCE
        print(f"  prediction-powered, n = {n:5d}: {false / runs:.1%}")


def bounds(runs: int) -> None:
    print("\nupper bound on a graded mean loss (true .10), 95%, by number of labels")
    for n in (100, 400, 1600):
        alone, helped, useless, broken = [], [], [], 0
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            losses = np.clip(rng.beta(0.5, 4.5, 20_000), 0, 1)
            guess, noise = np.clip(losses + rng.normal(0, 0.05, 20_000), 0, 1), rng.random(20_000)
            some = rng.integers(0, 20_000, n)
            alone.append(assisted_upper(losses[some], np.full(n, 0.5), 0.5, 0.95))
            helped.append(assisted_upper(losses[some], guess[some], float(guess.mean()), 0.95))
            useless.append(assisted_upper(losses[some], noise[some], float(noise.mean()), 0.95))
            broken += helped[-1] < losses.mean()
        cells = [f"{np.mean(x):.4f}" for x in (alone, helped, useless)]
        print(
            f"  n = {n:5d}: no judge {cells[0]}, good {cells[1]}, useless {cells[2]}; broken {broken / runs:.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=60)
    runs = parser.parse_args().runs
    audits(runs)
    false_certificates(20 * runs)
    bounds(runs)


if __name__ == "__main__":
    main()
