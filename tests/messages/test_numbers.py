"""Numbers as text: a threshold read back is the same rule, a bound never reads smaller than it is."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolerate.messages.numbers import at_least, at_most, lowest_score, percent, score_from, threshold
from tolerate.records import Certificate
from tolerate.stats.certify.threshold import certify

THRESHOLDS = st.floats(allow_nan=False, allow_infinity=False) | st.floats(
    width=32, allow_nan=False, allow_infinity=False
)
SHARES = st.floats(0, 1, allow_subnormal=False) | st.integers(0, 10_000).map(lambda n: n / 10_000)


def neighbours(value: float) -> list[float]:
    """The number itself and what lies just below and above it, in double and in single precision."""
    with np.errstate(over="ignore"):
        single = [float(np.nextafter(np.float32(value), np.float32(side))) for side in (-np.inf, np.inf)]
    return [value, *(math.nextafter(value, side) for side in (-math.inf, math.inf)), *single]


@given(THRESHOLDS, THRESHOLDS)
def test_a_threshold_that_is_read_back_releases_the_same(limit: float, other: float) -> None:
    for score in [*neighbours(limit), other]:
        assert (score >= float(threshold(limit))) == (score >= limit)


@given(THRESHOLDS, THRESHOLDS)
def test_the_words_for_a_rule_release_the_same(limit: float, other: float) -> None:
    sign = lowest_score(limit, sign=True)
    for score in [*neighbours(limit), other, 0.0, 5e-324, 2.0**-149]:
        if not math.isfinite(score):
            continue
        if sign == "is given":
            released = True
        else:
            relation, number = sign.split(" ")
            released = score > float(number) if relation == ">" else score >= float(number)
        assert released == (score >= limit)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.81, "0.81"), (0.81004, "0.81004"), (1, "1"), (-3.25, "-3.25"), (12345.678, "12345.678"), (0.0, "0")],
)
def test_ordinary_thresholds_are_short(value: float, text: str) -> None:
    assert threshold(value) == text and lowest_score(value) == f"{text} or more"


def test_a_missing_threshold_is_a_dash() -> None:
    assert threshold(None) == score_from(None) == threshold(math.nan) == "–"


def test_the_rule_of_a_certificate_is_exact_in_both_languages() -> None:
    scores = np.random.default_rng(0).random(3000)
    certificate = certify(losses=scores < 0.2, scores=scores, tolerance=0.02)
    assert certificate.threshold is not None
    for lang in ("en", "zh"):
        from tolerate.messages.certificates import certificate_line, certificate_text

        assert repr(certificate.threshold) in certificate_line(certificate, lang)
        assert repr(certificate.threshold) in certificate_text(certificate, lang)


def exactly(text: str) -> Fraction:
    """The share that a text in per cent names."""
    return Fraction(text.removesuffix("%")) / 100


NOISE = Fraction(1, 10**11)  # what differs by less, relatively, is the arithmetic's own


@given(SHARES)
def test_an_upper_bound_never_reads_smaller_and_a_lower_one_never_larger(share: float) -> None:
    value = Fraction(share)
    assert exactly(at_most(share)) >= value * (1 - NOISE)
    assert exactly(at_least(share)) <= value * (1 + NOISE)


@given(SHARES)
def test_a_bound_is_near_to_what_it_bounds(share: float) -> None:
    for text in (at_most(share), at_least(share), percent(share)):
        assert abs(float(exactly(text)) - share) <= max(0.001, 1e-12) and (share == 0) == (text == "0%")


@pytest.mark.parametrize("value", [0.0104, 0.01, 0.02, 0.015, 0.3, 0.1 * 3, 0.9975, 0.95, 0.9999])
def test_what_has_few_digits_is_written_exactly(value: float) -> None:
    assert at_most(value) == at_least(value)
    assert float(exactly(at_most(value))) == pytest.approx(value, rel=1e-12)


def test_a_tolerance_of_a_little_more_than_1_does_not_read_1() -> None:
    certificate = certify(losses=np.zeros(1000), tolerance=0.0104)
    assert "at most 1.04%" in str(certificate)


@pytest.mark.parametrize("value", [0.0001, 0.001, 0.0195, 0.02, 0.5, 0.9999, 1.0])
def test_a_share_keeps_one_from_hundred(value: float) -> None:
    for rough in (False, True):
        shown = float(percent(value, rough=rough).rstrip("%")) / 100
        assert shown == pytest.approx(value, rel=0.06, abs=6e-4) and (shown < 1 or value == 1)


def test_a_stored_certificate_reads_as_the_one_that_was_made() -> None:
    certificate = certify(losses=np.zeros(1000), tolerance=0.0104)
    assert str(Certificate.loads(certificate.dumps())) == str(certificate)
