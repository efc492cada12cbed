"""Makes a career plan: a person's tasks with their tolerances and choices, moves, and a learning path."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from tolerate.careers.data import skills
from tolerate.careers.data.atlas import Atlas, Occupation, OnetTask
from tolerate.careers.data.kinds import kind_name, kind_of, suggest_gates
from tolerate.careers.data.text import tokens
from tolerate.careers.data.titles import find_occupation
from tolerate.careers.model import path
from tolerate.careers.model.choice import (
    ManualWork,
    TaskChoice,
    TaskEvidence,
    choose,
    release_tolerance,
)
from tolerate.careers.model.path import LearningPath
from tolerate.careers.model.severity import Harm, Severity, task_severity
from tolerate.careers.person.me import ASSUMABLE_KEYS, Person, PersonTask
from tolerate.careers.planning import evidence
from tolerate.careers.planning.advice import FinishedRun, TechniqueAdvice, advise, band_of, read_finished_runs
from tolerate.careers.planning.moves import MoveSet, find_moves
from tolerate.errors import DataError
from tolerate.messages.both import Both
from tolerate.messages.careers import say

MAX_SHOWN_TASKS = 12  # of an occupation, where the person names none
MIN_TEXT_SIMILARITY = 0.45  # from which a task in the person's words is taken for one of the occupation's
MAKER_AREAS = ("languages", "frameworks", "models", "language models", "multimodal", "data")
NOT_MAKERS = ("privacy", "rights", "guardrails", "sql", "pandas", "plots")
REFINERS = ("best-of-n", "self-check")
REVIEWERS = ("mqm", "fact-checking", "review-craft")


@dataclass(frozen=True)
class PlannedTask:
    """One task of a plan."""

    name: Both
    described: PersonTask
    onet_task: OnetTask | None  # the occupation's task that it is, or is most like
    kind: str
    severity: Severity
    choice: TaskChoice
    evidence: TaskEvidence | None
    advice: TechniqueAdvice
    suggested_gates: tuple[str, ...]  # gates that only the task's words suggest


@dataclass(frozen=True)
class CareerPlan:
    """Everything that the report shows."""

    person: Person
    atlas: Atlas
    occupation: Occupation
    tasks: tuple[PlannedTask, ...]
    harm: Harm
    work: ManualWork
    moves: MoveSet | None = None
    path: LearningPath | None = None
    graph: skills.SkillGraph | None = None  # with the goals of this person
    run_count: int = 0  # runs of tolerate in the person's folder


def plan_occupation(atlas: Atlas, query: str, lang: str = "en") -> CareerPlan:
    """The tasks of an occupation, with nothing known about a person."""
    return make_plan(atlas, Person(occupation=query, lang=lang, assumed=ASSUMABLE_KEYS), only_tasks=True)


def make_plan(atlas: Atlas, person: Person, only_tasks: bool = False) -> CareerPlan:
    """The plan of a person."""
    if not person.occupation:
        raise DataError('me.toml names no occupation; add a line such as: occupation = "translator"')
    occupation = find_occupation(atlas, person.occupation)
    harm = Harm(person.slip, person.worst)
    runs = read_finished_runs(person.path_of(person.runs))
    tasks = tuple(
        _plan_task(atlas, occupation, person, described, runs)
        for described in select_tasks(atlas, occupation, person)
    )
    work = evidence.manual_work(PersonTask(text="-"), person)
    plan = CareerPlan(person, atlas, occupation, tasks, harm, work, run_count=len(runs))
    return plan if only_tasks else _with_moves_and_path(plan)


def _with_moves_and_path(plan: CareerPlan) -> CareerPlan:
    person, acquired = plan.person, _acquired_skills(plan.person)

    def learning_hours(other: Occupation) -> float:
        if person.wishes.learning is None:
            return 0.0
        return _learning_hours(plan.atlas, other, plan.harm, plan.work, acquired)

    graph, goals = add_goals(plan.tasks)
    moves = find_moves(plan.atlas, plan.occupation, person.wishes, plan.harm, plan.work, learning_hours)
    return replace(plan, moves=moves, path=plan_learning(person, graph, goals), graph=graph)


# Tasks


def select_tasks(atlas: Atlas, occupation: Occupation, person: Person) -> list[PersonTask]:
    """The person's tasks, or the occupation's core ones if they name none."""
    if person.task:
        return list(person.task)
    tasks = sorted(atlas.tasks.get(occupation.code, ()), key=lambda task: not task.core)
    if not tasks:
        raise DataError(
            f"{atlas.version} lists no tasks of {occupation.title} "
            f"({occupation.code}); name your own in me.toml under [[task]]"
        )
    return [PersonTask(text=task.text, id=task.id) for task in tasks[:MAX_SHOWN_TASKS]]


def _plan_task(
    atlas: Atlas,
    occupation: Occupation,
    person: Person,
    described: PersonTask,
    runs: Sequence[FinishedRun],
) -> PlannedTask:
    onet_task = match_task(atlas, occupation, described)
    name = _task_name(described, onet_task)
    weights = person.weights
    severity = task_severity(occupation.severity, described.severity, weights.between, weights.answer)
    harm, work = Harm(person.slip, person.worst), evidence.manual_work(described, person)
    detection = evidence.task_detection(described)
    half = 1 - (1 - weights.confidence) / 2
    strict = severity.quantile(half)
    tolerance = float(release_tolerance(harm.hours(strict), work, detection.bounds(half)[1], strict))
    exactness = occupation.exactness.value if occupation.exactness else None
    measured = evidence.task_evidence(described, person, tolerance, exactness)
    suggested = () if described.gates or described.severity is not None else suggest_gates(name.en)
    gates = described.gates or suggested
    choice = choose(severity, harm, work, measured, detection, gates, weights.confidence)
    kind = described.kind or kind_of(name.en, occupation.title)
    advice = advise(kind, choice.release.value, runs, gates)
    return PlannedTask(name, described, onet_task, kind, severity, choice, measured, advice, suggested)


def _task_name(described: PersonTask, onet_task: OnetTask | None) -> Both:
    """O*NET's text in both languages if the person means exactly this task; otherwise their own words."""
    if onet_task is not None and (described.id or described.text == onet_task.text):
        return onet_task.name
    return Both(described.text, described.text)


