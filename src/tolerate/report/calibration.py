"""Does a score that claims to be a chance keep its word? Its picture and its table; and which score releases most."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tolerate.messages.report import Both, both, digits, is_number, join, percent, refine_name, say
from tolerate.report import map, svg
from tolerate.report.map import Summary, job_tolerance, strategy_name
from tolerate.report.svg import Axis

Section = dict[str, Any]
MOST = 6  # pictures
SIDE = (44.0, 10.0, 278.0, 214.0)  # left, top, right, bottom of the plot
BY = "by-"


def calibration(summary: Summary) -> Section | None:
    """Pictures, first of the ways that win somewhere, and a row for each whose score claims to be a chance."""
    claimed = [one for one in summary.get("strategies") or [] if (one.get("calibration") or {}).get("bins")]
    if not claimed:
        return None
    winners = [best.get("strategy") for best in map.best_points(summary)]
    own = (map_row(summary) or {}).get("strategy")
    first = sorted(claimed, key=lambda one: (one["id"] != own, one["id"] not in winners))
    return {
        "pictures": [
            {
                "title": strategy_name(summary, one["id"]),
                "figures": _figures(one["calibration"]),
                "picture": reliability(one["calibration"]),
            }
            for one in first[:MOST]
        ],
        "rows": [_row(summary, one) for one in claimed],
    }


def map_row(summary: Summary) -> dict[str, Any] | None:
    """The map's row at the job's tolerance."""
    wanted = job_tolerance(summary)
    return next((best for best in map.best_points(summary) if best["tolerance"] == wanted), None)


def _figures(given: Mapping[str, Any]) -> Both:
    return say("calibration.figures", error=percent(given.get("error")), plain=percent(given.get("plain")))


def _row(summary: Summary, one: Mapping[str, Any]) -> Section:
    given = one["calibration"]
    return {
        "name": strategy_name(summary, one["id"]),
        "n": digits(given.get("items"), 6),
        "claimed": percent(given.get("claimed")),
        "right": percent(given.get("right")),
        "error": percent(given.get("error")),
        "plain": percent(given.get("plain")),
    }


def reliability(given: Mapping[str, Any]) -> Markup:
    """What was claimed against what was right: a point for each bin, with its own interval.

    The bars at the foot show where the items lie: as many in each bin, so that they stand dense where scores are.
    """
    left, top, right, bottom = SIDE
    x, y = Axis(0, 1, left, right), Axis(0, 1, bottom, top)
    ticks = [(share, percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    bins = [each for each in given["bins"] if all(is_number(each.get(k)) for k in ("claimed", "right"))]
    return svg.picture(
        300,
        262,
        say("calibration.alt"),
        svg.axis_x(x, top, bottom, ticks),
        svg.axis_y(y, left, right, ticks),
        svg.line(x.at(0), y.at(0), x.at(1), y.at(1), class_="promise"),
        *(_mark(each, x, y) for each in bins),
        *(
            svg.line(x.at(each["claimed"]), bottom, x.at(each["claimed"]), bottom - 5, class_="whisker")
            for each in bins
        ),
        svg.text(left, bottom + 40, say("calibration.x"), class_="axis-title"),
        svg.text(left + 8, top + 14, say("calibration.y"), class_="axis-title"),
        class_="reliability",
    )


def _mark(each: Mapping[str, Any], x: Axis, y: Axis) -> Markup:
    place = x.at(min(max(float(each["claimed"]), 0.0), 1.0))
    told = say(
        "calibration.bin",
        n=digits(each.get("items"), 6),
        claimed=percent(each["claimed"]),
        right=percent(each["right"]),
    )
    low, high = (y.at(min(max(float(each.get(k) or 0.0), 0.0), 1.0)) for k in ("low", "high"))
    inside = float(each.get("low") or 0.0) <= float(each["claimed"]) <= float(each.get("high") or 1.0)
    return svg.group(
        svg.tag("title", told.en, data_en=told.en, data_zh=told.zh),
        svg.line(place, low, place, high, class_="whisker"),
        svg.line(place - 4, high, place + 4, high, class_="whisker"),
        svg.line(place - 4, low, place + 4, low, class_="whisker"),
        svg.marker("circle" if inside else "diamond", place, y.at(float(each["right"])), 4.5, class_="point"),
        class_=f"proof-mark {'kept' if inside else 'chance'}",
    )


# Which score releases most


def scores(summary: Summary) -> Section | None:
    """How much each score releases, for every way to refine that was ranked by several.

    At the job's tolerance; where nothing is released there, at the strictest at which something is.
    """
    table: dict[str, dict[str, Mapping[str, Any]]] = {}
    for one in summary.get("strategies") or []:
        base, score = parted(str(one.get("refine") or ""))
        table.setdefault(f"{one.get('model')}|{base}", {})[score] = one
    several = {key: row for key, row in table.items() if len(row) > 1}
    if not several:
        return None
    wanted = _telling(summary, [one for row in several.values() for one in row.values()])
    own = str((summary.get("judge") or {}).get("name") or "–")
    columns = list(dict.fromkeys(score for row in several.values() for score in row))
    return {
        "lead": say("scores.lead", tolerance=percent(wanted)),
        "columns": [
            {"name": _named(score, own), "said": say(f"score.{score or 'own'}")} for score in columns
        ],
        "rows": [_score_row(summary, row, columns, wanted) for row in several.values()],
    }


def parted(refine: str) -> tuple[str, str]:
    """A way to refine without its score, and the score; empty for the job's own.

    >>> parted("vote-of-4+rules+by-judge")
    ('vote-of-4+rules', 'judge')
    """
    parts = refine.split("+")
    by = [part.removeprefix(BY) for part in parts if part.startswith(BY)]
    return "+".join(part for part in parts if not part.startswith(BY)), by[0] if by else ""


def _named(score: str, own: str) -> Both:
    return refine_name(BY + score) if score else Both(own, own)


def _score_row(
    summary: Summary, row: Mapping[str, Mapping[str, Any]], columns: Sequence[str], wanted: float | None
) -> Section:
    shares = {score: _coverage(one, wanted) for score, one in row.items()}
    most = max((share for share in shares.values() if share is not None), default=0.0)
    any_one = next(iter(row.values()))
    base = parted(str(any_one.get("refine")))[0]
    models = [str(one.get("model")) for one in summary.get("strategies") or []]
    model = both(map.model_name(str(any_one.get("model")), models))
    refined = refine_name(base)
    return {
        "name": join([model, *([refined] if refined.en else [])], ", ", "，"),
        "cells": [
            {"text": percent(shares.get(score)), "best": bool(most) and shares.get(score) == most}
            for score in columns
        ],
    }


def _telling(summary: Summary, compared: Sequence[Mapping[str, Any]]) -> float | None:
    """The tolerance that tells the scores apart."""
    own = job_tolerance(summary)
    if any(_coverage(one, own) for one in compared):
        return own
    others = [p["tolerance"] for one in compared for p in map.usable_points(one) if p.get("coverage")]
    return min(others, default=own)


def _coverage(one: Mapping[str, Any], wanted: float | None) -> float | None:
    here = next((p for p in map.usable_points(one) if p["tolerance"] == wanted), None)
    return float(here["coverage"]) if here and is_number(here.get("coverage")) else None
