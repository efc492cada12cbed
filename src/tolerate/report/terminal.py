"""The closing lines of a run: the tolerance map in rows of text, and one line that states the result.

Rich adds colour where the output is a terminal; without a terminal, or without rich, the same rows are plain text.
"""

import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tolerate.base.json_types import JsonObject
from tolerate.messages.both import Both, both, join
from tolerate.messages.numbers import at_least, at_most, money, percent
from tolerate.messages.report import say
from tolerate.report.charts import verdict
from tolerate.report.overview import job_title
from tolerate.report.summary import BestPoint, ProofPoint, RunSummary, as_summary
from tolerate.report.tolerance_map import (
    best_at_job_tolerance,
    best_points,
    job_tolerance,
    strategy_name,
    zone_of,
)

BAR_WIDTH = 10  # characters
COLOURS = {"auto": "green", "part": "yellow", "none": "bright_black"}


def closing_line(summary: RunSummary | JsonObject, lang: str = "en", report: Path | str | None = None) -> str:
    """The result of a run in one line, with the path of the report if it is passed."""
    sentence = closing_sentence(as_summary(summary))
    if report is not None:
        sentence = join([sentence, say("closing.report", path=report)], " ", "")
    return sentence.pick(lang)


def closing_sentence(summary: RunSummary) -> Both:
    """The sentence on what may be released at the job's tolerance, in both languages."""
    best = best_at_job_tolerance(summary)
    title, confidence = job_title(summary), at_least(summary.job.confidence)
    if best is None or zone_of(best) == "none":
        tolerance = at_most(job_tolerance(summary))
        nothing = say("closing.nothing", title=title, confidence=confidence, tolerance=tolerance)
        proven = [point.tolerance for point in best_points(summary) if zone_of(point) != "none"]
        strictest = [say("closing.strictest", tolerance=at_most(min(proven)))] if proven else []
        return join([nothing, *strictest], " ", "")
    return say(
        "closing.some",
        title=title,
        confidence=confidence,
        strategy=strategy_name(summary, best.strategy),
        tolerance=at_most(best.tolerance),
        coverage=percent(best.coverage),
        rest=say("closing.all" if best.coverage == 1 else "closing.rest"),
    )


# The map


def print_map(summary: RunSummary | JsonObject, lang: str = "en", file: TextIO | None = None) -> None:
    """Print the tolerance map: a row a tolerance, with the cheapest strategy, its coverage, cost and proof."""
    summary, file = as_summary(summary), file or sys.stdout
    lines = map_lines(summary, lang, ascii_only=not _writes_utf8(file))
    zones = ["", "", *(zone_of(best) for best in best_points(summary))]
    if not file.isatty() or not _print_in_colour(lines, zones, file):
        print("\n".join(lines), file=file)


def _writes_utf8(file: TextIO) -> bool:
    return (file.encoding or "utf-8").lower().replace("-", "").startswith("utf")


def _print_in_colour(lines: Sequence[str], zones: Sequence[str], file: TextIO) -> bool:
    """Print with colours; returns False if rich is not installed."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return False
    console = Console(file=file, highlight=False)
    for line, zone in zip(lines, zones, strict=True):
        console.print(
            Text(line, style=COLOURS.get(zone, "bold")), no_wrap=True, overflow="ignore", crop=False
        )
    return True


def map_lines(summary: RunSummary, lang: str = "en", ascii_only: bool = False) -> list[str]:
    """The map as lines of plain text: a title, a head, one row a tolerance."""
    head = [
        say(key).pick(lang) for key in ("tolerance", "term.way", "term.released", "term.cost", "term.proof")
    ]
    rows = [_row(summary, best, lang, ascii_only) for best in best_points(summary)]
    return [f"{job_title(summary).pick(lang)} · {say('term.title').pick(lang)}", *aligned([head, *rows])]


def _row(summary: RunSummary, best: BestPoint, lang: str, ascii_only: bool) -> list[str]:
    nothing = zone_of(best) == "none"
    strategy = say("term.nothing") if nothing else strategy_name(summary, best.strategy)
    mark = ">" if best.tolerance == job_tolerance(summary) else " "
    coverage = best.coverage or 0.0
    return [
        f"{mark} {at_most(best.tolerance):>5}",
        strategy.pick(lang),
        f"{bar(coverage, ascii_only)} {percent(coverage):>5}",
        money(best.cost, summary.job.unit).pick(lang),
        _proof(best).pick(lang),
    ]


def _proof(best: BestPoint) -> Both:
    if not isinstance(best, ProofPoint) or best.proof is None or verdict(best) == "idle":
        return both("-")
    risk = say("term.proof.cell", risk=percent(best.proof.risk))
    return join([risk, say(f"proof.{verdict(best)}")], ", ", "，")


def bar(share: float, ascii_only: bool = False, width: int = BAR_WIDTH) -> str:
    """A share as a bar of text; only a share of 1 fills it, and only a share of 0 leaves it empty.

    >>> bar(0.5, width=4), bar(0.5, ascii_only=True, width=4)
    ('██░░', '##..')
    """
    filled = min(max(round(share * width), 1 if share > 0 else 0), width if share >= 1 else width - 1)
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    return full * filled + empty * (width - filled)


def aligned(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Rows as lines with their columns aligned; a Chinese character is as wide as two others.

    >>> aligned([["容错率", "a"], ["1%", "b"]])
    ['容错率  a', '1%      b']
    """
    widths = [max(map(terminal_width, column)) for column in zip(*rows, strict=True)]
    return [
        gap.join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - terminal_width(text))


def terminal_width(text: str) -> int:
    """The number of terminal columns that a text needs."""
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
