"""The tolerance map: what an accepted item costs at each tolerance, a line a strategy, the cheapest marked.

The x axis is the tolerance, logarithmic, stricter to the right; the y axis the cost, cheaper is lower.
Behind the lines three zones: released automatically, released in part, not provable.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from markupsafe import Markup

from tolerate.messages.report import (
    Both,
    both,
    digits,
    is_number,
    join,
    money,
    percent,
    refine_name,
    say,
    unit_name,
)
from tolerate.report import svg
from tolerate.report.svg import Axis, Box, Point

Summary = Mapping[str, Any]
ZONES = ("auto", "part", "none")


@dataclass(frozen=True)
class Frame:
    """The size of a picture and where its plot stands in it."""

    width: float
    height: float
    plot: Box


WIDE = Frame(960, 540, (64, 44, 948, 484))
NARROW = Frame(380, 470, (44, 44, 374, 414))


# What the map shows


def unit(summary: Summary) -> str:
    """The unit of costs: that of the prices, or the job's currency."""
    job = summary.get("job") or {}
    return str((job.get("prices") or {}).get("unit") or job.get("currency") or "")


def job_tolerance(summary: Summary) -> float | None:
    """The tolerance that the job itself asks for."""
    wanted = (summary.get("job") or {}).get("tolerance")
    return float(wanted) if is_number(wanted) and wanted > 0 else None


def strategy_name(summary: Summary, wanted: Any) -> Both:
    """What a strategy is called: its model and how it refines, or the name it came with."""
    for strategy in summary.get("strategies") or []:
        if strategy.get("id") == wanted and strategy.get("model"):
            refined = refine_name(str(strategy.get("refine") or "plain"))
            models = [str(one.get("model")) for one in summary["strategies"]]
            name = both(model_name(str(strategy["model"]), models))
            return join([name, *([refined] if refined.en else [])], ", ", "，")
    return both(wanted) if wanted else say("nobody")


def model_name(name: str, others: Sequence[str] = ()) -> str:
    """A model's name for people: one behind a server without its whole address, unless others would read the same.

    >>> model_name("openai:qwen@http://127.0.0.1:8000/v1#rpm=60"), model_name("vae")
    ('qwen at 127.0.0.1:8000', 'vae')
    """
    alike = {other for other in others if other != name and _short(other) == _short(name)}
    return name if alike else _short(name)


def _short(name: str) -> str:
    found = re.fullmatch(r"openai:(.+?)@https?://([^/?#]+).*", name)
    return f"{found[1]} at {found[2]}" if found else name


def families(summary: Summary) -> list[str]:
    """The families of techniques in the order they appear; the place gives colour and marker."""
    return list(dict.fromkeys(family_of(s) for s in summary.get("strategies") or []))


def family_of(strategy: Mapping[str, Any]) -> str:
    """The family of a strategy, or its model where none is named."""
    return str(strategy.get("family") or strategy.get("model") or "?")


def style(names: Sequence[str], family: str) -> tuple[int, str]:
    """The colour number and the marker of a family."""
    place = names.index(family) if family in names else 0
    shapes = list(svg.MARKERS)
    return place % len(shapes), shapes[place % len(shapes)]


def best_points(summary: Summary) -> list[dict[str, Any]]:
    """The cheapest way at each tolerance, the most tolerant first."""
    usable = [b for b in summary.get("best") or [] if is_number(b.get("tolerance")) and b["tolerance"] > 0]
    return sorted(usable, key=lambda b: -float(b["tolerance"]))


def zone_runs(summary: Summary) -> list[tuple[str, list[dict[str, Any]]]]:
    """The neighbouring tolerances that share a zone, from left to right."""
    return [(zone, list(run)) for zone, run in groupby(best_points(summary), key=zone_of)]


def zone_of(best: Mapping[str, Any]) -> str:
    """The zone of a tolerance; where none is named, what is released tells."""
    if best.get("zone") in ZONES:
        return str(best["zone"])
    coverage = best.get("coverage") or 0
    return "none" if coverage <= 0 else "auto" if coverage >= 0.995 else "part"


def wins(summary: Summary) -> list[tuple[Mapping[str, Any], list[dict[str, Any]]]]:
    """The stretches of tolerances over which one strategy is the cheapest that proves something."""
    by_id = {s.get("id"): s for s in summary.get("strategies") or []}
    proven = [b if zone_of(b) != "none" and is_number(b.get("cost")) else {} for b in best_points(summary)]
    runs = [(wanted, list(run)) for wanted, run in groupby(proven, key=lambda b: b.get("strategy"))]
    return [(by_id[wanted], run) for wanted, run in runs if wanted is not None and wanted in by_id]


