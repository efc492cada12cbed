"""The tolerance map: what an accepted item costs at each tolerance, a line a strategy, the cheapest marked.

The x axis is the tolerance, logarithmic, stricter to the right; the y axis the cost, cheaper is lower.
Behind the lines three zones: released automatically, released in part, not provable.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TypeAlias

from markupsafe import Markup

from tolerate.messages.both import Both, both, join
from tolerate.messages.numbers import at_most, digits, money, percent, unit_name
from tolerate.messages.report import refine_name, say
from tolerate.report import svg
from tolerate.report.summary import BestPoint, RunSummary, StrategyPoint, StrategyResult
from tolerate.report.svg import Axis, Box, Point

ZONES = ("auto", "part", "none")
AUTO_COVERAGE = 0.995  # from which a point without a zone counts as released automatically
MAX_TOLERANCE_TICKS = 14
Stretch: TypeAlias = tuple[
    StrategyResult, list[BestPoint]
]  # a strategy and the points at which it is the cheapest


@dataclass(frozen=True)
class Frame:
    """The size of a picture and the box of its plot."""

    width: float
    height: float
    plot: Box


WIDE = Frame(960, 540, (64, 44, 948, 484))
NARROW = Frame(380, 470, (44, 44, 374, 414))  # for a phone


# What the map shows


def job_tolerance(summary: RunSummary) -> float | None:
    """The job's own tolerance, if it has one."""
    tolerance = summary.job.tolerance
    return tolerance if tolerance is not None and tolerance > 0 else None


def strategy_name(summary: RunSummary, strategy_id: str) -> Both:
    """The model and the refining of a strategy in words; its id if the summary does not describe it."""
    for strategy in summary.strategies:
        if strategy.id == strategy_id and strategy.model:
            refining = refine_name(strategy.refine or "plain")
            models = [other.model for other in summary.strategies]
            name = both(model_name(strategy.model, models))
            return join([name, *([refining] if refining.en else [])], ", ", "，")
    return both(strategy_id) if strategy_id else say("nobody")


def model_name(name: str, others: Sequence[str] = ()) -> str:
    """A model's name for people: one behind a server without its whole address, unless others would read the same.

    >>> model_name("openai:qwen@http://127.0.0.1:8000/v1#rpm=60"), model_name("vae")
    ('qwen at 127.0.0.1:8000', 'vae')
    """
    namesakes = {other for other in others if other != name and _short(other) == _short(name)}
    return name if namesakes else _short(name)


def _short(name: str) -> str:
    match = re.fullmatch(r"openai:(.+?)@https?://([^/?#]+).*", name)
    return f"{match[1]} at {match[2]}" if match else name


def families(summary: RunSummary) -> list[str]:
    """The families of techniques in order of appearance; the index gives colour and marker."""
    return list(dict.fromkeys(family_of(strategy) for strategy in summary.strategies))


def family_of(strategy: StrategyResult) -> str:
    """The family of a strategy, or its model if it names no family."""
    return strategy.family or strategy.model or "?"


def style(family_names: Sequence[str], family: str) -> tuple[int, str]:
    """The colour number and the marker of a family."""
    index = family_names.index(family) if family in family_names else 0
    shapes = list(svg.MARKERS)
    return index % len(shapes), shapes[index % len(shapes)]


def best_points(summary: RunSummary) -> list[BestPoint]:
    """The cheapest strategy at each tolerance, the most tolerant first."""
    usable = [best for best in summary.best if best.tolerance > 0]
    return sorted(usable, key=lambda best: -best.tolerance)


def best_at_job_tolerance(summary: RunSummary) -> BestPoint | None:
    """The cheapest strategy at the job's own tolerance."""
    tolerance = job_tolerance(summary)
    return next((best for best in best_points(summary) if best.tolerance == tolerance), None)


