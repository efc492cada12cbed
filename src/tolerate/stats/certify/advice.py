"""Advice when nothing or little is proven: what would be needed. Estimates, no part of the promise."""

from collections.abc import Mapping

import numpy as np

from tolerate.messages.catalogue import message
from tolerate.records import Floats
from tolerate.stats.certify.evidence import SampleEvidence
from tolerate.stats.certify.fixed_sequence import max_errors, zero_failure_size
from tolerate.stats.certify.prefixes import ReleaseRule

LARGE_SHARE = 0.2  # of the sample; where more is released, there is no advice
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
MIN_CHANCE = 0.8  # chance of success that a number of labels is named for
LABELS_RATIO = 1.25  # numbers of labels are tried in steps of a quarter
MAX_LABELS = 1e7
MAX_SLICES = 5


def advice(
    evidence: SampleEvidence, rule: ReleaseRule, tolerances: Mapping[str, float], delta: float
) -> tuple[str, ...]:
    """Sentences on the labels that it takes, the tolerance provable today, and the slice with most errors."""
    if _released_share(evidence, rule) >= LARGE_SHARE:
        return ()
    sentences = [_labels_sentence(evidence, tolerances, delta)]
    if rule.scope == "nothing":
        sentences.append(_tolerance_sentence(evidence, tolerances, delta))
    sentences.append(_slice_sentence(evidence, rule, tolerances, delta))
    return tuple(line for line in sentences if line)


def _released_share(evidence: SampleEvidence, rule: ReleaseRule) -> float:
    return evidence.released(rule) / evidence.labels


def _labels_sentence(evidence: SampleEvidence, tolerances: Mapping[str, float], delta: float) -> str:
    """How many labels would probably prove something, if further labels have the same error rates."""
    needs = [_labels_needed(evidence, name, tolerance, delta) for name, tolerance in tolerances.items()]
    total = max(needs, key=lambda need: need[0])
    if total[0] > MAX_LABELS:
        return message("advice.hopeless")
    if total[0] <= evidence.labels:
        return ""
    return message("advice.labels", labels=_round_up(total[0]), now=evidence.labels, share=total[1])


def _labels_needed(
    evidence: SampleEvidence, name: str, tolerance: float, delta: float
) -> tuple[float, float]:
    """The fewest labels that would probably prove a part, and that part's share."""
    best = (np.inf, 0.0)
    for share, rate in zip(*_error_rates(evidence, name, tolerance), strict=True):
        size = float(zero_failure_size(tolerance, delta))
        while rate < tolerance and size / share < best[0]:
            if _chance(int(size), rate, tolerance, delta) >= MIN_CHANCE:
                best = (size / share, float(share))
                break
            size *= LABELS_RATIO
    return best


def _chance(size: int, rate: float, tolerance: float, delta: float) -> float:
    from scipy.special import bdtr

    allowed = int(max_errors([size], tolerance, delta)[0])
    return float(bdtr(allowed, size, rate)) if allowed >= 0 else 0.0


def _error_rates(evidence: SampleEvidence, name: str, tolerance: float) -> tuple[Floats, Floats]:
    """Error rates seen in the top 10%, 20% ... 100% of the sample; half an error where none was seen."""
    shares = np.arange(1, 11) / 10 if evidence.scored else np.ones(1)
    wrong, sizes = evidence.errors_at(name, shares), np.ceil(shares * evidence.labels)
    return shares, np.where(wrong > 0, wrong, np.minimum(0.5, tolerance * sizes / 3)) / sizes


def _round_up(labels: float) -> int:
    """Two figures are all that such an estimate is worth."""
    scale = 10 ** max(0, int(np.floor(np.log10(labels))) - 1)
    return int(np.ceil(labels / scale) * scale)


def _tolerance_sentence(evidence: SampleEvidence, tolerances: Mapping[str, float], delta: float) -> str:
    """The smallest tolerance of the ladder at which these labels prove something."""
    hardest = min(tolerances.values())
    rungs = [rung for rung in TOLERANCE_LADDER if rung > hardest]
    for rung in rungs:
        scale = rung / hardest
        wider = {name: min(0.99, tolerance * scale) for name, tolerance in tolerances.items()}
        rule = evidence.find(wider, delta)
        if rule.scope != "nothing":
            key = "advice.tolerance" if len(tolerances) == 1 else "advice.tolerances"
            return message(key, tolerance=rung, share=_released_share(evidence, rule))
    return ""


def _slice_sentence(
    evidence: SampleEvidence, rule: ReleaseRule, tolerances: Mapping[str, float], delta: float
) -> str:
    """The slice without which most could be released, if that is far more than with it."""
    best, spoiler = _released_share(evidence, rule), ""
    for name in evidence.worst_slices()[:MAX_SLICES]:
        part = evidence.without(name)
        if part is None:
            continue
        share = _released_share(part, part.find(tolerances, delta))
        if share > best + 0.1:
            best, spoiler = share, name
    return message("advice.slice", slice=spoiler, share=best) if spoiler else ""
