"""The lines that `tolerate career` prints: a plan, an occupation, several side by side, what an atlas holds."""

import math
import textwrap
from collections.abc import Sequence

from tolerate.careers.data.atlas import Atlas, Figure, Occupation
from tolerate.careers.data.kinds import kind_name
from tolerate.careers.pages import said
from tolerate.careers.pages.figures import span
from tolerate.careers.planning.plan import Plan, Row
from tolerate.messages.both import both, join
from tolerate.messages.careers import say
from tolerate.messages.numbers import digits, dollars, rough_percent
from tolerate.report.svg import text_width

WIDTH = 110


def plan_lines(plan: Plan, lang: str) -> list[str]:
    """A plan as lines."""
    lines = [*occupation_lines(plan, lang), "", *task_lines(plan, lang)]
    if plan.moves is not None:
        lines += ["", say("moves").pick(lang), *_moves(plan, lang)]
    if plan.path is not None:
        lines += ["", say("path").pick(lang), *_path(plan, lang)]
    return lines


def occupation_lines(plan: Plan, lang: str) -> list[str]:
    """What is known of the occupation."""
    it = plan.occupation
    both_names = it.title if not it.title_zh else f"{it.title} · {it.title_zh}"
    lines = [f"{both_names}  ({it.code}, {plan.atlas.version})"]
    lines.append("  " + _strict(plan, lang))
    low, high = dollars(it.pay_low), dollars(it.pay_high)
    note = say("glance.pay.note", low=low, high=high, openings=digits(it.openings)).pick(lang)
    lines.append(f"  {say('glance.pay').pick(lang)}: {dollars(it.pay)}" + (f" ({note})" if it.pay else ""))
    return lines


def _strict(plan: Plan, lang: str) -> str:
    it = plan.occupation
    if it.demand is None or it.severity is None or it.exactness is None:
        return f"{say('strictness').pick(lang)}: –"
    below = sum(value < it.demand for value in plan.atlas.demands.values()) / max(len(plan.atlas.demands), 1)
    guessed = say("estimated.of").pick(lang) if it.severity.estimated or it.exactness.estimated else ""
    note = say(
        "glance.strict.note", share=rough_percent(below), n=f"{len(plan.atlas.demands):,}", source=guessed
    ).pick(lang)
    parts = f"{say('glance.severity').pick(lang)} {_figure(it.severity)} "
    exact = say("glance.severity.note", exact=_figure(it.exactness)).pick(lang)
    head, stop = (f"{say('strictness').pick(lang)} {it.demand:.2f}", "；" if lang == "zh" else "; ")
    return f"{head} ({note}){stop}{parts}{exact}"


def _figure(figure: Figure) -> str:
    return span(figure, lambda value: f"{value:.2f}".rstrip("0").rstrip("."))


def task_lines(plan: Plan, lang: str) -> list[str]:
    """One line a task: its required ETR, today's choice, its kind and words; then what would change it."""
    order = sorted(plan.rows, key=lambda row: -row.choice.release.value)
    heads = [say(name).pick(lang) for name in ("etr.release", "etr.review", "choice", "kind", "task")]
    lines = [_cells(heads)]
    for row in order:
        cells = [
            span(row.choice.release),
            rough_percent(row.choice.review.value),
            said.choice_words(row).pick(lang),
        ]
        lines.append(_cells([*cells, kind_name(row.kind).pick(lang), _short(row.name.pick(lang), 64)]))
    changes = {id(row): join(said.changes(row, plan.person.weights.confidence)).pick(lang) for row in order}
    if len(set(changes.values())) == 1:
        lines += ["", *_wrapped(f"{say('changes').pick(lang)}: {next(iter(changes.values()))}")]
    else:
        for row in order:
            lines += ["", *_wrapped(f"{_short(row.name.pick(lang), 60)}: {changes[id(row)]}")]
    lines += ["", *_wrapped(said.closing(plan).pick(lang))]
    if not any(row.piece.severity for row in plan.rows):
        lines += _wrapped(say("tasks.same").pick(lang))
    return lines


def _cells(cells: Sequence[str], widths: Sequence[int] = (24, 12, 14, 14)) -> str:
    padded = [_pad(cell, width) for cell, width in zip(cells, widths, strict=False)]
    return "  " + " ".join([*padded, *cells[len(widths) :]])


