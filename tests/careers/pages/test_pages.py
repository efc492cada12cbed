"""The commands of `tolerate career` and their pages."""

import json
from pathlib import Path

import pytest

from tests.support.careers import call_career, career_error, write_run_summary


def test_show_and_compare_on_a_fresh_machine() -> None:
    text = call_career("show", "translator")
    assert "27-3091.00" in text and "undecided" in text and "CC BY 4.0" in text
    assert "口译与笔译员" in call_career("show", "翻译", "--lang", "zh")
    assert "Registered Nurses" in call_career("compare", "nurse", "game artist", "--out", "both.html")
    assert Path("both.html").stat().st_size < 300_000
    record = json.loads(call_career("show", "nurse", "--json"))
    assert record["occupation"]["code"] == "29-1141.00" and record["tasks"]


def test_a_plan_from_a_written_file_is_a_small_page_without_a_network() -> None:
    call_career("plan", "game artist", "--write", "me.toml")
    write_run_summary(Path("runs/digits"))
    text = call_career("plan", "--me", "me.toml", "--done", "git,python")
    assert "Learning path" in text and "report: career.html" in text
    assert "python" in Path("me.progress.tsv").read_text()
    page = Path("career.html").read_text("utf-8")
    assert len(page.encode()) < 300_000 and "default-src 'none'" in page
    assert "http://" not in page and "https://" not in page
    assert all(
        f'id="{name}"' in page
        for name in ("tasks", "map", "moves", "path", "techniques", "limits", "appendix")
    )
    assert "no error rate" in page and "不是错误率" in page
    for word in ("% automatable", "will disappear", "career score"):
        assert word not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "qqqq"), "no occupation"),
        (("plan",), "name an occupation"),
        (("plan", "--me", "no.toml"), "tolerate career plan OCCUPATION --write"),
        (("compare", "nurse"), "two occupations"),
        (("data", "--from", "no.zip"), "does not exist"),
        (("data", "--pay", "x.csv"), "together with a release"),
        (("show", "nurse", "--lang", "fr"), "unsupported language"),
    ],
)
def test_bad_input_names_what_to_do(arguments: tuple[str, ...], message: str) -> None:
    assert message in career_error(*arguments)
