"""SVG pictures as text: axes, lines, bands, points, and labels that avoid each other.

Every function returns a piece of SVG as markup, with texts and attributes escaped; `picture` joins the pieces for a
page. Lengths are in pixels of the picture's own frame, y grows downwards.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from markupsafe import Markup, escape

from tolerate.messages.both import Both, both

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom


# Axes


@dataclass(frozen=True)
class Axis:
    """A scale from values to pixels: `low` at pixel `start`, `high` at pixel `end`, linear or logarithmic.

    >>> Axis(0.2, 0.001, 0, 100, log=True).pixel(0.2)
    0.0
    >>> round(Axis(0.1, 0.001, 0, 100, log=True).pixel(0.01), 6)
    50.0
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def pixel(self, value: float) -> float:
        """The pixel of a value; on a log axis the value must be positive."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(value) - low) / (high - low) if high != low else 0.5
        return self.start + share * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self, about: int = 5) -> list[float]:
        """About so many round values within the axis, smallest first."""
        low, high = sorted((self.low, self.high))
        return log_ticks(low, high, about) if self.log else linear_ticks(low, high, about)


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from low to high, in steps of 1, 2 or 5 times a power of ten.

    >>> linear_ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not high > low:
        return [low]
    ideal_step = (high - low) / about
    power = 10.0 ** math.floor(math.log10(ideal_step))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= ideal_step * 0.9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def log_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Values 1, 2, 5 to the decade from low to high; on a long axis only the decades, or every nth of them.

    >>> log_ticks(0.001, 0.2, about=8)
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
    >>> log_ticks(0.001, 1000, about=4)
    [0.001, 0.1, 10.0, 1000.0]
    """
    decades = range(math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = _within([m * 10.0**k for k in decades for m in steps], low, high)
        if len(ticks) <= about + 1:
            return ticks
    stride = math.ceil(len(decades) / about)
    return _within([10.0**k for k in decades[::stride]], low, high)


def _within(values: Iterable[float], low: float, high: float) -> list[float]:
    return [float(f"{v:.12g}") for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]


# Marks


def tag(name: str, *inner: Markup | str, **attributes: object) -> Markup:
    """An SVG element. In an attribute's name a trailing underscore is dropped and an inner one becomes a hyphen.

    >>> tag("path", d="M0 0", class_="line", stroke_width=2)
    Markup('<path d="M0 0" class="line" stroke-width="2"></path>')
    """
    pairs = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    return Markup(f"<{name}{''.join(pairs)}>{Markup('').join(inner)}</{name}>")


def _short(value: object) -> str:
    """A value as text, floats to a tenth of a pixel, which halves the size of a page."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def group(*inner: Markup, **attributes: object) -> Markup:
    """Several marks as one group."""
    return tag("g", *inner, **attributes)


def path(points: Iterable[Sequence[Point]], **attributes: object) -> Markup:
    """Open strokes, each through its own points; a stroke of fewer than two points is left out."""
    strokes = [_stroke(points) for points in points if len(points) > 1]
    return tag("path", d="".join(strokes), fill="none", **attributes) if strokes else Markup("")


def _stroke(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_short(float(x))} {_short(float(y))}" for x, y in points)


def area(points: Sequence[Point], **attributes: object) -> Markup:
    """A closed, filled shape."""
    return tag("path", d=_stroke(points) + "Z", **attributes)


def band(upper: Sequence[Point], lower: Sequence[Point], **attributes: object) -> Markup:
    """The area between two lines."""
    return area([*upper, *reversed(lower)], **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Markup:
    """A straight line."""
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def rectangle(box: Box, **attributes: object) -> Markup:
    """A rectangle from its corners."""
    left, top, right, bottom = map(float, box)
    return tag(
        "rect", x=left, y=top, width=max(0.0, right - left), height=max(0.0, bottom - top), **attributes
    )


# Corners of each marker on a circle of radius 1, as turns of 360 degrees from the top. The families of a
# picture get one each, so that colour is never the only difference.
MARKERS: dict[str, tuple[float, ...]] = {
    "circle": (),
    "square": (1 / 8, 3 / 8, 5 / 8, 7 / 8),
    "triangle": (0, 1 / 3, 2 / 3),
    "diamond": (0, 1 / 4, 1 / 2, 3 / 4),
    "down": (1 / 2, 5 / 6, 1 / 6),
    "pentagon": (0, 1 / 5, 2 / 5, 3 / 5, 4 / 5),
}


def marker(shape: str, x: float, y: float, radius: float = 5, **attributes: object) -> Markup:
    """A point as a visible shape; all shapes cover about the same area."""
    corners = MARKERS[shape]
    if not corners:
        return tag("circle", cx=float(x), cy=float(y), r=float(radius), **attributes)
    corner_radius = radius * {3: 1.35, 4: 1.2}.get(len(corners), 1.1)
    return area([_corner(x, y, corner_radius, turn) for turn in corners], **attributes)


def _corner(x: float, y: float, radius: float, turn: float) -> Point:
    angle = 2 * math.pi * turn
    return x + radius * math.sin(angle), y - radius * math.cos(angle)


# Words


def text(x: float, y: float, words: Both | str, **attributes: object) -> Markup:
    """A line of text; one in two languages is written twice, and the page shows one of them."""
    words = both(words)
    if words.en == words.zh:
        return tag("text", escape(words.en), x=float(x), y=float(y), **attributes)
    prefix = f"{attributes.pop('class_', '')} "
    return Markup("").join(
        tag(
            "text",
            escape(line),
            x=float(x),
            y=float(y),
            class_=(prefix + name).strip(),
            lang=lang,
            **attributes,
        )
        for line, name, lang in ((words.en, "en", "en"), (words.zh, "zh", "zh-Hans"))
    )


def text_width(words: Both | str, size: float = 12) -> float:
    """The approximate width of a text, the wider of both languages; a Chinese character is as wide as it is high.

    >>> text_width("abc", 10) < text_width("容错率", 10)
    True
    """
    return max(sum(map(_character_width, line)) for line in both(words)) * size


def _character_width(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return 0.3 if character in "iljtf.,:;|!' " else 0.62 if not character.isupper() else 0.7


def wrap(words: str, width: float, size: float = 12) -> list[str]:
    """A text in lines no wider than `width`, broken at spaces, or anywhere between Chinese characters.

    >>> wrap("released in part", 60, 12)
    ['released', 'in part']
    """
    lines = [""]
    for piece in _pieces(words):
        if lines[-1] and text_width((lines[-1] + piece).rstrip(), size) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines]


def _pieces(words: str) -> list[str]:
    pieces = [""]
    for character in words:
        is_wide = unicodedata.east_asian_width(character) in "WF"
        if (is_wide and character not in "，。；：、）") or pieces[-1].endswith(" "):
            pieces.append("")
        pieces[-1] += character
    return [piece for piece in pieces if piece]


# Labels that avoid each other


def place_labels(
    anchors: Sequence[Point], widths: Sequence[float], obstacles: Sequence[Box], frame: Box
) -> list[Box]:
    """A box for each label near its anchor: the nearest position that hides nothing, or the least bad one.

    anchors: the points to be labelled; widths: of the labels; obstacles: what must stay visible.

    >>> first, second = place_labels([(50, 50), (52, 50)], [40, 40], [], (0, 0, 200, 100))
    >>> overlap(first, second)
    0
    """
    placed: list[Box] = []
    for anchor, width in zip(anchors, widths, strict=True):
        candidates = _label_boxes(anchor, width)
        room = _enclosing(candidates)
        nearby = [box for box in (*obstacles, *placed) if overlap(box, room)]
        placed.append(min(candidates, key=partial(_penalty, anchor=anchor, obstacles=nearby, frame=frame)))
    return placed


def _label_boxes(anchor: Point, width: float, height: float = 16) -> list[Box]:
    x, y = anchor
    lefts = (x - width / 2, x + 6, x - width - 6)
    tops = [y - height / 2 + side * (height / 2 + 9 + 12 * k) for k in range(9) for side in (-1, 1)]
    return [(left, top, left + width, top + height) for top in tops for left in lefts]


def _enclosing(boxes: Sequence[Box]) -> Box:
    """The smallest box around all boxes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _penalty(box: Box, anchor: Point, obstacles: Sequence[Box], frame: Box) -> float:
    hidden = sum(overlap(box, obstacle) for obstacle in obstacles)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - overlap(box, frame)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return 10 * hidden + 100 * outside + math.dist(anchor, middle)


def overlap(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    if a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]:
        return 0
    return (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))


