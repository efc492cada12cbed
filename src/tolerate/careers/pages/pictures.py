"""The pictures of a plan as SVG: tasks on the tolerance line, the map of occupations, the hours of the path."""

from collections.abc import Sequence

from markupsafe import Markup

from tolerate.careers.data.atlas import Figure, Occupation
from tolerate.careers.planning.plan import CareerPlan, PlannedTask
from tolerate.messages.both import Both
from tolerate.messages.careers import say
from tolerate.messages.numbers import percent, rough_percent
from tolerate.report import svg
from tolerate.report.svg import Axis, Box

MIN_TOLERANCE = 1e-4  # the strict end of the line; stricter tasks are drawn there
MAX_TOLERANCE = 0.5
NARROW_MOVES, WIDE_MOVES = 5, 9  # that are named on the map
MAX_TITLED_OCCUPATIONS = 200  # with more, a title on each point would make the page large
TICKS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
BANDS = (("auto", MAX_TOLERANCE, 0.1), ("part", 0.1, 0.01), ("none", 0.01, MIN_TOLERANCE))


def by_tolerance(tasks: Sequence[PlannedTask]) -> list[PlannedTask]:
    """Tasks from tolerant to strict."""
    return sorted(tasks, key=lambda task: (-task.choice.release.value, -task.choice.release.low))


def tasks_line(plan: CareerPlan, narrow: bool = False) -> Markup:
    """Each task on a line from tolerant to strict: the required ETRs with their interval, and the measured error."""
    tasks = by_tolerance(plan.tasks)
    width, left, step = (380.0, 14.0, 46.0) if narrow else (960.0, 330.0, 30.0)
    top = 40.0
    bottom = top + step * len(tasks) + 8
    axis = Axis(MAX_TOLERANCE, MIN_TOLERANCE, left + 12, width - 14, log=True)
    ticks = TICKS if not narrow else TICKS[::3]
    return svg.picture(
        width,
        bottom + 50,
        say("picture.tasks"),
        svg.group(*(_band(axis, name, a, b, top - 12, bottom) for name, a, b in BANDS)),
        svg.axis_x(axis, top - 12, bottom, [(tick, rough_percent(tick)) for tick in ticks]),
        svg.group(*(_task(axis, task, top + step * (k + 0.5), narrow, left) for k, task in enumerate(tasks))),
        svg.text(left + 12, bottom + 40, say("axis.short" if narrow else "axis"), class_="axis-title"),
        svg.text(width - 14, bottom + 40, say("stricter"), class_="axis-title strong", text_anchor="end"),
        class_="tasks narrow" if narrow else "tasks wide",
    )


def _band(axis: Axis, name: str, high: float, low: float, top: float, bottom: float) -> Markup:
    return svg.rectangle(
        (
            axis.pixel(high) - (12 if high == MAX_TOLERANCE else 0),
            top,
            axis.pixel(low) + (14 if low == MIN_TOLERANCE else 0),
            bottom,
        ),
        class_=f"zone zone-{name}",
    )


def _tolerance_pixel(axis: Axis, value: float) -> float:
    return axis.pixel(min(MAX_TOLERANCE, max(MIN_TOLERANCE, value)))


def _task(axis: Axis, task: PlannedTask, y: float, narrow: bool, left: float) -> Markup:
    """The line of one task at this height. narrow: the name stands above the line."""
    choice = task.choice
    low, high = (_tolerance_pixel(axis, edge) for edge in (choice.release.low, choice.release.high))
    y_mark = y + 10 if narrow else y
    title = Both(
        *(
            f"{name}: {rough_percent(choice.release.value)}, {chosen}"
            for name, chosen in zip(task.name, say(choice.choice), strict=True)
        )
    )
    marks = [
        svg.tag("title", title.en, data_en=title.en, data_zh=title.zh),
        *_label(task.name, y, narrow, left),
        svg.line(high, y_mark, low, y_mark, class_="span"),
        svg.tag(
            "circle", cx=_tolerance_pixel(axis, choice.review.value), cy=float(y_mark), r=6.5, class_="ring"
        ),
        svg.marker("circle", _tolerance_pixel(axis, choice.release.value), y_mark, 5, class_="mark"),
    ]
    if choice.error is not None and task.evidence is not None and task.evidence.n:
        marks.append(_measured(axis, choice.error, y_mark))
    return svg.group(*marks, class_=f"task-row c-{choice.choice}", role="img", aria_label=title.en)


def _label(name: Both, y: float, narrow: bool, left: float) -> list[Markup]:
    """The name of a task, cut to fit: beside the line, or above it in a narrow picture."""
    width = 340.0 if narrow else left - 26
    label = Both(*(_cut(text, width) for text in name))
    return [svg.text(left if narrow else 0.0, y - 6 if narrow else y + 4, label, class_="task-name")]


def _cut(text: str, width: float, size: float = 12.5) -> str:
    """A text cut to a width, with an ellipsis at its end."""
    if svg.text_width(text, size) <= width:
        return text
    width -= svg.text_width("…", size)
    shortened = ""
    for character in text:
        width -= svg.text_width(character, size)
        if width < 0:
            break
        shortened += character
    return shortened.rstrip(" ,;，；、") + "…"


