"""Files that version 0.1.0 wrote are read by this version: run folders, models, certificates, audits, a service.

The fixtures were written by version 0.1.0 before its modules moved. They are JSON and SQL; weights are not kept: a
model is restored with the weights of a seeded model of the same kind, and its own `model.json`.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tolerate as tol
from tolerate.base.registry import attribute
from tolerate.jobs import job
from tolerate.records import Certificate
from tolerate.stats.compare.cascade import Cascade
from tolerate.stats.monitor.drift import Drift
from tolerate.stats.monitor.watch import Watch
from tolerate.stats.verification import verify, verify_audit, verify_watch
from tolerate.store import connect
from tolerate.store.verify import verify as verify_ledger

FIXTURES = Path(__file__).parent / "fixtures"
CERTIFICATES = FIXTURES / "certificates"


def read(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text("utf-8"))


def restore(name: str, folder: Path) -> Path:
    """Write the text files of a fixture into a folder, with a model's weights where it had some."""
    from tolerate.models.storage import save

    fixture = read(name)
    for path, text in fixture["files"].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    for description in folder.rglob("model.json"):
        text = description.read_text("utf-8")
        save(build_stored(json.loads(text)), description.parent)
        description.write_text(text, "utf-8")
    return folder


def build_stored(description: dict[str, Any]) -> Any:
    """The untrained model that a stored `model.json` describes."""
    from tolerate.models.registry import build, find
    from tolerate.models.storage import lists_to_tuples

    name, options = description["model"], lists_to_tuples(description["options"])
    return build(name, *find(name).stored_dimensions(description), **options)  # type: ignore[arg-type]


def command(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tolerate", *map(str, words)], capture_output=True, text=True, cwd=folder
    )


RUNS = {
    "run_digits.json": ("digits", {"models": ("vae-mixture",), "refine": ("best-of-4",)}),
    "run_casenotes.json": (
        "casenotes",
        {"models": ("lstm#width=4",), "refine": ("plain", "vote-of-2+rules")},
    ),
}


