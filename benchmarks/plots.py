"""The pictures of the idea pages: `python -m benchmarks.plots` computes their figures and writes docs/ideas/figures.

Audits are exact; the others are simulated with fixed seeds. About a minute of CPU.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from benchmarks.audit import ALLOWED, CONFIDENCE, ITEMS, fixed_sample
from benchmarks.threshold import POPULATIONS, ours, released
from benchmarks.watch import LENGTH, TOLERANCE
from tolerate.messages.both import both
from tolerate.messages.numbers import percent
from tolerate.report import svg
from tolerate.report.svg import Axis
from tolerate.stats.audit.assisted import prediction_powered
from tolerate.stats.audit.optimal_plan import power_plan, robust_plan
from tolerate.stats.audit.stopping_plan import forecast
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.monitor.watch import Watch

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "ideas" / "figures"
FRAME = (70.0, 58.0, 560.0, 318.0)  # left, top, right, bottom of the plot
WIDTH, HEIGHT = 740, 374
COLOURS = ("#1f6f8b", "#c2571a", "#6a4c93", "#3d7a3a")
STYLE = """
svg { background: #ffffff; font-family: system-ui, "Noto Sans CJK SC", sans-serif; }
text { font-size: 12px; fill: #45515d; } .title { font-size: 14px; font-weight: 600; fill: #1d2733; }
.grid { stroke: #e3e8ed; stroke-width: 1; } .promise { stroke: #b3402e; stroke-dasharray: 5 4; fill: none; }
"""

Curve = Sequence[tuple[float, float]]


def draw(
    name: str,
    title: str,
    across: str,
    up: str,
    x: Axis,
    y: Axis,
    curves: Mapping[str, Curve],
    **extra_marks: object,
) -> None:
    """Write one plot with named curves and, if `promised` is passed, a dashed line."""
    left, top, right, bottom = FRAME
    places = [a for a, _ in max(curves.values(), key=len)]
    share_x, share_y = bool(extra_marks.get("share_x")), bool(extra_marks.get("share_y"))
    marks = [
        svg.text(left, 22, title, class_="title"),
        svg.axis_x(x, top, bottom, [(v, f"{100 * v:g}%" if share_x else f"{v:,.0f}") for v in places]),
        svg.axis_y(y, left, right, [(v, percent(v) if share_y else f"{v:,.0f}") for v in y.ticks(6)]),
        svg.text(right, bottom + 40, across, text_anchor="end"),
        svg.text(left - 50, top - 6, up),
    ]
    promised = extra_marks.get("promised")
    if isinstance(promised, float):
        marks.append(svg.path([[(left, y.pixel(promised)), (right, y.pixel(promised))]], class_="promise"))
    ends = [(x.pixel(curve[-1][0]), y.pixel(curve[-1][1])) for curve in curves.values()]
    for (called, curve), colour, height in zip(
        curves.items(), COLOURS, spread([e[1] for e in ends]), strict=False
    ):
        points = [(x.pixel(a), y.pixel(b)) for a, b in curve]
        marks.append(svg.path([points], stroke=colour, stroke_width=2))
        shape = list(svg.MARKERS)[COLOURS.index(colour)]
        marks += [svg.marker(shape, a, b, 4, fill=colour) for a, b in points]
        marks.append(svg.text(right + 14, height + 4, called, fill=colour, style=f"fill:{colour}"))
    picture = str(svg.picture(WIDTH, HEIGHT, both(title), svg.tag("style", Markup(STYLE)), *marks))
    FOLDER.mkdir(parents=True, exist_ok=True)
    opened = picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    (FOLDER / f"{name}.svg").write_text(opened + "\n", "utf-8")


def spread(heights: Sequence[float], apart: float = 17) -> list[float]:
    """The same heights, moved so that no two labels touch.

    >>> spread([10, 12, 60])
    [10, 27, 60]
    """
    order = np.argsort(heights)
    moved, last = list(heights), -np.inf
    for index in order:
        moved[index] = max(heights[index], last + apart)
        last = moved[index]
    return moved


def audit() -> None:
    """Labels to certify a batch, by its true rate; exact."""
    rates = [0.0, 0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.015]
    wrong = [round(rate * ITEMS) for rate in rates]
    robust = robust_plan(ITEMS, ALLOWED, CONFIDENCE)
    early = [power_plan(ITEMS, ALLOWED, CONFIDENCE, k, 0.9) for k in wrong]
    draw(
        "audit",
        "Labels to certify a batch of 10,000 at a tolerance of 2%, 95% sure",
        "share that is wrong in truth",
        "expected labels",
        Axis(0, 0.015, FRAME[0], FRAME[2]),
        Axis(100, 5000, FRAME[3], FRAME[1], log=True),
        {
            "never gives up": [(r, forecast(robust, k).mean) for r, k in zip(rates, wrong, strict=True)],
            "a fixed sample, power 0.9": [
                (r, float(fixed_sample(k))) for r, k in zip(rates, wrong, strict=True) if r <= 0.0125
            ],
            "gives up, power 0.9": [
                (r, forecast(plan, k).mean) for r, k, plan in zip(rates, wrong, early, strict=True)
            ],
        },
        share_x=True,
    )


def threshold(runs: int) -> None:
    """Share released by number of labels, with the limit."""
    curves: dict[str, Curve] = {}
    for name, label in (("B", "4% wrong"), ("C", "overconfident top"), ("A", "20% wrong")):
        curve = []
        for n in (200, 400, 800, 1600, 3200):
            rng = np.random.default_rng(n)
            shares = []
            for _ in range(runs):
                u = rng.random(n)
                losses = (rng.random(n) < POPULATIONS[name](u)).astype(float)
                shares.append(released(ours(losses, u)))
            curve.append((float(n), float(np.mean(shares))))
        curves[f"{name}: {label}"] = curve
    draw(
        "threshold",
        "Share released at a tolerance of 5%, 90% sure",
        "labels",
        "mean share released",
        Axis(200, 3200, FRAME[0], FRAME[2], log=True),
        Axis(0, 1, FRAME[3], FRAME[1]),
        curves,
        share_y=True,
    )


def assisted(runs: int) -> None:
    """How often a certificate would be false: 2.01% wrong, 2% promised."""
    uppers: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
        "prediction-powered": lambda x, g, rest: prediction_powered(x, g, rest, 0.9).high,
        "exact": lambda x, g, rest: float(binomial_upper(x.sum(), len(x), 0.95)),
    }
    curves: dict[str, Curve] = {}
    for name, upper in uppers.items():
        curve = []
        for n in (150, 300, 600, 1200, 2400, 4800):
            rng, false = np.random.default_rng(n), 0
            for _ in range(runs):
                wrong = rng.random(n + 5_000) < 0.0201
                guess = (rng.random(n + 5_000) < np.where(wrong, 0.5, 0.02)).astype(float)
                false += upper(wrong[:n].astype(float), guess[:n], guess[n:]) <= 0.02
            curve.append((float(n), false / runs))
        curves[name] = curve
    draw(
        "assisted",
        "False certificates: 2.01% wrong in truth, at most 2% promised",
        "labels",
        "certified (the dashed line is what was promised at most)",
        Axis(150, 4800, FRAME[0], FRAME[2], log=True),
        Axis(0, 0.25, FRAME[3], FRAME[1]),
        curves,
        share_y=True,
        promised=0.05,
    )


def watch(runs: int) -> None:
    """Mean delay by error rate after the change."""
    kinds: dict[str, dict[str, float]] = {
        "5% false alarm for ever": {"confidence": 0.95},
        "a false alarm per 10,000": {"run_length": 10_000.0},
    }
    curves: dict[str, Curve] = {}
    for name, kind in kinds.items():
        curve = []
        for rate in (0.03, 0.04, 0.06, 0.1):
            delays = []
            for seed in range(runs):
                rng = np.random.default_rng(seed)
                losses = (rng.random(LENGTH) < np.where(np.arange(LENGTH) < 2000, 0.01, rate)).astype(float)
                watching = Watch(tolerance=TOLERANCE, **kind)  # type: ignore[arg-type]
                watching.update_many(losses)
                alarm = watching.alarm.labels if watching.alarm else LENGTH
                delays += [alarm - 2000] if alarm > 2000 else []
            curve.append((rate, float(np.mean(delays))))
        curves[name] = curve
    draw(
        "watch",
        "Labels until a promise that broke is noticed (tolerance 2%, 1% wrong before)",
        "share that is wrong after the change",
        "mean delay in labels",
        Axis(0.03, 0.1, FRAME[0], FRAME[2], log=True),
        Axis(50, 5000, FRAME[3], FRAME[1], log=True),
        curves,
        share_x=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--runs", type=int, default=60)
    options.add_argument("--only", default="audit,threshold,assisted,watch")
    arguments = options.parse_args()
    for name in arguments.only.split(","):
        {
            "audit": audit,
            "threshold": lambda: threshold(arguments.runs),
            "assisted": lambda: assisted(20 * arguments.runs),
            "watch": lambda: watch(arguments.runs),
        }[name]()
        print(FOLDER / f"{name}.svg", flush=True)


if __name__ == "__main__":
    main()
