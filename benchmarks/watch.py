"""Labels until a broken promise is noticed: 1% wrong for 2,000 labels, then 4%; tolerance 2%.

    python -m benchmarks.watch [--runs 200]

MAPIE 1.6 and truescore are installed by the run and get the same streams (`_peers.py`): MAPIE's RiskMonitoring with the
tolerance as its threshold and 5% for the stream (it spends half of its level on a reference, which is not needed
here), truescore's first exclusion and its windows of 1,000. Both look at every label. The others are
reimplementations of published methods. A delay is counted from the change on; streams that were alarmed before
it are counted apart.
"""

import argparse
import math
import time
from collections.abc import Callable

import numpy as np

from benchmarks._peers import use
from tolerate.stats.monitor.watch import RISK_MULTIPLES, Watch
from tolerate.stats.sequential import alarm_betting

TOLERANCE, CHANGE, LENGTH = 0.02, 2_000, 40_000
PREFIXES = (7_000, 14_000, LENGTH)


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


def bets() -> np.ndarray:
    return np.array([(times - 1) * TOLERANCE / (1 - TOLERANCE) for times, _ in RISK_MULTIPLES])


def cusum(losses: np.ndarray) -> int:
    """CUSUM e-detector with the same bets (Shin, Ramdas and Rinaldo), average run length 10,000."""
    shares = np.array([share for _, share in RISK_MULTIPLES])
    values = np.zeros(len(shares))
    up, down = 1 + bets() * (1 - TOLERANCE) / TOLERANCE, 1 - bets()
    for t, loss in enumerate(losses, start=1):
        values = np.maximum(values, 1) * (up if loss else down)
        if values @ shares >= 10_000:
            return t
    return LENGTH


def started_once(losses: np.ndarray) -> int:
    """A mixture e-process that never restarts."""
    process = alarm_betting(TOLERANCE, bets=bets())
    state = process.start()
    for t, loss in enumerate(losses, start=1):
        state = process.step(state, float(loss))
        if process.log_wealth(state) >= math.log(20):
            return t
    return LENGTH


def peeking(losses: np.ndarray) -> int:
    """INVALID: a normal test after every label from the thirtieth on."""
    t = np.arange(1, len(losses) + 1)
    z = (np.cumsum(losses) - TOLERANCE * t) / np.sqrt(TOLERANCE * (1 - TOLERANCE) * t)
    over = np.flatnonzero((z > 1.645) & (t >= 30))
    return int(over[0]) + 1 if len(over) else LENGTH


def mapie_monitoring(losses: np.ndarray) -> int:
    """MAPIE 1.6: conjugate-mixture empirical Bernstein bound; one update gives the results of all looks."""
    from mapie.exchangeability_testing import RiskMonitoring

    for (
        length
    ) in PREFIXES:  # a bound depends on the labels before it alone: shorter histories give the same alarm
        monitor = RiskMonitoring(risk="accuracy", test_level=0.1, threshold=TOLERANCE, warn=False)
        monitor.update(np.ones(length, int), 1 - losses[:length].astype(int))
        over = np.flatnonzero(monitor.online_risk_lower_bound_sequence_history > TOLERANCE)
        if len(over):
            return int(over[0]) + 1
    return LENGTH


def truescore_first(losses: np.ndarray) -> int:
    """truescore: a confidence sequence for the mean of all labels so far."""
    from truescore.sequential import first_exclusion

    exclusions = (first_exclusion(losses[:n], TOLERANCE, alpha=0.05, direction="above") for n in PREFIXES)
    return next((label for label in exclusions if label), LENGTH)


def truescore_windows(losses: np.ndarray) -> int:
    """truescore: one confidence sequence a window, the error split over the windows of the whole stream."""
    from truescore.sequential import windowed_exclusion

    return windowed_exclusion(losses, TOLERANCE, window=1000, alpha=0.05, direction="above") or LENGTH


def peer_methods() -> dict[str, Callable[[np.ndarray], int]]:
    """The methods of the packages that can be installed."""
    methods: dict[str, Callable[[np.ndarray], int]] = {}
    if use("mapie==1.6.0"):
        methods["MAPIE 1.6 RiskMonitoring"] = mapie_monitoring
    if use("truescore==0.7.4"):
        methods["truescore 0.7.4, first exclusion"] = truescore_first
        methods["truescore 0.7.4, windows of 1,000"] = truescore_windows
    return methods


METHODS: dict[str, Callable[[np.ndarray], int]] = {
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
    print(f"{'method':54s}{'mean delay':>12s}{'± ':>6s}{'alarms before the change':>28s}{'never':>8s}")
    for name, alarm in {**METHODS, **peer_methods()}.items():
        alarms = np.array([alarm(stream(seed)) for seed in range(runs)])
        late = alarms[alarms > CHANGE] - CHANGE  # a stream without an alarm counts with its whole length
        early = float((alarms <= CHANGE).mean())
        mean = late.mean() if len(late) else math.nan
        noise = late.std() / math.sqrt(max(len(late), 1)) if len(late) else math.nan
        print(f"{name:54s}{mean:12.0f}{noise:6.0f}{early:28.1%}{(alarms == LENGTH).mean():8.1%}", flush=True)
    speed()


if __name__ == "__main__":
    main()
