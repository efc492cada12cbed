"""A certificate is recomputed from its table; every difference is named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tolerate.records import Certificate, Table
from tolerate.stats import certify, verify

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
    found = verify(Certificate.loads(cert.dumps()), table)
    assert found.holds and found.reasons == () and "holds" in str(found)


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
    found = verify(replace(cert, **change), TABLES["rows"])
    assert not found.holds and any(named in reason for reason in found.reasons)
    assert "does not hold" in str(found)


def test_a_changed_label_is_found_without_a_hash() -> None:
    table = TABLES["rows"]
    cert = replace(certify(table, tolerance=0.1), data_sha256=None)
    losses = table.losses.copy()
    losses[np.argmax(SCORES)] = 1 - losses[np.argmax(SCORES)]
    found = verify(cert, replace(table, losses=losses))
    assert not found.holds and any("risk_seen" in reason for reason in found.reasons)


def test_the_tables_columns_matter() -> None:
    cert = certify(TABLES["clusters"], tolerance=0.1)
    found = verify(cert, replace(TABLES["clusters"], clusters=None))
    assert not found.holds and any("clusters" in reason for reason in found.reasons)
