"""What a certificate says, in English and Chinese: nothing more than was proven, and nothing that cannot be read."""

import re
from typing import Any

import numpy as np
import pytest

from tolerate.errors import OptionError
from tolerate.messages.certificates import certificate_line, certificate_text, slice_lines
from tolerate.messages.numbers import percent, threshold
from tolerate.records import Certificate
from tolerate.stats.audit.audit import Audit
from tolerate.stats.certify.threshold import certify

N = np.arange(2000)


def audited(wrong: float, **options: Any) -> Certificate:
    """The certificate of an audit of 300 items, some of them wrong."""
    audit = Audit(300, 0.2, seed=1, **options)
    while audit.open or (audit.waiting and not audit.hopeless):
        while audit.open:
            audit.record(audit.next(), float(audit.next() < 300 * wrong))
        for item in audit.waiting:
            audit.record(item, float(item < 300 * wrong), second=True)
    return audit.certificate


CERTS = {
    "all": certify(losses=np.zeros(200), tolerance=0.05),
    "above": certify(losses=N > 1200, scores=-N / 2000, tolerance=0.02),
    "nothing": certify(losses=np.ones(200), scores=np.arange(200), tolerance=0.02),
    "clusters": certify(losses=np.zeros(2000), clusters=N // 4, tolerance=0.05),
    "two": certify(
        losses={"wrong": N > 1500, "harmful": N > 1800},
        scores=-N,
        tolerance={"wrong": 0.05, "harmful": 0.01},
    ),
    "audit": audited(0.0),
    "hopeless audit": audited(0.5),
    "audit that gave up": audited(0.4, expected=0.1, power=0.8),
    "audit by two": audited(0.05, second=0.5),
}


def test_the_kinds_are_what_they_are_called() -> None:
    assert {name: cert.scope for name, cert in CERTS.items()} == {
        "all": "all",
        "above": "above",
        "nothing": "nothing",
        "clusters": "all",
        "two": "above",
        "audit": "all",
        "hopeless audit": "nothing",
        "audit that gave up": "nothing",
        "audit by two": "all",
    }


@pytest.mark.parametrize("name", sorted(CERTS))
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_certificate_names_tolerance_confidence_and_labels(name: str, lang: str) -> None:
    cert = CERTS[name]
    for text in (certificate_line(cert, lang), certificate_text(cert, lang)):
        assert percent(cert.tolerance) in text and percent(cert.confidence) in text
        assert f"{cert.labels:,}" in text
        assert "None" not in text and "nan" not in text and "{" not in text


@pytest.mark.parametrize("name", sorted(CERTS))
def test_chinese_is_chinese(name: str) -> None:
    text = certificate_text(CERTS[name], "zh")
    assert not re.search(r"[a-z]{4,}", re.sub("wrong|harmful|kappa", "", text))


def test_english_in_full() -> None:
    promise, evidence = certificate_text(CERTS["clusters"]).split("\n")
    assert promise == "Every item may be released: with 95% confidence the risk among them is at most 5%."
    assert "2,000 labelled items in 500 independent clusters" in evidence
    assert "no cluster to come is larger than 4" in evidence


def test_nothing_is_never_dressed_up() -> None:
    text = certificate_text(CERTS["nothing"])
    assert text.startswith("Nothing may be released") and "Not part of the promise" in text
    assert certificate_line(CERTS["nothing"]).startswith("release nothing")
    assert "不可放行" in certificate_line(CERTS["nothing"], "zh")


def test_short_form() -> None:
    text = certificate_line(CERTS["above"])
    assert re.fullmatch(
        r"release when score > -0\.\d+: [\d.]+% of items, at most 2% wrong \(95% sure; 2,000 labels\)", text
    )
    assert "5% wrong, 1% harmful" in certificate_line(CERTS["two"])


def test_str_is_the_full_text() -> None:
    assert str(CERTS["all"]) == certificate_text(CERTS["all"], "en")


def test_the_names_of_columns_are_used() -> None:
    cert = Certificate.from_json({**CERTS["above"].to_json(), "names": {"score": "sure"}})
    assert "sure > " in certificate_line(cert) and "sure > " in certificate_line(cert, "zh")


@pytest.mark.parametrize("value", [0.0001, 0.001, 0.0195, 0.02, 0.5, 0.9999, 1.0])
def test_a_percentage_keeps_one_from_hundred(value: float) -> None:
    shown = float(percent(value).rstrip("%")) / 100
    assert shown == pytest.approx(value, rel=0.06, abs=6e-4) and (shown < 1 or value == 1)


@pytest.mark.parametrize("value", [0.81, 0.123456, -0.98765, 1e-7, 12345.678, 0.0, 7.0])
def test_a_shown_threshold_is_never_more_lenient(value: float) -> None:
    assert (
        float(threshold(value)) >= value * (1 - 1e-8) - 1e-12
        if value >= 0
        else float(threshold(value)) >= value
    )


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(OptionError, match='unsupported language "fr"; choose en or zh'):
        certificate_line(CERTS["all"], "fr")


def test_a_threshold_just_above_0_is_said_so() -> None:
    """Released is what is scored above 0: the rule is exact, and nobody reads 4.9e-324."""
    scores = np.r_[np.zeros(300), np.linspace(0.01, 1, 700)]
    cert = certify(losses=scores == 0, scores=scores, tolerance=0.02)
    assert cert.threshold == 5e-324 and cert.released == 700
    assert cert.decide(0.0).value == "review" and cert.decide(0.01).value == "release"
    assert "score > 0:" in certificate_line(cert) and "score of more than 0 " in certificate_text(cert)
    assert "高于 0 的内容" in certificate_text(cert, "zh") and "分数 > 0 时" in certificate_line(cert, "zh")
    single = certify(losses=scores == 0, scores=scores.astype(np.float32), tolerance=0.02)
    assert single.threshold == 2.0**-149  # no longer "> 0": a score in double precision can lie between
    assert f"score >= {2.0**-149!r}:" in certificate_line(single)


def test_clusters_of_one_are_said_to_be_given() -> None:
    alone = certify(losses=np.zeros(100), clusters=np.arange(100), tolerance=0.05)
    assert "a cluster of its own" in certificate_text(alone) and "no cluster" not in certificate_text(alone)
    assert "自成一组" in certificate_text(alone, "zh")


def test_slices_are_listed_the_worst_first_and_only_where_something_goes_out() -> None:
    slices = np.where(N % 2 == 0, "de", "zh-cn")
    wrong = (N % 20 == 1).astype(float)  # a tenth of one slice
    some = certify(losses=wrong, slices=slices, tolerance=0.1)
    first, second = slice_lines(some)
    assert first.startswith("  zh-cn  releases 1,000 of 1,000: risk 10%, by itself at most 1")
    assert second.startswith("  de     releases 1,000 of 1,000: risk 0%, by itself at most 0.")
    assert "所见风险 10%" in slice_lines(some, "zh")[0]
    assert slice_lines(certify(losses=wrong, slices=slices, tolerance=0.01)) == []
    above = certify(losses=wrong, scores=np.where(N % 2 == 0, 1.0, 0.0), slices=slices, tolerance=0.02)
    assert slice_lines(above)[-1].endswith("none of 1,000") or "releases none of 1,000" in "".join(
        slice_lines(above)
    )