def _pad(text: str, width: int) -> str:
    """A cell padded to its width in the terminal, where Chinese signs are two wide."""
    wide = sum(2 if ord(sign) > 0x2E80 else 1 for sign in text)
    return text + " " * max(0, width - wide)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _wrapped(text: str) -> list[str]:
    if any(ord(sign) > 0x2E80 for sign in text):
        from tolerate.report.svg import wrap

        return ["  " + line for line in wrap(text, WIDTH * 6.0, 12)]
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _moves(plan: Plan, lang: str) -> list[str]:
    found = plan.moves
    assert found is not None
    if not found.found:
        return [
            *_wrapped(said.nothing_passes(plan, found).pick(lang)),
            *_wrapped(said.kept_out(plan, found).pick(lang)),
        ]
    lead = say("moves.lead", n=found.passed, looked=found.looked_at, shown=len(found.found)).pick(lang)
    lines = _wrapped(lead)
    heads = [say(name).pick(lang) for name in ("feasible", "pay", "openings", "durable", "occupation")]
    widths = (13, 10, 16, 22)
    lines.append(_cells(heads, widths))
    for move in found.found:
        durable = " / ".join(rough_percent(share) for share in move.durability)
        cells = [
            f"{move.feasibility:.2f}",
            dollars(move.occupation.pay),
            digits(move.occupation.openings),
            durable,
        ]
        lines.append(_cells([*cells, move.occupation.name.pick(lang)], widths))
        lines += ["    " + line.strip() for line in _wrapped(join(said.reasons(plan, move)).pick(lang))]
    return lines


def _path(plan: Plan, lang: str) -> list[str]:
    learned, graph = plan.path, plan.graph
    assert learned is not None and graph is not None
    if not learned.steps:
        return _wrapped(say("path.done").pick(lang))
    week = plan.person.learning.hours_a_week
    lines = _wrapped(
        say(
            "path.lead",
            hours=digits(learned.hours),
            weeks=f"{math.ceil(learned.hours / max(week, 0.1)):,}",
            week=digits(week),
        ).pick(lang)
    )
    for step in learned.steps:
        skill = graph[step.id]
        if skill.area == "goal":
            lines.append(
                "  " + "→ " + say("path.unlocks", share=rough_percent(step.value), name=skill.name).pick(lang)
            )
        else:
            lines.append(
                _cells([f"{step.hours:g} h", f"{step.total:g} h", skill.name.pick(lang)], (8, 8))
                + (f"   [{skill.here}]" if skill.here else "")
            )
    return lines


def compare_lines(
    atlas: Atlas, occupations: Sequence[Occupation], plans: Sequence[Plan], lang: str
) -> list[str]:
    """Occupations side by side."""
    rows: list[tuple[str, list[str]]] = [
        (say("occupation").pick(lang), [_short(each.name.pick(lang), 30) for each in occupations]),
        (
            say("strictness").pick(lang),
            ["–" if each.demand is None else f"{each.demand:.2f}" for each in occupations],
        ),
        (
            say("glance.severity").pick(lang),
            ["–" if each.severity is None else _figure(each.severity) for each in occupations],
        ),
        (say("etr.release").pick(lang), [span(middle(plan.rows)) for plan in plans]),
        (say("glance.pay").pick(lang), [dollars(each.pay) for each in occupations]),
        (say("openings").pick(lang), [digits(each.openings) for each in occupations]),
        (
            say("growth").pick(lang),
            ["–" if each.growth is None else f"{each.growth:+.1f}%" for each in occupations],
        ),
        (say("prep").pick(lang), [digits(each.zone) for each in occupations]),
    ]
    wide = max(int(text_width(name, 1.7)) for name, _ in rows) + 2
    return ["  " + _pad(name, wide) + " ".join(_pad(cell, 32) for cell in cells) for name, cells in rows]


def middle(rows: Sequence[Row]) -> Figure:
    """The required ETR of the middle task of some rows."""
    order = sorted((row.choice.release for row in rows), key=lambda figure: figure.value)
    return order[len(order) // 2]


def atlas_lines(atlas: Atlas, lang: str) -> list[str]:
    """What an atlas holds, from where and under which licence."""
    estimated = sum(
        each.severity is not None and each.severity.estimated for each in atlas.occupations.values()
    )
    lines = [
        f"{atlas.version}: {len(atlas.occupations):,} × {say('occupation').pick(lang)}, "
        f"{atlas.tasks.count:,} × {say('task').pick(lang)}; "
        f"{say('glance.severity').pick(lang)}: {estimated} {say('estimated').pick(lang)}"
    ]
    lines += [f"  {each.name} · {each.date} · {each.licence} · {each.what}" for each in atlas.sources]
    return [*lines, *(f"  ! {note}" for note in atlas.notes)]


def sources_line(atlas: Atlas, lang: str) -> str:
    """The sources in one line."""
    return say(
        "t.sources",
        sources="; ".join(f"{each.name} ({each.licence.split(',')[0]})" for each in atlas.sources),
    ).pick(lang)


def also(names: Sequence[str], lang: str) -> str:
    """Other occupations that the words might mean."""
    return say("t.closer", names=both("; ".join(names))).pick(lang)
