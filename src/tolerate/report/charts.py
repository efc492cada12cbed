"""The other pictures of a report: the proof, training curves, the split of the data, risk and coverage."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from tolerate.messages.both import Both, both
from tolerate.messages.numbers import at_most, digits, percent
from tolerate.messages.report import say, say_of
from tolerate.records import Floats
from tolerate.report import svg
from tolerate.report.summary import (
    BestPoint,
    Curve,
    DataPart,
    ModelReport,
    ProofPoint,
    ProofResult,
    RunSummary,
)
from tolerate.report.svg import Axis, Point
from tolerate.report.tolerance_map import Frame, best_points

WIDE = Frame(960, 440, (64, 36, 948, 384))
NARROW = Frame(380, 400, (48, 36, 374, 344))
ZERO_SHELF = 30  # pixels between the lowest share on the logarithmic axis and the shelf for shares of 0
MAX_CURVE_POINTS = 100
MAX_RISK_POINTS = 400


# The proof


def proofs(summary: RunSummary) -> list[ProofPoint]:
    """The tolerances of a run that tried its promises on fresh items, the most tolerant first."""
    return [best for best in best_points(summary) if isinstance(best, ProofPoint)]


def verdict(best: BestPoint) -> str:
    """Whether fresh items confirm a promise: "kept", "chance" (above it, as chance allows), "broken" or "idle".

    >>> verdict(ProofPoint(0.01, proof=ProofResult(released=100, risk=0.02, low=0.002, high=0.07)))
    'chance'
    """
    proof = best.proof if isinstance(best, ProofPoint) else None
    if proof is None or not proof.released or proof.risk is None:
        return "idle"
    if proof.risk <= best.tolerance:
        return "kept"
    return "broken" if proof.low is not None and proof.low > best.tolerance else "chance"


def proof_plot(summary: RunSummary, narrow: bool = False) -> Markup | None:
    """Promised tolerance against the share that was wrong among released fresh items, with 95% intervals."""
    shown = [(best, best.proof) for best in proofs(summary) if best.proof and verdict(best) != "idle"]
    if not shown:
        return None
    frame = NARROW if narrow else WIDE
    x, y = _proof_axes(summary, [proof for _, proof in shown], frame)
    return svg.picture(
        frame.width,
        frame.height,
        say("proof.alt"),
        _proof_frame(summary, x, y, frame),
        *(_proof_mark(best, proof, x, y, frame.plot[3]) for best, proof in shown),
        class_="proof narrow" if narrow else "proof wide",
    )


def _proof_axes(summary: RunSummary, shown: Sequence[ProofResult], frame: Frame) -> tuple[Axis, Axis]:
    """The map's own axis of tolerance, and a logarithmic one of shares down to the smallest shown."""
    left, top, right, bottom = frame.plot
    tolerances = [best.tolerance for best in best_points(summary)]
    padding = 16 if frame is NARROW else 34
    x = Axis(max(tolerances), min(tolerances), left + padding, right - padding, log=True)
    shares = [share or 0 for proof in shown for share in (proof.risk, proof.low, proof.high)] + tolerances
    low = max(min(share for share in shares if share > 0), min(tolerances) / 30)
    return x, Axis(low / 1.2, min(1.0, max(shares) * 1.2), bottom - ZERO_SHELF, top + 8, log=True)


