"""What a judge saves: labels to certify a batch of 10,000 as it is, tolerance 2%, and bounds for graded losses.

    python -m benchmarks.assisted [--runs 60]

ppi_py 0.2.3 is installed by the run (`_peers.py`) and compared with our own prediction-powered interval (after PPI++,
2311.01453), which is marked asymptotic. Both are in the table to show how often a certificate that rests on them
would be false.
"""

import argparse
from collections.abc import Callable

import numpy as np

from benchmarks._peers import use
from tolerate.stats.audit.assisted import JudgedAudit, assisted_upper, prediction_powered
from tolerate.stats.audit.audit import Audit
from tolerate.stats.bounds import binomial_upper

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
    print(f"{'labels, batch certified as it is':36s}{'0.5% wrong':>24s}{'1% wrong':>24s}")
    for name, (caught, alarms) in JUDGES.items():
        cells = []
        for rate in (0.005, 0.01):
            data = [judged(seed, rate, caught, alarms) for seed in range(runs)]
            used = [labels(JudgedAudit(f, TOLERANCE, seed=s), x) for s, (x, f) in enumerate(data)]
            plain = [labels(Audit(ITEMS, TOLERANCE, seed=s), x) for s, (x, _) in enumerate(data)]
            ratio = np.mean(used) / np.mean(plain)
            cells.append(f"{np.mean(used):.0f} (none {np.mean(plain):.0f}: {ratio:.2f})")
        print(f"{name:36s}{cells[0]:>24s}{cells[1]:>24s}", flush=True)


def ppi_upper(losses: np.ndarray, guess: np.ndarray, rest: np.ndarray) -> float:
    """The upper end of ppi_py's two-sided 90% interval, which may be too low in 5% of cases."""
    from ppi_py import ppi_mean_ci

    return float(np.ravel(ppi_mean_ci(losses, guess, rest, alpha=0.1)[1])[0])


def false_certificates(runs: int) -> None:
    """Print how often batches with 2.01% wrong are certified at 2%; 5% are allowed."""
    uppers: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
        "ours, exact (no judge)": lambda x, g, rest: float(binomial_upper(x.sum(), len(x), 0.95)),
        "ours, betting with the judge": lambda x, g, rest: assisted_upper(
            x, g, float(np.concatenate([g, rest]).mean()), 0.95
        ),
        "ours, prediction-powered (asymptotic)": lambda x, g, rest: prediction_powered(x, g, rest, 0.9).high,
    }
    if use("ppi-python==0.2.3"):
        uppers["ppi_py 0.2.3"] = ppi_upper
    print("\nfalse certificates of a 2% promise, 2.01% wrong, judge 50% / 2% (promised: at most 5%)")
    print(f"{'':40s}" + "".join(f"{f'n = {n}':>16s}" for n in (150, 600, 1000)))
    for name, upper in uppers.items():
        cells = []
        for n in (150, 600, 1000):
            rng, false = np.random.default_rng(n), 0
            for _ in range(runs):
                wrong = (rng.random(n + 10_000) < 0.0201).astype(float)
                guess = (rng.random(n + 10_000) < np.where(wrong == 1, 0.5, 0.02)).astype(float)
                false += upper(wrong[:n], guess[:n], guess[n:]) <= TOLERANCE
            share = false / runs
            cells.append(f"{share:.1%} ± {np.sqrt(share * (1 - share) / runs):.1%}")
        print(f"{name:40s}" + "".join(f"{cell:>16s}" for cell in cells), flush=True)


def bounds(runs: int) -> None:
    print("\nupper bound on a graded mean loss (true 0.10), 95%, by number of labels")
    for n in (100, 400, 1600):
        alone, helped, useless, broken = [], [], [], 0
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            losses = np.clip(rng.beta(0.5, 4.5, 20_000), 0, 1)
            guess, noise = np.clip(losses + rng.normal(0, 0.05, 20_000), 0, 1), rng.random(20_000)
            rows = rng.integers(0, 20_000, n)
            alone.append(assisted_upper(losses[rows], np.full(n, 0.5), 0.5, 0.95))
            helped.append(assisted_upper(losses[rows], guess[rows], float(guess.mean()), 0.95))
            useless.append(assisted_upper(losses[rows], noise[rows], float(noise.mean()), 0.95))
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