def people_cost(summary: Summary) -> float | None:
    """What an item costs where nothing may be released, or None if that never happens."""
    points = [p for s in summary.get("strategies") or [] for p in s.get("points") or []]
    costs = [p["cost"] for p in points if p.get("scope") == "nothing" and is_number(p.get("cost"))]
    return float(min(costs)) if costs else None


# Drawing it


@dataclass(frozen=True)
class Scene:
    """A summary with the axes it is drawn on."""

    summary: Summary
    frame: Frame
    x: Axis
    y: Axis

    @property
    def narrow(self) -> bool:
        """Whether this is the picture for a phone."""
        return self.frame is NARROW

    def at(self, point: Mapping[str, Any]) -> Point:
        """Where a tolerance and its cost stand."""
        floor = min(self.y.low, self.y.high)
        cost = max(float(point["cost"]), floor) if self.y.log else float(point["cost"])
        return self.x.at(float(point["tolerance"])), self.y.at(cost)


def tolerance_map(summary: Summary, narrow: bool = False) -> Markup | None:
    """The tolerance map as SVG, or None without strategies to show."""
    scene = _scene(summary, NARROW if narrow else WIDE)
    if scene is None:
        return None
    names = families(summary)
    winners = {b.get("strategy") for b in best_points(summary) if zone_of(b) != "none"}
    strategies = sorted(summary["strategies"], key=lambda s: s.get("id") in winners)
    return svg.picture(
        scene.frame.width,
        scene.frame.height,
        say("map.alt"),
        _zones(scene),
        _axes(scene),
        _people(scene),
        _halo(scene),
        *(_strategy(scene, s, style(names, family_of(s))[0], s.get("id") in winners) for s in strategies),
        _wins(scene, names),
        _job_line(scene),
        _cheapest(scene, names),
        class_="map narrow" if narrow else "map wide",
        role="group",
    )


def _scene(summary: Summary, frame: Frame) -> Scene | None:
    points = [p for s in summary.get("strategies") or [] for p in usable_points(s)]
    if not points or not best_points(summary):
        return None
    left, top, right, bottom = frame.plot
    pad = 16 if frame is NARROW else 34
    tolerances = [float(p["tolerance"]) for p in points]
    x = Axis(max(tolerances), min(tolerances), left + pad, right - pad, log=True)
    return Scene(summary, frame, x, cost_axis([float(p["cost"]) for p in points], bottom - 14, top + 52))


