"""The other pictures of a report: the proof, training curves, the split of the data, risk and coverage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from tolerate.messages.report import Both, both, digits, is_number, percent, say
from tolerate.records import Floats
from tolerate.report import svg
from tolerate.report.map import Frame, Summary, best_points
from tolerate.report.svg import Axis, Point

WIDE = Frame(960, 440, (64, 36, 948, 384))
NARROW = Frame(380, 400, (48, 36, 374, 344))
ZERO = 30  # pixels between the lowest share on the log axis and the shelf for "none"


# The proof


def proofs(summary: Summary) -> list[dict[str, Any]]:
    """The tolerances of a run that tried its promises on fresh items, the most tolerant first."""
    return [b for b in best_points(summary) if "proof" in b]


def verdict(best: Mapping[str, Any]) -> str:
    """Whether a promise was kept on fresh items: "kept", "chance" (above, as chance may), "broken", "idle".

    >>> verdict({"tolerance": 0.01, "proof": {"released": 100, "risk": 0.02, "low": 0.002, "high": 0.07}})
    'chance'
    """
    proof = best.get("proof") or {}
    if not proof.get("released") or not is_number(proof.get("risk")):
        return "idle"
    if proof["risk"] <= best["tolerance"]:
        return "kept"
    return "broken" if is_number(proof.get("low")) and proof["low"] > best["tolerance"] else "chance"


def proof_plot(summary: Summary, narrow: bool = False) -> Markup | None:
    """Promised tolerance against the share that was wrong among released fresh items, with 95% intervals."""
    shown = [b for b in proofs(summary) if verdict(b) != "idle"]
    if not shown:
        return None
    frame = NARROW if narrow else WIDE
    x, y = _proof_axes(summary, shown, frame)
    return svg.picture(
        frame.width,
        frame.height,
        say("proof.alt"),
        _proof_frame(summary, x, y, frame),
        *(_proof_mark(best, x, y, frame.plot[3]) for best in shown),
        class_="proof narrow" if narrow else "proof wide",
    )


def _proof_axes(summary: Summary, shown: Sequence[Mapping[str, Any]], frame: Frame) -> tuple[Axis, Axis]:
    """The map's own axis of tolerance, and a logarithmic one of shares down to the least seen."""
    left, top, right, bottom = frame.plot
    tolerances = [float(b["tolerance"]) for b in best_points(summary)]
    pad = 16 if frame is NARROW else 34
    x = Axis(max(tolerances), min(tolerances), left + pad, right - pad, log=True)
    shares = [float(b["proof"].get(k) or 0) for b in shown for k in ("risk", "low", "high")] + tolerances
    low = max(min(share for share in shares if share > 0), min(tolerances) / 30)
    return x, Axis(low / 1.2, min(1.0, max(shares) * 1.2), bottom - ZERO, top + 8, log=True)


def _proof_frame(summary: Summary, x: Axis, y: Axis, frame: Frame) -> Markup:
    left, top, right, bottom = frame.plot
    tolerances = [float(b["tolerance"]) for b in best_points(summary)]
    ticks = [(t, percent(t)) for t in (tolerances if len(tolerances) <= 14 else x.ticks(8))]
    promise = [(x.at(t), y.at(t)) for t in tolerances]
    above = [(promise[0][0], top), (promise[-1][0], top), *reversed(promise)]
    return svg.group(
        svg.area(above, class_="broken-land"),
        svg.axis_x(x, top, bottom, ticks),
        svg.axis_y(y, left, right, [(s, percent(s)) for s in y.ticks(7)]),
        svg.line(left, bottom - 8, right, bottom - 8, class_="grid"),
        svg.text(left - 8, bottom - 4, say("proof.zero"), class_="tick", text_anchor="end"),
        svg.path([promise], class_="promise"),
        svg.text(promise[0][0] + 22, promise[0][1] + 1, say("proof.line"), class_="note"),
        svg.text(left - 8 if frame is WIDE else 4, top - 14, say("proof.y"), class_="axis-title"),
        svg.text(left, bottom + 44, say("map.x.short"), class_="axis-title"),
        svg.text(right, bottom + 44, say("map.stricter"), class_="axis-title strong", text_anchor="end"),
    )


