"""Severity, tolerances and choices of tasks."""

import pytest

from tolerate.careers.data.atlas import Figure
from tolerate.careers.model import choice, simulate
from tolerate.careers.model.choice import Detection, ManualWork, TaskEvidence
from tolerate.careers.model.severity import Harm, task_severity
from tolerate.errors import OptionError
from tolerate.stats.bounds import binomial_upper


def test_tolerances_are_where_the_costs_meet() -> None:
    work, detection, severity = ManualWork(hours=2, review=0.2, rework=0.4, human_error=0.03), 0.8, 2.5
    for harm in (5.0, 20.0, 300.0):
        p = float(choice.release_tolerance(harm, work, detection, severity))
        hours = choice.cost_hours(p, harm, work, detection)
        assert hours["released"] == pytest.approx(min(hours["reviewed"], hours["human"]))
        p = float(choice.review_tolerance(harm, work, detection, severity))
        hours = choice.cost_hours(p, harm, work, detection)
        assert p == 1 or hours["reviewed"] == pytest.approx(hours["human"])


def test_serious_work_is_never_worse_than_a_person() -> None:
    work = ManualWork(human_error=0.02)
    assert float(choice.release_tolerance(1.0, work, 0.5, 3.0)) <= 0.02
    p = float(choice.review_tolerance(1.0, work, 0.5, 3.0))
    assert p * 0.5 <= 0.02 + 1e-12


def test_severity_is_shrunk_to_the_occupation() -> None:
    measured = task_severity(Figure.from_measurement(2.0), answer=5)
    assert 2 < measured.mean < 5 and measured.spread < task_severity(Figure.from_measurement(2.0)).spread
    estimated = task_severity(Figure(2.0, 1.2, 2.8, estimated=True), answer=5)
    assert estimated.mean > measured.mean
    with pytest.raises(OptionError, match="outside 1 to 5"):
        task_severity(None, answer=9)


def test_without_a_measured_error_nothing_is_released() -> None:
    unmeasured = choice.choose(task_severity(Figure.from_measurement(1.2), 1), Harm(), ManualWork())
    assert unmeasured.choice == "undecided" and unmeasured.labels["clean"] > 0


def test_a_gate_allows_review_at_most() -> None:
    without_gate = choice.choose(
        task_severity(Figure.from_measurement(1.5), 1), Harm(), ManualWork(), TaskEvidence(0, 2000, "typed")
    )
    with_gate = choice.choose(
        task_severity(Figure.from_measurement(1.5), 1),
        Harm(),
        ManualWork(),
        TaskEvidence(0, 2000, "typed"),
        gates=["licensed"],
    )
    assert (without_gate.choice, with_gate.choice) == ("released", "reviewed")


def test_a_reviewer_who_was_not_measured_is_not_trusted() -> None:
    severity, work, counts = (
        task_severity(Figure.from_measurement(3.6), 4),
        ManualWork(),
        TaskEvidence(8, 200, "typed"),
    )
    unmeasured = choice.choose(severity, Harm(), work, counts)
    measured = choice.choose(severity, Harm(), work, counts, Detection(98, 100))
    assert (unmeasured.choice, measured.choice) == ("undecided", "reviewed")


def test_released_tasks_exceed_their_tolerance_rarely_and_the_broken_twin_is_caught() -> None:
    """In simulation, with known truth: the standard error of a share of 5% in 200 released tasks is 1.5%."""
    honest, naive = (
        simulate.simulate(220, seed=3),
        simulate.simulate(220, seed=3, chooser=simulate.choose_naively),
    )
    assert honest.counts["released"] > 100 and honest.wrong_share <= 0.05
    assert honest.counts["undecided"] > 0
    assert naive.wrong_share > 0.05


def test_one_label_fewer_would_not_prove_the_tolerance() -> None:
    n = choice.labels_needed(0.01, None, 0.975)["clean"]
    assert binomial_upper(0, n, 0.975) <= 0.01 < binomial_upper(0, n - 1, 0.975)
    assert choice.labels_needed(0.01, TaskEvidence(5, 100, ""), 0.975)["likely"] == float("inf")
