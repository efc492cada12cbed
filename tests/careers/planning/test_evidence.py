"""Evidence of error rates."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.careers import write_run_summary
from tolerate import certify, read
from tolerate.careers.person import me
from tolerate.careers.planning import evidence
from tolerate.errors import DataError


def test_evidence_comes_from_tables_and_certificates(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(1500)
    lines = ["wrong,score", *(f"{int(rng.random() > s**0.05)},{s:.4f}" for s in scores)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    person = me.parse_person({"occupation": "translator"}, tmp_path)
    task = me.PersonTask(text="x", table="labels.csv", loss="wrong", score="score")
    certified = evidence.task_evidence(task, person, 0.05, None)
    assert (
        certified is not None
        and certified.upper is not None
        and certified.upper <= 0.05
        and 0 < certified.share <= 1
    )
    uncertified = evidence.task_evidence(task, person, 0.0001, None)
    assert uncertified is not None and uncertified.upper is None and uncertified.errors > 0

    certificate = certify(
        read(tmp_path / "labels.csv", loss="wrong", score="score"), tolerance=0.05, confidence=0.95
    )
    (tmp_path / "certificate.json").write_text(certificate.dumps())
    linked = evidence.task_evidence(
        me.PersonTask(text="x", certificate="certificate.json"), person, 0.05, None
    )
    assert linked is not None and linked.upper == certificate.risk_bound
    with pytest.raises(DataError, match="does not exist"):
        evidence.task_evidence(me.PersonTask(text="x", certificate="no.json"), person, 0.05, None)


def test_raw_errors_count_by_the_share_that_matters() -> None:
    person = me.parse_person({"occupation": "translator"})
    plain = evidence.task_evidence(me.PersonTask(text="x", errors=10, checked=100), person, 0.1, 2.0)
    raw = evidence.task_evidence(me.PersonTask(text="x", errors=10, checked=100, raw=True), person, 0.1, 2.0)
    assert plain and raw and raw.bound(0.95) == pytest.approx(0.4 * plain.bound(0.95))


def test_a_run_proves_what_its_certificate_or_its_map_proves(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "digits"
    write_run_summary(folder)
    certificate = certify(losses=[0.0] * 300, tolerance=0.05, confidence=0.95)
    (folder / "certificate.json").write_text(certificate.dumps())
    assert certificate.risk_bound is not None
    own = evidence.run_evidence(folder, tolerance=0.05)
    assert own.upper == certificate.risk_bound and own.source.startswith("run digits: certificate.json")
    from_map = evidence.run_evidence(folder, tolerance=0.015)
    assert from_map.source.startswith("run digits: certificate.json")  # nothing is released at 1%
    (folder / "certificate.json").write_text(
        certify(losses=[0.0] * 30, tolerance=0.05, confidence=0.95).dumps()
    )
    from_map = evidence.run_evidence(folder, tolerance=0.05)
    assert (from_map.upper, from_map.share, from_map.errors) == (0.02, 0.6, 0)
    assert from_map.source == "run digits: flow best-of-4 proven at most 0.02 for 60%"
    (folder / "summary.json").write_text("[")
    with pytest.raises(DataError, match="is damaged"):
        evidence.run_evidence(folder, tolerance=0.05)