def _proof_mark(best: Mapping[str, Any], x: Axis, y: Axis, bottom: float) -> Markup:
    """One point with its interval; a share of zero stands on the shelf below the axis."""
    proof, place = best["proof"], x.at(float(best["tolerance"]))
    low, risk, high = (_share_at(proof.get(k), y, bottom - 8) for k in ("low", "risk", "high"))
    told = Both(
        *(f"{percent(best['tolerance'])}: {percent(proof.get('risk'))} ({word})" for word in _verdict(best))
    )
    return svg.group(
        svg.tag("title", told.en, data_en=told.en, data_zh=told.zh),
        svg.line(place, low, place, high, class_="whisker"),
        svg.line(place - 5, high, place + 5, high, class_="whisker"),
        svg.line(place - 5, low, place + 5, low, class_="whisker"),
        svg.marker("circle" if verdict(best) == "kept" else "diamond", place, risk, 6, class_="point"),
        class_=f"proof-mark {verdict(best)}",
    )


def _verdict(best: Mapping[str, Any]) -> Both:
    return say(f"proof.{verdict(best)}")


def _share_at(share: Any, y: Axis, shelf: float) -> float:
    if not is_number(share) or share <= 0:
        return shelf
    return y.at(min(max(float(share), y.low), y.high))


# Training


def training_curve(model: Mapping[str, Any]) -> Markup | None:
    """The losses of one model over its steps, each named at its end."""
    curves = {
        name: thin(points) for name, points in (model.get("curve") or {}).items() if len(points or []) > 1
    }
    values = [v for points in curves.values() for _, v in points if v is not None]
    if not values:
        return None
    steps = [s for points in curves.values() for s, _ in points]
    x = Axis(min(steps), max(steps), 44, 236)
    y = _loss_axis(values, 138, 14)
    names = [_curve_name(name, points, x, y) for name, points in curves.items()]
    boxes = svg.place([a for a, _ in names], [svg.text_width(n, 11) for _, n in names], [], (44, 4, 300, 142))
    return svg.picture(
        300,
        170,
        say("curve.alt", model=model.get("title") or model.get("name")),
        svg.axis_y(y, 44, 236, [(v, digits(v, 2)) for v in y.ticks(4)]),
        svg.axis_x(x, 138, 142, [(s, digits(s)) for s in x.ticks(3)]),
        *(
            svg.path(_unbroken(points, x, y), class_=f"stroke f{k % 6}")
            for k, points in enumerate(curves.values())
        ),
        *(
            _end_name(name, box[3] - 4, k)
            for k, ((_, name), box) in enumerate(zip(names, boxes, strict=True))
        ),
        class_="curve",
    )


