"""CPU seconds and memory to certify many rows, beside NumPy's sort of the scores alone.

python -m benchmarks.certify_speed [--rows 10000000]
"""

import argparse
import resource
import time

import numpy as np

from tolerate.stats import certify


def seconds(work, repeats: int = 3) -> float:
    """The fastest of a few runs, in CPU seconds."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=10_000_000)
    rows = options.parse_args().rows
    rng = np.random.default_rng(0)
    scores = rng.random(rows)
    losses = (rng.random(rows) > scores**0.25).astype(float)
    columns = scores.nbytes + losses.nbytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sort = seconds(lambda: np.sort(scores))
    ours = seconds(lambda: certify(losses=losses, scores=scores, tolerance=0.05, confidence=0.9))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{rows:,} rows: sort {sort:.3f} s, certify {ours:.3f} s, ratio {ours / sort:.2f}")
    print(f"memory above the columns: {max(0, peak - before) / columns:.2f} times the columns")


if __name__ == "__main__":
    main()
