"""A modality that the library has never heard of, in four short files, runs from data to a report."""

import re
from pathlib import Path

import pyarrow.parquet as parquet

from tests.support.toy.job import JOB
from tests.support.toy.modality import Melodies
from tolerate.records import Certificate
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run
from tolerate.runs.plan import plan_run
from tolerate.runs.progress import SilentReporter
from tolerate.runs.workshop import open_workshop

OTHER_NOUNS = re.compile(r"\b(pictures?|drawings?|texts?|images?)\b|图片|文本", re.I)
MAX_LINES = 130  # of a file of the toy modality


class RecordingReporter(SilentReporter):
    """Keeps every line of progress."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, share: float, text: str) -> None:
        self.lines.append(text)


def visible_text(html: str) -> str:
    """What a reader of a page sees."""
    body = re.sub(r"<(style|script)\b.*?</\1>", " ", html, flags=re.S)
    return re.sub(r"<[^>]*>", " ", body)


def test_a_toy_modality_runs_to_a_report(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    summary = run(JOB, tmp_path / "run", RunOptions(workers=0), reporter)
    assert any("melodies/s" in line for line in reporter.lines)
    assert [line for line in reporter.lines if OTHER_NOUNS.search(line)] == []
    assert summary.job.kind == Melodies.name and summary.strategies[0].model == "table"
    assert Certificate.loads((tmp_path / "run" / "certificate.json").read_text()).proven
    items = parquet.read_table(tmp_path / "run" / "items.parquet").to_pydict()
    assert all(len(Melodies.open(content)) == 8 for content in items["content"])

    page = visible_text((tmp_path / "run" / "report.html").read_text("utf-8"))
    assert "Melodies" in page and "旋律" in page and items["content"][0] in page
    assert [match.group() for match in OTHER_NOUNS.finditer(page)] == []
    assert run(JOB, tmp_path / "run", RunOptions(workers=0)) == summary


def test_its_items_are_opened_from_files(tmp_path: Path) -> None:
    (tmp_path / f"one{Melodies.suffix}").write_text("c e g c e g c e")
    workshop = open_workshop(plan_run(JOB, RunOptions()), tmp_path, SilentReporter())
    assert workshop.open_items([tmp_path / "one.notes"]).tolist() == [[0, 2, 4, 0, 2, 4, 0, 2]]


def test_four_short_files_are_enough() -> None:
    files = sorted((Path(__file__).parent.parent / "support" / "toy").glob("[a-z]*.py"))
    assert [file.stem for file in files] == ["check", "job", "modality", "model"]
    assert max(len(file.read_text("utf-8").splitlines()) for file in files) <= MAX_LINES
