"""What one step costs: a label of an audit, an update of a watch. CPU time, the median of several runs.

python -m benchmarks.steps
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from tolerate.stats.audit.audit import Audit
from tolerate.stats.monitor.watch import Watch


def microseconds(work: Callable[[], int], runs: int = 5) -> float:
    """Microseconds a step of a function that returns its number of steps."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        steps = work()
        times.append((time.process_time() - start) / steps * 1e6)
    return statistics.median(times)


def audited(graded: bool) -> Callable[[], int]:
    """Complete an audit of a batch of 10,000; the first run includes the time to compute the plan."""

    def work() -> int:
        audit = Audit(items=10_000, tolerance=0.02, seed=1, graded=graded)
        while audit.open:
            item = audit.next()
            audit.record(item, loss=float(item % 200 == 0))
        return audit.labels

    return work


def stepping(graded: bool) -> float:
    """Microseconds a label, without the time to start the audit."""
    opening = microseconds(lambda: len([Audit(items=10_000, tolerance=0.02, seed=1, graded=graded)]))
    labels = audited(graded)()
    return microseconds(audited(graded)) - opening / labels


def main() -> None:
    losses = (np.random.default_rng(0).random(20_000) < 0.01).astype(float)

    def one_by_one() -> int:
        watch = Watch(tolerance=0.02)
        for loss in losses.tolist():
            watch.update(loss)
        return len(losses)

    def at_once() -> int:
        Watch(tolerance=0.02).update_many(losses)
        return len(losses)

    print(f"a label of an audit, 0/1 losses: {stepping(False) / 1000:.4f} ms (wanted: at most 2 ms)")
    print(f"a label of an audit, graded:     {stepping(True) / 1000:.4f} ms (wanted: at most 2 ms)")
    print(
        f"an update of a watch, alone:     {microseconds(one_by_one):.1f} microseconds (wanted: at most 20)"
    )
    print(f"an update of a watch, in arrays: {microseconds(at_once):.2f} microseconds (wanted: at most 10)")


if __name__ == "__main__":
    main()
