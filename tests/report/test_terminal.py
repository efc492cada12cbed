"""The closing lines of a run in a terminal."""

import io
import re
from dataclasses import replace

import pytest

from tests.support.reports import TOLERANCES, digits_json, digits_summary
from tolerate.report import closing_line, print_map
from tolerate.report.summary import BestPoint
from tolerate.report.terminal import aligned, map_lines, terminal_width


def test_the_closing_line_states_the_result() -> None:
    best = BestPoint(0.01, "above", None, 0.97, None, "vae-mixture best-of-4", "part")
    summary = replace(digits_summary(), best=(best,))
    assert closing_line(summary, "en", "runs/digits/report.html") == (
        "Digits: with vae-mixture, best of 4, 97% of requests may be released without a person, "
        "at most 1% of them wrong (95% sure); the rest go to review. Report: runs/digits/report.html"
    )
    assert closing_line(summary, "zh") == (
        "手写数字：用 vae-mixture，4 选 1，97% 的请求无需人工即可放行，"
        "其中出错不超过 1%（把握 95%）；其余转人工审查。"
    )


def test_the_closing_line_says_if_nothing_is_proven_and_what_is() -> None:
    best = (
        BestPoint(0.05, strategy="cvae plain", zone="part", coverage=0.6),
        BestPoint(0.01, zone="none", coverage=0.0),
    )
    line = closing_line(replace(digits_summary(), best=best))
    assert line.startswith("Digits: nothing is proven at a tolerance of 1% (95% confidence)")
    assert line.endswith("The strictest tolerance proven is 5%.")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_terminal_map_has_a_row_a_tolerance_and_straight_columns(lang: str) -> None:
    lines = map_lines(digits_summary(lang), lang)
    assert len(lines) == 2 + len(TOLERANCES)
    starts = {terminal_width(re.split("[█░]", row)[0]) for row in lines[2:]}
    assert len(starts) == 1
    assert max(map(terminal_width, lines)) <= 90
    assert [line for line in lines if line.startswith(">")] == [line for line in lines if " 1% " in line[:9]]


def test_a_chinese_character_is_two_columns_wide() -> None:
    assert aligned([["容错", "x"], ["abcd", "x"], ["é", "x"]]) == ["容错  x", "abcd  x", "é     x"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colours_and_a_file_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are the same; only a terminal gets escape sequences."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, colour = io.StringIO(), Terminal()
    print_map(digits_json(), "zh", plain)
    print_map(digits_summary(), "zh", colour)
    assert "\x1b" not in plain.getvalue()
    assert "\x1b[" in colour.getvalue()
    assert re.sub(r"\x1b\[[\d;]*m", "", colour.getvalue()) == plain.getvalue()


def test_a_terminal_without_utf8_gets_ascii_bars() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="latin-1", write_through=True)
    print_map(digits_summary(), "en", file)
    assert b"###" in raw.getvalue()