def _loss_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Logarithmic where losses are positive and span more than fifty times."""
    low, high = min(values), max(values)
    if low > 0 and high > 50 * low:
        return Axis(low / 1.1, high * 1.1, start, end, log=True)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return Axis(low - room, high + room, start, end)


def _curve_name(
    name: str, points: Sequence[tuple[float, float | None]], x: Axis, y: Axis
) -> tuple[Point, str]:
    last = next(v for _, v in reversed(points) if v is not None)
    return (x.end + 4, y.at(last)), name.replace("_", " ")


def _end_name(name: str, y: float, k: int) -> Markup:
    return svg.text(242, y, name[:10], class_=f"curve-name f{k % 6}")


def _unbroken(points: Sequence[tuple[float, float | None]], x: Axis, y: Axis) -> list[list[Point]]:
    """The stretches between missing values."""
    stretches: list[list[Point]] = [[]]
    for step, value in points:
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((x.at(step), y.at(value)))
    return stretches


def thin(points: Sequence[Sequence[Any]], most: int = 100) -> list[tuple[float, float | None]]:
    """At most about `most` points of a curve, each the mean of its neighbours; None where there is no number.

    >>> thin([[0, 1.0], [1, 3.0], [2, None], [3, None]], most=2)
    [(0.5, 2.0), (2.5, None)]
    """
    every = max(1, math.ceil(len(points) / most))
    return [_mean_point(points[k : k + every]) for k in range(0, len(points), every)]


def _mean_point(points: Sequence[Sequence[Any]]) -> tuple[float, float | None]:
    values = [float(p[1]) for p in points if is_number(p[1])]
    step = sum(float(p[0]) for p in points) / len(points)
    return step, sum(values) / len(values) if values else None


# The data


def split_bar(parts: Sequence[Mapping[str, Any]]) -> Markup | None:
    """How the real pictures were divided, as one bar."""
    parts = [part for part in parts if is_number(part.get("n")) and part["n"] > 0]
    if not parts:
        return None
    total, left, marks = sum(part["n"] for part in parts), 0.0, []
    for k, part in enumerate(parts):
        right = left + 960 * part["n"] / total
        marks.append(svg.rectangle((left + 1, 0, right - 1, 34), class_=f"part p{k % 8}", rx=3))
        marks.append(_part_name(both(part.get("name")), left, right, k))
        left = right
    return svg.picture(960, 34, say("split.alt"), *marks, class_="split")


def _part_name(name: Both, left: float, right: float, k: int) -> Markup:
    if svg.text_width(name, 13) + 12 > right - left:
        return Markup("")
    return svg.text((left + right) / 2, 22, name, class_=f"part-name q{k % 8}", text_anchor="middle")


# One certificate


def risk_curve(scores: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Coverage and mean loss as items are released from the highest score down; equal scores go together.

    scores, losses: [n]; missing scores are never released. Returns two arrays, one entry a distinct score.

    >>> coverage, risk = risk_curve(np.array([.9, .8, .8, .1]), np.array([0., 0., 1., 1.]))
    >>> coverage.tolist(), risk.round(2).tolist()
    ([0.25, 0.75, 1.0], [0.0, 0.33, 0.5])
    """
    known = ~np.isnan(scores)
    order = np.argsort(-scores[known], kind="stable")
    ranked, lost = scores[known][order], losses[known][order]
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if len(ranked) else np.array([], dtype=int)
    return (last + 1) / max(1, len(scores)), np.cumsum(lost)[last] / (last + 1)


def risk_plot(
    scores: Floats, losses: Floats, tolerance: float, coverage: float, narrow: bool = False
) -> Markup | None:
    """Mean loss among released items against the share released, with what was certified."""
    shares, risks = risk_curve(scores, losses)
    if not len(shares):
        return None
    keep = np.unique(np.linspace(0, len(shares) - 1, min(len(shares), 400)).round().astype(int))
    frame = NARROW if narrow else WIDE
    left, top, right, bottom = frame.plot
    x = Axis(0, 1, left, right)
    y = Axis(0, max(float(risks[keep].max()), 1.5 * tolerance) * 1.08, bottom, top)
    points = [(x.at(float(s)), y.at(float(r))) for s, r in zip(shares[keep], risks[keep], strict=True)]
    return svg.picture(
        frame.width,
        frame.height,
        say("alone.curve.alt"),
        svg.rectangle((left, top, x.at(coverage), bottom), class_="zone zone-auto"),
        svg.axis_x(x, top, bottom, [(s, percent(s)) for s in x.ticks(5)]),
        svg.axis_y(y, left, right, [(r, percent(r)) for r in y.ticks(5)]),
        svg.line(left, y.at(tolerance), right, y.at(tolerance), class_="promise"),
        svg.path([points], class_="stroke f0"),
        svg.text(
            right - 8, y.at(tolerance) - 7, _tolerance_note(tolerance), class_="note", text_anchor="end"
        ),
        svg.text(left - 8 if frame is WIDE else 4, top - 14, say("alone.curve.y"), class_="axis-title"),
        svg.text(left, bottom + 44, say("alone.curve.x"), class_="axis-title"),
        class_="risk narrow" if narrow else "risk wide",
    )


def _tolerance_note(tolerance: float) -> Both:
    return say("alone.tolerance", tolerance=percent(tolerance))
