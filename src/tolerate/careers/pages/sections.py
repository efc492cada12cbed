"""What each part of a plan's page says, as values for its template."""

import math
from typing import Any

from tolerate.careers.data.atlas import Figure, Occupation
from tolerate.careers.data.kinds import kind_name
from tolerate.careers.model.choice import CHOICES
from tolerate.careers.pages import pictures, said
from tolerate.careers.pages.figures import span
from tolerate.careers.pages.terminal import middle
from tolerate.careers.planning.advice import NAMES, RULES, THUMB, _family
from tolerate.careers.planning.plan import Plan, Row
from tolerate.messages.both import Both, both, join
from tolerate.messages.careers import label_count, say
from tolerate.messages.numbers import at_most, digits, dollars, percent, rough_percent

LIMITS = tuple(f"limit.{k}" for k in range(1, 8))


def sections(plan: Plan) -> dict[str, Any]:
    """All parts by name; a part without anything to show is None."""
    return {
        "glance": glance(plan),
        "tasks": tasks(plan),
        "map": {
            "wide": pictures.occupations_map(plan),
            "narrow": pictures.occupations_map(plan, narrow=True),
        },
        "moves": moves(plan),
        "path": path(plan),
        "techniques": techniques(plan),
        "limits": [say(key) for key in LIMITS],
        "appendix": appendix(plan),
    }


def glance(plan: Plan) -> list[dict[str, Any]]:
    """Four figures at the top."""
    it, typical = plan.occupation, middle(plan.rows)
    below = sum(value < (it.demand or 0) for value in plan.atlas.demands.values()) / max(
        len(plan.atlas.demands), 1
    )
    guessed = say("estimated.of") if it.severity and it.severity.estimated else both("")
    found = [
        {
            "what": say("glance.strict"),
            "value": both("–" if it.demand is None else f"{it.demand:.2f}"),
            "note": say(
                "glance.strict.note",
                share=rough_percent(below),
                n=f"{len(plan.atlas.demands):,}",
                source=guessed,
            ),
        },
        {
            "what": say("glance.severity"),
            "value": both("–" if it.severity is None else f"{it.severity.value:.2f}"),
            "note": say(
                "glance.severity.note", exact="–" if it.exactness is None else f"{it.exactness.value:.2f}"
            ),
        },
        {
            "what": say("glance.etr"),
            "value": both(rough_percent(typical.value)),
            "note": say("glance.etr.note", low=rough_percent(typical.high), high=rough_percent(typical.low)),
        },
        {
            "what": say("glance.pay"),
            "value": both(dollars(it.pay)),
            "note": say(
                "glance.pay.note",
                low=dollars(it.pay_low),
                high=dollars(it.pay_high),
                openings=digits(it.openings),
            ),
        },
    ]
    return found if it.pay else found[:3]


def tasks(plan: Plan) -> dict[str, Any]:
    """The tasks: the picture, and a card each."""
    order = sorted(plan.rows, key=lambda row: (-row.choice.release.value, -row.choice.release.low))
    return {
        "wide": pictures.tasks_line(plan),
        "narrow": pictures.tasks_line(plan, narrow=True),
        "rows": [_task(plan, row) for row in order],
        "same": say("tasks.same") if not any(row.piece.severity for row in plan.rows) else None,
        "choices": [(name, say(name)) for name in CHOICES],
    }


def _task(plan: Plan, row: Row) -> dict[str, Any]:
    figure = row.severity.figure
    shown = Both(
        *(
            _scale(figure) + (f" {say('estimated').pick(lang)}" if figure.estimated else "")
            for lang in ("en", "zh")
        )
    )
    return {
        "name": row.name,
        "kind": kind_name(row.kind),
        "choice": row.choice.choice,
        "choice_words": said.choice_words(row),
        "severity": say("severity", value=shown),
        "release": span(row.choice.release),
        "review": span(row.choice.review),
        "measured": said.measured_words(row),
        "source": row.evidence.source if row.evidence else "",
        "changes": said.changes(row, plan.person.weights.confidence),
        "technique": said.technique(row),
        "measure": row.advice.measure,
        "more": [each for each in (said.costs_words(row), said.chances_words(row)) if each is not None],
    }


def _scale(figure: Figure) -> str:
    return span(figure, lambda value: f"{value:.1f}")


def moves(plan: Plan) -> dict[str, Any] | None:
    """The Pareto set, or that nothing passes and what is nearest."""
    found = plan.moves
    if found is None:
        return None
    return {
        "lead": say("moves.lead", n=found.passed, looked=found.looked_at, shown=len(found.found))
        if found.found
        else said.nothing_passes(plan, found),
        "rows": [_move(plan, move) for move in found.found],
        "kept": said.kept_out(plan, found),
    }


