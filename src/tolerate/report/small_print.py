"""The sections on what the result rests on: data, check and judge, assumptions, limits, and how to repeat the run."""

import json
from collections.abc import Sequence

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.messages.both import Both, both, join
from tolerate.messages.catalogue import in_both
from tolerate.messages.numbers import at_least, at_most, digits, percent
from tolerate.messages.report import say, say_of
from tolerate.report.charts import split_bar, used_parts
from tolerate.report.json_reading import LocalizedText
from tolerate.report.section import Section
from tolerate.report.summary import CheckReport, RunSummary


def split_section(summary: RunSummary) -> Section | None:
    """The parts of the real data and their use."""
    data, kind = summary.preparation.data, summary.job.kind
    bar = split_bar(data.split, kind) if data else None
    if data is None or bar is None:
        return None
    if data.total is None:
        lead = say_of(kind, "split.lead.bare")
    else:
        lead = say_of(kind, "split.lead", total=digits(data.total, 9))
    return {
        "bar": bar,
        "lead": lead,
        "parts": [
            {"name": both(part.name), "n": digits(count, 9), "use": both(part.use), "colour": k % 8}
            for k, (part, count) in enumerate(used_parts(data.split))
        ],
    }


def check_section(summary: RunSummary) -> Section | None:
    """The section on the check: who gave the verdicts, its own error, and what this means for the promise."""
    check, kind = summary.preparation.check, summary.job.kind
    if check is None:
        return None
    lines = [_check_line(check, kind)]
    if check.error:
        error = check.error
        lines.append(
            say_of(
                kind,
                "reader.error",
                tested=digits(error.tested_on, 9),
                wrong=digits(error.wrong),
                rate=percent(error.rate),
                low=at_least(error.low),
                high=at_most(error.high),
            )
        )
    if check.rejected:
        lines.append(say("reader.rejected", rejected=digits(check.rejected)))
    return {
        "lines": lines,
        "means": _check_consequence(check, kind),
        "more": [*_judge_lines(summary), *_anomaly_lines(summary)],
    }


def _check_line(check: CheckReport, kind: str) -> Both:
    name = check.name or "–"
    if check.by == "person":
        return say_of(kind, "reader.person", name=name)
    return say_of(
        kind,
        "reader.model",
        name=name,
        n=digits(check.trained_on, 9),
        sentence=in_both(check.sentence),
    )


def _check_consequence(check: CheckReport, kind: str) -> Both | None:
    if check.by == "person":
        return say("reader.means.person")
    if check.error is None or check.error.high is None:
        return None
    return say_of(kind, "reader.means", high=at_most(check.error.high))


def _judge_lines(summary: RunSummary) -> list[Both]:
    judge = summary.preparation.judge
    if judge is None:
        return []
    trained_on, auroc = digits(judge.trained_on, 9), digits(judge.auroc)
    line = say_of(summary.job.kind, "judge.line", name=judge.name or "–", n=trained_on, auroc=auroc)
    return [join([line, say("judge.means")], " ", "")]


def _anomaly_lines(summary: RunSummary) -> list[Both]:
    figures = summary.anomaly.figures if summary.anomaly else {}
    phrases = [
        say(f"anomaly.{name}", auroc=digits(figures[f"auroc_{name}"]))
        for name in ("shuffled", "foreign")
        if figures.get(f"auroc_{name}") is not None
    ]
    return [say("anomaly.line", figures=join(phrases, ", ", "，"))] if phrases else []


def assumptions_section(summary: RunSummary) -> Section | None:
    """The section of assumptions that the promise rests on."""
    return _lines(summary.preparation.assumptions)


def limits_section(summary: RunSummary) -> Section | None:
    """The section of limits: what must not be concluded."""
    return _lines(summary.preparation.limits)


def _lines(texts: Sequence[LocalizedText]) -> Section | None:
    return {"lines": [both(text) for text in texts]} if texts else None


def appendix_section(summary: RunSummary) -> Section | None:
    """The appendix: what is needed to repeat the run."""
    data = summary.preparation.data
    facts = [
        ("command", summary.command),
        ("created", summary.created),
        ("version", summary.version),
        ("seed", "" if summary.seed is None else str(summary.seed)),
        ("versions", _pairs(summary.versions)),
        ("options", _pairs(summary.options)),
        ("prices", _pairs(summary.job.prices)),
        ("data", data.sha256 if data else ""),
    ]
    shown = [(say(f"appendix.{key}"), text) for key, text in facts if text]
    record = summary.certificate.record if summary.certificate else None
    return {"facts": shown, "record": _indented(record) if record else None} if shown or record else None


def _pairs(values: JsonObject) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items())


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _indented(record: JsonObject) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False, default=str)
