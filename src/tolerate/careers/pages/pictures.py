"""The pictures of a plan as SVG: tasks on the tolerance line, the map of occupations, the path's hours."""

from collections.abc import Sequence

from markupsafe import Markup

from tolerate.careers.data.atlas import Figure, Occupation
from tolerate.careers.planning.plan import Plan, Row
from tolerate.messages.both import Both
from tolerate.messages.careers import say
from tolerate.messages.numbers import rough_percent
from tolerate.report import svg
from tolerate.report.svg import Axis, Box

LOWEST = 1e-4  # the strict end of the line; stricter ones stand at its edge
TICKS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
BANDS = (("auto", 0.5, 0.1), ("part", 0.1, 0.01), ("none", 0.01, LOWEST))


def tasks_line(plan: Plan, narrow: bool = False) -> Markup:
    """Each task on a line from tolerant to strict: required ETRs, their interval, and the error measured."""
    rows = sorted(plan.rows, key=lambda row: (-row.choice.release.value, -row.choice.release.low))
    width, left, step = (380.0, 14.0, 46.0) if narrow else (960.0, 330.0, 30.0)
    top = 40.0
    bottom = top + step * len(rows) + 8
    axis = Axis(0.5, LOWEST, left + 12, width - 14, log=True)
    ticks = TICKS if not narrow else TICKS[::3]
    return svg.picture(
        width,
        bottom + 50,
        say("picture.tasks"),
        svg.group(*(_band(axis, name, a, b, top - 12, bottom) for name, a, b in BANDS)),
        svg.axis_x(axis, top - 12, bottom, [(tick, rough_percent(tick)) for tick in ticks]),
        svg.group(*(_task(axis, row, top + step * (k + 0.5), narrow, left) for k, row in enumerate(rows))),
        svg.text(left + 12, bottom + 40, say("axis.short" if narrow else "axis"), class_="axis-title"),
        svg.text(width - 14, bottom + 40, say("stricter"), class_="axis-title strong", text_anchor="end"),
        class_="tasks narrow" if narrow else "tasks wide",
    )


def _band(axis: Axis, name: str, high: float, low: float, top: float, bottom: float) -> Markup:
    return svg.rectangle(
        (
            axis.pixel(high) - (12 if high == 0.5 else 0),
            top,
            axis.pixel(low) + (14 if low == LOWEST else 0),
            bottom,
        ),
        class_=f"zone zone-{name}",
    )


def _at(axis: Axis, value: float) -> float:
    return axis.pixel(min(0.5, max(LOWEST, value)))


def _task(axis: Axis, row: Row, y: float, narrow: bool, left: float) -> Markup:
    """One line of the picture."""
    choice = row.choice
    y_mark = y + 10 if narrow else y
    told = Both(
        *(
            f"{name}: {rough_percent(choice.release.value)}, {chosen}"
            for name, chosen in zip(row.name, say(choice.choice), strict=True)
        )
    )
    marks = [
        svg.tag("title", told.en, data_en=told.en, data_zh=told.zh),
        *_label(row.name, y, narrow, left),
        svg.line(
            _at(axis, choice.release.high), y_mark, _at(axis, choice.release.low), y_mark, class_="span"
        ),
        svg.tag("circle", cx=_at(axis, choice.review.value), cy=float(y_mark), r=6.5, class_="ring"),
        svg.marker("circle", _at(axis, choice.release.value), y_mark, 5, class_="mark"),
    ]
    if choice.error is not None and row.evidence is not None and row.evidence.n:
        marks.append(_measured(axis, choice.error, y_mark))
    return svg.group(*marks, class_=f"task-row c-{choice.choice}", role="img", aria_label=told.en)


def _label(name: Both, y: float, narrow: bool, left: float) -> list[Markup]:
    """The task's words, cut to what fits: beside the line, or above it on a phone."""
    room = 340.0 if narrow else left - 26
    cut = Both(*(_cut(said, room) for said in name))
    return [svg.text(left if narrow else 0.0, y - 6 if narrow else y + 4, cut, class_="task-name")]


def _cut(text: str, room: float, size: float = 12.5) -> str:
    """A text cut to the room there is, an ellipsis at its end."""
    if svg.text_width(text, size) <= room:
        return text
    room -= svg.text_width("…", size)
    kept = ""
    for sign in text:
        room -= svg.text_width(sign, size)
        if room < 0:
            break
        kept += sign
    return kept.rstrip(" ,;，；、") + "…"


def _measured(axis: Axis, error: Figure, y: float) -> Markup:
    x = _at(axis, error.value)
    cross = [[(x - 4, y - 4), (x + 4, y + 4)], [(x - 4, y + 4), (x + 4, y - 4)]]
    return svg.group(
        svg.line(_at(axis, error.high), y, _at(axis, error.low), y, class_="seen"),
        svg.path(cross, class_="cross"),
    )


# The map of occupations


