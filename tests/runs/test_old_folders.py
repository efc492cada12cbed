"""Run folders that version 0.1 wrote before the restructuring: they are still opened, continued and refused alike."""

import base64
import json
from pathlib import Path

import pytest

from tolerate.errors import RunError
from tolerate.jobs import job
from tolerate.report import write_report
from tolerate.report.summary import RunSummary
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run

FIXTURES = Path(__file__).parent.parent / "fixtures"
DIGITS = RunOptions(
    models=("vae-mixture",), refine=("best-of-4",), steps=20, labels=60, proof=20, tolerance=0.2, workers=0
)


def unpack(folder: Path, *names: str) -> Path:
    """Write the files of a stored run into a folder."""
    for name in names:
        record = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
        for path, text in record.get("files", {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
        for path, text in record.get("base64", {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(base64.b64decode(text))
    return folder


def test_a_finished_folder_is_opened(tmp_path: Path) -> None:
    folder = unpack(tmp_path, "run_digits", "run_digits_binaries")
    stored = json.loads((folder / "summary.json").read_text("utf-8"))
    summary = run(job("digits"), folder, DIGITS)
    assert summary.best[0].strategy == stored["best"][0]["strategy"]
    again = json.loads(json.dumps(summary.to_json()))
    assert {key: again[key] for key in ("models", "strategies", "best", "data")} == {
        key: stored[key] for key in ("models", "strategies", "best", "data")
    }


def test_an_unfinished_folder_is_continued_to_the_same_result(tmp_path: Path) -> None:
    folder = unpack(tmp_path, "run_digits", "run_digits_binaries")
    stored = json.loads((folder / "summary.json").read_text("utf-8"))
    for name in ("DONE", "summary.json"):
        (folder / name).unlink()
    run(job("digits"), folder, DIGITS)
    written = json.loads((folder / "summary.json").read_text("utf-8"))
    for key in ("models", "strategies", "best", "data", "judge", "anomaly", "options"):
        assert written[key] == stored[key], key
    shown = [(card["png"], card["asked"], card["score"]) for card in written["sheets"]["released"]]
    assert shown == [(card["png"], card["asked"], card["score"]) for card in stored["sheets"]["released"]]
    assert (folder / "items.parquet").exists() and (folder / "report.html").exists()


def test_a_folder_of_other_options_is_refused(tmp_path: Path) -> None:
    folder = unpack(tmp_path, "run_digits")
    with pytest.raises(RunError, match="seed = 0, this command asks for 1"):
        run(job("digits"), folder, RunOptions(**{**vars(DIGITS), "seed": 1}))


def test_a_folder_of_texts_is_reported_again(tmp_path: Path) -> None:
    folder = unpack(tmp_path, "run_casenotes")
    stored = json.loads((folder / "summary.json").read_text("utf-8"))
    page = write_report(RunSummary.from_json(stored), folder).read_text("utf-8")
    assert stored["job"]["kind"] == "texts" and "Write a case note" in page