def zone_runs(summary: RunSummary) -> list[tuple[str, list[BestPoint]]]:
    """The neighbouring tolerances that share a zone, from left to right."""
    return [(zone, list(points)) for zone, points in groupby(best_points(summary), key=zone_of)]


def zone_of(best: BestPoint) -> str:
    """The zone of a tolerance; if none is named, the coverage decides.

    >>> zone_of(BestPoint(0.1, coverage=0.4))
    'part'
    """
    if best.zone in ZONES:
        return best.zone
    coverage = best.coverage or 0
    return "none" if coverage <= 0 else "auto" if coverage >= AUTO_COVERAGE else "part"


def winning_stretches(summary: RunSummary) -> list[Stretch]:
    """The stretches of tolerances over which one strategy is the cheapest that proves something."""
    by_id = {strategy.id: strategy for strategy in summary.strategies}
    runs = groupby(best_points(summary), key=_proven_strategy)
    return [(by_id[strategy_id], list(points)) for strategy_id, points in runs if strategy_id in by_id]


def _proven_strategy(best: BestPoint) -> str | None:
    return (best.strategy or None) if zone_of(best) != "none" and best.cost is not None else None


def people_cost(summary: RunSummary) -> float | None:
    """The cost of an item where nothing may be released, or None if that never happens."""
    points = [point for strategy in summary.strategies for point in strategy.points]
    costs = [point.cost for point in points if point.scope == "nothing" and point.cost is not None]
    return min(costs, default=None)


# Drawing it


@dataclass(frozen=True)
class MapScene:
    """A summary with the axes it is drawn on."""

    summary: RunSummary
    frame: Frame
    x: Axis
    y: Axis

    @property
    def narrow(self) -> bool:
        """Whether this is the picture for a phone."""
        return self.frame is NARROW

    def position(self, point: StrategyPoint) -> Point:
        """The pixels of a tolerance and its cost."""
        cost = point.cost or 0.0
        lowest = min(self.y.low, self.y.high)
        return self.x.pixel(point.tolerance), self.y.pixel(max(cost, lowest) if self.y.log else cost)

    def positions(self, points: Sequence[StrategyPoint]) -> list[Point]:
        """The pixels of several points."""
        return [self.position(point) for point in points]


def draw_map(summary: RunSummary, narrow: bool = False) -> Markup | None:
    """The tolerance map as SVG, or None if there are no strategies to show."""
    scene = map_scene(summary, NARROW if narrow else WIDE)
    if scene is None:
        return None
    names = families(summary)
    winners = {best.strategy for best in best_points(summary) if zone_of(best) != "none"}
    strategies = sorted(summary.strategies, key=lambda strategy: strategy.id in winners)
    return svg.picture(
        scene.frame.width,
        scene.frame.height,
        say("map.alt"),
        _zones(scene),
        _axes(scene),
        _people_line(scene),
        _halo(scene),
        *(
            strategy_line(scene, strategy, style(names, family_of(strategy))[0], strategy.id in winners)
            for strategy in strategies
        ),
        _winning_lines(scene, names),
        _job_line(scene),
        _cheapest(scene, names),
        class_="map narrow" if narrow else "map wide",
        role="group",
    )


def map_scene(summary: RunSummary, frame: Frame) -> MapScene | None:
    """The axes for a summary, or None if it has no points to show."""
    points = [point for strategy in summary.strategies for point in usable_points(strategy)]
    if not points or not best_points(summary):
        return None
    left, top, right, bottom = frame.plot
    padding = 16 if frame is NARROW else 34
    tolerances = [point.tolerance for point in points]
    x = Axis(max(tolerances), min(tolerances), left + padding, right - padding, log=True)
    costs = [point.cost for point in points if point.cost is not None]
    return MapScene(summary, frame, x, cost_axis(costs, bottom - 14, top + 52))


def usable_points(strategy: StrategyResult) -> list[StrategyPoint]:
    """The points of a strategy that have a cost and a positive tolerance, the most tolerant first."""
    points = [point for point in strategy.points if point.tolerance > 0 and point.cost is not None]
    return sorted(points, key=lambda point: -point.tolerance)