def usable_points(strategy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The points of a strategy that can be drawn, the most tolerant first."""
    points = [
        p for p in strategy.get("points") or [] if is_number(p.get("tolerance")) and is_number(p.get("cost"))
    ]
    return sorted((p for p in points if p["tolerance"] > 0), key=lambda p: -float(p["tolerance"]))


def cost_axis(costs: Sequence[float], start: float, end: float) -> Axis:
    """An axis for costs: logarithmic where the dearest is more than ten times the cheapest.

    >>> cost_axis([0.01, 0.5], 100, 0).log, cost_axis([0.2, 0.5], 100, 0).log
    (True, False)
    """
    positive = [cost for cost in costs if cost > 0]
    if positive and max(positive) > 10 * min(positive):
        return Axis(min(positive) / 1.15, max(positive) * 1.1, start, end, log=True)
    return Axis(0, max(costs, default=1) * 1.1 or 1, start, end)


def _zones(scene: Scene) -> Markup:
    """The three zones as tinted bands with their names."""
    left, top, right, bottom = scene.frame.plot
    runs = zone_runs(scene.summary)
    edges = [left, *(_border(scene, a, b) for (_, a), (_, b) in pairwise(runs)), right]
    marks = []
    for (zone, _), start, end in zip(runs, edges, edges[1:], strict=False):
        marks.append(svg.rectangle((start, top, end, bottom), class_=f"zone zone-{zone}"))
        marks.append(_zone_name(zone, (start, top, end, bottom), scene.narrow))
    return svg.group(*marks, class_="zones")


def _border(scene: Scene, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> float:
    """Just behind the last tolerance at which the zone holds: what lies between two is as the stricter one."""
    last, following = (scene.x.at(float(run["tolerance"])) for run in (before[-1], after[0]))
    return min(last + (10 if scene.narrow else 20), (last + following) / 2)


def _zone_name(zone: str, box: Box, narrow: bool) -> Markup:
    """The zone's name at the top of its band, the short one or none where the band is too narrow."""
    left, top, right, _ = box
    size, room = (12 if narrow else 13.5), right - left - 8  # a size more, for bold type
    for key in (f"zone.{zone}", f"zone.{zone}.short"):
        lines = [svg.wrap(said, room, size) for said in say(key)]
        widest = max(svg.text_width(each, size) for said in lines for each in said)
        if widest <= room and max(map(len, lines)) <= 2:
            return _zone_lines(lines[0], lines[1], (left + right) / 2, top + 17, zone)
    return Markup("")


def _zone_lines(en: list[str], zh: list[str], x: float, y: float, zone: str) -> Markup:
    return Markup("").join(
        svg.text(
            x, y + 15 * k, said, class_=f"zone-name zone-name-{zone} {lang}", text_anchor="middle", lang=code
        )
        for lang, code, lines in (("en", "en", en), ("zh", "zh-Hans", zh))
        for k, said in enumerate(lines)
    )


def _axes(scene: Scene) -> Markup:
    left, top, right, bottom = scene.frame.plot
    tolerances = sorted({float(b["tolerance"]) for b in best_points(scene.summary)})
    if len(tolerances) > 14:
        tolerances = scene.x.ticks(8)
    name = unit(scene.summary)
    title = say("map.y", unit=unit_name(name)) if name else say("map.y.bare")
    return svg.group(
        svg.axis_x(scene.x, top, bottom, [(t, percent(t)) for t in tolerances]),
        svg.axis_y(
            scene.y, left, right, [(c, digits(c, 2)) for c in scene.y.ticks(5 if scene.narrow else 7)]
        ),
        svg.text(left - 36 if scene.narrow else left - 8, 22, title, class_="axis-title"),
        svg.text(left, bottom + 44, say("map.x.short" if scene.narrow else "map.x"), class_="axis-title"),
        svg.text(right, bottom + 44, say("map.stricter"), class_="axis-title strong", text_anchor="end"),
    )


def _people(scene: Scene) -> Markup:
    """The line at which people do everything, for comparison."""
    cost = people_cost(scene.summary)
    if cost is None or (cost <= 0 and scene.y.log):
        return Markup("")
    left, _, right, _ = scene.frame.plot
    y = scene.y.at(cost)
    return svg.group(
        svg.line(left, y, right, y, class_="people"),
        svg.text(left + 8, y - 7, say("map.people"), class_="note"),
    )


def _halo(scene: Scene) -> Markup:
    """A broad soft stroke through the cheapest points, so that the eye finds the way."""
    proven = [b for b in best_points(scene.summary) if zone_of(b) != "none" and is_number(b.get("cost"))]
    return svg.path([[scene.at(b) for b in proven]], class_="halo")


def _strategy(scene: Scene, strategy: Mapping[str, Any], colour: int, wins: bool) -> Markup:
    """The line of one strategy: solid where it releases a part, dotted where nothing is proven."""
    points = usable_points(strategy)
    steps = list(pairwise(points))
    solid = [
        [scene.at(a), scene.at(b)] for a, b in steps if "nothing" not in (a.get("scope"), b.get("scope"))
    ]
    dotted = [[scene.at(a), scene.at(b)] for a, b in steps if "nothing" in (a.get("scope"), b.get("scope"))]
    told = describe(scene.summary, strategy)
    title = svg.tag("title", told.en, data_en=told.en, data_zh=told.zh)
    marks = (
        svg.path([[scene.at(p) for p in points]], class_="hit"),
        svg.path(_joined(solid), class_="stroke"),
        svg.path(_joined(dotted), class_="stroke dotted"),
    )
    kind = f"line f{colour}" + (" wins" if wins else "")
    return svg.group(title, *marks, class_=kind, tabindex=-1, role="img", aria_label=told.en)


def _wins(scene: Scene, names: Sequence[str]) -> Markup:
    """The stretches over which one strategy stays the cheapest, drawn strongly."""
    return svg.group(
        *(
            svg.path([[scene.at(b) for b in run]], class_=f"won f{style(names, family_of(strategy))[0]}")
            for strategy, run in wins(scene.summary)
        )
    )


def _joined(steps: list[list[Point]]) -> list[list[Point]]:
    """Strokes that follow each other as one, so that dots run on evenly."""
    strokes: list[list[Point]] = []
    for start, end in steps:
        if strokes and strokes[-1][-1] == start:
            strokes[-1].append(end)
        else:
            strokes.append([start, end])
    return strokes


def describe(summary: Summary, strategy: Mapping[str, Any]) -> Both:
    """A strategy in one sentence: what it costs and releases at the job's tolerance and at its strictest."""
    points = usable_points(strategy)
    wanted = job_tolerance(summary)
    told = [p for p in points if p["tolerance"] == wanted]
    strictest = [p for p in points if p.get("scope") != "nothing"][-1:]
    shown = [_describe_point(p, unit(summary)) for p in {id(p): p for p in told + strictest}.values()]
    return say("map.line", name=strategy_name(summary, strategy.get("id")), points=join(shown))


def _describe_point(point: Mapping[str, Any], name: str) -> Both:
    tolerance = percent(point["tolerance"])
    if point.get("scope") == "nothing":
        return say("map.line.nothing", tolerance=tolerance)
    cost, coverage = money(point["cost"], name), percent(point.get("coverage"))
    return say("map.line.point", tolerance=tolerance, cost=cost, coverage=coverage)


def _job_line(scene: Scene) -> Markup:
    """Where this job's own tolerance stands."""
    wanted = job_tolerance(scene.summary)
    low, high = sorted((scene.x.low, scene.x.high))
    if wanted is None or not low <= wanted <= high:
        return Markup("")
    _, top, _, bottom = scene.frame.plot
    x = scene.x.at(wanted)
    words = say("map.job", tolerance=percent(wanted))
    flip = x + svg.text_width(words, 12) + 12 > scene.frame.plot[2]
    return svg.group(
        svg.line(x, top + 52, x, bottom, class_="job"),
        svg.text(
            x - 6 if flip else x + 6, bottom - 8, words, class_="note", text_anchor="end" if flip else None
        ),
    )


def _cheapest(scene: Scene, names: Sequence[str]) -> Markup:
    """The cheapest point at each tolerance, and the name of the strategy beside each stretch it wins."""
    points = [b for b in best_points(scene.summary) if is_number(b.get("cost"))]
    by_id = {s.get("id"): s for s in scene.summary["strategies"]}
    marks = [_best_mark(scene, b, by_id.get(b.get("strategy")), names) for b in points]
    return svg.group(*marks, *_labels(scene, points, names), class_="best")


def _best_mark(scene: Scene, best: Mapping[str, Any], strategy: Any, names: Sequence[str]) -> Markup:
    x, y = scene.at(best)
    if zone_of(best) == "none" or strategy is None:
        return svg.marker("circle", x, y, 4.5, class_="mark hollow")
    colour, shape = style(names, family_of(strategy))
    return svg.marker(shape, x, y, 5.5 if scene.narrow else 6.5, class_=f"mark f{colour}")


def _labels(scene: Scene, points: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Markup]:
    """A name beside each stretch, kept off the lines, the marks and each other; on a phone its number."""
    stretches = wins(scene.summary)
    said = [strategy_name(scene.summary, strategy.get("id")) for strategy, _ in stretches]
    if scene.narrow:
        said = [both(k + 1) for k in range(len(stretches))]
    widths = [svg.text_width(name, 13) + 6 for name in said]
    anchors = [scene.at(run[(len(run) - 1) // 2]) for _, run in stretches]
    boxes = svg.place(anchors, widths, _obstacles(scene, points), _label_room(scene))
    colours = [style(names, family_of(strategy))[0] for strategy, _ in stretches]
    return [
        _label(name, box, anchor, colour)
        for name, box, anchor, colour in zip(said, boxes, anchors, colours, strict=True)
    ]


def _label_room(scene: Scene) -> Box:
    left, top, right, bottom = scene.frame.plot
    return (left + 4, top + 52, right - 4, bottom - 4)


def _obstacles(scene: Scene, points: Sequence[Mapping[str, Any]]) -> list[Box]:
    """What a label must not hide: the cheapest points, the way between them, the other notes."""
    left, top, _, bottom = scene.frame.plot
    marks = [scene.at(b) for b in points]
    boxes = [(x - 9, y - 9, x + 9, y + 9) for x, y in marks] + svg.along(marks)
    winners = {b.get("strategy") for b in points if zone_of(b) != "none"}
    for strategy in scene.summary["strategies"]:
        if strategy.get("id") in winners:
            boxes += svg.along([scene.at(p) for p in usable_points(strategy)], half=1.5)
    wanted = job_tolerance(scene.summary)
    if wanted:
        x = scene.x.at(wanted)
        boxes += [(x - 3, top, x + 3, bottom), (x - 4, bottom - 24, x + 90, bottom)]
    cost = people_cost(scene.summary)
    if cost:
        y = scene.y.at(cost)
        boxes.append((left, y - 22, left + 110, y + 2))
    return boxes


def _label(name: Both, box: Box, anchor: Point, colour: int) -> Markup:
    left, top, right, bottom = box
    near = min(max(anchor[0], left), right), min(max(anchor[1], top), bottom)
    far = math.dist(near, anchor) > 16
    leader = svg.line(*near, *anchor, class_="leader") if far else Markup("")
    return svg.group(
        leader,
        svg.text((left + right) / 2, bottom - 4, name, class_="label", text_anchor="middle"),
        class_=f"f{colour}",
    )
