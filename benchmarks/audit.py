"""Labels to certify a batch of 10,000 at tolerance 2%, confidence 95%: our plans beside the field's methods.

    python -m benchmarks.audit [--runs 200]

Ours are exact (enumerated); the others are reimplementations of published methods, simulated on the same batches
(confseq 0.0.11 needs Boost's headers to build, so its prior-posterior ratio is reimplemented too). The last
lines withhold what a judge flags, and measure times.
"""

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
from scipy.stats import hypergeom

from tolerate.stats.audit.audit import Audit
from tolerate.stats.audit.mending import mended_plan
from tolerate.stats.audit.optimal_plan import power_plan, robust_plan
from tolerate.stats.audit.stopping_plan import StoppingPlan, false_certificate, forecast
from tolerate.stats.hypergeometric import zero_failure
from tolerate.stats.sequential import (
    EProcess,
    alpha_shrink,
    betting_without_replacement,
    hypergeometric_mixture,
    threshold,
)

ITEMS, TOLERANCE, CONFIDENCE = 10_000, 0.02, 0.95
ALLOWED = 200
RATES = (0.0, 0.005, 0.01)


def hypergeometric(t: int, k: int, wrong: int) -> float:
    """P(at most k errors among t drawn items)."""
    return float(hypergeom.cdf(k, ITEMS, wrong, t))


def fixed_sample(hoped: int, power: float = 0.9) -> int:
    """Labels of the smallest fixed sample with this power."""
    if hoped == 0:
        return zero_failure(ITEMS, ALLOWED, CONFIDENCE)
    t = 0
    for k in range(60):
        while hypergeometric(t, k, ALLOWED + 1) > 1 - CONFIDENCE:
            t += 1
        if hypergeometric(t, k, hoped) >= power:
            return t
    raise RuntimeError("no fixed sample of this power with at most 60 wrong items")


def peeking() -> StoppingPlan:
    """Invalid: stop as soon as the fixed-sample p-value is at most 5%."""
    sure, t = ITEMS - ALLOWED + np.arange(ALLOWED + 1), 0
    certify_at = sure.copy()
    for k in range(ALLOWED + 1):
        while hypergeometric(t, k, ALLOWED + 1) > 1 - CONFIDENCE:
            t += 1
        certify_at[k] = t
    return StoppingPlan(ITEMS, ALLOWED, CONFIDENCE, certify_at, np.empty(0, np.int64), ALLOWED + 1)


def prior_posterior_ratio(losses: np.ndarray) -> int:
    """Waudby-Smith and Ramdas (2006.04347): uniform prior on the number of wrong items."""
    process = hypergeometric_mixture(TOLERANCE, ITEMS, hoped=tuple(range(ITEMS + 1)))
    state = process.start()
    for t, loss in enumerate(losses, start=1):
        state = process.step(state, float(loss))
        if t % 5 == 0 and process.log_wealth(state) >= threshold(CONFIDENCE):
            return t
    return ITEMS


def stops(make: Callable[[], EProcess]) -> Callable[[np.ndarray], int]:
    def labels(losses: np.ndarray) -> int:
        process = make()
        state, log_threshold = process.start(), threshold(CONFIDENCE)
        for t, loss in enumerate(losses, start=1):
            state = process.step(state, float(loss))
            if process.log_wealth(state) >= log_threshold:
                return t
        return ITEMS

    return labels


def bargain(losses: np.ndarray) -> int:
    """BARGAIN (2509.02896): the betting test with bets from a running variance, as if drawn with replacement."""
    wealth, total, squares = 0.0, 0.5, 0.25
    for t, loss in enumerate(losses, start=1):
        stake = min(math.sqrt(2 * threshold(CONFIDENCE) * t / (squares * t * math.log(t + 1))), 0.75)
        wealth += math.log1p(-stake / (1 - TOLERANCE) * (loss - TOLERANCE))
        total += loss
        squares += (loss - total / (t + 1)) ** 2
        if wealth >= threshold(CONFIDENCE):
            return t
    return ITEMS


PEERS = {
    "ALPHA, shrink-truncate (0.995, d 100)": stops(lambda: alpha_shrink(TOLERANCE, ITEMS, hoped=0.005)),
    "hypergeometric mixture {10..150}": stops(
        lambda: hypergeometric_mixture(TOLERANCE, ITEMS, hoped=(10, 25, 50, 75, 100, 125, 150))
    ),
    "betting without replacement (ours, graded)": stops(
        lambda: betting_without_replacement(TOLERANCE, ITEMS)
    ),
    "BARGAIN's betting test": bargain,
    "prior-posterior ratio, uniform prior": prior_posterior_ratio,
}


