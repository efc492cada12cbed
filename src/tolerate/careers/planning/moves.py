"""Moves to other occupations: a Pareto set with reasons, never one score; filters that can be moved.

Criteria: feasibility (learned relatedness times what of the required levels is there already), pay, openings,
durability under the worst of three scenarios, and, if wished, how strict the work is. A move is left out only if
another is at least as good in all of them and better, by more than the figures can tell, in one. Relatedness is
learned from O*NET's lists: it says which work is like which, not which move would suit a person.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.atlas import Atlas, Figure, Occupation
from tolerate.careers.model.choice import Work, release_tolerance
from tolerate.careers.model.severity import BETWEEN, Harm, severity
from tolerate.careers.person.me import Wishes
from tolerate.messages.both import Both
from tolerate.records import Floats

SCENARIOS = (0.2, 0.02, 0.001)  # error of machines in all that they may do: 1 in 5, 1 in 50, 1 in 1,000
GATE_AT = 3.5  # estimated physical or interpersonal rating from which a person is needed
STEPS = {
    "feasibility": 0.03,
    "pay": 0.05,
    "openings": 0.18,
    "durability": 0.05,
    "fit": 0.05,
}  # what figures can tell
NEEDED = 3.0  # importance from which a skill of the other occupation is required


@dataclass(frozen=True)
class Gap:
    """One thing that the other occupation asks more of: levels on O*NET's scale of 0 to 7."""

    name: str
    have: float
    need: float


@dataclass(frozen=True)
class Move:
    """A move to an occupation, with the numbers that speak for and against it; None where nothing is known."""

    occupation: Occupation
    related: float  # chance of being on the list of related occupations
    gaps: tuple[Gap, ...]  # the largest first
    there: float  # share of the required levels that is there already
    pay: float | None  # ratio to today's
    steps: float | None  # of preparation, up
    durability: tuple[float, ...]  # share of its tasks that still need a person, by scenario
    fit: float | None
    stays: float = 1.0  # share of draws in which it stays in the Pareto set
    fails: tuple[str, ...] = ()  # filters it does not pass

    @property
    def feasibility(self) -> float:
        """How near the work is: related, and required levels there."""
        return self.related * self.there


@dataclass(frozen=True)
class Filter:
    """One wish: what is asked, and whether a move passes; unknown figures pass and are named."""

    name: str
    words: Both
    passes: Callable[[Move], bool]
    short: Callable[[Move], float]  # by how much it fails, in natural steps; 0 where it passes


@dataclass(frozen=True)
class Moves:
    """The Pareto set, what each filter keeps out, and, where nothing is left, the nearest."""

    found: tuple[Move, ...]
    looked_at: int
    passed: int
    kept_out: dict[str, int] = field(default_factory=dict)  # by each filter alone
    nearest: tuple[Move, ...] = ()  # where nothing passes: those that fail least


def moves(
    atlas: Atlas,
    origin: Occupation,
    wishes: Wishes,
    harm: Harm,
    work: Work,
    hours: Callable[[Occupation], float] | None = None,
    most: int = 12,
) -> Moves:
    """Where one could go from an occupation. hours: of learning for another, for the wish on learning."""
    every = [
        one(atlas, origin, atlas.occupations[code], score, wishes, harm, work)
        for code, score in atlas.related.get(origin.code, ())
        if code in atlas.occupations and code != origin.code
    ]
    tests = filters(origin, wishes, hours)
    marked = [_marked(move, tests) for move in every]
    passed = [move for move in marked if not move.fails]
    alone = {each.name: sum(each.name in move.fails for move in marked) for each in tests}
    if not passed:
        near = sorted(marked, key=lambda move: (_short(move, tests), -move.feasibility))
        return Moves((), len(every), 0, alone, tuple(near[:3]))
    best = pareto(passed, wishes)
    wobbled = _stays(passed, wishes)
    found = [_with_stays(move, wobbled[id(move)]) for move in best]
    found.sort(key=lambda move: -move.feasibility)
    return Moves(tuple(found[:most]), len(every), len(passed), alone)


def one(
    atlas: Atlas,
    origin: Occupation,
    other: Occupation,
    related: float,
    wishes: Wishes,
    harm: Harm,
    work: Work,
) -> Move:
    """All numbers of one move."""
    gaps, there = gap(atlas, origin.code, other.code)
    return Move(
        occupation=other,
        related=related,
        gaps=gaps,
        there=there,
        pay=None if not origin.pay or not other.pay else other.pay / origin.pay,
        steps=None if origin.zone is None or other.zone is None else other.zone - origin.zone,
        durability=durability(atlas, other, harm, work),
        fit=fit(origin, other, wishes.tolerance),
    )