def cost_axis(costs: Sequence[float], start: float, end: float) -> Axis:
    """An axis for costs: logarithmic if the dearest is more than ten times the cheapest.

    >>> cost_axis([0.01, 0.5], 100, 0).log, cost_axis([0.2, 0.5], 100, 0).log
    (True, False)
    """
    positive = [cost for cost in costs if cost > 0]
    if positive and max(positive) > 10 * min(positive):
        return Axis(min(positive) / 1.15, max(positive) * 1.1, start, end, log=True)
    return Axis(0, max(costs, default=1) * 1.1 or 1, start, end)


def _zones(scene: MapScene) -> Markup:
    """The three zones as tinted bands with their names."""
    left, top, right, bottom = scene.frame.plot
    runs = zone_runs(scene.summary)
    edges = [left, *(_border(scene, before, after) for (_, before), (_, after) in pairwise(runs)), right]
    marks = []
    for (zone, _), start, end in zip(runs, edges, edges[1:], strict=False):
        marks.append(svg.rectangle((start, top, end, bottom), class_=f"zone zone-{zone}"))
        marks.append(_zone_name(zone, (start, top, end, bottom), scene.narrow))
    return svg.group(*marks, class_="zones")


def _border(scene: MapScene, before: Sequence[BestPoint], after: Sequence[BestPoint]) -> float:
    """The edge of a zone, just behind its last tolerance: between two tolerances the stricter one counts."""
    last, following = scene.x.pixel(before[-1].tolerance), scene.x.pixel(after[0].tolerance)
    return min(last + (10 if scene.narrow else 20), (last + following) / 2)


def _zone_name(zone: str, box: Box, narrow: bool) -> Markup:
    """The zone's name at the top of its band, the short one or none if the band is too narrow."""
    left, top, right, _ = box
    size, room = (
        (12 if narrow else 13.5),
        right - left - 8,
    )  # a size larger than drawn, since the type is bold
    for key in (f"zone.{zone}", f"zone.{zone}.short"):
        lines = [svg.wrap(text, room, size) for text in say(key)]
        widest = max(svg.text_width(line, size) for language_lines in lines for line in language_lines)
        if widest <= room and max(map(len, lines)) <= 2:
            return _zone_lines(lines[0], lines[1], (left + right) / 2, top + 17, zone)
    return Markup("")


def _zone_lines(en: list[str], zh: list[str], x: float, y: float, zone: str) -> Markup:
    return Markup("").join(
        svg.text(
            x, y + 15 * k, line, class_=f"zone-name zone-name-{zone} {lang}", text_anchor="middle", lang=code
        )
        for lang, code, lines in (("en", "en", en), ("zh", "zh-Hans", zh))
        for k, line in enumerate(lines)
    )


def _axes(scene: MapScene) -> Markup:
    left, top, right, bottom = scene.frame.plot
    tolerances = sorted({best.tolerance for best in best_points(scene.summary)})
    if len(tolerances) > MAX_TOLERANCE_TICKS:
        tolerances = scene.x.ticks(8)
    unit = scene.summary.job.unit
    title = say("map.y", unit=unit_name(unit)) if unit else say("map.y.bare")
    costs = scene.y.ticks(5 if scene.narrow else 7)
    return svg.group(
        svg.axis_x(scene.x, top, bottom, [(tolerance, at_most(tolerance)) for tolerance in tolerances]),
        svg.axis_y(scene.y, left, right, [(cost, digits(cost, 2)) for cost in costs]),
        svg.text(left - 36 if scene.narrow else left - 8, 22, title, class_="axis-title"),
        svg.text(left, bottom + 44, say("map.x.short" if scene.narrow else "map.x"), class_="axis-title"),
        svg.text(right, bottom + 44, say("map.stricter"), class_="axis-title strong", text_anchor="end"),
    )


