"""The sections about the models: quality metrics, training curves, and what training noticed."""

from collections.abc import Callable, Mapping, Sequence

from tolerate.messages.both import Both, both, join
from tolerate.messages.numbers import digits, duration, is_number, percent
from tolerate.messages.report import WORDS, say, say_of
from tolerate.report.charts import training_curve
from tolerate.report.section import Section
from tolerate.report.summary import ModelReport, RunSummary, TrainingFinding


def _digits(significant: int) -> Callable[[object], str]:
    return lambda value: digits(value, significant)


# metric -> (which direction is better: -1 lower, 1 higher, 0 neither; how it is written)
METRICS: dict[str, tuple[int, Callable[[object], str]]] = {
    "as_requested": (1, percent),
    "fid": (-1, digits),
    "kid": (-1, digits),
    "is": (1, digits),
    "precision": (1, percent),
    "recall": (1, percent),
    "nelbo": (-1, digits),
    "copies": (-1, digits),
    "parameters": (0, _digits(9)),
    "seconds": (0, _digits(2)),
    "slot_errors": (-1, percent),
    "accuracy": (1, percent),
    "outside_answered": (-1, percent),
    "inside_handed_over": (-1, percent),
    "perplexity": (-1, digits),
    "bits": (-1, digits),
    "bits_kn": (0, digits),
    "bleu": (1, percent),
    "chrf": (1, percent),
    "distinct": (1, percent),
    "repeated": (-1, percent),
    "private": (-1, percent),
    "longest_copy": (-1, digits),
    "judge_auroc": (1, digits),
    "draws_per_second": (0, _digits(2)),
    "texts_per_second": (0, _digits(2)),
}


def curves_section(summary: RunSummary) -> Section | None:
    """The section of training curves, one small chart a model."""
    pictures = [(model, training_curve(model)) for model in summary.models]
    models = [
        {
            "title": both(model.shown_name),
            "paper": model.paper,
            "facts": _training_facts(model),
            "picture": picture,
        }
        for model, picture in pictures
        if picture
    ]
    return {"models": models} if models else None


def _training_facts(model: ModelReport) -> Both:
    steps, seconds = model.figures.get("steps"), model.figures.get("seconds")
    facts = []
    if steps is not None:
        facts.append(Both(*(f"{digits(steps, 7)} {word}" for word in say("curve.steps"))))
    if seconds is not None:
        facts.append(duration(seconds))
    return join(facts, ", ", "，")


def metrics_section(summary: RunSummary) -> Section | None:
    """The figures of every model side by side, without the columns that no model has."""
    models = [model for model in summary.models if model.metrics]
    rows = [{**model.figures, **(model.metrics.figures if model.metrics else {})} for model in models]
    columns = [key for key in METRICS if any(is_number(row.get(key)) for row in rows)]
    if not columns:
        return None
    return {
        "columns": [_metric_head(key) for key in columns],
        "rows": [
            {"title": both(model.shown_name), "cells": [_metric_cell(key, row, rows) for key in columns]}
            for model, row in zip(models, rows, strict=True)
        ],
        "explained": [
            (say(f"metric.{key}"), say_of(summary.job.kind, f"what.{key}"))
            for key in columns
            if METRICS[key][0] or f"what.{key}" in WORDS
        ],
    }


def _metric_head(key: str) -> Section:
    better = METRICS[key][0]
    arrow, direction = {-1: ("↓", say("metric.lower")), 1: ("↑", say("metric.higher")), 0: ("", None)}[better]
    return {"name": say(f"metric.{key}"), "arrow": arrow, "direction": direction}


def _metric_cell(
    key: str, row: Mapping[str, float | None], rows: Sequence[Mapping[str, float | None]]
) -> Section:
    return {"text": METRICS[key][1](row.get(key)), "best": _is_best(key, row, rows)}


def _is_best(key: str, row: Mapping[str, float | None], rows: Sequence[Mapping[str, float | None]]) -> bool:
    better, value = METRICS[key][0], row.get(key)
    values = [number for other in rows if is_number(number := other.get(key))]
    if not better or not is_number(value) or len(set(values)) < 2:
        return False
    return value == (max(values) if better > 0 else min(values))


def findings_section(summary: RunSummary) -> Section | None:
    """The section of failures that training diagnosed, model by model, with what to try."""
    rows = [
        {"model": both(model.shown_name), "what": both(finding.what), "hint": _hint(finding)}
        for model in summary.models
        for finding in model.findings
    ]
    return {"rows": rows} if rows else None


def _hint(finding: TrainingFinding) -> Both | None:
    return say("findings.try", hint=both(finding.advice)) if finding.advice else None
