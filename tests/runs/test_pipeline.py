"""A run from data to report, on a fake kind of job: what it leaves, and what a kill costs."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from tests.support.fakes import JOB
from tests.support.sitting import PeopleAtDesk
from tolerate.errors import OptionError, RunError
from tolerate.messages.certificates import certificate_text
from tolerate.records import Certificate
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run
from tolerate.runs.plan import seed_for
from tolerate.runs.progress import SilentReporter

STEPS = (
    "run.json",
    "prepared.json",
    "strategies.json",
    "best.json",
    "certificate.json",
    "labels.parquet",
    "items.parquet",
    "summary.json",
    "report.html",
    "DONE",
)

ALONE = RunOptions(workers=0)  # everything in one process


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs") / "numbers"
    return folder, run(JOB, folder).to_json()


def test_a_run_leaves_what_it_promised(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = finished
    assert [name for name in STEPS if not (folder / name).exists()] == []
    assert len(summary["strategies"]) == 6 and len(summary["best"]) == len(JOB.tolerances)
    certificate = Certificate.loads((folder / "certificate.json").read_text())
    assert certificate.proven and certificate.tolerance == JOB.tolerance
    assert certificate.losses_by == "read by a perfect reader"


def test_the_map_goes_from_cheap_to_careful_to_people(finished: tuple[Path, dict[str, Any]]) -> None:
    """A loose tolerance takes the cheap model; one that the evidence cannot prove is left to people."""
    _, summary = finished
    zones = [row["zone"] for row in summary["best"]]
    assert zones[0] == "auto" and zones[-1] == "none"
    assert summary["best"][-1]["strategy"] == "people" and summary["best"][-1]["cost"] == JOB.prices.review
    costs = [row["cost"] for row in summary["best"]]
    assert costs == sorted(costs)


def test_the_proof_is_what_happened_on_fresh_requests(finished: tuple[Path, dict[str, Any]]) -> None:
    """Recount from the items what the summary says of them."""
    folder, summary = finished
    row = next(row for row in summary["best"] if row["tolerance"] == JOB.tolerance)
    items = parquet.read_table(folder / "items.parquet").to_pydict()
    out = [
        loss for loss, decision in zip(items["loss"], items["decision"], strict=True) if decision == "release"
    ]
    assert (row["proof"]["released"], row["proof"]["wrong"]) == (len(out), sum(out))
    assert row["proof"]["requests"] == JOB.proof == len(items["loss"])
    assert row["proof"]["low"] <= row["proof"]["risk"] <= row["proof"]["high"]
    wrong = [str(a) != str(r) for a, r in zip(items["asked"], items["read"], strict=True)]
    assert wrong == [loss == 1 for loss in items["loss"]]


def test_fresh_requests_are_not_the_sample(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    labels = parquet.read_table(folder / "labels.parquet").to_pydict()
    items = parquet.read_table(folder / "items.parquet").to_pydict()
    shared = min(len(labels["score"]), len(items["score"]))
    assert not np.isclose(labels["score"][:shared], items["score"][:shared]).any()


def test_a_finished_run_is_not_run_again(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}
    assert run(JOB, folder).to_json() == summary
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}


class Killed(BaseException):
    """The end of a process, as far as a test can have it without one."""


def results(folder: Path) -> dict[str, Any]:
    """Everything a run found out, without what time it was and how long it took."""
    certificate = json.loads((folder / "certificate.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    results = {key: summary[key] for key in ("strategies", "best", "sheets")}
    items = parquet.read_table(folder / "items.parquet").to_pydict()
    return {
        **results,
        "items": items,
        "certificate": {key: certificate[key] for key in certificate if key != "made"},
    }


@pytest.mark.parametrize("write", range(1, 21, 3))
def test_a_run_killed_at_any_write_ends_the_same(
    write: int, tmp_path: Path, finished: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Die just before the n-th file would appear, then give the same command again."""
    count = 0
    replace = os.replace

    def dying(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        if count == write:
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(Killed):
        run(JOB, tmp_path / "r", ALONE)
    monkeypatch.setattr(os, "replace", replace)
    run(JOB, tmp_path / "r", ALONE)
    assert results(tmp_path / "r") == results(finished[0])


class Suicide(SilentReporter):
    """Kills its own process at a stage, as `kill -9` would."""

    def __init__(self, stage: str) -> None:
        self.last = stage

    def stage(self, name: str) -> None:
        if name == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def _die(folder: Path, stage: str) -> None:
    run(JOB, folder, reporter=Suicide(stage))


@pytest.mark.parametrize("stage", ["fair", "certify", "report"])
def test_a_process_killed_by_the_system_continues(
    stage: str, tmp_path: Path, finished: tuple[Path, dict[str, Any]]
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(tmp_path / "r", stage))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "r" / "DONE").exists()
    run(JOB, tmp_path / "r")
    assert results(tmp_path / "r") == results(finished[0])


def test_other_options_are_refused(finished: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(RunError, match=r"seed = 0, this command asks for 7"):
        run(JOB, finished[0], RunOptions(seed=7))
    with pytest.raises(RunError, match=r"steps = None, this command asks for 5"):
        run(JOB, finished[0], RunOptions(steps=5))


def test_nothing_proven_is_a_normal_result(tmp_path: Path) -> None:
    """With a hopeless model everything goes to people, and the report says so."""
    summary = run(
        JOB,
        tmp_path / "r",
        RunOptions(workers=0, models=("sloppy",), refine=("plain",), tolerance=0.01, labels=200),
    ).to_json()
    certificate = Certificate.loads((tmp_path / "r" / "certificate.json").read_text())
    assert not certificate.proven and certificate.coverage == 0
    assert summary["best"][-1]["zone"] == "none"
    assert set(parquet.read_table(tmp_path / "r" / "items.parquet").to_pydict()["decision"]) == {"review"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (RunOptions(tolerance=2.0), "tolerance is 2"),
        (RunOptions(confidence=95.0), "confidence is 95"),
        (RunOptions(labels=0), "labels is 0"),
        (RunOptions(budget=-1.0), "budget is -1"),
    ],
)
def test_options_that_mean_nothing(options: RunOptions, error: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=error):
        run(JOB, tmp_path / "r", options)
    assert not (tmp_path / "r").exists()


def test_seeds_are_of_their_purpose() -> None:
    """No two purposes share their randomness, and the user's seed changes all of them."""
    purposes = [("sample",), ("fresh",), ("sample", "fair"), ("fresh", "fair"), ("sample", "sound")]
    seeds = {seed_for(seed, *purpose) for seed in (0, 1) for purpose in purposes}
    assert len(seeds) == 2 * len(purposes)


def test_a_person_in_place_of_the_reader(tmp_path: Path) -> None:
    """The certificate rests on the person's verdicts on fresh answers, and says so."""
    options = RunOptions(
        workers=0, review=True, reviews=200, models=("sound",), refine=("plain",), tolerance=0.1
    )
    with pytest.raises(OptionError, match="people="):
        run(JOB, tmp_path / "r", options)
    run(JOB, tmp_path / "r", options, people=PeopleAtDesk(lambda person, place: place % 50 == 0))
    certificate = Certificate.loads((tmp_path / "r" / "certificate.json").read_text())
    assert certificate.labels == 200 and certificate.proven and certificate.risk_seen == 4 / 200
    assert certificate.losses_by.startswith("a person")
    assert "review desk" in certificate.losses_by and "judged at" not in certificate_text(certificate, "zh")
    labels = parquet.read_table(tmp_path / "r" / "labels.parquet").to_pydict()
    assert sum(labels["loss"]) == 4
