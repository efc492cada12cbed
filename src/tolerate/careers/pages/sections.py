"""Fills in the sections of a plan's page."""

from tolerate.careers.data.atlas import Figure
from tolerate.careers.data.kinds import kind_name
from tolerate.careers.model.choice import CHOICES
from tolerate.careers.model.path import LearningStep
from tolerate.careers.pages import pictures, plan_texts
from tolerate.careers.pages.context import (
    Appendix,
    GlanceFigure,
    MoveRow,
    MoveSection,
    PathSection,
    PictureSizes,
    PlanSections,
    SkillStep,
    TaskCard,
    TaskSection,
    TechniqueSection,
)
from tolerate.careers.pages.figures import format_growth, format_interval, format_scale
from tolerate.careers.person.me import ASSUMABLE_KEYS
from tolerate.careers.planning.advice import BAND_NAMES, family_of, rule_of_thumb
from tolerate.careers.planning.moves import CareerMove
from tolerate.careers.planning.plan import CareerPlan, PlannedTask
from tolerate.messages.both import Both, both, join
from tolerate.messages.careers import say
from tolerate.messages.numbers import digits, dollars, percent, rough_percent

LIMITS = tuple(f"limit.{k}" for k in range(1, 8))


def plan_sections(plan: CareerPlan) -> PlanSections:
    """All sections of a plan's page."""
    return PlanSections(
        glance=_glance(plan),
        tasks=_tasks(plan),
        map=PictureSizes(pictures.occupations_map(plan), pictures.occupations_map(plan, narrow=True)),
        moves=_moves(plan),
        path=_path(plan),
        techniques=_techniques(plan),
        limits=[say(key) for key in LIMITS],
        appendix=_appendix(plan),
    )


def _glance(plan: CareerPlan) -> list[GlanceFigure]:
    """Strictness, severity, typical tolerance and, where it is known, pay."""
    occupation, typical = plan.occupation, plan_texts.median_tolerance(plan.tasks)
    severity, exactness = occupation.severity, occupation.exactness
    estimated = severity is not None and severity.estimated
    figures = [
        GlanceFigure(
            say("glance.strict"),
            both(format_scale(occupation.strictness)),
            plan_texts.strictness_note(plan.atlas, occupation, estimated),
        ),
        GlanceFigure(
            say("glance.severity"),
            both(format_scale(severity.value if severity else None)),
            say("glance.severity.note", exact=format_scale(exactness.value if exactness else None)),
        ),
        GlanceFigure(
            say("glance.etr"),
            both(rough_percent(typical.value)),
            say("glance.etr.note", low=rough_percent(typical.high), high=rough_percent(typical.low)),
        ),
    ]
    if occupation.pay:
        pay = both(dollars(occupation.pay))
        figures.append(GlanceFigure(say("glance.pay"), pay, plan_texts.pay_note(occupation)))
    return figures


def _tasks(plan: CareerPlan) -> TaskSection:
    return TaskSection(
        picture=PictureSizes(pictures.tasks_line(plan), pictures.tasks_line(plan, narrow=True)),
        cards=[_task_card(plan, task) for task in pictures.by_tolerance(plan.tasks)],
        note=None if any(task.described.severity for task in plan.tasks) else say("tasks.same"),
        choices=[(choice, say(choice)) for choice in CHOICES],
    )


def _task_card(plan: CareerPlan, task: PlannedTask) -> TaskCard:
    details = (plan_texts.costs_text(task), plan_texts.chances_text(task))
    return TaskCard(
        name=task.name,
        kind=kind_name(task.kind),
        choice=task.choice.choice,
        choice_text=plan_texts.choice_text(task),
        severity=say("severity", value=_severity_text(task.severity.figure)),
        release=format_interval(task.choice.release),
        review=format_interval(task.choice.review),
        measured=plan_texts.measured_error(task),
        source=task.evidence.source if task.evidence else "",
        changes=plan_texts.changes(task, plan.person.weights.confidence),
        techniques=plan_texts.techniques(task),
        command=task.advice.measure,
        details=[text for text in details if text is not None],
    )


def _severity_text(figure: Figure) -> Both:
    value = format_interval(figure, lambda severity: f"{severity:.1f}")
    return join([both(value), say("estimated")], " ", " ") if figure.estimated else both(value)


def _moves(plan: CareerPlan) -> MoveSection | None:
    if plan.moves is None:
        return None
    return MoveSection(
        lead=plan_texts.moves_lead(plan, plan.moves),
        rows=[_move_row(plan, move) for move in plan.moves.moves],
        excluded=plan_texts.excluded_moves(plan, plan.moves),
    )


