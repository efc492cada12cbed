"""Sentences about the tasks, moves and learning path of a plan, shared by its page and the terminal."""

import csv
import math
from collections.abc import Iterable, Sequence
from functools import cache

from tolerate.careers.data.atlas import EMBEDDED, Atlas, Figure, Occupation
from tolerate.careers.model.choice import CHOICES, HUMAN, MAX_USEFUL_LABELS, RELEASED, REVIEWED, UNDECIDED
from tolerate.careers.model.path import LearningPath
from tolerate.careers.pages.figures import format_interval
from tolerate.careers.planning.advice import MeasuredTechnique
from tolerate.careers.planning.moves import CareerMove, MoveSet, build_filters
from tolerate.careers.planning.plan import CareerPlan, PlannedTask
from tolerate.messages.both import Both, both, join
from tolerate.messages.careers import label_count, say
from tolerate.messages.numbers import at_most, digits, dollars, rough_percent

WHOLE_SHARE = 0.995  # a released share from here on is not stated
MIN_STRICTNESS_CHANGE = 0.1  # of 0 to 1; a smaller change of strictness is no reason for or against a move
MAX_LISTED_GAPS = 3
COSTED_CHOICES = (RELEASED, REVIEWED, HUMAN)


# The occupation


def stricter_than(atlas: Atlas, occupation: Occupation) -> float:
    """The share of the atlas' occupations that are more tolerant than this one."""
    strictness = occupation.strictness or 0
    values = atlas.strictness_by_code.values()
    return sum(value < strictness for value in values) / max(len(values), 1)


def strictness_note(atlas: Atlas, occupation: Occupation, estimated: bool) -> Both:
    """A sentence that compares an occupation's strictness with the others', and says whether it is an estimate."""
    return say(
        "glance.strict.note",
        share=rough_percent(stricter_than(atlas, occupation)),
        n=f"{len(atlas.strictness_by_code):,}",
        source=say("estimated.of") if estimated else both(""),
    )


def pay_note(occupation: Occupation) -> Both:
    """The range of pay and the openings a year."""
    return say(
        "glance.pay.note",
        low=dollars(occupation.pay_low),
        high=dollars(occupation.pay_high),
        openings=digits(occupation.openings),
    )