def _measured(axis: Axis, error: Figure, y: float) -> Markup:
    x = _tolerance_pixel(axis, error.value)
    cross = [[(x - 4, y - 4), (x + 4, y + 4)], [(x - 4, y + 4), (x + 4, y - 4)]]
    return svg.group(
        svg.line(_tolerance_pixel(axis, error.high), y, _tolerance_pixel(axis, error.low), y, class_="seen"),
        svg.path(cross, class_="cross"),
    )


# The map of occupations


def occupations_map(plan: CareerPlan, narrow: bool = False) -> Markup:
    """All occupations by consequence of error and exactness; this one and the moves with their names."""
    width, height = (380.0, 400.0) if narrow else (960.0, 480.0)
    left, top, right, bottom = 34.0, 30.0, width - 10, height - 52
    placed = [
        occupation
        for occupation in plan.atlas.occupations.values()
        if occupation.severity is not None and occupation.exactness is not None
    ]
    lowest = min([4.0, *(occupation.exactness.value for occupation in placed if occupation.exactness)])
    x, y = Axis(1, 5, left + 12, right - 12), Axis(lowest - 0.1, 5.05, bottom - 8, top + 8)
    moves = [move.occupation for move in (plan.moves.moves if plan.moves else ())]
    named = [plan.occupation, *moves[: NARROW_MOVES if narrow else WIDE_MOVES]]
    named_codes = {occupation.code for occupation in named}
    with_titles = len(placed) <= MAX_TITLED_OCCUPATIONS
    dots = svg.group(
        *(_dot(occupation, x, y, with_titles) for occupation in placed if occupation.code not in named_codes),
        class_="dots",
    )
    return svg.picture(
        width,
        height,
        say("map.alt"),
        svg.axis_x(x, top, bottom, [(v, f"{v:g}") for v in (1, 2, 3, 4, 5)]),
        svg.axis_y(y, left, right, [(v, f"{v:g}") for v in y.ticks(5)]),
        dots,
        *_named_points(
            [occupation for occupation in named if occupation.severity and occupation.exactness],
            plan.occupation,
            x,
            y,
            (left, top, right, bottom),
        ),
        svg.text(left, 16, say("map.y"), class_="axis-title"),
        svg.text(right, bottom + 42, say("map.x"), class_="axis-title", text_anchor="end"),
        class_="occupations narrow" if narrow else "occupations wide",
    )


def _point(occupation: Occupation, x: Axis, y: Axis) -> svg.Point:
    assert occupation.severity is not None and occupation.exactness is not None
    return x.pixel(occupation.severity.value), y.pixel(occupation.exactness.value)


def _dot(occupation: Occupation, x: Axis, y: Axis, with_title: bool) -> Markup:
    px, py = _point(occupation, x, y)
    is_estimated = occupation.severity is not None and occupation.severity.estimated
    title = (
        [svg.tag("title", occupation.title, data_en=occupation.name.en, data_zh=occupation.name.zh)]
        if with_title
        else []
    )
    return svg.tag("circle", *title, cx=px, cy=py, r=3, class_="dot guessed" if is_estimated else "dot")


def _named_points(
    shown: Sequence[Occupation], origin: Occupation, x: Axis, y: Axis, within: Box
) -> list[Markup]:
    """Larger points with their names, which are placed so that they do not overlap."""
    points = [_point(occupation, x, y) for occupation in shown]
    names = [Both(*(_cut(text, 210) for text in occupation.name)) for occupation in shown]
    obstacles = [(px - 6, py - 6, px + 6, py + 6) for px, py in points]
    boxes = svg.place_labels(points, [svg.text_width(name, 12.5) + 4 for name in names], obstacles, within)
    marks = []
    for occupation, (px, py), name, box in zip(shown, points, names, boxes, strict=True):
        kind = "own" if occupation.code == origin.code else "move"
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


def path_steps(plan: CareerPlan) -> Markup | None:
    """The share of the work unlocked by hours of learning, as a staircase; None if nothing is unlocked."""
    path = plan.path
    if path is None or not path.steps or not any(step.value for step in path.steps):
        return None
    width, height, left, top = 960.0, 210.0, 44.0, 26.0
    right, bottom = width - 16, height - 46
    total = sum(step.value for step in path.steps)
    x, y = Axis(0, path.hours * 1.02, left, right), Axis(0, 1, bottom, top)
    corners, reached = [(x.pixel(0), y.pixel(0))], 0.0
    for step in path.steps:
        corners.append((x.pixel(step.total), y.pixel(reached)))
        if step.value:
            reached += step.value / total
            corners.append((x.pixel(step.total), y.pixel(reached)))
    return svg.picture(
        width,
        height,
        say("picture.path"),
        svg.axis_x(x, top, bottom, [(v, f"{v:g}") for v in x.ticks(8)]),
        svg.axis_y(y, left, right, [(share, percent(share)) for share in (0, 0.5, 1)]),
        svg.band(corners, [(x.pixel(0), y.pixel(0)), (corners[-1][0], y.pixel(0))], class_="stairs-fill"),
        svg.path([corners], class_="stairs"),
        svg.text(left, 14, say("path.axis.y"), class_="axis-title"),
        svg.text(right, bottom + 38, say("path.axis"), class_="axis-title", text_anchor="end"),
        class_="stairs-picture",
    )


def bar(share: float, kind: str = "") -> Markup:
    """A small bar in a table, as wide as the share."""
    return Markup(
        '<span class="cover" aria-hidden="true"><i class="{}" style="width:{}%"></i></span>'
    ).format(kind, f"{100 * max(0.0, min(1.0, share)):.0f}")
