"""Quatrains: form, rhyme, copied lines, the check's own error on real poems, and a small run."""

from pathlib import Path

import pytest

from tolerate.errors import DataError
from tolerate.jobs import job
from tolerate.jobs.poems import Poems, judged, read_poems
from tolerate.refine.copied import Copied
from tolerate.run import Options, run

pytest.importorskip("pypinyin")
GOOD = "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (GOOD, "in form"),
        (GOOD.replace("鄉", "月"), "霜 and 月 do not rhyme"),
        (GOOD.replace("鄉", "霜"), "霜 and 霜 do not rhyme"),
        (GOOD[:-1], "not four lines of 5"),
        (GOOD.replace("床前", "前"), "not four lines of 5"),
        (GOOD.replace("，", "。"), "not four lines of 5"),
        (GOOD.replace("月", "a"), "not four lines of 5"),
        ("", "not four lines of 5"),
    ],
)
def test_the_form(text: str, read: str) -> None:
    assert judged(text, 5, None).read == read
    assert judged(text, 7, None).wrong


def test_a_line_that_was_learned_is_marked() -> None:
    found = judged(GOOD, 5, Copied(["白日依山盡", "疑是地上霜"]))
    assert found.read == "line 2 was learned" and GOOD[slice(*found.marks[0])] == "疑是地上霜"


def test_bad_files_are_named(tmp_path: Path) -> None:
    for text, says in (
        ("", "0 quatrains"),
        ("{", "cannot be read as poems"),
        ("{}", "cannot be read as poems"),
    ):
        (tmp_path / "p.jsonl").write_text(text)
        with pytest.raises(DataError, match=says):
            read_poems(tmp_path / "p.jsonl")
    with pytest.raises(DataError, match="cannot be read as poems"):
        read_poems(tmp_path / "none.jsonl")


def test_real_poems_and_a_small_run(shared: Path, tmp_path: Path) -> None:
    data = shared / "raw" / "chinese_poetry"
    task = Poems(data)
    assert len(task.poems) > 3000
    found = task.own_error(300, 0)
    assert found.missed == 0 and found.refused / found.right < 0.25
    mine, asked = (set(task.parts[name].tolist()) for name in ("generator", "asked"))
    assert not mine & asked
    options = Options(
        data=data,
        models=("transformer",),
        refine=("plain", "best-of-2+no-copies"),
        labels=60,
        proof=30,
        steps=25,
        workers=0,
    )
    summary = run(job("poems"), tmp_path / "run", options)
    assert summary["models"][0]["metrics"]["bits"] > 0 and (tmp_path / "run" / "report.html").exists()