def median_tolerance(tasks: Sequence[PlannedTask]) -> Figure:
    """The required ETR for release of the median task."""
    tolerances = sorted((task.choice.release for task in tasks), key=lambda figure: figure.value)
    return tolerances[len(tolerances) // 2]


# Tasks


def choice_text(task: PlannedTask) -> Both:
    """Today's choice; if only a part of the items is released, with its share."""
    if task.choice.choice == RELEASED and task.choice.share < WHOLE_SHARE:
        return say("part", share=rough_percent(task.choice.share))
    return say(task.choice.choice)


def measured_error(task: PlannedTask) -> Both:
    """The measured error with its interval, or a dash."""
    if task.choice.error is None or not is_measured(task):
        return both("–")
    return both(format_interval(task.choice.error))


def is_measured(task: PlannedTask) -> bool:
    """Whether any items of a task were checked."""
    return task.evidence is not None and task.evidence.n > 0


def gates_text(task: PlannedTask) -> Both | None:
    """The gates of a task, and whether only its words suggest them."""
    if not task.choice.shut:
        return None
    names = join([say(f"gate.{gate}") for gate in task.choice.shut], ", ", "、")
    return say("gates.guessed" if task.suggested_gates else "gates", gates=names)


def changes(task: PlannedTask, confidence: float) -> list[Both]:
    """Sentences on what would change the choice, the cheapest way first."""
    if task.choice.choice == RELEASED:
        return [say("change.kept")]
    texts = [gates_text(task) or _labels_text(task, confidence)]
    if task.choice.choice in (HUMAN, UNDECIDED) and is_measured(task):
        texts.append(_reviewer_text(task, confidence))
    return texts


def _labels_text(task: PlannedTask, confidence: float) -> Both:
    """How many labels would prove the tolerance, if any number does."""
    clean, likely = task.choice.labels["clean"], task.choice.labels["likely"]
    tolerance = rough_percent(_tolerance_to_prove(task, confidence))
    if clean > MAX_USEFUL_LABELS:
        return say("change.never", etr=tolerance, clean=label_count(clean))
    if not is_measured(task):
        return say("change.measure", clean=label_count(clean), etr=tolerance, likely=label_count(likely))
    if math.isinf(likely):
        error = task.choice.error.value if task.choice.error else 1.0
        return say("change.worse", seen=rough_percent(error), etr=tolerance)
    return say("change.more", likely=label_count(likely), etr=tolerance)


def _tolerance_to_prove(task: PlannedTask, confidence: float) -> float:
    """The tolerance that a certificate would have to prove: at the strict end of the severity's interval."""
    clean = task.choice.labels["clean"]
    if clean <= 0:
        return task.choice.release.low
    if math.isinf(clean):
        return 0.0
    half = (1 - confidence) / 2
    return float(1 - half ** (1 / clean))


def _reviewer_text(task: PlannedTask, confidence: float) -> Both:
    """How good a reviewer must be, and how many seeded errors would show it."""
    required = task.choice.detection
    if required is None or required >= 1:
        return say("change.nodetect")
    half = (1 - confidence) / 2
    seeded = 1 if required <= 0 else math.ceil(math.log(half) / math.log(required))
    return say("change.detect", need=rough_percent(required), seeded=label_count(seeded))


def measured_technique(technique: MeasuredTechnique) -> Both:
    """A sentence on what a run on this machine proved of a technique."""
    return say(
        "technique.measured",
        job=technique.job,
        date=technique.date,
        strategy=technique.strategy,
        tolerance=at_most(technique.tolerance),
        coverage=rough_percent(technique.coverage),
    )


def techniques(task: PlannedTask) -> list[Both]:
    """The technique that fits: measured on this machine first, then the rule of thumb and its exceptions."""
    texts = [measured_technique(technique) for technique in task.advice.measured]
    if texts:
        texts.append(say("technique.measured.caveat"))
    return [*texts, task.advice.rule, *task.advice.exceptions]


def costs_text(task: PlannedTask) -> Both | None:
    """The hours that a piece costs each way; None without a measured error."""
    hours = task.choice.costs
    if RELEASED not in hours:
        return None
    return say("costs", **{choice: digits(hours[choice]) for choice in COSTED_CHOICES})


def chances_text(task: PlannedTask) -> Both | None:
    """The posterior probability of each way being the right one; None without a measured error."""
    chances = task.choice.chances
    return (
        say("chances", **{choice: rough_percent(chances[choice]) for choice in COSTED_CHOICES})
        if chances
        else None
    )


def closing(plan: CareerPlan) -> Both:
    """One sentence that sums up the plan."""
    counts = {choice: sum(task.choice.choice == choice for task in plan.tasks) for choice in CHOICES}
    return say("closing", tasks=len(plan.tasks), **counts)


# Moves


def element_name(name: str) -> Both:
    """A skill or field of knowledge of O*NET in both languages; one without a translation keeps its name."""
    return Both(name, _element_translations().get(name, name))


@cache
def _element_translations() -> dict[str, str]:
    with (EMBEDDED / "chinese_elements.tsv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["zh"] for row in csv.DictReader(file, delimiter="\t")}


def reasons(plan: CareerPlan, move: CareerMove) -> list[Both]:
    """Sentences for and against a move, with numbers that can be checked."""
    gaps = [
        say("gap", name=element_name(gap.name), have=digits(gap.have), need=digits(gap.need))
        for gap in move.gaps[:MAX_LISTED_GAPS]
    ]
    texts = [
        say("reason.related", share=rough_percent(move.levels_met), gaps=join(gaps, ", ", "、"))
        if gaps
        else say("reason.nogap"),
        say("reason.pay", ratio=digits(move.pay)) if move.pay else say("reason.nopay"),
    ]
    texts += _strictness_reason(plan.occupation.strictness, move.occupation.strictness)
    if move.occupation.severity is not None and move.occupation.severity.estimated:
        texts.append(say("reason.severity"))
    if move.occupation.licence:
        texts.append(say("reason.licence"))
    return texts


def _strictness_reason(today: float | None, target: float | None) -> list[Both]:
    if today is None or target is None or abs(today - target) < MIN_STRICTNESS_CHANGE:
        return []
    key = "reason.strict" if target > today else "reason.tolerant"
    return [say(key, from_=f"{today:.2f}", to=f"{target:.2f}")]


def preparation(move: CareerMove) -> Both:
    """A sentence on how many steps of preparation a move goes up or down."""
    if move.steps is None:
        return both("–")
    if not move.steps:
        return say("step.same")
    return say("step.up" if move.steps > 0 else "step.down", n=f"{abs(move.steps):g}")


def moves_lead(plan: CareerPlan, moves: MoveSet) -> Both:
    """A sentence on how many moves pass the filters and are shown; if none does, that the nearest ones are."""
    if not moves.moves:
        return _nearest_moves(plan, moves)
    return say("moves.lead", n=moves.passed, looked=moves.considered, shown=len(moves.moves))


def _nearest_moves(plan: CareerPlan, moves: MoveSet) -> Both:
    """That no move satisfies all wishes, and the nearest moves with the wishes they fail."""
    names = _filter_texts(plan)
    nearest = [
        say(
            "moves.none.one",
            name=move.occupation.name,
            fails=join([names[name] for name in move.fails], ", ", "、"),
        )
        for move in moves.nearest
    ]
    return say("moves.none", near=join(nearest) if nearest else both("–"))


def excluded_moves(plan: CareerPlan, moves: MoveSet) -> Both:
    """Sentences on how many moves each wish alone excludes."""
    names = _filter_texts(plan)
    counts = [
        say("moves.excluded", wish=names[name], n=count)
        for name, count in moves.failed_by.items()
        if name in names
    ]
    return say("moves.kept", kept=join(counts))


def _filter_texts(plan: CareerPlan) -> dict[str, Both]:
    """The wishes of a plan's person by name."""
    filters = build_filters(plan.occupation, plan.person.wishes, lambda _: 0.0)
    return {wish.name: wish.text for wish in filters}


def durability_text(shares: Iterable[float]) -> str:
    """The share of tasks that still need a person, in each scenario."""
    return " / ".join(rough_percent(share) for share in shares)


# The learning path


def path_lead(plan: CareerPlan, path: LearningPath) -> Both:
    """A sentence on how many hours and weeks the learning path takes."""
    if not path.steps:
        return say("path.done")
    week = plan.person.learning.hours_a_week
    weeks = f"{math.ceil(path.hours / max(week, 0.1)):,}"
    return say("path.lead", hours=digits(path.hours), weeks=weeks, week=digits(week))
