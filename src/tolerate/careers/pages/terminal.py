"""The lines that `tolerate career` prints: a plan, an occupation, several side by side, what an atlas holds."""

import textwrap
from collections.abc import Sequence

from tolerate.careers.data.atlas import Atlas, Figure
from tolerate.careers.data.kinds import kind_name
from tolerate.careers.model.path import LearningPath, LearningStep
from tolerate.careers.pages import plan_texts
from tolerate.careers.pages.figures import format_growth, format_interval, format_scale
from tolerate.careers.planning.moves import CareerMove, MoveSet
from tolerate.careers.planning.plan import CareerPlan, PlannedTask
from tolerate.messages.both import both, join
from tolerate.messages.careers import say
from tolerate.messages.numbers import digits, dollars, rough_percent
from tolerate.report.svg import text_width, wrap

LINE_WIDTH = 110
TASK_WIDTHS = (24, 12, 14, 14)
MOVE_WIDTHS = (13, 10, 16, 22)
STEP_WIDTHS = (8, 8)
OCCUPATION_WIDTH = 32
LAST_NARROW_CHARACTER = 0x2E80  # characters from here on take two columns in a terminal


def plan_lines(plan: CareerPlan, lang: str) -> list[str]:
    """A plan as lines."""
    lines = [*_occupation_lines(plan, lang), "", *_task_lines(plan, lang)]
    if plan.moves is not None:
        lines += ["", _label("moves", lang), *_move_lines(plan, plan.moves, lang)]
    if plan.path is not None:
        lines += ["", _label("path", lang), *_path_lines(plan, plan.path, lang)]
    return lines


def _label(key: str, lang: str) -> str:
    return say(key).pick(lang)


def _occupation_lines(plan: CareerPlan, lang: str) -> list[str]:
    """Name, strictness and pay of the occupation."""
    occupation = plan.occupation
    title = " · ".join(filter(None, (occupation.title, occupation.title_zh)))
    pay = f"  {_label('glance.pay', lang)}: {dollars(occupation.pay)}"
    if occupation.pay:
        pay += f" ({plan_texts.pay_note(occupation).pick(lang)})"
    return [f"{title}  ({occupation.code}, {plan.atlas.version})", "  " + _strictness_line(plan, lang), pay]


def _strictness_line(plan: CareerPlan, lang: str) -> str:
    occupation = plan.occupation
    severity, exactness = occupation.severity, occupation.exactness
    if severity is None or exactness is None:
        return f"{_label('strictness', lang)}: –"
    note = plan_texts.strictness_note(plan.atlas, occupation, severity.estimated or exactness.estimated)
    strictness = f"{_label('strictness', lang)} {format_scale(occupation.strictness)} ({note.pick(lang)})"
    exact = say("glance.severity.note", exact=_severity_text(exactness)).pick(lang)
    parts = both(strictness), both(f"{_label('glance.severity', lang)} {_severity_text(severity)} {exact}")
    return join(parts).pick(lang)


def _severity_text(figure: Figure) -> str:
    return format_interval(figure, lambda value: f"{value:.2f}".rstrip("0").rstrip("."))


def _task_lines(plan: CareerPlan, lang: str) -> list[str]:
    """A line for each task, from tolerant to strict, then what would change the choices."""
    tasks = sorted(plan.tasks, key=lambda task: -task.choice.release.value)
    headings = ("etr.release", "etr.review", "choice", "kind", "task")
    lines = [_columns([_label(key, lang) for key in headings], TASK_WIDTHS)]
    lines += [_columns(_task_cells(task, lang), TASK_WIDTHS) for task in tasks]
    lines += _change_lines(plan, tasks, lang)
    lines += ["", *_wrap(plan_texts.closing(plan).pick(lang))]
    if not any(task.described.severity for task in plan.tasks):
        lines += _wrap(_label("tasks.same", lang))
    return lines


def _task_cells(task: PlannedTask, lang: str) -> list[str]:
    return [
        format_interval(task.choice.release),
        rough_percent(task.choice.review.value),
        plan_texts.choice_text(task).pick(lang),
        kind_name(task.kind).pick(lang),
        _shorten(task.name.pick(lang), 64),
    ]


def _change_lines(plan: CareerPlan, tasks: Sequence[PlannedTask], lang: str) -> list[str]:
    """What would change each choice; said once if it is the same for all tasks."""
    confidence = plan.person.weights.confidence
    texts = [join(plan_texts.changes(task, confidence)).pick(lang) for task in tasks]
    if len(set(texts)) == 1:
        return ["", *_wrap(f"{_label('changes', lang)}: {texts[0]}")]
    lines = []
    for task, text in zip(tasks, texts, strict=True):
        lines += ["", *_wrap(f"{_shorten(task.name.pick(lang), 60)}: {text}")]
    return lines