def match_task(atlas: Atlas, occupation: Occupation, described: PersonTask) -> OnetTask | None:
    """O*NET's task of the described id, or the most similar one of the occupation, or None.

    An id that does not exist is a DataError.
    """
    tasks = atlas.tasks.get(occupation.code, ())
    if described.id:
        task = atlas.tasks.by_id(described.id)
        if task is None:
            nearest = "; ".join(f"{task.id} {task.text[:60]}" for task in tasks[:4])
            raise DataError(
                f'no task has the id "{described.id}". Tasks of {occupation.title}: {nearest or "none"} ...'
            )
        return task
    similarities = [_text_similarity(described.text, task.text) for task in tasks]
    best = max(similarities, default=0.0)
    return tasks[similarities.index(best)] if best >= MIN_TEXT_SIMILARITY else None


def _text_similarity(text: str, other: str) -> float:
    """Between 0 and 1: half from shared stems, half letter by letter; 0 without a shared stem."""
    stems, other_stems = set(tokens(text)), set(tokens(other))
    shared = len(stems & other_stems) / max(1, min(len(stems), len(other_stems)))
    if not shared:
        return 0.0
    return 0.5 * shared + 0.5 * SequenceMatcher(None, text.lower(), other.lower()).ratio()


# Learning


def add_goals(tasks: Iterable[PlannedTask]) -> tuple[dict[str, skills.Skill], dict[str, float]]:
    """The skill graph with a goal for each kind of content in each band, and the share of the work it unlocks."""
    graph = dict(skills.graph())
    shares: dict[tuple[str, str], float] = {}
    for task in tasks:
        key = (task.kind, _skill_band(task.choice.release.value))
        shares[key] = shares.get(key, 0.0) + task.described.share
    total = sum(shares.values()) or 1.0
    values = {}
    for (kind, band), share in shares.items():
        goal = make_goal(graph, kind, band)
        graph[goal.id] = goal
        values[goal.id] = share / total
    return skills.sort_skills(graph), values


