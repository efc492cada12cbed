"""The sections about scores: how well they keep their claim, and which releases the largest share."""

from dataclasses import replace

import numpy as np

from tolerate.report.calibration import calibration_section, reliability, scores_section
from tolerate.report.page import render
from tolerate.report.sections import sections_of
from tolerate.report.summary import (
    BestPoint,
    JobReport,
    JudgeReport,
    ModelReport,
    PreparationReport,
    RunSummary,
    StrategyPoint,
    StrategyResult,
)
from tolerate.stats.calibration import Calibration, calibration


def measured_calibration() -> Calibration:
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    return calibration(scores, rng.random(400) < scores)


def strategy(refine: str, *points: StrategyPoint) -> StrategyResult:
    return StrategyResult(f"w {refine}", "w", refine, calibration=measured_calibration(), points=points)


def two_scores(*extra: StrategyPoint, first_share: float = 0.4, second_share: float = 0.7) -> RunSummary:
    """A run whose writer was ranked by two scores."""
    first, second = (
        StrategyPoint(0.1, "above", 0.5, share, 1 - share) for share in (first_share, second_share)
    )
    best = BestPoint(0.1, coverage=0.7, strategy="w vote-of-4+by-round-trip", zone="part")
    return RunSummary(
        job=JobReport(tolerance=0.1, kind="texts"),
        preparation=PreparationReport(judge=JudgeReport("verifier")),
        models=(ModelReport("w", "writer"),),
        strategies=(
            strategy("vote-of-4", first, *extra[:1]),
            strategy("vote-of-4+by-round-trip", second, *extra[1:]),
        ),
        best=(best,),
    )


def test_the_page_shows_both_sections() -> None:
    summary = two_scores()
    sections = sections_of(summary)
    assert sections["calibration"]["rows"][0]["n"] == "400"
    assert sections["calibration"]["pictures"][0]["title"].en == "w, vote of 4 + by round trip"
    assert [cell["best"] for cell in sections["scores"]["rows"][0]["cells"]] == [False, True]
    assert [column["name"].en for column in sections["scores"]["columns"]] == ["verifier", "by round trip"]
    picture = str(reliability(measured_calibration()))
    assert picture.count("proof-mark") == 10 and "<svg" in picture
    page = render(summary)
    assert "built-in" not in page and ">400<" in page


def test_if_nothing_is_released_the_next_tolerance_compares_the_scores() -> None:
    extra = [StrategyPoint(0.2, "above", 0.5, share, 1 - share) for share in (0.4, 0.7)]
    section = scores_section(two_scores(*extra, first_share=0.0, second_share=0.0))
    assert section is not None
    assert "20%" in section["lead"].en and section["rows"][0]["cells"][1]["text"] == "70%"


def test_a_run_without_such_scores_has_neither_section() -> None:
    summary = RunSummary(strategies=(StrategyResult("a", refine="plain"),))
    assert calibration_section(summary) is None and scores_section(summary) is None
    empty = replace(
        summary, strategies=(StrategyResult("a", calibration=replace(measured_calibration(), bins=())),)
    )
    assert calibration_section(empty) is None
