"""Choice of a technique for a task: by what runs on this machine proved, otherwise by a rule of thumb.

The tolerance map of a run says for its job and each tolerance which strategy was proven the cheapest; it holds for
that job alone. The rule of thumb orders families of content by how well their errors can be checked.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tolerate.messages.both import Both
from tolerate.messages.careers import WORDS, say
from tolerate.messages.report import refine_name
from tolerate.report.results import BestPoint, StrategyResult
from tolerate.report.summary import RunSummary, as_summary

PICTURE_KINDS = ("image", "design", "3d", "video")
BANDS = (("tolerant", 0.1), ("middle", 0.01), ("strict", 0.001), ("extreme", 0.0))  # the least ETR of each
BAND_NAMES = tuple(name for name, _ in BANDS)
EXCEPTIONS = {  # exception: the kinds of content it holds for
    "code": ("code",),
    "diffuse": ("teaching", "dialogue"),
    "rights": ("image", "design", "music", "text"),
}
JOB_FAMILIES = {
    "digits": "picture",
    "mnist": "picture",
    "pictures": "picture",
    "emoji": "picture",
    "poems": "text",
    "shakespeare": "text",
    "restaurants": "data",
    "bank": "dialogue",
    "speech": "sound",
}


@dataclass(frozen=True)
class FinishedRun:
    """The summary of a run, and its folder."""

    folder: str
    summary: RunSummary


@dataclass(frozen=True)
class MeasuredTechnique:
    """The result of a run on this machine: its cheapest strategy at a tolerance at least as strict."""

    run: str
    job: str
    tolerance: float
    strategy: Both
    family: str
    coverage: float
    cost: float
    unit: str
    date: str


@dataclass(frozen=True)
class TechniqueAdvice:
    """The technique for a task: what was measured here, the rule of thumb, the exceptions, and how to measure."""

    band: str
    rule: Both
    exceptions: tuple[Both, ...]
    measured: tuple[MeasuredTechnique, ...] = ()
    measure: str = ""  # a command


def band_of(tolerance: float) -> str:
    """The band that a required ETR falls into.

    >>> [band_of(tolerance) for tolerance in (0.2, 0.02, 0.002, 0.0002)]
    ['tolerant', 'middle', 'strict', 'extreme']
    """
    return next(name for name, lowest in BANDS if tolerance >= lowest)


def family_of(kind: str) -> str:
    """The family of content that shares its techniques with a kind."""
    if kind in PICTURE_KINDS:
        return "picture"
    return {"audio": "sound", "music": "sound", "translation": "text", "teaching": "text"}.get(kind, kind)


def rule_of_thumb(family: str, band: str) -> Both:
    """The technique for a family of content in a band; the extreme band has one rule for most families."""
    key = f"thumb.{family}.{band}"
    return say(key if key in WORDS else f"thumb.{band}")


def advise(
    kind: str, tolerance: float, runs: Sequence[FinishedRun] = (), gates: Iterable[str] = ()
) -> TechniqueAdvice:
    """Advice for content of a kind at a required ETR. runs: from `read_finished_runs`."""
    band = band_of(tolerance)
    measured = (_measured_technique(run, tolerance) for run in runs if _is_same_kind(kind, run))
    return TechniqueAdvice(
        band,
        rule_of_thumb(family_of(kind), band),
        _exceptions(kind, tuple(gates)),
        tuple(technique for technique in measured if technique is not None),
        _measuring_command(kind),
    )


def _exceptions(kind: str, gates: tuple[str, ...]) -> tuple[Both, ...]:
    names = [name for name, kinds in EXCEPTIONS.items() if kind in kinds]
    if "irreversible" in gates:
        names.append("irreversible")
    return tuple(say(f"exception.{name}") for name in names)


def _measuring_command(kind: str) -> str:
    if kind in PICTURE_KINDS:
        return "tolerate run digits"
    return "tolerate certify LABELS.csv --loss wrong --score confidence"


# Runs on this machine


def read_finished_runs(folder: Path) -> list[FinishedRun]:
    """The runs in a folder, or the run that it is; folders without a readable map are skipped."""
    paths = [folder / "summary.json", *sorted(folder.glob("*/summary.json"))] if folder.is_dir() else []
    runs = []
    for path in paths:
        try:
            record = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("best"):
            runs.append(FinishedRun(str(path.parent), as_summary(record)))
    return runs


def _is_same_kind(kind: str, run: FinishedRun) -> bool:
    """Whether a run's content is of this kind, as far as its job's name tells."""
    return JOB_FAMILIES.get(run.summary.job.name, "") == family_of(kind)


def strictest_proof(summary: RunSummary, tolerance: float) -> BestPoint | None:
    """The point of a run's map at the largest tolerance within this one at which anything is released."""
    proven = [point for point in summary.best if point.zone != "none" and point.tolerance <= tolerance]
    return max(proven, key=lambda point: point.tolerance, default=None)


def _measured_technique(run: FinishedRun, tolerance: float) -> MeasuredTechnique | None:
    summary = run.summary
    best = strictest_proof(summary, tolerance + 1e-12)
    if best is None:
        return None
    strategies = (strategy for strategy in summary.strategies if strategy.id == best.strategy)
    strategy = next(strategies, StrategyResult(best.strategy))
    return MeasuredTechnique(
        run=run.folder,
        job=summary.job.name,
        tolerance=best.tolerance,
        strategy=_strategy_name(strategy),
        family=strategy.family,
        coverage=best.coverage or 0.0,
        cost=best.cost or 0.0,
        unit=str(summary.job.prices.get("unit") or ""),
        date=summary.created[:10],
    )


def _strategy_name(strategy: StrategyResult) -> Both:
    model = strategy.model or strategy.id
    refining = refine_name(strategy.refine or "plain")
    return Both(*(f"{model}, {name}" if name else model for name in refining))
