"""Labels until a broken promise is noticed: 1% wrong for 2,000 labels, then 4%; tolerance 2%.

    python -m benchmarks.watch [--runs 200]

The other methods are the published ones written anew. For two packages the figures seen in this very
setting are quoted, since both need minutes a stream: truescore 9,029 and MAPIE's RiskMonitoring 4,230.
To measure MAPIE itself: pip install mapie.
"""

import argparse
import math
import time

import numpy as np

from tolerate.stats.sequential import alarm_betting
from tolerate.stats.watch import WORSE, Watch

TOLERANCE, CHANGE, LENGTH = 0.02, 2_000, 40_000


def stream(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random(LENGTH) < np.where(np.arange(LENGTH) < CHANGE, 0.01, 0.04)).astype(float)


def ours(losses: np.ndarray) -> int:
    watch = Watch(tolerance=TOLERANCE, confidence=0.95)
    watch.update_many(losses)
    return watch.alarm.labels if watch.alarm else LENGTH


def detector(losses: np.ndarray) -> int:
    watch = Watch(tolerance=TOLERANCE, run_length=10_000)
    watch.update_many(losses)
    return watch.alarm.labels if watch.alarm else LENGTH


def stakes() -> np.ndarray:
    return np.array([(times - 1) * TOLERANCE / (1 - TOLERANCE) for times, _ in WORSE])


def cusum(losses: np.ndarray) -> int:
    """CUSUM e-detector with the same bets (Shin, Ramdas and Rinaldo), average run length 10,000."""
    shares = np.array([share for _, share in WORSE])
    values = np.zeros(len(shares))
    up, down = 1 + stakes() * (1 - TOLERANCE) / TOLERANCE, 1 - stakes()
    for t, loss in enumerate(losses, start=1):
        values = np.maximum(values, 1) * (up if loss else down)
        if values @ shares >= 10_000:
            return t
    return LENGTH


def started_once(losses: np.ndarray) -> int:
    """A mixture e-process that never starts anew."""
    process = alarm_betting(TOLERANCE, bets=stakes())
    state = process.start()
    for t, loss in enumerate(losses, start=1):
        state = process.step(state, float(loss))
        if process.log_wealth(state) >= math.log(20):
            return t
    return LENGTH


def peeking(losses: np.ndarray) -> int:
    """INVALID: a normal test at every label from the thirtieth on."""
    t = np.arange(1, len(losses) + 1)
    z = (np.cumsum(losses) - TOLERANCE * t) / np.sqrt(TOLERANCE * (1 - TOLERANCE) * t)
    over = np.flatnonzero((z > 1.645) & (t >= 30))
    return int(over[0]) + 1 if len(over) else LENGTH


METHODS = {
    "restarted e-process, 5% false alarm for ever (ours)": ours,
    "e-detector, run length 10,000 (ours)": detector,
    "CUSUM e-detector, run length 10,000": cusum,
    "mixture e-process, started once": started_once,
    "peeking at a normal test: INVALID": peeking,
}


def speed() -> None:
    losses = stream(0)
    watch, started = Watch(tolerance=TOLERANCE), time.process_time()
    watch.update_many(losses)
    many = time.process_time() - started
    watch, started = Watch(tolerance=TOLERANCE), time.process_time()
    for loss in losses:
        watch.update(float(loss))
    single = time.process_time() - started
    print(f"an update: {1e6 * many / LENGTH:.1f} µs in an array, {1e6 * single / LENGTH:.1f} µs alone (CPU)")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    print(f"{'method':54s}{'mean delay':>12s}{'± ':>6s}{'alarms before the change':>28s}")
    for name, alarm in METHODS.items():
        at = np.array([alarm(stream(seed)) for seed in range(runs)])
        late = at[at > CHANGE] - CHANGE
        early = float((at <= CHANGE).mean())
        mean = late.mean() if len(late) else math.nan
        noise = late.std() / math.sqrt(max(len(late), 1)) if len(late) else math.nan
        print(f"{name:54s}{mean:12.0f}{noise:6.0f}{early:28.1%}", flush=True)
    speed()


if __name__ == "__main__":
    main()
