"""What is said of each task and move, in both languages: choices, what would change them, techniques, reasons."""

import csv
import math
from functools import cache

from tolerate.careers.data.atlas import EMBEDDED
from tolerate.careers.model.choice import HUMAN, RELEASED, REVIEWED, TOO_MANY, UNDECIDED
from tolerate.careers.pages.figures import span
from tolerate.careers.planning.moves import Move, Moves
from tolerate.careers.planning.plan import Plan, Row
from tolerate.messages.both import Both, both, join
from tolerate.messages.careers import label_count, say
from tolerate.messages.numbers import at_most, digits, dollars, rough_percent


def choice_words(row: Row) -> Both:
    """Today's choice; a certificate that releases a part says which."""
    if row.choice.choice == RELEASED and row.choice.share < 0.995:
        return say("part", share=rough_percent(row.choice.share))
    return say(row.choice.choice)


def measured_words(row: Row) -> Both:
    """The measured error with its interval, or a dash."""
    return both(
        "–"
        if row.choice.error is None or row.evidence is None or not row.evidence.n
        else span(row.choice.error)
    )


def gate_words(row: Row) -> Both | None:
    """Which gates are shut, and whether only the words of the task suggest so."""
    if not row.choice.shut:
        return None
    names = join([say(f"gate.{gate}") for gate in row.choice.shut], ", ", "、")
    return say("gates.guessed" if row.guessed else "gates", gates=names)


def changes(row: Row, confidence: float) -> list[Both]:
    """What would change the choice, the cheapest way first."""
    choice, found = row.choice, []
    strict = choice.labels["clean"]
    wanted = rough_percent(_strict(row, confidence))
    gate = gate_words(row)
    if choice.choice == RELEASED:
        return [say("change.kept")]
    if gate is not None:
        found.append(gate)
    elif strict > TOO_MANY:
        found.append(say("change.never", etr=wanted, clean=label_count(strict)))
    elif row.evidence is None or not row.evidence.n:
        found.append(
            say(
                "change.measure",
                clean=label_count(strict),
                etr=wanted,
                likely=label_count(choice.labels["likely"]),
            )
        )
    elif math.isinf(choice.labels["likely"]):
        found.append(
            say("change.worse", seen=rough_percent(choice.error.value if choice.error else 1.0), etr=wanted)
        )
    else:
        found.append(say("change.more", likely=label_count(choice.labels["likely"]), etr=wanted))
    if choice.choice in (HUMAN, UNDECIDED) and row.evidence is not None and row.evidence.n:
        found.append(_reviewer(row, confidence))
    return found


def _strict(row: Row, confidence: float) -> float:
    """The tolerance that a certificate would have to prove: at the strict end of the severity."""
    clean = row.choice.labels["clean"]
    if clean <= 0:
        return row.choice.release.low
    if math.isinf(clean):
        return 0.0
    half = (1 - confidence) / 2
    return float(1 - half ** (1 / clean))


def _reviewer(row: Row, confidence: float) -> Both:
    need = row.choice.detection
    if need is None or need >= 1:
        return say("change.nodetect")
    half = (1 - confidence) / 2
    seeded = 1 if need <= 0 else math.ceil(math.log(half) / math.log(need))
    return say("change.detect", need=rough_percent(need), seeded=label_count(seeded))


def technique(row: Row) -> list[Both]:
    """The technique that fits: measured here first, then the rule of thumb and its exceptions."""
    found = [
        say(
            "technique.measured",
            job=m.job,
            date=m.date,
            strategy=m.strategy,
            tolerance=at_most(m.tolerance),
            coverage=rough_percent(m.coverage),
        )
        for m in row.advice.measured
    ]
    if found:
        found.append(say("technique.measured.caveat"))
    return [*found, row.advice.rule, *row.advice.exceptions]


def costs_words(row: Row) -> Both | None:
    """What a piece costs each way, in hours."""
    spent = row.choice.costs
    if RELEASED not in spent:
        return None
    return say("costs", **{name: digits(spent[name]) for name in (RELEASED, REVIEWED, HUMAN)})


def chances_words(row: Row) -> Both | None:
    """How probable each way is the right one."""
    if not row.choice.chances:
        return None
    return say(
        "chances", **{name: rough_percent(row.choice.chances[name]) for name in (RELEASED, REVIEWED, HUMAN)}
    )


# Moves


def element(name: str) -> Both:
    """A skill or field of knowledge of O*NET in both languages; one that we do not know keeps its name."""
    return Both(name, _elements().get(name, name))


@cache
def _elements() -> dict[str, str]:
    with (EMBEDDED / "chinese_elements.tsv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["zh"] for row in csv.DictReader(file, delimiter="\t")}


def reasons(plan: Plan, move: Move) -> list[Both]:
    """What speaks for and against a move, with numbers one can check."""
    gaps = [
        say("gap", name=element(gap.name), have=digits(gap.have), need=digits(gap.need))
        for gap in move.gaps[:3]
    ]
    found = [
        say("reason.related", there=rough_percent(move.there), gaps=join(gaps, ", ", "、"))
        if gaps
        else say("reason.nogap"),
        say("reason.pay", ratio=digits(move.pay)) if move.pay else say("reason.nopay"),
    ]
    here, there = plan.occupation.demand, move.occupation.demand
    if here is not None and there is not None and abs(here - there) >= 0.1:
        key = "reason.strict" if there > here else "reason.tolerant"
        found.append(say(key, from_=f"{here:.2f}", to=f"{there:.2f}"))
    if move.occupation.severity is not None and move.occupation.severity.estimated:
        found.append(say("reason.severity"))
    if move.occupation.licence:
        found.append(say("reason.licence"))
    return found


def preparation(move: Move) -> Both:
    """Steps of preparation."""
    if move.steps is None:
        return both("–")
    if not move.steps:
        return say("step.same")
    return say("step.up" if move.steps > 0 else "step.down", n=f"{abs(move.steps):g}")


def kept_out(plan: Plan, found: Moves) -> Both:
    """How many moves each wish keeps out."""
    from tolerate.careers.planning.moves import filters

    names = {each.name: each.words for each in filters(plan.occupation, plan.person.wishes, lambda _: 0.0)}
    parts = [
        Both(f"{names[k].en}: {n}", f"{names[k].zh}:{n}") for k, n in found.kept_out.items() if k in names
    ]
    return say("moves.kept", kept=join(parts))


def nothing_passes(plan: Plan, found: Moves) -> Both:
    """That the wishes contradict each other here, and the nearest moves with what they fail."""
    from tolerate.careers.planning.moves import filters

    names = {each.name: each.words for each in filters(plan.occupation, plan.person.wishes, lambda _: 0.0)}
    near = [
        say(
            "moves.none.one",
            name=move.occupation.name,
            fails=join([names[f] for f in move.fails], ", ", "、"),
        )
        for move in found.nearest
    ]
    return say("moves.none", near=join(near) if near else both("–"))


def closing(plan: Plan) -> Both:
    """The plan in one sentence."""
    n = {
        name: sum(row.choice.choice == name for row in plan.rows)
        for name in (RELEASED, REVIEWED, HUMAN, UNDECIDED)
    }
    return say("closing", tasks=len(plan.rows), **n)


def pay_words(low: float | None, high: float | None) -> str:
    """A range of pay."""
    return f"{dollars(low)} – {dollars(high)}" if low and high else "–"
