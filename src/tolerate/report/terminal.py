"""The closing lines of a run: the tolerance map in a few rows of text, and one line a person understands.

Rich adds colour where there is a terminal; without one, or without rich, the same rows are plain text.
"""

import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from tolerate.messages.report import Both, both, join, money, percent, say
from tolerate.report.charts import verdict
from tolerate.report.map import Summary, best_points, job_tolerance, strategy_name, unit, zone_of
from tolerate.report.sections import job_best, title

BAR = 10  # signs
COLOURS = {"auto": "green", "part": "yellow", "none": "bright_black"}


def closing_line(summary: Summary, lang: str = "en", report: Path | str | None = None) -> str:
    """The result of a run in one line a person understands, and where the report is."""
    said = closing_words(summary)
    if report is not None:
        said = join([said, say("closing.report", path=report)], " ", "")
    return said.pick(lang)


def closing_words(summary: Summary) -> Both:
    """What may be released at the job's tolerance, in both languages."""
    best, job = job_best(summary), summary.get("job") or {}
    named = {"title": title(summary), "confidence": percent(job.get("confidence"))}
    if best is None or zone_of(best) == "none":
        nothing = say("closing.nothing", tolerance=percent(job_tolerance(summary)), **named)
        proven = [b["tolerance"] for b in best_points(summary) if zone_of(b) != "none"]
        more = [say("closing.strictest", tolerance=percent(min(proven)))] if proven else []
        return join([nothing, *more], " ", "")
    rest = say("closing.all" if best.get("coverage") == 1 else "closing.rest")
    strategy, tolerance = strategy_name(summary, best.get("strategy")), percent(best["tolerance"])
    return say(
        "closing.some",
        strategy=strategy,
        tolerance=tolerance,
        coverage=percent(best["coverage"]),
        rest=rest,
        **named,
    )


# The map


def print_map(summary: Summary, lang: str = "en", file: TextIO | None = None) -> None:
    """Print the tolerance map: a row a tolerance, with the cheapest way, what goes out, cost and proof."""
    file = file or sys.stdout
    lines = map_lines(summary, lang, ascii_only=not _speaks_utf8(file))
    zones = ["", "", *(zone_of(best) for best in best_points(summary))]
    if not file.isatty() or not _print_in_colour(lines, zones, file):
        print("\n".join(lines), file=file)


def _speaks_utf8(file: TextIO) -> bool:
    return (getattr(file, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def _print_in_colour(lines: Sequence[str], zones: Sequence[str], file: TextIO) -> bool:
    """Print with colours, and tell whether rich was there to do it."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return False
    console = Console(file=file, highlight=False)
    for text, zone in zip(lines, zones, strict=True):
        console.print(
            Text(text, style=COLOURS.get(zone, "bold")), no_wrap=True, overflow="ignore", crop=False
        )
    return True


def map_lines(summary: Summary, lang: str = "en", ascii_only: bool = False) -> list[str]:
    """The map as lines of plain text: a title, a head, one row a tolerance."""
    head = [
        say(key).pick(lang) for key in ("tolerance", "term.way", "term.released", "term.cost", "term.proof")
    ]
    rows = [_row(summary, best, lang, ascii_only) for best in best_points(summary)]
    return [f"{title(summary).pick(lang)} · {say('term.title').pick(lang)}", *columns([head, *rows])]


def _row(summary: Summary, best: Mapping[str, Any], lang: str, ascii_only: bool) -> list[str]:
    nothing = zone_of(best) == "none"
    way = say("term.nothing") if nothing else strategy_name(summary, best.get("strategy"))
    mark = ">" if best["tolerance"] == job_tolerance(summary) else " "
    coverage = float(best.get("coverage") or 0)
    return [
        f"{mark} {percent(best['tolerance']):>5}",
        way.pick(lang),
        f"{bar(coverage, ascii_only)} {percent(coverage):>5}",
        money(best.get("cost"), unit(summary)).pick(lang),
        _proof(best).pick(lang),
    ]


def _proof(best: Mapping[str, Any]) -> Both:
    if verdict(best) == "idle":
        return both("-")
    seen = best["proof"]
    cell = say("term.proof.cell", risk=percent(seen["risk"]))
    return join([cell, say(f"proof.{verdict(best)}")], ", ", "，")


def bar(share: float, ascii_only: bool = False, width: int = BAR) -> str:
    """A share as a bar of text; only everything fills it, and only nothing leaves it empty.

    >>> bar(0.5, width=4), bar(0.5, ascii_only=True, width=4)
    ('██░░', '##..')
    """
    full = min(max(round(share * width), 1 if share > 0 else 0), width if share >= 1 else width - 1)
    on, off = ("#", ".") if ascii_only else ("█", "░")
    return on * full + off * (width - full)


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Rows as lines with their columns aligned, a Chinese sign counted as two.

    >>> columns([["容错率", "a"], ["1%", "b"]])
    ['容错率  a', '1%      b']
    """
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return [
        gap.join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(_sign_cells(sign) for sign in text)


def _sign_cells(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