def batches(rate: float, runs: int) -> list[np.ndarray]:
    rng = np.random.default_rng(11)
    wrong = np.zeros(ITEMS)
    wrong[: round(rate * ITEMS)] = 1
    return [rng.permutation(wrong) for _ in range(runs)]


def line(name: str, cells: list[str]) -> None:
    print(f"{name:46s}" + "".join(f"{cell:>18s}" for cell in cells), flush=True)


def plans() -> None:
    started = time.process_time()
    robust = robust_plan(ITEMS, ALLOWED, CONFIDENCE)
    ready = time.process_time() - started
    cells = [forecast(robust, round(rate * ITEMS)) for rate in RATES]
    line("one robust plan for all rates (ours)", [f"{c.mean:.1f} ({c.p90})" for c in cells])
    error = false_certificate(robust)
    print(f"{'':46s}  exact false-certificate probability {error:.5f}; ready in {ready:.2f} CPU s")
    mended = mended_plan(ITEMS, TOLERANCE, CONFIDENCE)
    cells = [forecast(mended, round(rate * ITEMS)) for rate in RATES]
    line("what is found is mended (ours)", [f"{c.mean:.1f} ({c.p90})" for c in cells])
    print(f"{'':46s}  exact: {false_certificate(mended):.5f}; {_beyond(mended)}")
    cells, errors, started = [], [], time.process_time()
    for rate in RATES:
        plan = power_plan(ITEMS, ALLOWED, CONFIDENCE, round(rate * ITEMS), 0.9)
        forecasted = forecast(plan, round(rate * ITEMS))
        cells.append(f"{forecasted.mean:.1f} ({forecasted.p90})")
        errors.append(false_certificate(plan))
    line("give up, power 0.9 at that rate (ours)", cells)
    ready = time.process_time() - started
    print(f"{'':46s}  exact: at most {max(errors):.5f}; three plans ready in {ready:.2f} CPU s")
    line("fixed sample, power 0.9", [str(fixed_sample(round(rate * ITEMS))) for rate in RATES])
    twin = peeking()
    line(
        "peeking at the fixed p-value: INVALID",
        [f"{forecast(twin, round(r * ITEMS)).mean:.0f}" for r in RATES],
    )
    print(f"{'':46s}  false certificates {false_certificate(twin):.3f} (promised 0.05)")


def _beyond(mended: StoppingPlan) -> str:
    """Labels with corrections at error rates where a batch as it is needs nearly every label, or cannot be released."""
    means = [
        f"{rate:.1%}: {forecast(mended, round(rate * ITEMS)).mean:,.0f}" for rate in (0.015, 0.02, 0.025)
    ]
    return f"mean labels at {', '.join(means)}"


def simulated(runs: int) -> None:
    for name, labels in PEERS.items():
        count = min(runs, 20) if name.startswith("prior") else runs
        cells = []
        for rate in RATES:
            used = [labels(losses) for losses in batches(rate, 1 if rate == 0 else count)]
            cells.append(f"{np.mean(used):.0f} ({np.quantile(used, 0.9):.0f})")
        line(name, cells)


def withheld(runs: int) -> None:
    print("\nwith a judge that flags (95% of wrong items, 2% of fine ones); what it flags is withheld first")
    for rate in (0.01, 0.02, 0.04):
        used, released = [], []
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            losses = (rng.permutation(ITEMS) < rate * ITEMS).astype(float)
            flagged = rng.random(ITEMS) < np.where(losses == 1, 0.95, 0.02)
            audit = Audit(ITEMS, TOLERANCE, CONFIDENCE, seed=seed, scores=1.0 - flagged)
            while audit.open:
                item = audit.next()
                audit.record(item, losses[item])
            used.append(audit.labels)
            released.append(audit.certificate.coverage)
        noise = np.std(used) / math.sqrt(runs)
        print(
            f"  {rate:.0%} wrong: {np.mean(used):.0f} labels (± {noise:.0f}), {np.mean(released):.1%} released"
        )


def step_time() -> None:
    audit = Audit(ITEMS, TOLERANCE, CONFIDENCE, seed=1)
    losses = batches(0.018, 1)[0]
    started = time.process_time()
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    spent = time.process_time() - started
    print(f"\nan audit step: {1e3 * spent / audit.labels:.3f} ms CPU ({audit.labels} steps)")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    line("labels: mean (90th percentile); true rate:", [f"{rate:.1%}" for rate in RATES])
    plans()
    simulated(runs)
    withheld(max(20, runs // 2))
    step_time()


if __name__ == "__main__":
    main()