def _move(plan: Plan, move: Any) -> dict[str, Any]:
    it: Occupation = move.occupation
    return {
        "name": it.name,
        "code": it.code,
        "feasible": f"{move.feasibility:.2f}",
        "bar": pictures.bar(move.feasibility),
        "pay": dollars(it.pay),
        "pay_range": said.pay_words(it.pay_low, it.pay_high),
        "openings": digits(it.openings),
        "growth": "–" if it.growth is None else f"{it.growth:+.1f}%",
        "prep": said.preparation(move),
        "durable": " / ".join(rough_percent(share) for share in move.durability),
        "stays": rough_percent(move.stays),
        "reasons": join(said.reasons(plan, move)),
    }


def path(plan: Plan) -> dict[str, Any] | None:
    """The learning path, step by step."""
    learned, graph = plan.path, plan.graph
    if learned is None or graph is None:
        return None
    week = plan.person.learning.hours_a_week
    weeks = f"{math.ceil(learned.hours / max(week, 0.1)):,}"
    names = [graph[name].name for name in learned.skipped if graph[name].area != "goal"]
    return {
        "lead": say("path.lead", hours=digits(learned.hours), weeks=weeks, week=digits(week))
        if learned.steps
        else say("path.done"),
        "picture": pictures.path_steps(plan),
        "steps": [_step(plan, step) for step in learned.steps],
        "skipped": say("path.skipped", names=join(names, ", ", "、")) if names else None,
    }


def _step(plan: Plan, step: Any) -> dict[str, Any]:
    assert plan.graph is not None and plan.path is not None
    skill = plan.graph[step.id]
    if skill.area == "goal":
        return {"goal": say("path.unlocks", share=rough_percent(step.value), name=skill.name)}
    asked = [plan.graph[name].name for name in step.asked_by]
    why = say("path.for", names=join(asked, ", ", "、")) if asked else say("path.target")
    return {
        "goal": None,
        "name": skill.name,
        "hours": digits(step.hours),
        "total": digits(step.total),
        "why": why,
        "here": skill.here,
        "resource": skill.resource,
        "area": skill.area,
    }


def techniques(plan: Plan) -> dict[str, Any]:
    """The rule of thumb for the kinds of content in the plan, by band; what was measured stands with each task."""
    families = dict.fromkeys(_family(row.kind) for row in plan.rows)
    kinds = {
        family: next(kind_name(row.kind) for row in plan.rows if _family(row.kind) == family)
        for family in families
    }
    folder = str(plan.person.runs)
    found = {id(m): m for row in plan.rows for m in row.advice.measured}
    return {
        "lead": THUMB,
        "runs": say("techniques.some", n=plan.maps, folder=folder)
        if plan.maps
        else say("techniques.none", folder=folder),
        "bands": list(NAMES.values()),
        "rows": [(kinds[family], [RULES[family][band] for band in NAMES]) for family in families],
        "measured": [
            say(
                "technique.measured",
                job=m.job,
                date=m.date,
                strategy=m.strategy,
                tolerance=at_most(m.tolerance),
                coverage=rough_percent(m.coverage),
            )
            for m in {(m.run, m.tolerance): m for m in found.values()}.values()
        ],
    }


def appendix(plan: Plan) -> dict[str, Any]:
    """Every input, source and date."""
    person, work, harm = plan.person, plan.work, plan.harm
    values: list[tuple[str, Any]] = [
        ("slip", f"{harm.slip:g}"),
        ("worst", f"{harm.worst:g}"),
        ("review", rough_percent(work.review)),
        ("rework", rough_percent(work.rework)),
        ("human_error", rough_percent(work.human_error)),
        ("between", f"{person.weights.between:g}"),
        ("answer", f"{person.weights.answer:g}"),
        ("confidence", rough_percent(person.weights.confidence)),
    ]
    assumed = {*person.assumed, *(() if person.task else ("hours",))}
    half = 1 - (1 - person.weights.confidence) / 2
    return {
        "inputs": [
            (
                say(f"in.{name}"),
                value,
                say("appendix.assumed")
                if name in assumed
                else say("appendix.given")
                if name in ("slip", "worst", "review", "rework", "human_error")
                else both(""),
            )
            for name, value in values
        ],
        "sources": [(each.name, each.licence, each.date, each.what) for each in plan.atlas.sources],
        "notes": [both(note) for note in plan.atlas.notes],
        "formulas": [
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
                half=percent(half),
                rest=rough_percent(1 - person.weights.confidence),
            ),
        ],
        "count": label_count(len(plan.rows)),
    }
