"""Puts it together: a person's tasks with their tolerances and choices, moves, and a learning path."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from tolerate.careers.data import skills
from tolerate.careers.data.atlas import Atlas, Occupation, Task
from tolerate.careers.data.kinds import kind_name, kind_of, suggested
from tolerate.careers.data.text import tokens
from tolerate.careers.data.titles import find
from tolerate.careers.model import path
from tolerate.careers.model.choice import Choice, Evidence, Work, choose, release_tolerance
from tolerate.careers.model.path import Path
from tolerate.careers.model.severity import Harm, Severity, severity
from tolerate.careers.person.me import Person, Piece
from tolerate.careers.planning import evidence, moves
from tolerate.careers.planning.advice import Advice, advise, band_of, summaries
from tolerate.careers.planning.moves import Moves
from tolerate.errors import DataError
from tolerate.messages.both import Both

SHOWN = 12  # tasks of an occupation that a person said nothing of


@dataclass(frozen=True)
class Row:
    """One task of a plan."""

    name: Both
    piece: Piece
    task: Task | None  # the occupation's task that it is, or is most like
    kind: str
    severity: Severity
    choice: Choice
    evidence: Evidence | None
    advice: Advice
    guessed: tuple[str, ...]  # gates that only the task's words suggest


@dataclass(frozen=True)
class Plan:
    """All that the report shows."""

    person: Person
    atlas: Atlas
    occupation: Occupation
    rows: tuple[Row, ...]
    harm: Harm
    work: Work
    moves: Moves | None = None
    path: Path | None = None
    graph: skills.Graph | None = None  # with the goals of this person
    hours_wanted: str = ""  # occupation whose tasks the path serves, if it is another
    maps: int = 0  # runs of tolerate that were found


def show(atlas: Atlas, wanted: str, lang: str = "en") -> Plan:
    """An occupation as it is, without anything about a person."""
    return make(
        atlas,
        Person(occupation=wanted, lang=lang, assumed=("slip", "worst", "review", "rework", "human_error")),
        only_tasks=True,
    )


def make(atlas: Atlas, person: Person, only_tasks: bool = False) -> Plan:
    """The plan of a person."""
    if not person.occupation:
        raise DataError('me.toml names no occupation; add a line such as: occupation = "translator"')
    occupation = find(atlas, person.occupation)
    harm = Harm(person.slip, person.worst)
    work = evidence.work(Piece(text="-"), person)
    maps = summaries(person.place(person.runs))
    rows = tuple(
        _row(atlas, occupation, person, harm, piece, maps) for piece in pieces(atlas, occupation, person)
    )
    plan = Plan(person, atlas, occupation, rows, harm, work, maps=len(maps))
    if only_tasks:
        return plan
    graph, goals = with_goals(rows)
    learned = learn(person, graph, goals, rows)
    known = _known(person)
    found = moves.moves(
        atlas,
        occupation,
        person.wishes,
        harm,
        work,
        lambda other: _hours(atlas, other, harm, work, known) if person.wishes.learning is not None else 0.0,
    )
    return replace(plan, moves=found, path=learned, graph=graph)


# Tasks


def pieces(atlas: Atlas, occupation: Occupation, person: Person) -> list[Piece]:
    """The person's tasks, or the occupation's core ones where they named none."""
    if person.task:
        return list(person.task)
    tasks = sorted(atlas.tasks.get(occupation.code, ()), key=lambda task: not task.core)
    if not tasks:
        raise DataError(
            f"{atlas.version} lists no tasks of {occupation.title} "
            f"({occupation.code}); name your own in me.toml under [[task]]"
        )
    return [Piece(text=task.text, id=task.id) for task in tasks[:SHOWN]]


def _row(
    atlas: Atlas,
    occupation: Occupation,
    person: Person,
    harm: Harm,
    piece: Piece,
    maps: Sequence[dict[str, Any]],
) -> Row:
    task = match(atlas, occupation, piece)
    named = task is not None and (piece.id or piece.text == task.text)
    name = task.name if task is not None and named else Both(piece.text, piece.text)
    weights = person.weights
    serious = severity(occupation.severity, piece.severity, weights.between, weights.answer)
    work = evidence.work(piece, person)
    half = 1 - (1 - weights.confidence) / 2
    strict = serious.quantile(half)
    seeded = evidence.detection(piece)
    limit = float(release_tolerance(harm.hours(strict), work, seeded.bounds(half)[1], strict))
    exact = occupation.exactness.value if occupation.exactness else None
    seen = evidence.of_piece(piece, person, limit, exact)
    guessed = () if piece.gates or piece.severity is not None else suggested(name.en)
    gates = piece.gates or guessed
    choice = choose(serious, harm, work, seen, seeded, gates, weights.confidence)
    kind = piece.kind or kind_of(name.en, occupation.title)
    return Row(
        name,
        piece,
        task,
        kind,
        serious,
        choice,
        seen,
        advise(kind, choice.release.value, maps, gates),
        guessed,
    )


def match(atlas: Atlas, occupation: Occupation, piece: Piece) -> Task | None:
    """The task that is meant: by its id, or the most alike in words, or none; DataError for an id that is not there."""
    own = atlas.tasks.get(occupation.code, ())
    if piece.id:
        found = atlas.tasks.by_id(piece.id)
        if found is None:
            near = "; ".join(f"{task.id} {task.text[:60]}" for task in own[:4])
            raise DataError(
                f'no task has the id "{piece.id}". Tasks of {occupation.title}: {near or "none"} ...'
            )
        return found
    alike = sorted(((_alike(piece.text, task.text), task) for task in own), key=lambda pair: -pair[0])
    return alike[0][1] if alike and alike[0][0] >= 0.45 else None


def _alike(one: str, other: str) -> float:
    mine, theirs = set(tokens(one)), set(tokens(other))
    shared = len(mine & theirs) / max(1, min(len(mine), len(theirs)))
    return 0.5 * shared + 0.5 * SequenceMatcher(None, one.lower(), other.lower()).ratio() if shared else 0.0


# Learning


def with_goals(rows: Iterable[Row]) -> tuple[dict[str, skills.Skill], dict[str, float]]:
    """The skill graph with a goal for each kind of content at each tolerance, and the share of work it unlocks."""
    graph = dict(skills.graph())
    wanted: dict[tuple[str, str], float] = {}
    for row in rows:
        at = (row.kind, _band(row.choice.release.value))
        wanted[at] = wanted.get(at, 0.0) + row.piece.share
    total = sum(wanted.values()) or 1.0
    value = {}
    for (kind, band), share in wanted.items():
        goal = goal_of(graph, kind, band)
        graph[goal.id] = goal
        value[goal.id] = share / total
    return skills.ordered(graph), value


def _band(tolerance: float) -> str:
    band = band_of(tolerance)
    return "strict" if band == "extreme" else band


def goal_of(graph: skills.Graph, kind: str, band: str) -> skills.Skill:
    """A goal: make this kind of content within this tolerance, and show that it is within.

    Makers of the kind at the band (or the next more tolerant one that has any); for middle and strict work a way to
    prove it; for strict work a measured reviewer too.
    """
    needs: list[tuple[str, ...]] = [("tolerance",)]
    for at in skills.BANDS[skills.BANDS.index(band) :: -1]:
        makers = _serving(graph, kind, at, lambda s: s.area in MAKERS and s.id not in (*REFINERS, *NO_MAKERS))
        if makers:
            needs.append(makers)
            break
    if band != "tolerant":
        needs += [_serving(graph, kind, "middle", lambda s: s.id in REFINERS), ("certify", "audit")]
    if band == "strict":
        needs += [_serving(graph, kind, band, lambda s: s.id in REVIEWERS), ("seeded-errors",)]
    needs = [clause for clause in needs if clause]
    name = Both(
        f"{kind_name(kind).en} at {BAND[band].en} tolerance", f"{BAND[band].zh}容错率下的{kind_name(kind).zh}"
    )
    return skills.Skill(f"goal:{kind}:{band}", name, "goal", 0.0, tuple(needs))


def _serving(
    graph: skills.Graph, kind: str, band: str, fits: Callable[[skills.Skill], bool]
) -> tuple[str, ...]:
    return tuple(
        each.id for each in graph.values() if kind in each.unlocks and band in each.bands and fits(each)
    )


MAKERS = ("languages", "frameworks", "models", "language models", "multimodal", "data")
NO_MAKERS = ("privacy", "rights", "guardrails", "sql", "pandas", "plots")
REFINERS = ("best-of-n", "self-check")
REVIEWERS = ("mqm", "fact-checking", "review-craft")
BAND = {
    "tolerant": Both("10% or more", "10% 及以上"),
    "middle": Both("1% to 10%", "1% 至 10%"),
    "strict": Both("below 1%", "1% 以下"),
}


def _known(person: Person) -> frozenset[str]:
    return skills.named(skills.graph(), (*person.learning.known, *person.learning.done))


def learn(
    person: Person, graph: dict[str, skills.Skill], goals: dict[str, float], rows: Sequence[Row]
) -> Path:
    """The path to what the person named, or else to what their tasks call for."""
    known = _known(person)
    if person.learning.target:
        targets = skills.named(skills.graph(), person.learning.target)
        return path.plan(graph, sorted(targets), known)
    return path.plan(graph, list(goals), known, goals)


def _hours(atlas: Atlas, other: Occupation, harm: Harm, work: Work, known: frozenset[str]) -> float:
    """Hours of learning that the tasks of another occupation call for."""
    graph = dict(skills.graph())
    serious = severity(other.severity)
    band = _band(float(release_tolerance(harm.hours(serious.figure.value), work, 1.0, serious.figure.value)))
    kinds = {kind_of(task.text, other.title) for task in atlas.tasks.get(other.code, ())[:SHOWN]}
    goals = [goal_of(graph, kind, band) for kind in sorted(kinds)]
    graph.update({goal.id: goal for goal in goals})
    chosen = path.choose(skills.ordered(graph), [goal.id for goal in goals], skills.implied(graph, known))
    return math.fsum(graph[name].hours for name in chosen)
