"""Summaries written by an earlier version still load and render."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.reports import ParsedPage
from tolerate.cli import app
from tolerate.report import closing_line
from tolerate.report.page import render
from tolerate.report.sections import sections_of
from tolerate.report.summary import RunSummary

SUMMARIES = sorted((Path(__file__).parent / "fixtures").glob("summary_*.json"))


def stored(path: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return summary


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.stem)
def test_a_summary_of_an_earlier_version_is_read_completely(path: Path) -> None:
    """What is written again is what was read, and every section has its data."""
    summary = RunSummary.from_json(stored(path))
    assert json.loads(json.dumps(summary.to_json())) == stored(path)
    sections = {
        "glance",
        "map",
        "certificate",
        "proof",
        "metrics",
        "calibration",
        "curves",
        "split",
        "reader",
    }
    assert sections | {"assumptions", "limits", "appendix"} <= set(sections_of(summary))
    ParsedPage(render(summary))


def test_the_results_of_an_earlier_version_are_the_same() -> None:
    digits, casenotes = (
        stored(Path(__file__).parent / "fixtures" / f"summary_{name}_0.1.0.json")
        for name in ("digits", "casenotes")
    )
    assert closing_line(digits) == (
        "Draw a digit on request: with vae-mixture, best of 4, 96.7% of requests may be released without a person, at "
        "most 20% of them wrong (95% sure); the rest go to review."
    )
    assert closing_line(casenotes).startswith(
        "Write a case note from a record: nothing is proven at a tolerance of 20%"
    )


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.stem)
def test_the_report_command_renders_a_run_of_an_earlier_version(path: Path, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(path.read_bytes())
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--lang", "zh"])
    assert result.exit_code == 0 and result.output.strip() == str(tmp_path / "report.html")
    page = ParsedPage((tmp_path / "report.html").read_text("utf-8"))
    assert page.attributes("html")[0]["data-lang"] == "zh"