def _skill_band(tolerance: float) -> str:
    """The band of the skill graph, which has no "extreme" of its own."""
    band = band_of(tolerance)
    return "strict" if band == "extreme" else band


def make_goal(graph: skills.SkillGraph, kind: str, band: str) -> skills.Skill:
    """A goal: make this kind of content within this tolerance, and prove it.

    It needs makers of the kind in the band (or in the next more tolerant one that has any); for middle and strict
    work a way to prove the tolerance; for strict work a measured reviewer too.
    """
    needs = [("tolerance",), _makers(graph, kind, band)]
    if band != "tolerant":
        needs += [_skills_for(graph, kind, "middle", lambda s: s.id in REFINERS), ("certify", "audit")]
    if band == "strict":
        needs += [_skills_for(graph, kind, band, lambda s: s.id in REVIEWERS), ("seeded-errors",)]
    clauses = tuple(clause for clause in needs if clause)
    name = say(f"goal.{band}", kind=kind_name(kind))
    return skills.Skill(f"goal:{kind}:{band}", name, "goal", 0.0, clauses)


def _makers(graph: skills.SkillGraph, kind: str, band: str) -> tuple[str, ...]:
    """The skills that make a kind of content in the strictest band, from this one on, that has any."""
    for other in skills.BANDS[skills.BANDS.index(band) :: -1]:
        makers = _skills_for(graph, kind, other, _is_maker)
        if makers:
            return makers
    return ()


def _is_maker(skill: skills.Skill) -> bool:
    return skill.area in MAKER_AREAS and skill.id not in (*REFINERS, *NOT_MAKERS)


def _skills_for(
    graph: skills.SkillGraph, kind: str, band: str, condition: Callable[[skills.Skill], bool]
) -> tuple[str, ...]:
    """The skills that serve a kind of content in a band and meet the condition."""
    return tuple(
        skill.id
        for skill in graph.values()
        if kind in skill.unlocks and band in skill.bands and condition(skill)
    )


def _acquired_skills(person: Person) -> frozenset[str]:
    return skills.find_skills(skills.graph(), (*person.learning.known, *person.learning.done))


def plan_learning(person: Person, graph: skills.SkillGraph, goals: dict[str, float]) -> LearningPath:
    """The path to the skills that the person named, or else to the goals of their tasks."""
    acquired = _acquired_skills(person)
    if person.learning.target:
        targets = skills.find_skills(skills.graph(), person.learning.target)
        return path.plan_path(graph, sorted(targets), acquired)
    return path.plan_path(graph, list(goals), acquired, goals)


def _learning_hours(
    atlas: Atlas, other: Occupation, harm: Harm, work: ManualWork, acquired: frozenset[str]
) -> float:
    """Hours of learning that the tasks of another occupation require."""
    graph = dict(skills.graph())
    severity = task_severity(other.severity).figure.value
    band = _skill_band(float(release_tolerance(harm.hours(severity), work, 1.0, severity)))
    kinds = {kind_of(task.text, other.title) for task in atlas.tasks.get(other.code, ())[:MAX_SHOWN_TASKS]}
    goals = [make_goal(graph, kind, band) for kind in sorted(kinds)]
    graph.update({goal.id: goal for goal in goals})
    chosen = path.choose_skills(
        skills.sort_skills(graph),
        [goal.id for goal in goals],
        skills.with_prerequisites(graph, acquired),
    )
    return math.fsum(graph[name].hours for name in chosen)
