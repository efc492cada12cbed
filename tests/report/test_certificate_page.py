"""The page of a single certificate."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.reports import HOSTILE, ParsedPage, certificate
from tolerate.errors import DataError
from tolerate.messages.catalogue import message
from tolerate.messages.catalogue import render as render_sentence
from tolerate.report import write_certificate_report
from tolerate.report.page import render_certificate


def test_one_certificate_makes_one_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=3000)
    losses = (rng.uniform(size=3000) > 0.9 + 0.1 * scores).astype(float)
    path = write_certificate_report(certificate(), tmp_path / "one.html", "zh", scores=scores, losses=losses)
    assert path == tmp_path / "one.html"
    text = path.read_text("utf-8")
    parsed = ParsedPage(text)
    assert {"certificate", "curve", "slices", "assumptions", "advice", "appendix"} <= set(parsed.ids())
    assert parsed.attributes("html")[0]["data-lang"] == "zh"
    assert "2,000 more labels would prove 0.5%." in text
    assert len(text.encode()) < 100_000


def test_a_certificate_without_arrays_has_no_curve(tmp_path: Path) -> None:
    empty = certificate(
        scope="nothing", threshold=None, coverage=0.0, risk_bound=None, slices=(), advice=(), assumptions=()
    )
    assert write_certificate_report(empty, tmp_path).name == "report.html"
    assert set(ParsedPage(render_certificate(empty)).ids()) == {"certificate", "appendix"}


def test_texts_of_a_certificate_are_escaped() -> None:
    hostile = certificate(method=HOSTILE, assumptions=(HOSTILE,), losses_by=HOSTILE)
    assert len(ParsedPage(render_certificate(hostile)).attributes("script")) == 1


def test_columns_of_different_tables_are_refused() -> None:
    with pytest.raises(DataError, match="got 3 scores and 2 losses"):
        render_certificate(certificate(), scores=np.zeros(3), losses=np.zeros(2))


def test_stored_sentences_are_shown_in_both_languages() -> None:
    waiting = message("audit.waiting", items=1200)
    page = render_certificate(
        certificate(assumptions=(waiting,), losses_by=waiting, advice=(waiting, "as told"))
    )
    chinese = render_sentence(waiting, "zh")
    assert chinese != waiting and page.count(f">{chinese}</span>") == 3
    assert "<li>as told</li>" in page