def occupations_map(plan: Plan, narrow: bool = False) -> Markup:
    """Every occupation by consequence of error and exactness; this one and the moves with their names."""
    width, height = (380.0, 400.0) if narrow else (960.0, 480.0)
    left, top, right, bottom = 34.0, 30.0, width - 10, height - 52
    known = [
        each
        for each in plan.atlas.occupations.values()
        if each.severity is not None and each.exactness is not None
    ]
    lowest = min([4.0, *(each.exactness.value for each in known if each.exactness)])
    x, y = Axis(1, 5, left + 12, right - 12), Axis(lowest - 0.1, 5.05, bottom - 8, top + 8)
    moves = [move.occupation for move in (plan.moves.found if plan.moves else ())]
    named = [plan.occupation, *moves[: 5 if narrow else 9]]
    inside = {each.code for each in named}
    told = len(known) <= 200  # more names than that would make the page heavy
    dots = svg.group(*(_dot(each, x, y, told) for each in known if each.code not in inside), class_="dots")
    return svg.picture(
        width,
        height,
        say("map.alt"),
        svg.axis_x(x, top, bottom, [(v, f"{v:g}") for v in (1, 2, 3, 4, 5)]),
        svg.axis_y(y, left, right, [(v, f"{v:g}") for v in y.ticks(5)]),
        dots,
        *_named(
            [each for each in named if each.severity and each.exactness],
            plan.occupation,
            x,
            y,
            (left, top, right, bottom),
        ),
        svg.text(left, 16, say("map.y"), class_="axis-title"),
        svg.text(right, bottom + 42, say("map.x"), class_="axis-title", text_anchor="end"),
        class_="occupations narrow" if narrow else "occupations wide",
    )


def _spot(each: Occupation, x: Axis, y: Axis) -> svg.Point:
    assert each.severity is not None and each.exactness is not None
    return x.pixel(each.severity.value), y.pixel(each.exactness.value)


def _dot(each: Occupation, x: Axis, y: Axis, told: bool) -> Markup:
    px, py = _spot(each, x, y)
    guessed = each.severity is not None and each.severity.estimated
    title = [svg.tag("title", each.title, data_en=each.name.en, data_zh=each.name.zh)] if told else []
    return svg.tag("circle", *title, cx=px, cy=py, r=3, class_="dot guessed" if guessed else "dot")


def _named(shown: Sequence[Occupation], own: Occupation, x: Axis, y: Axis, within: Box) -> list[Markup]:
    """Larger points with their names, which keep out of each other's way."""
    spots = [_spot(each, x, y) for each in shown]
    names = [Both(*(_cut(said, 210) for said in each.name)) for each in shown]
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in spots]
    boxes = svg.place_labels(spots, [svg.text_width(name, 12.5) + 4 for name in names], taken, within)
    marks = []
    for each, (px, py), name, box in zip(shown, spots, names, boxes, strict=True):
        kind = "own" if each.code == own.code else "move"
        shape = "diamond" if kind == "own" else "circle"
        marks.append(
            svg.group(
                svg.marker(shape, px, py, 7 if kind == "own" else 5, class_="mark"),
                svg.text((box[0] + box[2]) / 2, box[3] - 4, name, class_="label", text_anchor="middle"),
                class_=f"named {kind}",
            )
        )
    return marks


# The path


def path_steps(plan: Plan) -> Markup | None:
    """Hours of learning across, the share of the work unlocked upwards, as a staircase."""
    learned = plan.path
    if learned is None or not learned.steps or not any(step.value for step in learned.steps):
        return None
    width, height, left, top = 960.0, 210.0, 44.0, 26.0
    right, bottom = width - 16, height - 46
    total = sum(step.value for step in learned.steps)
    x, y = Axis(0, learned.hours * 1.02, left, right), Axis(0, 1, bottom, top)
    points, done = [(x.pixel(0), y.pixel(0))], 0.0
    for step in learned.steps:
        points.append((x.pixel(step.total), y.pixel(done)))
        if step.value:
            done += step.value / total
            points.append((x.pixel(step.total), y.pixel(done)))
    return svg.picture(
        width,
        height,
        say("picture.path"),
        svg.axis_x(x, top, bottom, [(v, f"{v:g}") for v in x.ticks(8)]),
        svg.axis_y(y, left, right, [(v, f"{v:.0%}") for v in (0, 0.5, 1)]),
        svg.band(points, [(x.pixel(0), y.pixel(0)), (points[-1][0], y.pixel(0))][::1], class_="stairs-fill"),
        svg.path([points], class_="stairs"),
        svg.text(left, 14, say("path.axis.y"), class_="axis-title"),
        svg.text(right, bottom + 38, say("path.axis"), class_="axis-title", text_anchor="end"),
        class_="stairs-picture",
    )


def bar(share: float, kind: str = "") -> Markup:
    """A small bar in a table, as wide as the share."""
    return Markup(
        '<span class="cover" aria-hidden="true"><i class="{}" style="width:{}%"></i></span>'
    ).format(kind, f"{100 * max(0.0, min(1.0, share)):.0f}")