def _move_lines(plan: CareerPlan, moves: MoveSet, lang: str) -> list[str]:
    lines = _wrap(plan_texts.moves_lead(plan, moves).pick(lang))
    if not moves.moves:
        return [*lines, *_wrap(plan_texts.excluded_moves(plan, moves).pick(lang))]
    headings = ("feasible", "pay", "openings", "durable", "occupation")
    lines.append(_columns([_label(key, lang) for key in headings], MOVE_WIDTHS))
    for move in moves.moves:
        lines.append(_columns(_move_cells(move, lang), MOVE_WIDTHS))
        reasons = join(plan_texts.reasons(plan, move)).pick(lang)
        lines += ["    " + line.strip() for line in _wrap(reasons)]
    return lines


def _move_cells(move: CareerMove, lang: str) -> list[str]:
    return [
        format_scale(move.feasibility),
        dollars(move.occupation.pay),
        digits(move.occupation.openings),
        plan_texts.durability_text(move.durability),
        move.occupation.name.pick(lang),
    ]


def _path_lines(plan: CareerPlan, path: LearningPath, lang: str) -> list[str]:
    lead = _wrap(plan_texts.path_lead(plan, path).pick(lang))
    return [*lead, *(_step_line(plan, step, lang) for step in path.steps)]


def _step_line(plan: CareerPlan, step: LearningStep, lang: str) -> str:
    assert plan.graph is not None
    skill = plan.graph[step.id]
    if skill.area == "goal":
        goal = say("path.unlocks", share=rough_percent(step.value), name=skill.name)
        return f"  → {goal.pick(lang)}"
    line = _columns([f"{step.hours:g} h", f"{step.total:g} h", skill.name.pick(lang)], STEP_WIDTHS)
    return f"{line}   [{skill.command}]" if skill.command else line


def compare_lines(plans: Sequence[CareerPlan], lang: str) -> list[str]:
    """The occupations of several plans side by side."""
    occupations = [plan.occupation for plan in plans]
    severities = [occupation.severity for occupation in occupations]
    rows = {
        "occupation": [_shorten(occupation.name.pick(lang), 30) for occupation in occupations],
        "strictness": [format_scale(occupation.strictness) for occupation in occupations],
        "glance.severity": ["–" if figure is None else _severity_text(figure) for figure in severities],
        "etr.release": [format_interval(plan_texts.median_tolerance(plan.tasks)) for plan in plans],
        "glance.pay": [dollars(occupation.pay) for occupation in occupations],
        "openings": [digits(occupation.openings) for occupation in occupations],
        "growth": [format_growth(occupation.growth) for occupation in occupations],
        "prep": [digits(occupation.zone) for occupation in occupations],
    }
    labels = [_label(key, lang) for key in rows]
    label_width = max(int(text_width(label, 1.7)) for label in labels) + 2
    return [
        "  " + _pad(label, label_width) + " ".join(_pad(cell, OCCUPATION_WIDTH) for cell in cells)
        for label, cells in zip(labels, rows.values(), strict=True)
    ]


def atlas_lines(atlas: Atlas, lang: str) -> list[str]:
    """Lines on the content of an atlas, its sources and their licences."""
    severities = [occupation.severity for occupation in atlas.occupations.values()]
    estimated = sum(severity is not None and severity.estimated for severity in severities)
    lines = [
        f"{atlas.version}: {len(atlas.occupations):,} × {_label('occupation', lang)}, "
        f"{atlas.tasks.count:,} × {_label('task', lang)}; "
        f"{_label('glance.severity', lang)}: {estimated} {_label('estimated', lang)}"
    ]
    lines += [
        f"  {source.name} · {source.date} · {source.licence} · {source.what}" for source in atlas.sources
    ]
    return [*lines, *(f"  ! {note}" for note in atlas.notes)]


def sources_line(atlas: Atlas, lang: str) -> str:
    """The sources of an atlas in one line."""
    sources = "; ".join(f"{source.name} ({source.licence.split(',')[0]})" for source in atlas.sources)
    return say("t.sources", sources=sources).pick(lang)


def other_occupations_line(titles: Sequence[str], lang: str) -> str:
    """Other occupations that a title may mean."""
    return say("t.closer", names="; ".join(titles)).pick(lang)


# Text in columns


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of cells padded to these widths; further cells follow without padding."""
    padded = [_pad(cell, width) for cell, width in zip(cells, widths, strict=False)]
    return "  " + " ".join([*padded, *cells[len(widths) :]])


def _pad(text: str, width: int) -> str:
    """A cell padded to its width in the terminal, where Chinese characters take two columns."""
    columns = sum(2 if ord(character) > LAST_NARROW_CHARACTER else 1 for character in text)
    return text + " " * max(0, width - columns)


def _shorten(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else text[: max_length - 1].rstrip() + "…"


def _wrap(text: str) -> list[str]:
    if any(ord(character) > LAST_NARROW_CHARACTER for character in text):
        return ["  " + line for line in wrap(text, LINE_WIDTH * 6.0, 12)]
    return textwrap.wrap(text, LINE_WIDTH, initial_indent="  ", subsequent_indent="  ")