def _move_row(plan: CareerPlan, move: CareerMove) -> MoveRow:
    occupation = move.occupation
    return MoveRow(
        name=occupation.name,
        code=occupation.code,
        feasibility=format_scale(move.feasibility),
        bar=pictures.bar(move.feasibility),
        pay=dollars(occupation.pay),
        openings=digits(occupation.openings),
        growth=format_growth(occupation.growth),
        preparation=plan_texts.preparation(move),
        durability=plan_texts.durability_text(move.durability),
        stays=rough_percent(move.stays),
        reasons=join(plan_texts.reasons(plan, move)),
    )


def _path(plan: CareerPlan) -> PathSection | None:
    path, graph = plan.path, plan.graph
    if path is None or graph is None:
        return None
    skipped = [graph[skill].name for skill in path.skipped if graph[skill].area != "goal"]
    return PathSection(
        lead=plan_texts.path_lead(plan, path),
        picture=pictures.path_steps(plan),
        steps=[_path_step(plan, step) for step in path.steps],
        skipped=say("path.skipped", names=join(skipped, ", ", "、")) if skipped else None,
    )


def _path_step(plan: CareerPlan, step: LearningStep) -> tuple[Both | None, SkillStep | None]:
    """A goal that is reached, or a skill to learn."""
    assert plan.graph is not None
    skill = plan.graph[step.id]
    if skill.area == "goal":
        return say("path.unlocks", share=rough_percent(step.value), name=skill.name), None
    later = [plan.graph[name].name for name in step.asked_by]
    return None, SkillStep(
        name=skill.name,
        hours=digits(step.hours),
        total=digits(step.total),
        reason=say("path.for", names=join(later, ", ", "、")) if later else say("path.target"),
        command=skill.command,
        resource=skill.resource,
    )


def _techniques(plan: CareerPlan) -> TechniqueSection:
    """The rule of thumb for the kinds of content in the plan, by band, and the runs of this machine."""
    kinds: dict[str, Both] = {}
    for task in plan.tasks:
        kinds.setdefault(family_of(task.kind), kind_name(task.kind))
    measured = {
        (technique.run, technique.tolerance): technique
        for task in plan.tasks
        for technique in task.advice.measured
    }
    folder = str(plan.person.runs)
    return TechniqueSection(
        lead=say("thumb.lead"),
        runs=say("techniques.some", n=plan.run_count, folder=folder)
        if plan.run_count
        else say("techniques.none", folder=folder),
        bands=[say(f"band.{band}") for band in BAND_NAMES],
        rows=[(name, [rule_of_thumb(family, band) for band in BAND_NAMES]) for family, name in kinds.items()],
        measured=[plan_texts.measured_technique(technique) for technique in measured.values()],
    )


def _appendix(plan: CareerPlan) -> Appendix:
    return Appendix(
        inputs=[(say(f"in.{name}"), value, _origin(plan, name)) for name, value in _inputs(plan).items()],
        formulas=_formulas(plan),
        sources=[(source.name, source.licence, source.date, source.what) for source in plan.atlas.sources],
        notes=[both(note) for note in plan.atlas.notes],
    )


def _inputs(plan: CareerPlan) -> dict[str, str]:
    weights = plan.person.weights
    return {
        "slip": f"{plan.harm.slip:g}",
        "worst": f"{plan.harm.worst:g}",
        "review": rough_percent(plan.work.review),
        "rework": rough_percent(plan.work.rework),
        "human_error": rough_percent(plan.work.human_error),
        "between": f"{weights.between:g}",
        "answer": f"{weights.answer:g}",
        "confidence": rough_percent(weights.confidence),
    }


def _origin(plan: CareerPlan, name: str) -> Both:
    """Whether an input was assumed or answered; empty for those nobody is asked."""
    if name in plan.person.assumed:
        return say("appendix.assumed")
    return say("appendix.given") if name in ASSUMABLE_KEYS else both("")


def _formulas(plan: CareerPlan) -> list[Both]:
    harm, confidence = plan.harm, plan.person.weights.confidence
    return [
        say("appendix.formula.1"),
        say(
            "appendix.formula.2",
            h0=f"{float(harm.hours(1)):.3g}",
            b=f"{harm.base:.3g}",
            slip=f"{harm.slip:g}",
            worst=f"{harm.worst:g}",
        ),
        say("appendix.formula.3"),
        say(
            "appendix.formula.4",
            half=percent(1 - (1 - confidence) / 2),
            rest=rough_percent(1 - confidence),
        ),
    ]
