"""A certificate is recomputed from its table; every difference is named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tolerate.records import Certificate, Table
from tolerate.stats.audit.assisted import JudgedAudit
from tolerate.stats.audit.audit import Audit
from tolerate.stats.certify.threshold import certify
from tolerate.stats.monitor.watch import Watch
from tolerate.stats.verification import verify, verify_audit, verify_watch

RNG = np.random.default_rng(3)
SCORES = RNG.random(900)
TABLES = {
    "rows": Table((RNG.random(900) > SCORES**0.1).astype(float), SCORES, sha256="a1"),
    "graded": Table(RNG.random(900) * (RNG.random(900) < 0.1), SCORES, sha256="a1"),
    "clusters": Table((RNG.random(900) < 0.02).astype(float), SCORES, np.arange(900) // 3, sha256="a1"),
    "slices": Table(
        (RNG.random(900) < 0.02).astype(float), SCORES, None, np.array(["x", "y", "z"] * 300), sha256="a1"
    ),
    "weights": Table((RNG.random(900) < 0.02).astype(float), SCORES, None, None, 1 + SCORES, sha256="a1"),
    "nothing": Table(np.ones(900), SCORES, sha256="a1"),
}


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("more", [{}, {"comparisons": 3, "seed": 5}])
def test_what_certify_wrote_holds_after_json(name: str, more: dict[str, Any]) -> None:
    table = TABLES[name]
    cert = certify(table, tolerance=0.1, each_slice=table.slices is not None, **more)
    verification = verify(Certificate.loads(cert.dumps()), table)
    assert verification.holds and verification.reasons == () and "holds" in str(verification)


def test_history_is_part_of_the_certificate() -> None:
    past = (RNG.random(500) < 0.05, RNG.random(500))
    cert = certify(TABLES["rows"], tolerance=0.1, history=past)
    assert verify(Certificate.loads(cert.dumps()), TABLES["rows"]).holds


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"threshold": 0.01}, "threshold"),
        ({"coverage": 0.99}, "coverage"),
        ({"labels": 901}, "labels"),
        ({"risk_seen": 0.0}, "risk_seen"),
        ({"risk_bound": 0.01}, "risk_bound"),
        ({"tolerance": 0.02}, "above its own tolerance"),
        ({"confidence": 0.999}, "threshold"),
        ({"scope": "all"}, "contradict"),
        ({"assumptions": ()}, "assumptions"),
        ({"method": "trust me"}, "method"),
        ({"options": {}}, "recomputed"),
        ({"data_sha256": "b2"}, "another one"),
    ],
)
def test_a_changed_certificate_is_named(change: dict[str, Any], named: str) -> None:
    cert = certify(TABLES["rows"], tolerance=0.1)
    assert cert.scope == "above"
    verification = verify(replace(cert, **change), TABLES["rows"])
    assert not verification.holds and any(named in reason for reason in verification.reasons)
    assert "does not hold" in str(verification)


def test_a_changed_label_is_found_without_a_hash() -> None:
    table = TABLES["rows"]
    cert = replace(certify(table, tolerance=0.1), data_sha256=None)
    losses = table.losses.copy()
    losses[np.argmax(SCORES)] = 1 - losses[np.argmax(SCORES)]
    verification = verify(cert, replace(table, losses=losses))
    assert not verification.holds and any("risk_seen" in reason for reason in verification.reasons)


def test_the_tables_columns_matter() -> None:
    cert = certify(TABLES["clusters"], tolerance=0.1)
    verification = verify(cert, replace(TABLES["clusters"], clusters=None))
    assert not verification.holds and any("clusters" in reason for reason in verification.reasons)


TWO = Table(
    losses=TABLES["rows"].losses,
    scores=SCORES,
    slices=np.array(["x", "y", "z"] * 300),
    names={"loss": "wrong", "score": "sure"},
    sha256="a1",
    more_losses={"harmful": TABLES["rows"].losses * (np.arange(900) % 7 == 0)},
)


def two(**more: Any) -> Certificate:
    cert = certify(TWO, tolerance={"wrong": 0.1, "harmful": 0.03}, **more)
    assert cert.scope == "above"
    return cert


def test_several_losses_are_recomputed() -> None:
    assert verify(Certificate.loads(two(each_slice=True).dumps()), TWO).holds
    equal = certify(TWO, tolerance=0.1)
    assert [risk["tolerance"] for risk in equal.risks] == [0.1, 0.1] and verify(equal, TWO).holds


@pytest.mark.parametrize(
    ("place", "change", "named"),
    [
        (1, {"risk_seen": 0.0}, "risks"),
        (1, {"risk_bound": 0.001}, "risks"),
        (1, {"tolerance": 0.001}, "threshold"),
        (0, {"tolerance": 0.2}, "first loss"),
        (1, {"name": "ugly"}, "about the losses"),
    ],
)
def test_a_changed_second_loss_is_named(place: int, change: dict[str, Any], named: str) -> None:
    cert = two()
    risks = [dict(risk) for risk in cert.risks]
    risks[place].update(change)
    verification = verify(replace(cert, risks=tuple(risks)), TWO)
    assert not verification.holds and any(named in reason for reason in verification.reasons), (
        verification.reasons
    )


def test_a_loss_that_is_left_out_is_named() -> None:
    alone = replace(TWO, more_losses={})
    assert any("about the losses" in reason for reason in verify(two(), alone).reasons)
    assert any("about one loss" in reason for reason in verify(certify(alone, tolerance=0.1), TWO).reasons)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_tampering_is_caught_in_every_kind(name: str) -> None:
    """One label turned from wrong to fine, without its hash: some figure of every kind of certificate moves."""
    table = TABLES[name]
    cert = replace(certify(table, tolerance=0.1, each_slice=table.slices is not None), data_sha256=None)
    worst = np.flatnonzero(table.losses)
    cleaned = table.losses.copy()
    cleaned[worst] = 0.0
    verification = verify(cert, replace(table, losses=cleaned))
    assert verify(cert, table).holds and not verification.holds and verification.reasons


@pytest.mark.parametrize(
    ("key", "value"), [("comparisons", 1), ("seed", 6), ("largest_cluster", 500.0), ("each_slice", False)]
)
def test_changed_options_are_found(key: str, value: Any) -> None:
    """Options decide the promise: each of them leaves its trace in a number or a sentence."""
    rng = np.random.default_rng(8)
    table = Table(
        rng.random(900) * (rng.random(900) < 0.2),
        SCORES,
        np.arange(900) // 3,
        np.array(["x", "y", "z"] * 300),
    )
    cert = certify(table, tolerance=0.1, comparisons=3, seed=5, each_slice=True)
    assert verify(cert, table).holds
    changed = replace(cert, options={**cert.options, key: value})
    assert not verify(changed, table).holds


def test_a_changed_history_is_found() -> None:
    """History moves the start of the walk; another one ends elsewhere."""
    scores = np.linspace(1, 0, 900)
    risk = np.where(scores > 0.95, 0.2, np.where(scores > 0.4, 0.0, 0.5))  # an overconfident top
    table = Table((np.random.default_rng(0).random(900) < risk).astype(float), scores)
    cert = certify(table, tolerance=0.05, history=(np.random.default_rng(1).random(900) < risk, scores))
    assert cert.scope == "above" and verify(cert, table).holds
    strict = {"wrong": [0.0, 0.0, 20.0, 60.0, 90.0], "rows": [100.0] * 5}  # would have begun with the top
    assert not verify(replace(cert, options={**cert.options, "history": strict}), table).holds


# Audits and watches


def finished(**options: Any) -> Audit:
    audit = Audit(items=300, tolerance=0.05, seed=3, **options)
    while audit.open:
        item = audit.next()
        audit.record(item, loss=0.4 * (item == 7) if options.get("graded") else float(item == 7))
    return audit


@pytest.mark.parametrize(
    "options", [{}, {"expected": 0.01, "power": 0.9}, {"graded": True}, {"scores": np.arange(300)}]
)
def test_an_audit_is_replayed(options: dict[str, Any]) -> None:
    audit = finished(**options)
    cert = Certificate.loads(audit.certificate.dumps())
    assert verify_audit(cert, audit.to_json(), scores=options.get("scores")).holds


READINGS: list[tuple[str, Any]] = [
    ("one left out", lambda readings: readings[1:]),
    ("one put first", lambda readings: [readings[-1], *readings[:-1]]),
    ("one turned", lambda readings: [[readings[0][0], 1.0, *readings[0][2:]], *readings[1:]]),
    ("the end cut off", lambda readings: readings[:-1]),
]


@pytest.mark.parametrize("change", [change for _, change in READINGS], ids=[name for name, _ in READINGS])
def test_changed_readings_are_found(change: Any) -> None:
    audit = finished()
    assert audit.proven
    record = audit.to_json()
    verification = verify_audit(audit.certificate, {**record, "readings": change(record["readings"])})
    assert not verification.holds


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"tolerance": 0.2}, {"items": 299}, {"confidence": 0.5}, {"scores_sha256": "x"}]
)
def test_an_audit_of_another_batch_is_found(change: dict[str, Any]) -> None:
    audit = finished()
    assert not verify_audit(audit.certificate, {**audit.to_json(), **change}).holds


@pytest.mark.parametrize(
    "change",
    [{"tolerance": 0.01}, {"labels": 3}, {"risk_seen": 0.0, "risk_bound": 0.0}, {"losses_by": "an expert"}],
)
def test_a_changed_audit_certificate_is_found(change: dict[str, Any]) -> None:
    audit = finished()
    assert not verify_audit(replace(audit.certificate, **change), audit.to_json()).holds


def test_a_judged_audit_is_replayed() -> None:
    flagged = np.arange(400) % 20 == 0
    audit = JudgedAudit(flagged, tolerance=0.05, seed=1)
    while audit.open:
        item = audit.next()
        audit.record(item, float(item == 40))
    assert verify_audit(audit.certificate, audit.to_json(), flagged=flagged).holds
    assert not verify_audit(audit.certificate, audit.to_json()).holds
    assert not verify_audit(replace(audit.certificate, labels=1), audit.to_json(), flagged=flagged).holds


def test_a_watch_is_replayed_alarm_and_all() -> None:
    losses = (np.random.default_rng(0).random(600) < np.where(np.arange(600) < 300, 0.01, 0.2)).astype(float)
    slices = ["de", "fr"] * 300
    watch = Watch(certify(TABLES["rows"], tolerance=0.1), tolerance=0.02, slices=("de", "fr"))
    for loss, name in zip(losses, slices, strict=True):
        watch.update(float(loss), slice=name)
    assert watch.alarm is not None
    record = watch.to_json()
    assert verify_watch(record, losses, slices=slices).holds
    assert not verify_watch(record, losses[:-1], slices=slices[:-1]).holds
    silenced = {**record, "lines": [{**line, "alarm": None} for line in record["lines"]]}
    assert any("alarm" in reason for reason in verify_watch(silenced, losses, slices=slices).reasons)
    assert not verify_watch({}, losses).holds
