"""Whatever is certified, judged, watched or held can be text in Chinese without an English sentence in it."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.support.chinese import english_words
from tolerate.checks.against_people import compare_with_person
from tolerate.checks.own_error import OwnError
from tolerate.checks.pictures.own_error import own_error_sentence as pictures_error
from tolerate.checks.texts.own_error import own_error_sentence as texts_error
from tolerate.messages.catalogue import joined, message, render
from tolerate.messages.certificates import certificate_line, certificate_text, slice_lines
from tolerate.records import Certificate
from tolerate.stats.audit.audit import Audit
from tolerate.stats.certify.threshold import certify
from tolerate.stats.compare.cascade import answer_line, cascade_text
from tolerate.stats.compare.strategies import compare
from tolerate.stats.monitor.watch import Watch

NAMES = {"reader", "rule", "harm", "loss", "kappa", "Krippendorff", "small", "large", "de", "fr", "label"}
N = np.arange(2000)


def finished_audit(wrong: int, **options: object) -> Audit:
    """An audit of 300 items, the first of them wrong."""
    audit = Audit(300, 0.2, seed=1, **options)  # type: ignore[arg-type]
    while audit.open or (audit.waiting and not audit.hopeless):
        while audit.open:
            audit.record(audit.next(), float(audit.next() < wrong))
        for item in audit.waiting:
            audit.record(item, float(item < wrong + 5), second=True)
    return audit


def judged_by(losses_by: str) -> Certificate:
    """A certificate whose losses came from somebody, as it is read again from a file."""
    certificate = certify(losses=np.zeros(200), tolerance=0.05, losses_by=losses_by)
    return Certificate.loads(certificate.dumps())


def certificates() -> Mapping[str, Certificate]:
    """Certificates that say, together, nearly everything that a certificate can say."""
    scores, slices = -N / 2000, np.where(N % 2 == 0, "de", "fr")
    weights = np.where(N % 2 == 0, 1.0, 2.0)
    checks = {
        "pictures": message(
            "check.taught", check="reader", pictures=700, error=pictures_error(OwnError(right=200, refused=3))
        ),
        "texts": joined([message("check.by_rule", check="rule"), texts_error(OwnError(10, 1, 5, 1))]),
        "texts, half known": texts_error(OwnError(faulty=10, missed=1)),
        "unmeasured": texts_error(OwnError()),
        "people": joined(
            [
                message("people.each_item", people=2, items=100, apart=3, alpha=0.9),
                message(
                    "people.unmeasured",
                    more=compare_with_person("reader", N[:100] % 9 == 0, N[:100] % 7 == 0, N % 9 == 0),
                ),
            ]
        ),
        "one person": message("people.one", items=100),
        "published": joined([message("check.published", data="2024"), message("check.people_unmeasured")]),
        "column": message("check.column", error=texts_error(OwnError(10, 1, 5, 1))),
        "chosen by a rule": message("check.rule_chooses"),
    }
    return {
        "above": certify(losses=N > 1200, scores=scores, tolerance=0.02),
        "nothing": certify(losses=np.ones(200), scores=np.arange(200), tolerance=0.02),
        "little": certify(losses=N[:300] % 30 == 0, scores=N[:300] % 7, tolerance=0.03, slices=slices[:300]),
        "clusters": certify(losses=np.zeros(2000), clusters=N // 4, tolerance=0.05, comparisons=3),
        "weights": certify(losses=np.zeros(2000), weights=weights, tolerance=0.05),
        "slices": certify(losses=N > 1900, scores=scores, slices=slices, tolerance=0.05, each_slice=True),
        "two losses": certify(
            losses={"loss": N > 1500, "harm": N > 1800}, scores=scores, tolerance={"loss": 0.05, "harm": 0.01}
        ),
        "audit": finished_audit(0).certificate,
        "audit by two": finished_audit(10, second=0.5).certificate,
        "audit that gave up": finished_audit(120, expected=0.1, power=0.8).certificate,
        "audit that found too many": finished_audit(200).certificate,
        "mended audit": finished_audit(5, mend=True).certificate,
        **{f"losses by {name}": judged_by(losses_by) for name, losses_by in checks.items()},
    }


@pytest.mark.parametrize("name", sorted(certificates()))
def test_certificates(name: str) -> None:
    certificate = Certificate.loads(certificates()[name].dumps())
    text = [
        certificate_line(certificate, "zh"),
        certificate_text(certificate, "zh"),
        *slice_lines(certificate, "zh"),
    ]
    assert english_words("\n".join(text), NAMES) == []


@pytest.mark.parametrize(
    "options",
    [{}, {"budget": 20, "scores": -np.arange(300.0)}, {"graded": True}, {"expected": 0.1, "power": 0.8}],
)
@pytest.mark.parametrize("wrong", [0, 150, 300])
def test_how_far_an_audit_is(options: dict[str, object], wrong: int) -> None:
    audit = Audit(300, 0.2, seed=1, **options)  # type: ignore[arg-type]
    outlooks = [audit.outlook]
    while audit.open:
        audit.record(audit.next(), float(audit.next() < wrong))
        outlooks.append(audit.outlook)
    for outlook in outlooks:
        assert english_words(render(outlook, "zh")) == []


def test_comparisons() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.random(1500) for name in ("small", "large")}
    losses = {"small": rng.random(1500) > scores["small"] ** 0.1, "large": rng.random(1500) < 0.01}
    rows = compare(
        losses=losses,
        scores=scores,
        costs={"small": 1.0, "large": 10.0},
        cascades=[("small", "large")],
        tolerance=0.05,
        review=50,
    )
    for row in rows:
        answer = row.certificate
        text = (
            certificate_text(answer, "zh") if isinstance(answer, Certificate) else cascade_text(answer, "zh")
        )
        assert english_words(text + answer_line(answer, "zh"), NAMES) == []


def test_alarms_of_a_watch() -> None:
    watch = Watch(tolerance=0.02, slices=("de",))
    for _ in range(200):
        watch.update(0.5, slice="de")
    assert {alarm.slice for alarm in watch.alarms} == {"", "de"}
    for alarm in watch.alarms:
        assert english_words(render(alarm.sentence, "zh"), NAMES) == []
        assert str(alarm) == alarm.sentence