def gap(atlas: Atlas, here: str, there: str) -> tuple[tuple[Gap, ...], float]:
    """What the other occupation requires more of, and the share of its required levels that is there already."""
    mine, theirs = atlas.profiles.get(here), atlas.profiles.get(there)
    if mine is None or theirs is None:
        return (), 1.0
    at = {name: k for k, name in enumerate(atlas.elements)}
    gaps, need_sum, short_sum = [], 0.0, 0.0
    for name, k in at.items():
        kind, _, element = name.partition(": ")
        level = at.get(f"{kind} level: {element}")
        if level is None or not theirs[k] >= NEEDED or math.isnan(theirs[level]):
            continue
        have = 0.0 if math.isnan(mine[level]) else float(mine[level])
        need_sum += theirs[k] * theirs[level]
        if theirs[level] > have:
            short_sum += theirs[k] * (theirs[level] - have)
            gaps.append(Gap(element, have, float(theirs[level])))
    gaps.sort(key=lambda each: each.have - each.need)
    return tuple(gaps[:6]), 1.0 - short_sum / need_sum if need_sum else 1.0


def durability(atlas: Atlas, occupation: Occupation, harm: Harm, work: Work) -> tuple[float, ...]:
    """The share of an occupation's tasks that need a person even if machines err as in each scenario.

    A task needs one if its required ETR is below the scenario's error, or if it is estimated to be physical or
    strongly interpersonal. Arithmetic of scenarios, no forecast: nobody knows when a machine errs how rarely.
    """
    held = severity(occupation.severity, between=BETWEEN)
    at = np.clip(held.mean + held.spread * _NORMAL, 1, 5)
    limits = release_tolerance(harm.hours(at), work, 1.0, at)
    gated = _gated(atlas, occupation)
    return tuple(float(gated + (1 - gated) * (limits < error).mean()) for error in SCENARIOS)


_NORMAL = np.array(
    [
        -2.05,
        -1.41,
        -1.08,
        -0.84,
        -0.64,
        -0.47,
        -0.31,
        -0.15,
        0.0,
        0.15,
        0.31,
        0.47,
        0.64,
        0.84,
        1.08,
        1.41,
        2.05,
    ]
)


def _gated(atlas: Atlas, occupation: Occupation) -> float:
    """The share of its tasks that are physical or strongly interpersonal, by their words or their estimates."""
    from tolerate.careers.data.kinds import suggested

    tasks = atlas.tasks.get(occupation.code, ())
    shut = [
        any(each is not None and each.value >= GATE_AT for each in (task.physical, task.personal))
        or bool(suggested(task.text))
        for task in tasks
    ]
    return sum(shut) / len(shut) if shut else 0.0


def fit(origin: Occupation, other: Occupation, wish: str) -> float | None:
    """How well the strictness of the work fits the wish, 0 to 1; None where nothing was wished."""
    if wish == "any" or origin.demand is None or other.demand is None:
        return None
    if wish == "similar":
        return 1 - abs(origin.demand - other.demand)
    return other.demand if wish == "stricter" else 1 - other.demand


# Filters


def filters(
    origin: Occupation, wishes: Wishes, hours: Callable[[Occupation], float] | None = None
) -> list[Filter]:
    """The wishes that are set, each as a filter."""
    found: list[Filter] = []

    def add(name: str, en: str, zh: str, short: Callable[[Move], float | None]) -> None:
        found.append(
            Filter(
                name,
                Both(en, zh),
                lambda move: (short(move) or 0.0) <= 1e-9,
                lambda move: max(0.0, short(move) or 0.0),
            )
        )

    w = wishes
    if w.pay is not None:
        least = w.pay
        add(
            "pay",
            f"pay at least {least:g} times today's",
            f"薪酬不低于目前的 {least:g} 倍",
            lambda m: None if m.pay is None else math.log(least / m.pay) / 0.3,
        )
    if w.preparation is not None:
        most = w.preparation
        add(
            "preparation",
            f"at most {most:g} step(s) more preparation",
            f"准备程度至多高 {most:g} 级",
            lambda m: None if m.steps is None else m.steps - most,
        )
    if not w.licence:
        add("licence", "no licence", "不需执照", lambda m: 1.0 if m.occupation.licence else 0.0)
    if w.new_field:
        add(
            "new_field",
            "a new field",
            "换一个领域",
            lambda m: 1.0 if m.occupation.group == origin.group else 0.0,
        )
    if w.same_field:
        add(
            "same_field",
            "the same field",
            "留在本领域",
            lambda m: 1.0 if m.occupation.group != origin.group else 0.0,
        )
    if w.growth is not None:
        grow = w.growth
        add(
            "growth",
            f"growth of at least {grow:g}% in ten years",
            f"十年增长不低于 {grow:g}%",
            lambda m: None if m.occupation.growth is None else (grow - m.occupation.growth) / 5,
        )
    if w.openings is not None:
        free = w.openings
        add(
            "openings",
            f"at least {free:,.0f} openings a year",
            f"每年空缺不少于 {free:,.0f} 个",
            lambda m: None if not m.occupation.openings else math.log(free / m.occupation.openings) / 0.7,
        )
    if w.feasibility is not None:
        near = w.feasibility
        add(
            "feasibility",
            f"feasibility at least {near:g}",
            f"可行度不低于 {near:g}",
            lambda m: (near - m.feasibility) / 0.1,
        )
    if w.learning is not None and hours is not None:
        spare = w.learning
        add(
            "learning",
            f"at most {spare:g} hours of learning",
            f"学习时间至多 {spare:g} 小时",
            lambda m: (hours(m.occupation) - spare) / 100,
        )
    return found


