"""The page of a run: one file that needs no network, in two languages, with the tolerance map first."""

import base64
import copy
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.reports import HOSTILE, ParsedPage, digits_json, digits_summary, render_json
from tolerate.errors import OptionError
from tolerate.messages.both import Both, both
from tolerate.messages.report import WORDS, say
from tolerate.report import closing_line, write_report
from tolerate.report.page import render
from tolerate.report.sections import SECTIONS, sections_of
from tolerate.report.summary import RunSummary
from tolerate.report.terminal import map_lines


@pytest.fixture(scope="module")
def page() -> str:
    return render(digits_summary())


def test_the_page_is_complete_and_well_formed(tmp_path: Path) -> None:
    """It starts with its doctype, closes every tag, names every section once, and leaves no other file behind."""
    path = write_report(digits_summary(), tmp_path / "digits")
    text = path.read_text("utf-8")
    assert path == tmp_path / "digits" / "report.html"
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert write_report(digits_json(), tmp_path / "other.html") == tmp_path / "other.html"
    assert (tmp_path / "other.html").read_text("utf-8") == text
    ids = ParsedPage(text).ids()
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing_from_a_network(page: str) -> None:
    """No address leads out: not in a tag, not in the styles, not in the script; and the policy forbids it."""
    parsed = ParsedPage(page)
    for _, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset", "background"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    assert not re.search(r"https?:|url\(|@import|//[a-z]", page.replace("</", ""))
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|WebSocket|sendBeacon", page)
    assert {tag for tag, _ in parsed.tags}.isdisjoint({"link", "iframe", "object", "embed", "base", "form"})
    policy = next(
        meta["content"]
        for meta in parsed.attributes("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy and policy.startswith(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    )


def test_the_policy_allows_only_the_page_own_script(page: str) -> None:
    """The policy holds the script's hash, and no attribute runs a script."""
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
    assert not [
        name for _, attributes in ParsedPage(page).tags for name in attributes if name.startswith("on")
    ]


def poisoned(value: Any) -> Any:
    """The same summary with every text replaced by a hostile one, except the few that select something."""
    if isinstance(value, dict):
        selectors = {"scope", "zone", "by", "lang", "id", "strategy", "model"}
        return {key: item if key in selectors else poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_texts_from_outside_are_escaped(lang: str) -> None:
    """Hostile names, captions, options and findings are shown as text; pictures that are no data are dropped."""
    clean, page = (
        ParsedPage(render(digits_summary(lang))),
        render_json({**poisoned(digits_json()), "lang": lang}),
    )
    parsed = ParsedPage(page)
    assert len(parsed.attributes("script")) == len(clean.attributes("script")) == 1
    assert parsed.attributes("img") == []
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in page


def test_hostile_keys_are_escaped_too() -> None:
    summary = digits_json()
    summary["options"] = {HOSTILE: HOSTILE}
    summary["models"][0]["curve"] = {"</svg><b>": [[0, 1.0], [1, 0.5]]}
    summary["strategies"][0]["refine"] = HOSTILE
    summary["strategies"][0]["family"] = "</button><b>"
    assert ParsedPage(render_json(summary)).attributes("b") == []


# Sections

NEEDS = {
    "glance": "best", "map": "strategies", "certificate": "certificate", "proof": "best", "sheets": "sheets",
    "metrics": "models", "curves": "models", "findings": "models", "split": "data", "reader": "reader",
    "assumptions": "assumptions", "limits": "limits", "calibration": "strategies",
}  # fmt: skip


@pytest.mark.parametrize("section", NEEDS)
def test_a_section_appears_exactly_if_its_data_exists(section: str, page: str) -> None:
    heading = f'id="{section}"' if section != "glance" else 'class="glance"'
    assert heading in page
    summary = digits_json()
    del summary[NEEDS[section]]
    without = render_json(summary)
    assert heading not in without
    ParsedPage(without)


def test_every_section_is_in_the_page_or_tested_elsewhere(page: str) -> None:
    """The section of scores has its tests in test_calibration."""
    assert set(NEEDS) | {"appendix"} == set(SECTIONS) - {"scores"} == set(sections_of(digits_summary()))
    assert 'id="appendix"' in page


@pytest.mark.parametrize(
    "summary", [{}, {"job": {"name": "digits"}}, {"best": [], "strategies": [], "models": [{}]}]
)
def test_an_almost_empty_summary_still_makes_a_page(summary: dict[str, Any]) -> None:
    parsed = ParsedPage(render_json(summary))
    assert len(parsed.attributes("h1")) == 1
    assert parsed.attributes("section") == []


@pytest.mark.parametrize("key", sorted(digits_json()))
def test_null_is_read_as_absent(key: str) -> None:
    """A run that stopped early writes nulls; the page shows the rest."""
    summary = digits_json()
    summary[key] = None
    ParsedPage(render_json(summary))


def test_missing_numbers_do_not_break_a_picture() -> None:
    summary = digits_json()
    for strategy in summary["strategies"]:
        strategy["points"][0]["cost"] = None
        strategy["points"][1]["coverage"] = float("nan")
    summary["best"][0]["cost"] = None
    summary["best"][2]["proof"] = None
    summary["models"][0]["curve"]["loss"][5][1] = None
    assert "nan" not in re.sub(r"data:image[^\"]*", "", render_json(summary)).lower().split()


def test_the_best_figure_of_each_column_is_marked() -> None:
    rows = sections_of(digits_summary())["metrics"]["rows"]
    assert [row["cells"][1]["best"] for row in rows] == [False, True, False, False, False]  # FID
    assert not any(row["cells"][-1]["best"] for row in rows)  # time is no quality


def test_rendering_leaves_the_json_unchanged() -> None:
    summary = digits_json()
    before = copy.deepcopy(summary)
    record = RunSummary.from_json(summary)
    render(record)
    map_lines(record)
    closing_line(summary)
    assert summary == before


# Languages


def test_the_page_starts_in_the_chosen_language_and_holds_both() -> None:
    for lang, code in (("en", "en"), ("zh", "zh-Hans")):
        text = render(digits_summary(lang))
        root = ParsedPage(text).attributes("html")[0]
        assert (root["lang"], root["data-lang"]) == (code, lang)
        assert "The tolerance map" in text and "容错图" in text
        assert "It says nothing about other handwriting." in text and "不适用于其他笔迹。" in text
        title = re.search(r"<title[^>]*>(.*?)</title>", text)
        assert title and title[1] == f"{'Digits' if lang == 'en' else '手写数字'} · tolerate"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(OptionError, match='unsupported language "fr"; choose en or zh'):
        render_json({**digits_json(), "lang": "fr"})


def test_each_text_in_two_languages_is_marked_with_its_language(page: str) -> None:
    """Whatever is hidden by language also declares its language, for screen readers."""
    for _, attributes in ParsedPage(page).tags:
        classes = (attributes.get("class") or "").split()
        if "en" in classes or "zh" in classes:
            assert attributes["lang"] == ("en" if "en" in classes else "zh-Hans")


def test_a_text_in_one_language_is_written_once() -> None:
    assert both("a < b").__html__() == "a &lt; b"
    assert both({"en": "seven"}) == Both("seven", "seven")
    assert "&lt;" in Both("<", "<").__html__()


def test_say_fills_both_languages() -> None:
    assert say("findings.try", hint=Both("rest", "休息")) == Both("Try: rest", "建议：休息")


def test_every_text_exists_in_both_languages() -> None:
    """Both texts of every entry are filled, and have the same fields."""
    fields = re.compile(r"{(\w+)")
    for key, (en, zh) in WORDS.items():
        assert en and zh, key
        assert sorted(fields.findall(en)) == sorted(fields.findall(zh)), key
        assert not re.search(r"[\u4e00-\u9fff]", en), key
    same = {key for key, (en, zh) in WORDS.items() if en == zh}
    names = {"bleu", "chrf", "bits_kn", "distinct", "fid", "kid", "is", "nelbo"}  # the same in both languages
    assert same <= {f"metric.{name}" for name in names} | {"appendix.version", "map.alt", "sheets@items"}


def test_the_guide_to_the_map_runs() -> None:
    """The example in docs/ideas/tolerance-map.md prints what it says."""
    import doctest

    guide = Path(__file__).resolve().parents[2] / "docs" / "ideas" / "tolerance-map.md"
    failed, tried = doctest.testfile(str(guide), module_relative=False)
    assert (failed, tried > 5) == (0, True)
