"""Moves to other occupations: a Pareto set with reasons instead of one score, and filters that the person sets.

Criteria: feasibility (learned relatedness times the share of the required levels that is met), pay, openings,
durability under the worst of three scenarios, and, if wished, how strict the work is. A move is excluded only if
another is at least as good in all of them and better, by more than the figures can tell, in one. Relatedness is
learned from O*NET's lists: it says which work is like which, not which move would suit a person.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.atlas import Atlas, Figure, Occupation
from tolerate.careers.data.kinds import suggest_gates
from tolerate.careers.model.choice import ManualWork, release_tolerance
from tolerate.careers.model.severity import TASK_SPREAD, Harm, task_severity
from tolerate.careers.person.me import Wishes
from tolerate.messages.both import Both
from tolerate.messages.careers import say
from tolerate.records import Floats

SCENARIOS = (0.2, 0.02, 0.001)  # error of machines in all that they may do: 1 in 5, 1 in 50, 1 in 1,000
GATE_RATING = 3.5  # estimated physical or interpersonal rating from which a person is needed
CRITERION_STEPS = {  # differences that the figures can tell
    "feasibility": 0.03,
    "pay": 0.05,
    "openings": 0.18,
    "durability": 0.05,
    "fit": 0.05,
}
REQUIRED_IMPORTANCE = 3.0  # importance from which a skill of the other occupation is required
MAX_GAPS = 6
NEAREST_COUNT = 3  # moves that are shown where none passes
STABILITY_DRAWS = 200
QUANTILE_90 = 1.28  # pay ranges run from the 10% to the 90% quantile
_NORMAL_QUANTILES = np.array(
    (
        -2.05,
        -1.41,
        -1.08,
        -0.84,
        -0.64,
        -0.47,
        -0.31,
        -0.15,
        0,
        0.15,
        0.31,
        0.47,
        0.64,
        0.84,
        1.08,
        1.41,
        2.05,
    )
)


@dataclass(frozen=True)
class SkillGap:
    """A skill of which the other occupation requires more: levels on O*NET's scale of 0 to 7."""

    name: str
    have: float
    need: float


@dataclass(frozen=True)
class CareerMove:
    """A move to an occupation, with the numbers for and against it; None where nothing is known."""

    occupation: Occupation
    related: float  # chance of being on the list of related occupations
    gaps: tuple[SkillGap, ...]  # the largest first
    levels_met: float  # share of the required levels, weighted by importance
    pay: float | None  # ratio to today's
    steps: float | None  # of preparation, up
    durability: tuple[float, ...]  # share of its tasks that still need a person, by scenario
    fit: float | None
    stays: float = 1.0  # share of draws in which it stays in the Pareto set
    fails: tuple[str, ...] = ()  # filters it does not pass

    @property
    def feasibility(self) -> float:
        """Feasibility of a move, 0 to 1: relatedness times the share of required levels that is met."""
        return self.related * self.levels_met


@dataclass(frozen=True)
class MoveFilter:
    """A wish as a filter of moves; a move whose figure is unknown passes."""

    name: str
    text: Both
    shortfall: Callable[[CareerMove], float]  # by how much a move fails, in natural steps; 0 where it passes

    def passes(self, move: CareerMove) -> bool:
        """Whether the move satisfies the wish."""
        return self.shortfall(move) <= 1e-9


@dataclass(frozen=True)
class MoveSet:
    """The Pareto set of the moves that pass all filters; where none passes, the nearest ones."""

    moves: tuple[CareerMove, ...]
    considered: int
    passed: int
    failed_by: dict[str, int] = field(default_factory=dict)  # filter -> moves that it alone excludes
    nearest: tuple[CareerMove, ...] = ()


def find_moves(
    atlas: Atlas,
    origin: Occupation,
    wishes: Wishes,
    harm: Harm,
    work: ManualWork,
    learning_hours: Callable[[Occupation], float] | None = None,
    max_moves: int = 12,
) -> MoveSet:
    """The moves from an occupation. learning_hours: what another one takes, for the wish on learning."""
    filters = build_filters(origin, wishes, learning_hours)
    moves = [
        _with_failures(
            build_move(atlas, origin, atlas.occupations[code], related, wishes, harm, work), filters
        )
        for code, related in atlas.related.get(origin.code, ())
        if code in atlas.occupations and code != origin.code
    ]
    passed = [move for move in moves if not move.fails]
    failed_by = {wish.name: sum(wish.name in move.fails for move in moves) for wish in filters}
    if not passed:
        nearest = sorted(moves, key=lambda move: (_total_shortfall(move, filters), -move.feasibility))
        return MoveSet((), len(moves), 0, failed_by, tuple(nearest[:NEAREST_COUNT]))
    selected = sorted(_pareto_with_stability(passed, wishes), key=lambda move: -move.feasibility)
    return MoveSet(tuple(selected[:max_moves]), len(moves), len(passed), failed_by)


