"""Charts of the watch as inline SVG: evidence, released and held items, scores, cost, age of the queue."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from markupsafe import Markup

from tolerate.messages.both import Both
from tolerate.messages.catalogue import fill_both
from tolerate.messages.desk import WORDS
from tolerate.report import svg
from tolerate.service.watch.overview import TierOverview

MinuteRecord: TypeAlias = Mapping[str, Any]  # the fields of `traffic.MinuteCounts`
WIDTH, HALF_WIDTH, HEIGHT = 720.0, 400.0, 200.0  # pixels, as the rest
LEFT, RIGHT, TOP, BOTTOM = 56.0, 700.0, 16.0, 160.0
BIN_SECONDS, BINS = 600, 144  # ten minutes, of a day


def _both(key: str, **fields: object) -> Both:
    return fill_both(WORDS[key], fields)


def evidence(tier: TierOverview) -> Markup:
    """Odds against the certificate by number of reviews, on a log scale, with the odds at which the alarm sounds."""
    points = tier["history"] or [(0, 1.0)]
    max_labels = max(labels for labels, _ in points)
    limit = tier["limit"]
    top = 10 ** math.ceil(math.log10(max(limit * 2, max(odds for _, odds in points))))
    x = svg.Axis(0, max(max_labels, 10), LEFT, RIGHT)
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


def flow(minutes: Sequence[MinuteRecord], now: float) -> Markup:
    """Numbers of released and held items in each ten minutes of the last day, as stacked bars."""
    first = int(now // BIN_SECONDS) - BINS + 1
    sums = [[0, 0] for _ in range(BINS)]
    for record in minutes:
        index = record["minute"] // 10 - first
        if 0 <= index < BINS:
            sums[index][0] += record["released"]
            sums[index][1] += record["held"]
    max_items = max(10, *(released + held for released, held in sums))
    y = svg.Axis(0, max_items, BOTTOM, TOP)
    width = (RIGHT - LEFT) / BINS
    bars = []
    for index, (released, held) in enumerate(sums):
        x = LEFT + index * width
        middle, top = y.pixel(released), y.pixel(released + held)
        if released:
            bars.append(svg.rectangle((x, middle, x + width - 1, BOTTOM), class_="released"))
        if held:
            bars.append(svg.rectangle((x, top, x + width - 1, middle), class_="held"))
    hours = [
        svg.text(LEFT + (k * 6) * width, BOTTOM + 18, f"{((first + k * 6) // 6) % 24:02d}", class_="tick")
        for k in range(0, 24, 3)
    ]
    axis = svg.axis_y(y, LEFT, RIGHT, [(v, f"{v:g}") for v in y.ticks(4)])
    return svg.picture(WIDTH, HEIGHT, _both("over time"), axis, *bars, *hours, class_="chart")


def scores(minutes: Sequence[MinuteRecord]) -> Markup:
    """Histogram of the scores of the last day, in ten bins of [0, 1]."""
    counts = [sum(record["scores"][index] for record in minutes) for index in range(10)]
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


def cost(minutes: Sequence[MinuteRecord], now: float) -> Markup:
    """Mean cost of an item, by ten minutes of the last day."""
    first = int(now // BIN_SECONDS) - BINS + 1
    sums = [[0.0, 0.0] for _ in range(BINS)]
    for record in minutes:
        index = record["minute"] // 10 - first
        if 0 <= index < BINS:
            sums[index][0] += record["cost"]
            sums[index][1] += record["released"] + record["held"]
    return _by_time([spent / items if items else None for spent, items in sums], first, "cost chart")


def ages(waits: list[tuple[int, int, float]], now: float) -> Markup:
    """Waiting time of the oldest item in minutes, by ten minutes of the last day: the longest of each."""
    first = int(now // BIN_SECONDS) - BINS + 1
    longest: list[float | None] = [None] * BINS
    for minute, _, oldest in waits:
        index = minute // 10 - first
        if 0 <= index < BINS:
            longest[index] = max(longest[index] or 0.0, oldest / 60)
    return _by_time(longest, first, "age chart")


def _by_time(values: list[float | None], first: int, title: str) -> Markup:
    """A line over the last day; broken where a value is None, a dot where a value has no neighbours."""
    present = [value for value in values if value is not None]
    y, right = svg.Axis(0, max(present, default=0.0) * 1.05 or 1.0, BOTTOM, TOP), HALF_WIDTH - 8
    width = (right - LEFT) / BINS
    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((LEFT + (index + 0.5) * width, y.pixel(value)))
    lines = [run for run in runs if len(run) > 1]
    hours = [
        svg.text(LEFT + (k * 6) * width, BOTTOM + 18, f"{((first + k * 6) // 6) % 24:02d}", class_="tick")
        for k in range(0, 24, 3)
    ]
    marks = [
        svg.axis_y(y, LEFT, right, [(v, f"{v:g}") for v in y.ticks(4)] if present else []),
        *([svg.path(lines, class_="stroke")] if lines else []),
        *(svg.marker("circle", *run[-1], radius=3.0, class_="dot") for run in runs if run),
        *hours,
    ]
    return svg.picture(HALF_WIDTH, HEIGHT, _both(title), *marks, class_="chart")
