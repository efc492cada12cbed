"""The proof, training curves, and the risk curve of a certificate."""

import math
import re

import numpy as np
import pytest

from tests.support.reports import render_json
from tolerate.messages.report import WORDS
from tolerate.report.charts import proof_plot, risk_curve, training_curve, verdict
from tolerate.report.page import render
from tolerate.report.summary import Curve, ModelReport, ProofPoint, ProofResult, RunSummary


@pytest.mark.parametrize(
    ("risk", "low", "expected"),
    [(0.0, 0.0, "kept"), (0.01, 0.004, "kept"), (0.012, 0.006, "chance"), (0.03, 0.02, "broken")],
)
def test_a_promise_is_kept_missed_by_chance_or_broken(risk: float, low: float, expected: str) -> None:
    proof = ProofResult(released=1000, risk=risk, low=low, high=2 * risk + 0.004)
    best = ProofPoint(0.01, coverage=1.0, proof=proof)
    assert verdict(best) == expected
    summary = RunSummary(best=(best,))
    assert WORDS[f"proof.{expected}"][0] in render(summary)
    assert f"proof-mark {expected}" in str(proof_plot(summary))


@pytest.mark.parametrize("proof", [None, {"requests": 4000, "released": 0, "wrong": 0, "risk": None}])
def test_if_nothing_is_released_there_is_nothing_to_prove(proof: dict[str, object] | None) -> None:
    summary = {"best": [{"tolerance": 0.01, "proof": proof}]}
    record = RunSummary.from_json(summary)
    assert verdict(record.best[0]) == "idle"
    assert proof_plot(record) is None
    page = render_json(summary)
    assert WORDS["proof.none"][0] in page
    assert WORDS["proof.idle"][0] in page


def test_a_run_without_fresh_requests_has_no_proof_section() -> None:
    assert 'id="proof"' not in render_json({"best": [{"tolerance": 0.01}]})


def test_the_height_of_a_proof_point_is_its_share() -> None:
    """On the line if the risk equals the tolerance, lower if less was wrong, on the shelf if nothing was."""

    def height(risk: float) -> float:
        proof = ProofResult(released=1000, risk=risk, low=0.001, high=0.06)
        best = (ProofPoint(0.05, proof=proof), ProofPoint(0.01, proof=ProofResult(released=0)))
        picture = str(proof_plot(RunSummary(best=best)))
        (promise,) = re.findall(r'd="M[\d.]+ ([\d.]+)L[^"]*" fill="none" class="promise"', picture)
        (point,) = re.findall(r'cy="([\d.]+)" r="6"', picture)
        return float(point) - float(promise)

    assert height(0.05) == pytest.approx(0, abs=0.11)
    assert 0 < height(0.02) < height(0.005) < height(0)


def curve_of(*values: float | None) -> ModelReport:
    points: Curve = tuple((float(step), value) for step, value in enumerate(values))
    return ModelReport("a", curve={"loss": points})


def test_a_training_curve_breaks_at_missing_numbers() -> None:
    values = [None if k == 5 else 1.0 / (k + 1) for k in range(11)]
    (path,) = re.findall(
        r'<path d="([^"]*)" fill="none" class="stroke f0"', str(training_curve(curve_of(*values)))
    )
    assert path.count("M") == 2
    assert training_curve(curve_of(None, None)) is None
    assert training_curve(ModelReport("a")) is None
    nan = ModelReport.from_json({"name": "a", "curve": {"loss": [[0, None], [1, float("nan")]]}})
    assert training_curve(nan) is None


def test_a_curve_without_any_number_beside_another_has_a_name_and_no_line() -> None:
    model = ModelReport("a", curve={"loss": ((0, 1.0), (1, 0.5)), "kl_loss": ((0, None), (1, None))})
    picture = str(training_curve(model))
    assert picture.count('class="stroke') == 1 and ">kl loss</text>" in picture


def test_a_long_curve_stays_small() -> None:
    assert len(str(training_curve(curve_of(*(math.sin(k) for k in range(100_000)))))) < 6_000


def test_the_risk_curve_equals_its_definition() -> None:
    """At each distinct score, the mean loss of all items that score as much or more."""
    rng = np.random.default_rng(2)
    scores, losses = rng.integers(0, 20, 200) / 20, rng.uniform(size=200)
    scores[:7] = np.nan
    coverage, risk = risk_curve(scores, losses)
    levels = sorted({score for score in scores if not math.isnan(score)}, reverse=True)
    assert coverage == pytest.approx([np.mean(scores >= level) for level in levels])
    assert risk == pytest.approx([losses[scores >= level].mean() for level in levels])
