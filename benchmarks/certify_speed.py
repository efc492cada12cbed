"""CPU seconds and memory to certify many rows, beside NumPy's sort of the scores alone; and the small ends.

The two alternate in one process, and each ratio is the median over the rounds: other work on the machine
slows both. "first" is a first call, which also draws where the walk starts (some 50 ms whatever the size);
"again" a further call with the same number of rows and tolerance.

python -m benchmarks.certify_speed [--rows 10000000] [--rounds 5]
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tolerate.stats.certify.first_test import _start_without_history
from tolerate.stats.certify.fixed_sequence import prefix_sizes
from tolerate.stats.certify.threshold import certify

Case = tuple[str, np.ndarray, dict[str, np.ndarray]]
TOLERANCE = {"wrong": 0.05, "harmful": 0.01}
MEASURE = "--measure-memory"


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


def cases(rows: int) -> Iterator[Case]:
    """Columns of several types; errors are rarer at high scores."""
    rng = np.random.default_rng(0)
    scores = rng.random(rows)
    wrong = rng.random(rows) > scores**0.25
    single = {"wrong": wrong.astype(float)}
    yield "float64 scores, float64 losses", scores, single
    yield "float64 scores, bool losses", scores, {"wrong": wrong}
    yield "float64 scores, int64 losses", scores, {"wrong": wrong.astype(np.int64)}
    yield "two losses", scores, {**single, "harmful": (wrong & (rng.random(rows) < 0.05)).astype(float)}
    yield "10% of the scores missing", np.where(rng.random(rows) < 0.1, np.nan, scores), single
    yield "ties: three decimals", np.round(scores, 3), single
    yield "both signs (log odds)", np.log(scores / (1 - scores)), single
    yield "float32 scores", scores.astype(np.float32), single
    yield "all scores within 1e-6 of 1", 1 - (1 - scores) * 1e-6, single


def ratios(case: Case, rounds: int) -> tuple[float, float, float]:
    """Median seconds of the sort, and median ratios of a first and of a repeated call."""
    _, scores, losses = case
    tolerance = {name: TOLERANCE[name] for name in losses} if len(losses) > 1 else 0.05
    columns = losses if len(losses) > 1 else losses["wrong"]

    def ours() -> object:
        return certify(losses=columns, scores=scores, tolerance=tolerance, confidence=0.9)

    sorts, first, repeated = [], [], []
    for _ in range(rounds):
        sorts.append(cpu(lambda: np.sort(scores)))
        _start_without_history.cache_clear()
        prefix_sizes.cache_clear()
        first.append(cpu(ours) / sorts[-1])
        repeated.append(cpu(ours) / sorts[-1])
    return statistics.median(sorts), statistics.median(first), statistics.median(repeated)


def measure_memory(rows: int) -> None:
    """Print the growth of the process while it certifies, in multiples of the columns."""
    _, scores, losses = next(cases(rows))
    columns = scores.nbytes + losses["wrong"].nbytes
    certify(losses=losses["wrong"][:1000], scores=scores[:1000], tolerance=0.05, confidence=0.9)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins anew
    before = resident("VmRSS")
    certify(losses=losses["wrong"], scores=scores, tolerance=0.05, confidence=0.9)
    print(f"{1 + max(0, resident('VmHWM') - before) / columns:.2f}")


def resident(line: str) -> int:
    """Resident bytes of this process, now (VmRSS) or at its peak (VmHWM)."""
    status = next(
        text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith(line)
    )
    return int(status.split()[1]) * 1024


def memory(rows: int) -> str:
    """The result of `measure_memory` in a new process."""
    command = [sys.executable, "-m", "benchmarks.certify_speed", MEASURE, "--rows", str(rows)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def command_line(rows: int = 600) -> tuple[float, float]:
    """CPU and wall seconds of `tolerate certify` on a small table, from start to end; the median of five."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.csv"
        scores = rng.random(rows)
        lines = [f"{s},{int(w)}" for s, w in zip(scores, rng.random(rows) > scores**0.25, strict=True)]
        path.write_text("score,loss\n" + "\n".join(lines) + "\n")
        command = [sys.executable, "-m", "tolerate", "certify", str(path), "--score", "score", "-t", "5%"]
        times = []
        for _ in range(5):
            wall, spent = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, capture_output=True)
            now = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime
            times.append((used, time.perf_counter() - wall))
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument(MEASURE, action="store_true", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.measure_memory:
        measure_memory(arguments.rows)
        return
    print(f"{arguments.rows:,} rows; CPU seconds of np.sort, and of certify as multiples of it\n")
    print(f"{'':32} {'np.sort':>8} {'first':>6} {'again':>6}")
    for case in cases(arguments.rows):
        sort, first, repeated = ratios(case, arguments.rounds)
        print(f"{case[0]:32} {sort:7.3f}s {first:6.2f} {repeated:6.2f}", flush=True)
    print(f"\nmemory, columns included: {memory(arguments.rows)} times the columns")
    used, wall = command_line()
    print(f"tolerate certify on 600 rows: {used:.2f} CPU s, {wall:.2f} s on the clock, start to end")


if __name__ == "__main__":
    main()