def boxes_along(points: Sequence[Point], step: float = 16, half: float = 3) -> list[Box]:
    """Small boxes along a line, as obstacles for labels."""
    boxes = []
    for (x1, y1), (x2, y2) in pairwise(points):
        count = max(1, int(math.dist((x1, y1), (x2, y2)) / step))
        steps = [(x1 + (x2 - x1) * k / count, y1 + (y2 - y1) * k / count) for k in range(count + 1)]
        boxes += [(x - half, y - half, x + half, y + half) for x, y in steps]
    return boxes


# Pictures and axes


def picture(
    width: float, height: float, title: Both, *inner: Markup, class_: str = "", role: str = "img"
) -> Markup:
    """A picture that scales with the page; screen readers say its title."""
    return tag(
        "svg",
        *inner,
        viewBox=f"0 0 {width:g} {height:g}",
        class_=f"picture {class_}".strip(),
        role=role,
        aria_label=title.en,
        data_en=title.en,
        data_zh=title.zh,
    )


def axis_x(axis: Axis, top: float, bottom: float, ticks: Sequence[tuple[float, str]]) -> Markup:
    """Grid lines and numbers of a horizontal axis; numbers that would touch are left out."""
    marks, last_end = [], -math.inf
    for value, name in sorted(ticks, key=lambda tick: axis.pixel(tick[0])):
        x = axis.pixel(value)
        marks.append(line(x, top, x, bottom, class_="grid"))
        if x - text_width(name, 12) / 2 > last_end + 4:
            marks.append(text(x, bottom + 18, name, class_="tick", text_anchor="middle"))
            last_end = x + text_width(name, 12) / 2
    return group(*marks, class_="axis")


def axis_y(axis: Axis, left: float, right: float, ticks: Sequence[tuple[float, str]]) -> Markup:
    """Grid lines and numbers of a vertical axis."""
    return group(
        *(line(left, axis.pixel(value), right, axis.pixel(value), class_="grid") for value, _ in ticks),
        *(text(left - 8, axis.pixel(v) + 4, name, class_="tick", text_anchor="end") for v, name in ticks),
        class_="axis",
    )