def _people_line(scene: MapScene) -> Markup:
    """The cost at which people do everything, as a line to compare with."""
    cost = people_cost(scene.summary)
    if cost is None or (cost <= 0 and scene.y.log):
        return Markup("")
    left, _, right, _ = scene.frame.plot
    y = scene.y.pixel(cost)
    return svg.group(
        svg.line(left, y, right, y, class_="people"),
        svg.text(left + 8, y - 7, say("map.people"), class_="note"),
    )


def _halo(scene: MapScene) -> Markup:
    """A broad soft stroke through the cheapest points."""
    points = best_points(scene.summary)
    proven = [best for best in points if zone_of(best) != "none" and best.cost is not None]
    return svg.path([scene.positions(proven)], class_="halo")


def strategy_line(scene: MapScene, strategy: StrategyResult, colour: int, is_winner: bool) -> Markup:
    """The line of one strategy: solid where it releases a part, dotted where nothing is proven."""
    points = usable_points(strategy)
    solid: list[list[Point]] = []
    dotted: list[list[Point]] = []
    for start, end in pairwise(points):
        segments = dotted if "nothing" in (start.scope, end.scope) else solid
        segments.append(scene.positions((start, end)))
    sentence = describe(scene.summary, strategy)
    title = svg.tag("title", sentence.en, data_en=sentence.en, data_zh=sentence.zh)
    marks = (
        svg.path([scene.positions(points)], class_="hit"),
        svg.path(_joined(solid), class_="stroke"),
        svg.path(_joined(dotted), class_="stroke dotted"),
    )
    css_class = f"line f{colour}" + (" wins" if is_winner else "")
    return svg.group(title, *marks, class_=css_class, tabindex=-1, role="img", aria_label=sentence.en)


def _winning_lines(scene: MapScene, family_names: Sequence[str]) -> Markup:
    """The stretches over which one strategy stays the cheapest, drawn strongly."""
    return svg.group(
        *(
            svg.path([scene.positions(points)], class_=f"won f{style(family_names, family_of(strategy))[0]}")
            for strategy, points in winning_stretches(scene.summary)
        )
    )


def _joined(segments: list[list[Point]]) -> list[list[Point]]:
    """Segments that follow each other as one stroke, so that its dots are spaced evenly."""
    strokes: list[list[Point]] = []
    for start, end in segments:
        if strokes and strokes[-1][-1] == start:
            strokes[-1].append(end)
        else:
            strokes.append([start, end])
    return strokes


def describe(summary: RunSummary, strategy: StrategyResult) -> Both:
    """A strategy in one sentence: cost and coverage at the job's tolerance and at the strictest one it proves."""
    points = usable_points(strategy)
    at_job_tolerance = [point for point in points if point.tolerance == job_tolerance(summary)]
    strictest = [point for point in points if point.scope != "nothing"][-1:]
    phrases = [
        _describe_point(point, summary.job.unit) for point in dict.fromkeys(at_job_tolerance + strictest)
    ]
    return say("map.line", name=strategy_name(summary, strategy.id), points=join(phrases))


def _describe_point(point: StrategyPoint, unit: str) -> Both:
    tolerance = at_most(point.tolerance)
    if point.scope == "nothing":
        return say("map.line.nothing", tolerance=tolerance)
    cost, coverage = money(point.cost, unit), percent(point.coverage)
    return say("map.line.point", tolerance=tolerance, cost=cost, coverage=coverage)


def _job_line(scene: MapScene) -> Markup:
    """The job's own tolerance as a vertical line."""
    tolerance = job_tolerance(scene.summary)
    low, high = sorted((scene.x.low, scene.x.high))
    if tolerance is None or not low <= tolerance <= high:
        return Markup("")
    _, top, _, bottom = scene.frame.plot
    x = scene.x.pixel(tolerance)
    words = say("map.job", tolerance=at_most(tolerance))
    flip = x + svg.text_width(words, 12) + 12 > scene.frame.plot[2]
    return svg.group(
        svg.line(x, top + 52, x, bottom, class_="job"),
        svg.text(
            x - 6 if flip else x + 6, bottom - 8, words, class_="note", text_anchor="end" if flip else None
        ),
    )