def _proof_frame(summary: RunSummary, x: Axis, y: Axis, frame: Frame) -> Markup:
    left, top, right, bottom = frame.plot
    tolerances = [best.tolerance for best in best_points(summary)]
    ticks = [(tick, at_most(tick)) for tick in (tolerances if len(tolerances) <= 14 else x.ticks(8))]
    promise = [(x.pixel(tolerance), y.pixel(tolerance)) for tolerance in tolerances]
    above = [(promise[0][0], top), (promise[-1][0], top), *reversed(promise)]
    return svg.group(
        svg.area(above, class_="broken-land"),
        svg.axis_x(x, top, bottom, ticks),
        svg.axis_y(y, left, right, [(share, percent(share)) for share in y.ticks(7)]),
        svg.line(left, bottom - 8, right, bottom - 8, class_="grid"),
        svg.text(left - 8, bottom - 4, say("proof.zero"), class_="tick", text_anchor="end"),
        svg.path([promise], class_="promise"),
        svg.text(promise[0][0] + 22, promise[0][1] + 1, say("proof.line"), class_="note"),
        svg.text(left - 8 if frame is WIDE else 4, top - 14, say("proof.y"), class_="axis-title"),
        svg.text(left, bottom + 44, say("map.x.short"), class_="axis-title"),
        svg.text(right, bottom + 44, say("map.stricter"), class_="axis-title strong", text_anchor="end"),
    )


def _proof_mark(best: BestPoint, proof: ProofResult, x: Axis, y: Axis, bottom: float) -> Markup:
    """One point with its interval; a share of 0 is drawn on the shelf below the axis."""
    center = x.pixel(best.tolerance)
    low, risk, high = (_share_pixel(share, y, bottom - 8) for share in (proof.low, proof.risk, proof.high))
    words = say(f"proof.{verdict(best)}")
    title = Both(*(f"{at_most(best.tolerance)}: {percent(proof.risk)} ({word})" for word in words))
    return svg.group(
        svg.tag("title", title.en, data_en=title.en, data_zh=title.zh),
        svg.line(center, low, center, high, class_="whisker"),
        svg.line(center - 5, high, center + 5, high, class_="whisker"),
        svg.line(center - 5, low, center + 5, low, class_="whisker"),
        svg.marker("circle" if verdict(best) == "kept" else "diamond", center, risk, 6, class_="point"),
        class_=f"proof-mark {verdict(best)}",
    )


def _share_pixel(share: float | None, y: Axis, shelf: float) -> float:
    if share is None or share <= 0:
        return shelf
    return y.pixel(min(max(share, y.low), y.high))


# Training