def build_move(
    atlas: Atlas,
    origin: Occupation,
    other: Occupation,
    related: float,
    wishes: Wishes,
    harm: Harm,
    work: ManualWork,
) -> CareerMove:
    """Compute all numbers of one move."""
    gaps, levels_met = skill_gaps(atlas, origin.code, other.code)
    return CareerMove(
        occupation=other,
        related=related,
        gaps=gaps,
        levels_met=levels_met,
        pay=None if not origin.pay or not other.pay else other.pay / origin.pay,
        steps=None if origin.zone is None or other.zone is None else other.zone - origin.zone,
        durability=durability(atlas, other, harm, work),
        fit=strictness_fit(origin, other, wishes.tolerance),
    )


def skill_gaps(atlas: Atlas, origin: str, other: str) -> tuple[tuple[SkillGap, ...], float]:
    """The skills of which the other occupation (code) requires more, and the share of its required levels met."""
    profile, other_profile = atlas.profiles.get(origin), atlas.profiles.get(other)
    if profile is None or other_profile is None:
        return (), 1.0
    columns = {name: column for column, name in enumerate(atlas.elements)}
    gaps, required, missing = [], 0.0, 0.0
    for name, column in columns.items():
        kind, _, element = name.partition(": ")
        level = columns.get(f"{kind} level: {element}")
        if (
            level is None
            or not other_profile[column] >= REQUIRED_IMPORTANCE
            or math.isnan(other_profile[level])
        ):
            continue
        have = 0.0 if math.isnan(profile[level]) else float(profile[level])
        required += other_profile[column] * other_profile[level]
        if other_profile[level] > have:
            missing += other_profile[column] * (other_profile[level] - have)
            gaps.append(SkillGap(element, have, float(other_profile[level])))
    gaps.sort(key=lambda gap: gap.have - gap.need)
    return tuple(gaps[:MAX_GAPS]), 1.0 - missing / required if required else 1.0


def durability(atlas: Atlas, occupation: Occupation, harm: Harm, work: ManualWork) -> tuple[float, ...]:
    """The share of an occupation's tasks that need a person even if machines err as in each scenario.

    A task needs one if its required ETR is below the scenario's error, or if it is estimated to be physical or
    strongly interpersonal. This is arithmetic of scenarios, not a forecast of when machines err so rarely.
    """
    posterior = task_severity(occupation.severity, between=TASK_SPREAD)
    severities = np.clip(posterior.mean + posterior.spread * _NORMAL_QUANTILES, 1, 5)
    tolerances = release_tolerance(harm.hours(severities), work, 1.0, severities)
    gated = _gated_share(atlas, occupation)
    return tuple(float(gated + (1 - gated) * (tolerances < error).mean()) for error in SCENARIOS)


def _gated_share(atlas: Atlas, occupation: Occupation) -> float:
    """The share of its tasks that are physical or strongly interpersonal, by their words or their estimates."""
    gated = [
        any(rating is not None and rating.value >= GATE_RATING for rating in (task.physical, task.personal))
        or bool(suggest_gates(task.text))
        for task in atlas.tasks.get(occupation.code, ())
    ]
    return sum(gated) / len(gated) if gated else 0.0


def strictness_fit(origin: Occupation, other: Occupation, wish: str) -> float | None:
    """Fit of the work's strictness to the wish, 0 to 1; None without a wish."""
    if wish == "any" or origin.strictness is None or other.strictness is None:
        return None
    if wish == "similar":
        return 1 - abs(origin.strictness - other.strictness)
    return other.strictness if wish == "stricter" else 1 - other.strictness


# Filters. Each shortfall is measured in natural steps of its figure, so that shortfalls can be added up.


def build_filters(
    origin: Occupation, wishes: Wishes, learning_hours: Callable[[Occupation], float] | None = None
) -> list[MoveFilter]:
    """The wishes that are set, each as a filter."""
    filters = [
        _pay_filter(wishes.pay),
        _preparation_filter(wishes.preparation),
        None if wishes.licence else _filter("licence", lambda move: bool(move.occupation.licence)),
        _filter("new_field", lambda move: move.occupation.group == origin.group)
        if wishes.new_field
        else None,
        _filter("same_field", lambda move: move.occupation.group != origin.group)
        if wishes.same_field
        else None,
        _growth_filter(wishes.growth),
        _openings_filter(wishes.openings),
        _feasibility_filter(wishes.feasibility),
        _learning_filter(wishes.learning, learning_hours),
    ]
    return [wish for wish in filters if wish is not None]


def _filter(
    name: str, shortfall: Callable[[CareerMove], float | None], limit: float | None = None
) -> MoveFilter:
    """A filter; a shortfall that is unknown (None) or negative counts as 0."""
    return MoveFilter(name, say(f"filter.{name}", limit=limit), lambda move: max(0.0, shortfall(move) or 0.0))


def _pay_filter(limit: float | None) -> MoveFilter | None:
    if limit is None:
        return None
    return _filter("pay", lambda move: None if move.pay is None else math.log(limit / move.pay) / 0.3, limit)


