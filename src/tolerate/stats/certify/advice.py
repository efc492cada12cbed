"""When nothing or little is proven: what would be needed. Estimates from the same labels, no part of the promise."""

from collections.abc import Mapping

import numpy as np

from tolerate.messages.catalogue import message
from tolerate.records import Floats
from tolerate.stats.certify.evidence import Evidence
from tolerate.stats.certify.fixed_sequence import critical, zero_failure_size
from tolerate.stats.certify.prefixes import Found

LITTLE = 0.2  # of the sample; where more is released, nobody needs to be told what else it takes
TOLERANCE_LADDER = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.015,
    0.02,
    0.03,
    0.05,
    0.07,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.7,
)
LIKELY = 0.8  # chance of success that a number of labels is named for
GROWTH = 1.25  # numbers of labels are tried in steps of a quarter
TOO_MANY = 1e7
SLICES_TRIED = 5


def advice(given: Evidence, found: Found, tolerances: Mapping[str, float], delta: float) -> tuple[str, ...]:
    """Sentences: how many labels it takes, which tolerance is provable today, which slice spoils it."""
    if _share(given, found) >= LITTLE:
        return ()
    told = [_labels(given, tolerances, delta)]
    if found.scope == "nothing":
        told.append(_provable(given, tolerances, delta))
    told.append(_spoiler(given, found, tolerances, delta))
    return tuple(line for line in told if line)


def _share(given: Evidence, found: Found) -> float:
    return given.released(found) / given.labels


def _labels(given: Evidence, tolerances: Mapping[str, float], delta: float) -> str:
    """How many labels would probably prove something, if the errors go on as they were seen."""
    needs = [_needed(given, name, tolerance, delta) for name, tolerance in tolerances.items()]
    total = max(needs, key=lambda need: need[0])
    if total[0] > TOO_MANY:
        return message("advice.hopeless")
    if total[0] <= given.labels:
        return ""
    return message("advice.labels", labels=_rounded(total[0]), now=given.labels, share=total[1])


def _needed(given: Evidence, name: str, tolerance: float, delta: float) -> tuple[float, float]:
    """The fewest labels that would probably prove a part, and that part's share."""
    best = (np.inf, 0.0)
    for share, rate in zip(*_rates(given, name, tolerance), strict=True):
        size = float(zero_failure_size(tolerance, delta))
        while rate < tolerance and size / share < best[0]:
            if _chance(int(size), rate, tolerance, delta) >= LIKELY:
                best = (size / share, float(share))
                break
            size *= GROWTH
    return best


def _chance(size: int, rate: float, tolerance: float, delta: float) -> float:
    from scipy.special import bdtr

    most = int(critical([size], tolerance, delta)[0])
    return float(bdtr(most, size, rate)) if most >= 0 else 0.0


def _rates(given: Evidence, name: str, tolerance: float) -> tuple[Floats, Floats]:
    """Error rates seen in the top 10%, 20% ... 100% of the sample; half an error where none was seen."""
    shares = np.arange(1, 11) / 10 if given.scored else np.ones(1)
    wrong, sizes = given.errors_at(name, shares), np.ceil(shares * given.labels)
    return shares, np.where(wrong > 0, wrong, np.minimum(0.5, tolerance * sizes / 3)) / sizes


def _rounded(labels: float) -> int:
    """Two figures are all that such an estimate is worth."""
    scale = 10 ** max(0, int(np.floor(np.log10(labels))) - 1)
    return int(np.ceil(labels / scale) * scale)


def _provable(given: Evidence, tolerances: Mapping[str, float], delta: float) -> str:
    """The smallest tolerance of the ladder at which these labels prove something."""
    hardest = min(tolerances.values())
    rungs = [rung for rung in TOLERANCE_LADDER if rung > hardest]
    for rung in rungs:
        scale = rung / hardest
        wider = {name: min(0.99, tolerance * scale) for name, tolerance in tolerances.items()}
        found = given.find(wider, delta)
        if found.scope != "nothing":
            key = "advice.tolerance" if len(tolerances) == 1 else "advice.tolerances"
            return message(key, tolerance=rung, share=_share(given, found))
    return ""


def _spoiler(given: Evidence, found: Found, tolerances: Mapping[str, float], delta: float) -> str:
    """The slice without which most could be released, if that is far more than with it."""
    best, worst = _share(given, found), ""
    for name in given.worst_slices()[:SLICES_TRIED]:
        part = given.without(name)
        if part is None:
            continue
        share = _share(part, part.find(tolerances, delta))
        if share > best + 0.1:
            best, worst = share, name
    return message("advice.slice", slice=worst, share=best) if worst else ""
