"""Summaries: the JSON of run folders stays as it was, and incomplete JSON is read as far as it goes."""

import json
import math
from typing import Any

import pytest

from tests.support.reports import digits_json
from tolerate.errors import DataError
from tolerate.messages.catalogue import message
from tolerate.modality import Display
from tolerate.records import Message
from tolerate.report.summary import (
    BestPoint,
    CheckReport,
    ItemCard,
    ModelMetrics,
    ModelReport,
    PreparationReport,
    ProofPoint,
    RunSummary,
    StrategyResult,
    as_summary,
)


def test_a_summary_is_written_as_it_was_read() -> None:
    summary = digits_json()
    record = RunSummary.from_json(summary)
    assert json.loads(json.dumps(record.to_json())) == summary
    assert list(record.to_json()) == [
        "lang", "job", "created", "version", "seed", "seconds", "versions", "options", "command", "data", "reader",
        "judge", "assumptions", "limits", "anomaly", "models", "strategies", "best", "certificate", "sheets",
    ]  # fmt: skip
    assert as_summary(summary) == as_summary(record) == record


@pytest.mark.parametrize(
    ("record_type", "record"),
    [
        (ModelReport, digits_json()["models"][0]),
        (ModelReport, {"name": "api", "title": "m at h", "paper": "", "family": "api", "seconds": 0.5, "curve": {}, "findings": []}),
        (ModelReport, {"name": "ngrams", "title": "t", "paper": "p", "family": "linear", "parameters": 9, "steps": None,
                       "seconds": 0.1, "texts_per_second": 853.0, "curve": {}, "findings": []}),
        (ModelMetrics, {"fid": 2.5, "judge_auroc": None, "nearest": [{"item": 3, "twin": "data:image/png;base64,AA==", "distance": 0.5, "copy": True}]}),
        (StrategyResult, {key: value for key, value in digits_json()["strategies"][1].items() if key != "family"}),
        (StrategyResult, digits_json()["strategies"][0]),
        (BestPoint, {key: value for key, value in digits_json()["best"][0].items() if key != "proof"}),
        (ProofPoint, digits_json()["best"][0]),
        (ProofPoint, {**digits_json()["best"][0], "proof": None}),
        (CheckReport, {"name": "facts", "trained_on": 0, "rejected": 0, "by": "rule", "sentence": "by rule"}),
        (PreparationReport, {key: digits_json()[key] for key in ("data", "reader", "judge", "assumptions", "limits")}),
        (ItemCard, {"pieces": [["a ", False], ["b", True]], "asked": "x", "read": {"en": "b", "zh": "乙"}, "score": None, "strategy": "s"}),
        (ItemCard, {"png": "data:image/png;base64,AA==", "asked": "1", "read": "", "score": 0.5, "strategy": "s", "tolerance": 0.1}),
    ],
)  # fmt: skip
def test_every_record_keeps_its_keys(record_type: Any, record: dict[str, Any]) -> None:
    assert json.loads(json.dumps(record_type.from_json(record).to_json())) == record


def test_a_run_that_releases_nothing_has_no_sheets_of_decided_items() -> None:
    summary = RunSummary.from_json({"sheets": {"copies": []}})
    assert summary.sheets.decided is None
    assert summary.to_json()["sheets"] == {"copies": []}


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, [[]], {"a": 1}, float("nan")])
@pytest.mark.parametrize("key", sorted(digits_json()))
def test_a_value_of_the_wrong_type_is_read_as_absent(key: str, value: object) -> None:
    record = RunSummary.from_json({**digits_json(), key: value})
    assert as_summary(record.to_json()) == record


def test_numbers_that_are_none_are_missing() -> None:
    point = BestPoint.from_json({"tolerance": "0.1", "coverage": True, "cost": math.inf})
    assert math.isnan(point.tolerance) and point.coverage is None and point.cost is None


def test_the_sentence_of_a_check_keeps_its_key() -> None:
    sentence = message("second.none")
    record = CheckReport("facts", sentence=sentence).to_json()
    assert record["sentence"] == str(sentence)
    restored = CheckReport.from_json(json.loads(json.dumps(record))).sentence
    assert isinstance(restored, Message) and restored.key == "second.none"


@pytest.mark.parametrize(
    "record", [{}, {"png": 7}, {"png": "//example.org/x.png"}, {"pieces": "fine"}, {"pieces": [[1, True]]}]
)
def test_a_card_that_no_page_may_show_is_left_out(record: dict[str, Any]) -> None:
    assert Display.from_json(record) is None
    assert RunSummary.from_json({"sheets": {"released": [record], "copies": [record]}}).sheets.copies == ()


def test_a_display_holds_only_embedded_images() -> None:
    with pytest.raises(DataError, match="not embedded; expected a data: URI"):
        Display(image="https://example.org/x.png")
