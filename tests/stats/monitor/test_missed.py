"""What reviewers miss: the corrected bound covers the true risk, the uncorrected one does not; exactly and in simulation."""

import itertools
import math

import numpy as np
import pytest

from tolerate.errors import DataError
from tolerate.stats.certify.threshold import certify
from tolerate.stats.monitor.missed import losses_with_missed, with_missed, with_seeded
from tolerate.stats.monitor.watch import anytime_upper

RISK, OVERLOOKED, SHARE = 0.08, 0.5, 0.3


def reviewed(rng: np.random.Generator, items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First losses, final ones where read again (else NaN), and the true ones."""
    wrong = rng.random(items) < RISK
    first = wrong & (rng.random(items) >= OVERLOOKED)
    final = np.where(rng.random(items) < SHARE, wrong, np.nan)
    return first.astype(float), final, wrong.astype(float)


def test_the_bound_covers_the_true_risk_at_every_look() -> None:
    """80% confidence, 100 runs of twelve looks each; three standard errors. As reviewed alone it fails: the broken twin."""
    runs, broken, naive = 100, 0, 0
    for seed in range(runs):
        first, final, _ = reviewed(np.random.default_rng(seed), 1500)
        looks = np.unique(np.geomspace(20, 1500, 12).astype(int))
        bounds = [with_missed(first[:n], final[:n], np.full(n, SHARE), 0.8).bound for n in looks]
        broken += min(bounds) < RISK
        naive += min(anytime_upper(first[:n].sum(), int(n), 0.8) for n in looks) < RISK
    limit = runs * 0.2 + 3 * math.sqrt(runs * 0.16)
    assert broken <= limit < naive


def test_exactly_on_every_sequence() -> None:
    """Eight items, every outcome of truth, oversight and lot with its probability: the bound fails within its level."""
    items, risk, overlooked, share, confidence = 6, 0.5, 0.5, 0.5, 0.5
    kinds = {  # (first, final or NaN): probability
        (0.0, math.nan): (1 - risk) * (1 - share) + risk * overlooked * (1 - share),
        (0.0, 0.0): (1 - risk) * share,
        (0.0, 1.0): risk * overlooked * share,
        (1.0, math.nan): risk * (1 - overlooked) * (1 - share),
        (1.0, 1.0): risk * (1 - overlooked) * share,
    }
    assert sum(kinds.values()) == pytest.approx(1)
    broken = 0.0
    for counts in itertools.product(range(items + 1), repeat=len(kinds)):  # the bound depends on counts alone
        if sum(counts) != items:
            continue
        ways = math.factorial(items) / math.prod(math.factorial(c) for c in counts)
        chance = ways * math.prod(p**c for p, c in zip(kinds.values(), counts, strict=True))
        pairs = [pair for pair, count in zip(kinds, counts, strict=True) for _ in range(count)]
        bound = with_missed([a for a, _ in pairs], [b for _, b in pairs], [share] * items, confidence).bound
        broken += chance * (bound < risk)
    assert broken <= 1 - confidence


def false_certificates(runs: int, corrected: bool) -> int:
    """Certificates at a tolerance below the true risk; nothing may be released, whatever the score."""
    count = 0
    for seed in range(runs):
        first, final, _ = reviewed(np.random.default_rng(seed), 700)
        losses, scale = losses_with_missed(first, final, np.full(700, SHARE)) if corrected else (first, 1.0)
        certificate = certify(losses=losses, tolerance=0.07 / scale, confidence=0.8, seed=seed)
        count += certificate.proven
    return count


def test_certificates_count_what_was_missed() -> None:
    """Reviewers see 4% of the 8% that are wrong; at 7% the plain certificate is false nearly always."""
    assert false_certificates(40, corrected=True) <= 40 * 0.2 + 3 * math.sqrt(40 * 0.16)
    assert false_certificates(40, corrected=False) > 30


def test_with_careful_reviewers_something_is_proven() -> None:
    rng = np.random.default_rng(0)
    wrong = (rng.random(2000) < 0.01).astype(float)
    final = np.where(rng.random(2000) < SHARE, wrong, np.nan)
    losses, scale = losses_with_missed(wrong, final, np.full(2000, SHARE))
    assert certify(losses=losses, tolerance=0.05 / scale).proven
    risk = with_missed(wrong, final, np.full(2000, SHARE), 0.95)
    assert risk.missed == 0 and 0.01 < risk.reviewed < risk.bound < 0.05


def test_the_mean_of_the_losses_is_the_risk() -> None:
    first, final, wrong = reviewed(np.random.default_rng(1), 200_000)
    losses, scale = losses_with_missed(first, final, np.full(200_000, SHARE))
    assert losses.max() <= 1 and scale * losses.mean() == pytest.approx(wrong.mean(), rel=0.02)


def test_seeded_errors_raise_the_bound() -> None:
    """Nine in ten found: covered in 100 runs at 80%; as found alone it is not."""
    broken = naive = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        total, caught = rng.binomial(20_000, RISK * 0.7), rng.binomial(2000, 0.7)
        broken += with_seeded(total, 20_000, caught, 2000, 0.8) < RISK
        naive += anytime_upper(total, 20_000, 0.8) < RISK
    assert broken <= 20 + 3 * 4 < naive
    assert with_seeded(0, 100, 0, 0, 0.95) == 1.0


def test_nonsense_is_refused() -> None:
    with pytest.raises(DataError, match="chance"):
        losses_with_missed([0.0], [0.0], [0.0])
    with pytest.raises(DataError, match="outside"):
        losses_with_missed([2.0], [0.0], [0.5])
    with pytest.raises(DataError, match="came with"):
        losses_with_missed([0.0, 0.0], [0.0], [0.5])
    assert with_missed([], [], [], 0.95).bound == 1.0
