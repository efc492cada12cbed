"""Quatrains: form, rhyme, copied lines, the check's own error on real poems, and a small run."""

import json
import re
from pathlib import Path

import pytest

from tolerate.errors import DataError
from tolerate.jobs import job
from tolerate.jobs.texts.poems import RHYMES, Poems, check_form, read_poems
from tolerate.refine.texts.copied import Copied
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run

pytest.importorskip("pypinyin")
GOOD = "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (GOOD, "in form"),
        (GOOD.replace("鄉", "月"), "霜 and 月 do not rhyme"),
        (GOOD.replace("鄉", "霜"), "霜 and 霜 do not rhyme"),
        (GOOD.replace("舉頭望明月", "床前明月光"), "a line comes twice"),
        (GOOD[:-1], "not four lines of 5"),
        (GOOD.replace("床前", "前"), "not four lines of 5"),
        (GOOD.replace("，", "。"), "not four lines of 5"),
        (GOOD.replace("月", "a"), "not four lines of 5"),
        ("", "not four lines of 5"),
    ],
)
def test_the_form(text: str, read: str) -> None:
    assert check_form(text, 5, None).read == read
    assert check_form(text, 7, None).wrong


def test_a_line_that_was_learned_is_marked() -> None:
    result = check_form(GOOD, 5, Copied(["白日依山盡", "疑是地上霜"]))
    assert result.read == "line 2 was learned" and GOOD[slice(*result.marks[0])] == "疑是地上霜"


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


def test_a_mould_is_followed_even_by_a_writer_that_learned_nothing(tmp_path: Path) -> None:
    from tolerate.models.training.plan import TrainingOptions
    from tolerate.models.writers.registry import writer
    from tolerate.models.writers.writing import ANY_CHARACTER, Decoding, teach_writer, write

    plan = writer("transformer")
    pairs = [("五言 唐 夜", GOOD), ("七言 唐 夜", GOOD.replace("，", "夜月，"))]
    teach_writer(plan.entry.path, pairs, tmp_path, TrainingOptions(steps=1, batch=2), model=plan.options)
    five, seven = (ANY_CHARACTER * 5, ANY_CHARACTER * 7)
    moulds = [f"{five}，{five}。{five}，{five}。", f"{seven}，{seven}。"] * 3
    how = Decoding(limit=40, temperature=1.5)
    prompts = [prompt for prompt, _ in pairs] * 3
    shapes = [r"[^，。]{5}，[^，。]{5}。[^，。]{5}，[^，。]{5}。", r"[^，。]{7}，[^，。]{7}。"] * 3

    def fitting(moulds: list[str]) -> int:
        texts = [row[0].text for row in write(tmp_path, prompts, 1, 0, how, moulds)]
        return sum(bool(re.fullmatch(shape, text)) for shape, text in zip(shapes, texts, strict=True))

    assert fitting(moulds) == 6 and fitting([]) == 0


def test_halves_of_longer_poems_are_learned_from_and_songs_are_not(tmp_path: Path) -> None:
    def line(number: int) -> str:
        return (
            "".join(
                chr(0x4E00 + (number * number * 7 + step * step * 11 + number * step) % 201)
                for step in range(5)
            )
            + "，"
        )

    rows = [
        {"kind": "tang", "title": "夜", "lines": [line(4 * index + k) for k in range(4)]}
        for index in range(150)
    ]
    rows += [{"kind": "tang", "title": "長", "lines": [line(900 + k) for k in range(8)]}]
    rows += [{"kind": "songci", "title": "曲", "lines": ["，".join(line(970 + k) for k in range(4))]}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = read_poems(tmp_path / "p.jsonl")
    assert [half.title for half in result.halves] == ["長", "長"]
    assert {poem.title for poem in result.poems} == {"夜"}
    task = Poems(tmp_path / "p.jsonl")
    request = int(task.requests(1, 0)[0])
    assert (
        task.model_input(request) == task.model_input(request)
        and task.model_input(request).split()[1] in RHYMES
    )


def test_real_poems_and_a_small_run(shared: Path, tmp_path: Path) -> None:
    data = shared / "raw" / "chinese_poetry"
    task = Poems(data)
    assert len(task.poems) > 3000
    result = task.own_error(300, 0)
    assert result.missed == 0 and result.refused / result.right < 0.25
    mine, others = (set(task.parts[name].tolist()) for name in ("generator", "asked"))
    assert not mine & others
    options = RunOptions(
        data=data,
        models=("transformer",),
        refine=("plain", "best-of-2+no-copies"),
        labels=60,
        proof=30,
        steps=25,
        workers=0,
    )
    summary = run(job("poems"), tmp_path / "run", options).to_json()
    assert summary["models"][0]["metrics"]["bits"] > 0 and (tmp_path / "run" / "report.html").exists()
