"""The watch's pictures, as inline SVG: evidence, what flows, scores."""

import math
from typing import Any

from markupsafe import Markup

from tolerate.messages.both import Both
from tolerate.messages.catalogue import fill_both
from tolerate.messages.desk import WORDS
from tolerate.report import svg

WIDTH, HALF, HEIGHT = 720.0, 400.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 700.0, 16.0, 160.0


def _both(key: str, **fields: object) -> Both:
    return fill_both(WORDS[key], fields)


def evidence(tier: dict[str, Any]) -> Markup:
    """Odds against the promise by review, on a log scale, with the line at which the alarm sounds."""
    points = tier["history"] or [[0, 1.0]]
    most = max(labels for labels, _ in points)
    limit = tier["limit"]
    top = 10 ** math.ceil(math.log10(max(limit * 2, max(odds for _, odds in points))))
    x = svg.Axis(0, max(most, 10), LEFT, RIGHT)
    y = svg.Axis(0.01, min(top, 1e9), BOTTOM, TOP, log=True)
    line = [(x.pixel(labels), y.pixel(min(max(odds, 0.01), 1e9))) for labels, odds in points]
    marks = [
        svg.axis_x(x, TOP, BOTTOM, [(v, f"{v:g}") for v in x.ticks(6)]),
        svg.axis_y(y, LEFT, RIGHT, [(v, f"{v:g}") for v in y.ticks(4)]),
        svg.line(LEFT, y.pixel(limit), RIGHT, y.pixel(limit), class_="limit"),
        svg.text(RIGHT, y.pixel(limit) - 5, _both("alarm at", limit=limit), class_="note", text_anchor="end"),
        svg.path([line], class_="stroke"),
        svg.marker("circle", *line[-1], radius=3.5, class_="dot"),
        svg.text(RIGHT, BOTTOM + 34, _both("labels axis"), class_="note", text_anchor="end"),
    ]
    return svg.picture(WIDTH, HEIGHT, _both("evidence axis"), *marks, class_="chart")


def flow(minutes: list[dict[str, Any]], now: float) -> Markup:
    """Released and held in each ten minutes of the last day, one bar on the other."""
    first = int(now // 600) - 143
    sums = [[0, 0] for _ in range(144)]
    for each in minutes:
        place = each["minute"] // 10 - first
        if 0 <= place < 144:
            sums[place][0] += each["released"]
            sums[place][1] += each["held"]
    most = max(10, *(released + held for released, held in sums))
    y = svg.Axis(0, most, BOTTOM, TOP)
    wide = (RIGHT - LEFT) / 144
    bars = []
    for place, (released, held) in enumerate(sums):
        x = LEFT + place * wide
        middle, top = y.pixel(released), y.pixel(released + held)
        if released:
            bars.append(svg.rectangle((x, middle, x + wide - 1, BOTTOM), class_="released"))
        if held:
            bars.append(svg.rectangle((x, top, x + wide - 1, middle), class_="held"))
    hours = [
        svg.text(LEFT + (k * 6) * wide, BOTTOM + 18, f"{((first + k * 6) // 6) % 24:02d}", class_="tick")
        for k in range(0, 24, 3)
    ]
    axis = svg.axis_y(y, LEFT, RIGHT, [(v, f"{v:g}") for v in y.ticks(4)])
    return svg.picture(WIDTH, HEIGHT, _both("over time"), axis, *bars, *hours, class_="chart")


def scores(minutes: list[dict[str, Any]]) -> Markup:
    """The distribution of scores."""
    counts = [sum(each["scores"][place] for each in minutes) for place in range(10)]
    y = svg.Axis(0, max(10, *counts), BOTTOM, TOP)
    x = svg.Axis(0, 1, LEFT, RIGHT)
    bars = [
        svg.rectangle(
            (x.pixel(k / 10) + 1, y.pixel(count), x.pixel((k + 1) / 10) - 1, BOTTOM), class_="score"
        )
        for k, count in enumerate(counts)
        if count
    ]
    axes = (
        svg.axis_x(x, TOP, BOTTOM, [(v, f"{v:g}") for v in x.ticks(10)]),
        svg.axis_y(y, LEFT, RIGHT, [(v, f"{v:g}") for v in y.ticks(4)]),
    )
    return svg.picture(WIDTH, HEIGHT, _both("scores chart"), *axes, *bars, class_="chart")


def cost(minutes: list[dict[str, Any]], now: float) -> Markup:
    """What an item cost, by ten minutes of the last day."""
    first = int(now // 600) - 143
    sums = [[0.0, 0.0] for _ in range(144)]
    for each in minutes:
        place = each["minute"] // 10 - first
        if 0 <= place < 144:
            sums[place][0] += each["cost"]
            sums[place][1] += each["released"] + each["held"]
    return _by_time([spent / items if items else None for spent, items in sums], first, "cost chart")


def ages(waits: list[tuple[int, int, float]], now: float) -> Markup:
    """How long the oldest item had waited, in minutes, by ten minutes of the last day: the worst of each."""
    first = int(now // 600) - 143
    worst: list[float | None] = [None] * 144
    for minute, _, oldest in waits:
        place = minute // 10 - first
        if 0 <= place < 144:
            worst[place] = max(worst[place] or 0.0, oldest / 60)
    return _by_time(worst, first, "age chart")


def _by_time(values: list[float | None], first: int, title: str) -> Markup:
    """A line over the last day; broken where nothing is known, a dot where one value stands alone."""
    known = [value for value in values if value is not None]
    y, right = svg.Axis(0, max(known, default=0.0) * 1.05 or 1.0, BOTTOM, TOP), HALF - 8
    wide = (right - LEFT) / 144
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((LEFT + (place + 0.5) * wide, y.pixel(value)))
    lines = [run for run in runs if len(run) > 1]
    hours = [
        svg.text(LEFT + (k * 6) * wide, BOTTOM + 18, f"{((first + k * 6) // 6) % 24:02d}", class_="tick")
        for k in range(0, 24, 3)
    ]
    marks = [
        svg.axis_y(y, LEFT, right, [(v, f"{v:g}") for v in y.ticks(4)] if known else []),
        *([svg.path(lines, class_="stroke")] if lines else []),
        *(svg.marker("circle", *run[-1], radius=3.0, class_="dot") for run in runs if run),
        *hours,
    ]
    return svg.picture(HALF, HEIGHT, _both(title), *marks, class_="chart")