@pytest.mark.parametrize("name", sorted(RUNS))
def test_a_finished_run_opens_and_its_report_is_written_again(name: str, tmp_path: Path) -> None:
    from tolerate.runs.options import RunOptions
    from tolerate.runs.pipeline import run

    folder = restore(name, tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    job_name, options = RUNS[name]
    numbers = {"steps": 20, "labels": 60, "proof": 20, "tolerance": 0.2}
    result = run(job(job_name), folder, RunOptions(workers=0, device="cpu", **options, **numbers))
    assert json.loads((folder / "summary.json").read_text("utf-8")) == summary  # nothing was done again
    assert [point.strategy for point in result.best] == [point["strategy"] for point in summary["best"]]
    assert callable(attribute(summary["job"]["workshop"]))
    assert command("report", folder, folder=tmp_path).returncode == 0
    assert (folder / "report.html").stat().st_size > 20_000


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_model_of_a_run_loads(name: str, tmp_path: Path) -> None:
    from tolerate.models.base import Trainable
    from tolerate.models.storage import load

    folder = restore(name, tmp_path / "run")
    for model in (folder / "models").iterdir():
        assert isinstance(load(model, Trainable), Trainable)  # type: ignore[type-abstract]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("trained_gan.json", ("--count", 3, "--out", "drawn")),
        ("trained_lstm.json", ("--count", 2, "--prompt", "texture 17.1 normal", "--json")),
    ],
)
def test_a_trained_model_generates(name: str, options: tuple[object, ...], tmp_path: Path) -> None:
    done = command("generate", restore(name, tmp_path / "model"), *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def stored_models() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, text in read("model_jsons.json")["files"].items():
        if path.endswith("model.json"):
            yield path, json.loads(text)


@pytest.mark.parametrize(
    ("path", "description"), list(stored_models()), ids=[path for path, _ in stored_models()]
)
def test_every_kind_of_stored_model_is_built(path: str, description: dict[str, Any]) -> None:
    if description["model"].endswith(
        (":Adapted", ":Pretrained")
    ):  # needs the folder of the model it rests on
        assert attribute(description["model"]) is not None
    else:
        assert build_stored(description) is not None


def certificate_of(name: str) -> Certificate:
    return Certificate.loads((CERTIFICATES / name).read_text("utf-8"))


@pytest.mark.parametrize("name", sorted(path.name for path in CERTIFICATES.glob("certify*.json")))
def test_a_certificate_is_read_unchanged_and_verified(name: str) -> None:
    certificate = certificate_of(name)
    losses = [str(risk["name"]) for risk in certificate.risks] or certificate.names.get("loss", "wrong")
    columns = {role: column for role, column in certificate.names.items() if role != "loss"}
    assert json.loads(certificate.dumps()) == json.loads((CERTIFICATES / name).read_text("utf-8"))
    verification = verify(certificate, tol.read(CERTIFICATES / "table.csv", loss=losses, **columns))  # type: ignore[arg-type]
    assert verification.holds, verification.reasons


@pytest.mark.parametrize("name", sorted(path.name for path in CERTIFICATES.glob("audit*.record.json")))
def test_an_audit_is_verified_or_continued(name: str) -> None:
    record = json.loads((CERTIFICATES / name).read_text("utf-8"))
    certificate_file = name.replace(".record", "")
    scores_file = CERTIFICATES / name.replace(".record", ".scores")
    if not (CERTIFICATES / certificate_file).exists():
        audit = tol.Audit.from_json(record)
        assert audit.open and audit.labels == 20 and json.loads(json.dumps(audit.to_json())) == record
        return
    options: dict[str, Any] = {}
    if "judged" in name:
        options["flagged"] = np.zeros(600, bool)
        options["flagged"][record.pop("flagged (for from_json)")] = True
    else:
        options["scores"] = json.loads(scores_file.read_text("utf-8")) if scores_file.exists() else None
    verification = verify_audit(certificate_of(certificate_file), record, **options)
    assert verification.holds, verification.reasons


def test_comparisons_and_races_are_read_unchanged() -> None:
    kinds = {"Cascade": Cascade, "Certificate": Certificate}
    for row in read("certificates/compare.json"):
        assert (
            json.loads(json.dumps(kinds[row["kind"]].from_json(row["certificate"]).to_json()))
            == row["certificate"]
        )
    for row in read("certificates/race.json"):
        assert Certificate.from_json(row["certificate"]).to_json() == row["certificate"]


@pytest.mark.parametrize("name", ["watch.json", "watch_run_length.json"])
def test_a_watch_is_read_unchanged_and_verified(name: str) -> None:
    record = read(f"certificates/{name}")
    verification = verify_watch(
        record["watch"], record["losses"], record.get("weights"), record.get("slices")
    )
    assert verification.holds, verification.reasons
    assert json.loads(json.dumps(Watch.from_json(record["watch"]).to_json())) == record["watch"]


def test_a_test_of_drift_is_read_unchanged() -> None:
    record = read("certificates/drift.json")
    assert json.loads(json.dumps(Drift.from_json(record).to_json())) == record


def database(dump: Path, path: Path) -> Path:
    """A SQLite file from its SQL dump."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text("utf-8"))
        db.commit()
    return path


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The folder of a service of version 0.1.0: database, configuration, certificates, table and guide."""
    folder = tmp_path / "service"
    shutil.copytree(FIXTURES / "service", folder)
    database(folder / "service.sql", folder / "service.db")
    return folder


def test_the_ledger_of_a_service_is_verified(service: Path) -> None:
    with closing(connect(str(service / "service.db"), read_only=True)) as db:
        assert verify_ledger(db).to_json() == read("service/expected.json")["verify"]


@pytest.mark.parametrize("words", sorted(read("service/expected.json")["cli"]))
def test_commands_on_a_service_answer_as_before(service: Path, words: str) -> None:
    expected = read("service/expected.json")["cli"][words]
    done = command(*words.split(), folder=service)
    assert (done.stdout, done.returncode) == (expected["stdout"], expected["code"]), done.stderr


def test_a_certificate_keeps_the_id_under_which_the_service_stored_it(service: Path) -> None:
    from tolerate.store.certificates import certificate_id

    with closing(connect(str(service / "service.db"), read_only=True)) as db:
        rows = db.all("SELECT id, body FROM certificates")
    assert len(rows) == 5
    assert all(certificate_id(Certificate.loads(str(body))) == id for id, body in rows)