def _marked(move: Move, tests: Sequence[Filter]) -> Move:
    from dataclasses import replace

    return replace(move, fails=tuple(each.name for each in tests if not each.passes(move)))


def _with_stays(move: Move, stays: float) -> Move:
    from dataclasses import replace

    return replace(move, stays=stays)


def _short(move: Move, tests: Sequence[Filter]) -> float:
    return sum(each.short(move) for each in tests)


# The Pareto set


def criteria(found: Sequence[Move], wishes: Wishes) -> Floats:
    """[moves, criteria], higher is better, in units of what the figures can tell; unknown ones at the middle."""
    columns = {
        "feasibility": [move.feasibility for move in found],
        "pay": [math.log(move.pay) if move.pay else math.nan for move in found],
        "openings": [
            math.log(move.occupation.openings) if move.occupation.openings else math.nan for move in found
        ],
        "durability": [min(move.durability) for move in found],
    }
    if wishes.tolerance != "any":
        columns["fit"] = [move.fit if move.fit is not None else math.nan for move in found]
    table = np.array([np.array(values) / STEPS[name] for name, values in columns.items()]).T
    middle = np.array([np.median(v[np.isfinite(v)]) if np.isfinite(v).any() else 0.0 for v in table.T])
    return np.where(np.isfinite(table), table, middle)


def front(table: Floats) -> NDArray[np.bool_]:
    """Which rows no other row dominates: at least as good in all, and more than a step better in one."""
    as_good = (table[None, :, :] >= table[:, None, :]).all(axis=2)
    better = (table[None, :, :] > table[:, None, :] + 1).any(axis=2)
    beaten: NDArray[np.bool_] = np.asarray(as_good & better)
    return np.asarray(~beaten.any(axis=1))


def pareto(found: Sequence[Move], wishes: Wishes) -> list[Move]:
    """The moves that no other one dominates."""
    return [move for move, stays in zip(found, front(criteria(found, wishes)), strict=True) if stays]


def _stays(found: Sequence[Move], wishes: Wishes, draws: int = 200) -> dict[int, float]:
    """How often each move is in the set when every figure wobbles within what is known of it."""
    rng = np.random.default_rng(0)
    table = criteria(found, wishes)
    spread = np.column_stack([_spreads(found, wishes)])
    inside = np.zeros(len(found))
    for _ in range(draws):
        inside += front(table + spread * rng.standard_normal(table.shape))
    return {id(move): float(share) for move, share in zip(found, inside / draws, strict=True)}


def _spreads(found: Sequence[Move], wishes: Wishes) -> Floats:
    """Standard deviations of the criteria, in the same units: of pay a quarter of its range, of severity its own."""
    pays = [
        math.log(m.occupation.pay_high / m.occupation.pay_low) / (2 * 1.28) / 2
        if m.occupation.pay_high and m.occupation.pay_low
        else 0.2
        for m in found
    ]
    unsure = [_unsure(m.occupation.severity) for m in found]
    columns = [
        [0.25 * m.feasibility / STEPS["feasibility"] for m in found],
        [p / STEPS["pay"] for p in pays],
        [0.1 / STEPS["openings"]] * len(found),
        [(0.05 + 0.1 * u) / STEPS["durability"] for u in unsure],
    ]
    if wishes.tolerance != "any":
        columns.append([(0.05 + 0.1 * u) / STEPS["fit"] for u in unsure])
    return np.array(columns).T


def _unsure(figure: Figure | None) -> float:
    return 1.0 if figure is None else (figure.high - figure.low) / 2