def _preparation_filter(limit: float | None) -> MoveFilter | None:
    if limit is None:
        return None
    return _filter("preparation", lambda move: None if move.steps is None else move.steps - limit, limit)


def _growth_filter(limit: float | None) -> MoveFilter | None:
    if limit is None:
        return None

    def shortfall(move: CareerMove) -> float | None:
        growth = move.occupation.growth
        return None if growth is None else (limit - growth) / 5

    return _filter("growth", shortfall, limit)


def _openings_filter(limit: float | None) -> MoveFilter | None:
    if limit is None:
        return None

    def shortfall(move: CareerMove) -> float | None:
        openings = move.occupation.openings
        return math.log(limit / openings) / 0.7 if openings else None

    return _filter("openings", shortfall, limit)


def _feasibility_filter(limit: float | None) -> MoveFilter | None:
    if limit is None:
        return None
    return _filter("feasibility", lambda move: (limit - move.feasibility) / 0.1, limit)


def _learning_filter(limit: float | None, hours: Callable[[Occupation], float] | None) -> MoveFilter | None:
    if limit is None or hours is None:
        return None
    return _filter("learning", lambda move: (hours(move.occupation) - limit) / 100, limit)


def _with_failures(move: CareerMove, filters: Sequence[MoveFilter]) -> CareerMove:
    return replace(move, fails=tuple(wish.name for wish in filters if not wish.passes(move)))


def _total_shortfall(move: CareerMove, filters: Sequence[MoveFilter]) -> float:
    return sum(wish.shortfall(move) for wish in filters)


# The Pareto set


def criteria(moves: Sequence[CareerMove], wishes: Wishes) -> Floats:
    """[moves, criteria], higher is better, in units of what the figures can tell; unknown ones at the median."""
    columns = {
        "feasibility": [move.feasibility for move in moves],
        "pay": [math.log(move.pay) if move.pay else math.nan for move in moves],
        "openings": [
            math.log(move.occupation.openings) if move.occupation.openings else math.nan for move in moves
        ],
        "durability": [min(move.durability) for move in moves],
    }
    if wishes.tolerance != "any":
        columns["fit"] = [move.fit if move.fit is not None else math.nan for move in moves]
    table = np.array([np.array(values) / CRITERION_STEPS[name] for name, values in columns.items()]).T
    medians = np.array([np.median(v[np.isfinite(v)]) if np.isfinite(v).any() else 0.0 for v in table.T])
    return np.where(np.isfinite(table), table, medians)


def pareto_mask(table: Floats) -> NDArray[np.bool_]:
    """Mask of the rows that no other row dominates: at least as good in all, and more than a step better in one."""
    as_good = (table[None, :, :] >= table[:, None, :]).all(axis=2)
    better = (table[None, :, :] > table[:, None, :] + 1).any(axis=2)
    dominated: NDArray[np.bool_] = np.asarray(as_good & better)
    return np.asarray(~dominated.any(axis=1))


def _pareto_with_stability(moves: Sequence[CareerMove], wishes: Wishes) -> list[CareerMove]:
    """The moves that no other one dominates, each with the share of draws in which this holds."""
    mask = pareto_mask(criteria(moves, wishes))
    shares = _stay_shares(moves, wishes)
    return [
        replace(move, stays=float(share))
        for move, selected, share in zip(moves, mask, shares, strict=True)
        if selected
    ]


def _stay_shares(moves: Sequence[CareerMove], wishes: Wishes) -> Floats:
    """[moves] how often each is in the Pareto set when every figure varies within its uncertainty."""
    rng = np.random.default_rng(0)
    table = criteria(moves, wishes)
    spreads = _criterion_spreads(moves, wishes)
    counts = np.zeros(len(moves))
    for _ in range(STABILITY_DRAWS):
        counts += pareto_mask(table + spreads * rng.standard_normal(table.shape))
    return counts / STABILITY_DRAWS


def _criterion_spreads(moves: Sequence[CareerMove], wishes: Wishes) -> Floats:
    """[moves, criteria] standard deviations, in the units of the criteria."""
    severity_widths = [_severity_half_width(move.occupation.severity) for move in moves]
    columns = [
        [0.25 * move.feasibility / CRITERION_STEPS["feasibility"] for move in moves],
        [_log_pay_spread(move.occupation) / CRITERION_STEPS["pay"] for move in moves],
        [0.1 / CRITERION_STEPS["openings"]] * len(moves),
        [(0.05 + 0.1 * width) / CRITERION_STEPS["durability"] for width in severity_widths],
    ]
    if wishes.tolerance != "any":
        columns.append([(0.05 + 0.1 * width) / CRITERION_STEPS["fit"] for width in severity_widths])
    return np.array(columns).T


def _log_pay_spread(occupation: Occupation) -> float:
    if not occupation.pay_high or not occupation.pay_low:
        return 0.2
    return math.log(occupation.pay_high / occupation.pay_low) / (2 * QUANTILE_90) / 2


def _severity_half_width(figure: Figure | None) -> float:
    return 1.0 if figure is None else (figure.high - figure.low) / 2