def _cheapest(scene: MapScene, family_names: Sequence[str]) -> Markup:
    """The cheapest point at each tolerance, and the name of the strategy beside each stretch it wins."""
    points = [best for best in best_points(scene.summary) if best.cost is not None]
    by_id = {strategy.id: strategy for strategy in scene.summary.strategies}
    marks = [_best_mark(scene, best, by_id.get(best.strategy), family_names) for best in points]
    return svg.group(*marks, *_labels(scene, points, family_names), class_="best")


def _best_mark(
    scene: MapScene, best: BestPoint, strategy: StrategyResult | None, family_names: Sequence[str]
) -> Markup:
    x, y = scene.position(best)
    if zone_of(best) == "none" or strategy is None:
        return svg.marker("circle", x, y, 4.5, class_="mark hollow")
    colour, shape = style(family_names, family_of(strategy))
    return svg.marker(shape, x, y, 5.5 if scene.narrow else 6.5, class_=f"mark f{colour}")


def _labels(scene: MapScene, points: Sequence[BestPoint], family_names: Sequence[str]) -> list[Markup]:
    """A name beside each stretch, kept off the lines, the marks and each other; on a phone its number."""
    stretches = winning_stretches(scene.summary)
    names = [strategy_name(scene.summary, strategy.id) for strategy, _ in stretches]
    if scene.narrow:
        names = [both(k + 1) for k in range(len(stretches))]
    widths = [svg.text_width(name, 13) + 6 for name in names]
    anchors = [scene.position(run[(len(run) - 1) // 2]) for _, run in stretches]
    boxes = svg.place_labels(anchors, widths, _obstacles(scene, points), _label_room(scene))
    colours = [style(family_names, family_of(strategy))[0] for strategy, _ in stretches]
    return [
        _label(name, box, anchor, colour)
        for name, box, anchor, colour in zip(names, boxes, anchors, colours, strict=True)
    ]


def _label_room(scene: MapScene) -> Box:
    left, top, right, bottom = scene.frame.plot
    return (left + 4, top + 52, right - 4, bottom - 4)


def _obstacles(scene: MapScene, points: Sequence[BestPoint]) -> list[Box]:
    """What a label must not hide: the cheapest points, the lines between them, the other notes."""
    left, top, _, bottom = scene.frame.plot
    marks = scene.positions(points)
    boxes = [(x - 9, y - 9, x + 9, y + 9) for x, y in marks] + svg.boxes_along(marks)
    winners = {best.strategy for best in points if zone_of(best) != "none"}
    for strategy in scene.summary.strategies:
        if strategy.id in winners:
            boxes += svg.boxes_along(scene.positions(usable_points(strategy)), half=1.5)
    tolerance = job_tolerance(scene.summary)
    if tolerance:
        x = scene.x.pixel(tolerance)
        boxes += [(x - 3, top, x + 3, bottom), (x - 4, bottom - 24, x + 90, bottom)]
    cost = people_cost(scene.summary)
    if cost:
        y = scene.y.pixel(cost)
        boxes.append((left, y - 22, left + 110, y + 2))
    return boxes


def _label(name: Both, box: Box, anchor: Point, colour: int) -> Markup:
    left, top, right, bottom = box
    nearest = min(max(anchor[0], left), right), min(max(anchor[1], top), bottom)
    needs_leader = math.dist(nearest, anchor) > 16
    leader = svg.line(*nearest, *anchor, class_="leader") if needs_leader else Markup("")
    return svg.group(
        leader,
        svg.text((left + right) / 2, bottom - 4, name, class_="label", text_anchor="middle"),
        class_=f"f{colour}",
    )