def training_curve(model: ModelReport) -> Markup | None:
    """The losses of one model over its steps, each with its name at its end."""
    curves = {name: thin(points) for name, points in model.curve.items() if len(points) > 1}
    values = [value for points in curves.values() for _, value in points if value is not None]
    if not values:
        return None
    steps = [step for points in curves.values() for step, _ in points]
    x = Axis(min(steps), max(steps), 44, 236)
    y = _loss_axis(values, 138, 14)
    names = [_curve_name(name, points, x, y) for name, points in curves.items()]
    widths = [svg.text_width(name, 11) for _, name in names]
    boxes = svg.place_labels([anchor for anchor, _ in names], widths, [], (44, 4, 300, 142))
    return svg.picture(
        300,
        170,
        say("curve.alt", model=model.shown_name),
        svg.axis_y(y, 44, 236, [(tick, digits(tick, 2)) for tick in y.ticks(4)]),
        svg.axis_x(x, 138, 142, [(tick, digits(tick)) for tick in x.ticks(3)]),
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
    """Logarithmic if the losses are positive and the largest is more than fifty times the smallest."""
    low, high = min(values), max(values)
    if low > 0 and high > 50 * low:
        return Axis(low / 1.1, high * 1.1, start, end, log=True)
    margin = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return Axis(low - margin, high + margin, start, end)


def _curve_name(name: str, points: Curve, x: Axis, y: Axis) -> tuple[Point, str]:
    last = next((value for _, value in reversed(points) if value is not None), y.low)
    return (x.end + 4, y.pixel(last)), name.replace("_", " ")


def _end_name(name: str, y: float, k: int) -> Markup:
    return svg.text(242, y, name[:10], class_=f"curve-name f{k % 6}")


def _unbroken(points: Curve, x: Axis, y: Axis) -> list[list[Point]]:
    """The stretches between missing values."""
    stretches: list[list[Point]] = [[]]
    for step, value in points:
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((x.pixel(step), y.pixel(value)))
    return stretches


def thin(points: Curve, max_points: int = MAX_CURVE_POINTS) -> Curve:
    """A curve thinned to at most so many points, each the mean of its neighbours; None where there is no number.

    >>> thin(((0, 1.0), (1, 3.0), (2, None), (3, None)), max_points=2)
    ((0.5, 2.0), (2.5, None))
    """
    stride = max(1, math.ceil(len(points) / max_points))
    return tuple(_mean_point(points[k : k + stride]) for k in range(0, len(points), stride))


def _mean_point(points: Curve) -> tuple[float, float | None]:
    values = [value for _, value in points if value is not None]
    step = sum(step for step, _ in points) / len(points)
    return step, sum(values) / len(values) if values else None


# The data


def split_bar(split: Sequence[DataPart], kind: str) -> Markup | None:
    """The parts of the real data as one bar."""
    parts = used_parts(split)
    if not parts:
        return None
    total, left, marks = sum(count for _, count in parts), 0.0, []
    for k, (part, count) in enumerate(parts):
        right = left + 960 * count / total
        marks.append(svg.rectangle((left + 1, 0, right - 1, 34), class_=f"part p{k % 8}", rx=3))
        marks.append(_part_name(both(part.name), left, right, k))
        left = right
    return svg.picture(960, 34, say_of(kind, "split.alt"), *marks, class_="split")


def used_parts(split: Sequence[DataPart]) -> list[tuple[DataPart, float]]:
    """The parts that hold anything, each with its number of items."""
    return [(part, part.n) for part in split if part.n is not None and part.n > 0]


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
    scored = ~np.isnan(scores)
    order = np.argsort(-scores[scored], kind="stable")
    ranked, ranked_losses = scores[scored][order], losses[scored][order]
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if len(ranked) else np.array([], dtype=int)
    return (last + 1) / max(1, len(scores)), np.cumsum(ranked_losses)[last] / (last + 1)


def risk_plot(
    scores: Floats, losses: Floats, tolerance: float, coverage: float, narrow: bool = False
) -> Markup | None:
    """Mean loss among released items against the share released, with what was certified."""
    shares, risks = risk_curve(scores, losses)
    if not len(shares):
        return None
    count = min(len(shares), MAX_RISK_POINTS)
    indices = np.unique(np.linspace(0, len(shares) - 1, count).round().astype(int))
    frame = NARROW if narrow else WIDE
    left, top, right, bottom = frame.plot
    x = Axis(0, 1, left, right)
    y = Axis(0, max(float(risks[indices].max()), 1.5 * tolerance) * 1.08, bottom, top)
    points = [
        (x.pixel(float(share)), y.pixel(float(risk)))
        for share, risk in zip(shares[indices], risks[indices], strict=True)
    ]
    limit, note = y.pixel(tolerance), say("alone.tolerance", tolerance=at_most(tolerance))
    return svg.picture(
        frame.width,
        frame.height,
        say("alone.curve.alt"),
        svg.rectangle((left, top, x.pixel(coverage), bottom), class_="zone zone-auto"),
        svg.axis_x(x, top, bottom, [(share, percent(share)) for share in x.ticks(5)]),
        svg.axis_y(y, left, right, [(risk, percent(risk)) for risk in y.ticks(5)]),
        svg.line(left, limit, right, limit, class_="promise"),
        svg.path([points], class_="stroke f0"),
        svg.text(right - 8, limit - 7, note, class_="note", text_anchor="end"),
        svg.text(left - 8 if frame is WIDE else 4, top - 14, say("alone.curve.y"), class_="axis-title"),
        svg.text(left, bottom + 44, say("alone.curve.x"), class_="axis-title"),
        class_="risk narrow" if narrow else "risk wide",
    )
