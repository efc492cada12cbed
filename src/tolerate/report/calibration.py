"""Sections on scores: reliability of those that claim to be probabilities, and the share that each releases."""

from collections.abc import Sequence
from math import isfinite

from markupsafe import Markup

from tolerate.messages.both import Both, both, join
from tolerate.messages.numbers import at_most, digits, percent
from tolerate.messages.report import refine_name, say
from tolerate.report import svg
from tolerate.report.section import Section
from tolerate.report.summary import RunSummary, StrategyResult
from tolerate.report.svg import Axis
from tolerate.report.tolerance_map import (
    best_at_job_tolerance,
    best_points,
    job_tolerance,
    model_name,
    strategy_name,
    usable_points,
)
from tolerate.stats.calibration import Bin, Calibration

MAX_PICTURES = 6
PLOT = (44.0, 10.0, 278.0, 214.0)  # left, top, right, bottom
SCORE_PREFIX = "by-"


def calibration_section(summary: RunSummary) -> Section | None:
    """A picture for each of the first strategies, those that win somewhere leading, and a row for every one."""
    claims = [
        (strategy, strategy.calibration)
        for strategy in summary.strategies
        if strategy.calibration and strategy.calibration.bins
    ]
    if not claims:
        return None
    winners = [best.strategy for best in best_points(summary)]
    job_best = best_at_job_tolerance(summary)
    job_strategy = job_best.strategy if job_best else None
    ranked = sorted(claims, key=lambda claim: (claim[0].id != job_strategy, claim[0].id not in winners))
    return {
        "pictures": [
            {
                "title": strategy_name(summary, strategy.id),
                "figures": say(
                    "calibration.figures", error=percent(calibration.error), plain=percent(calibration.plain)
                ),
                "picture": reliability(calibration),
            }
            for strategy, calibration in ranked[:MAX_PICTURES]
        ],
        "rows": [_row(strategy_name(summary, strategy.id), calibration) for strategy, calibration in claims],
    }


def _row(name: Both, calibration: Calibration) -> Section:
    return {
        "name": name,
        "n": digits(calibration.items, 6),
        "claimed": percent(calibration.claimed),
        "right": percent(calibration.right),
        "error": percent(calibration.error),
        "plain": percent(calibration.plain),
    }


def reliability(calibration: Calibration) -> Markup:
    """The share claimed against the share that is right: a point for each bin, with its own interval.

    The bars at the foot show where the items lie: bins hold equally many, so the bars are dense where scores are.
    """
    left, top, right, bottom = PLOT
    x, y = Axis(0, 1, left, right), Axis(0, 1, bottom, top)
    ticks = [(share, percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    bins = [part for part in calibration.bins if all(map(isfinite, (part.claimed, part.right)))]
    return svg.picture(
        300,
        262,
        say("calibration.alt"),
        svg.axis_x(x, top, bottom, ticks),
        svg.axis_y(y, left, right, ticks),
        svg.line(x.pixel(0), y.pixel(0), x.pixel(1), y.pixel(1), class_="promise"),
        *(_mark(part, x, y) for part in bins),
        *(
            svg.line(x.pixel(part.claimed), bottom, x.pixel(part.claimed), bottom - 5, class_="whisker")
            for part in bins
        ),
        svg.text(left, bottom + 40, say("calibration.x"), class_="axis-title"),
        svg.text(left + 8, top + 14, say("calibration.y"), class_="axis-title"),
        class_="reliability",
    )


def _mark(part: Bin, x: Axis, y: Axis) -> Markup:
    center = x.pixel(_share(part.claimed))
    title = say(
        "calibration.bin",
        n=digits(part.items, 6),
        claimed=percent(part.claimed),
        right=percent(part.right),
    )
    low, high = y.pixel(_share(part.low)), y.pixel(_share(part.high))
    inside = part.low <= part.claimed <= part.high
    return svg.group(
        svg.tag("title", title.en, data_en=title.en, data_zh=title.zh),
        svg.line(center, low, center, high, class_="whisker"),
        svg.line(center - 4, high, center + 4, high, class_="whisker"),
        svg.line(center - 4, low, center + 4, low, class_="whisker"),
        svg.marker("circle" if inside else "diamond", center, y.pixel(part.right), 4.5, class_="point"),
        class_=f"proof-mark {'kept' if inside else 'chance'}",
    )


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0) if isfinite(value) else 0.0


# Which score releases the largest share


def scores_section(summary: RunSummary) -> Section | None:
    """The share that each score releases, for every refining that was ranked by several scores.

    At the job's tolerance; if nothing is released there, at the strictest tolerance at which something is.
    """
    table: dict[tuple[str, str], dict[str, StrategyResult]] = {}
    for strategy in summary.strategies:
        refining, score = split_score(strategy.refine)
        table.setdefault((strategy.model, refining), {})[score] = strategy
    rows = {key: by_score for key, by_score in table.items() if len(by_score) > 1}
    if not rows:
        return None
    compared = [strategy for by_score in rows.values() for strategy in by_score.values()]
    tolerance = _distinguishing_tolerance(summary, compared)
    judge = summary.preparation.judge
    judge_name = (judge.name if judge else "") or "–"
    columns = list(dict.fromkeys(score for by_score in rows.values() for score in by_score))
    return {
        "lead": say("scores.lead", tolerance=at_most(tolerance)),
        "columns": [
            {"name": _score_name(score, judge_name), "explanation": say(f"score.{score or 'own'}")}
            for score in columns
        ],
        "rows": [
            {
                "name": _row_name(summary, model, refining),
                "cells": _cells([_coverage(by_score.get(score), tolerance) for score in columns]),
            }
            for (model, refining), by_score in rows.items()
        ],
    }


def split_score(refine: str) -> tuple[str, str]:
    """A refining without its score, and the score; the score is empty if it is the job's own.

    >>> split_score("vote-of-4+rules+by-judge")
    ('vote-of-4+rules', 'judge')
    """
    parts = refine.split("+")
    scores = [part.removeprefix(SCORE_PREFIX) for part in parts if part.startswith(SCORE_PREFIX)]
    refining = "+".join(part for part in parts if not part.startswith(SCORE_PREFIX))
    return refining, scores[0] if scores else ""


def _score_name(score: str, judge_name: str) -> Both:
    return refine_name(SCORE_PREFIX + score) if score else Both(judge_name, judge_name)


def _row_name(summary: RunSummary, model: str, refining: str) -> Both:
    name = both(model_name(model, [strategy.model for strategy in summary.strategies]))
    refining_name = refine_name(refining)
    return join([name, *([refining_name] if refining_name.en else [])], ", ", "，")


def _cells(shares: Sequence[float | None]) -> list[Section]:
    best = max((share for share in shares if share is not None), default=0.0)
    return [{"text": percent(share), "best": bool(best) and share == best} for share in shares]


def _distinguishing_tolerance(summary: RunSummary, compared: Sequence[StrategyResult]) -> float | None:
    job_level = job_tolerance(summary)
    if any(_coverage(strategy, job_level) for strategy in compared):
        return job_level
    points = [point for strategy in compared for point in usable_points(strategy)]
    return min((point.tolerance for point in points if point.coverage), default=job_level)


def _coverage(strategy: StrategyResult | None, tolerance: float | None) -> float | None:
    points = usable_points(strategy) if strategy else []
    return next((point.coverage for point in points if point.tolerance == tolerance), None)
