"""The learning path: the skills that reach the targets in the fewest hours, ordered so that value comes early.

Which skills: a 0/1 programme, solved exactly (HiGHS): x in {0,1} for each skill, minimise the hours, such that
each target is chosen, and of each clause of a chosen skill one member is chosen or already acquired. The graph has no
cycle, so every solution can be ordered. Which order: the value of a skill (the share of the person's work it
unlocks within tolerance) should come early: minimise the sum of value times the hour at which it is reached, greedily
by the best ratio of value to hours, then by moving short stretches while that helps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.skills import Skill, SkillGraph, is_learnable, sort_skills, with_prerequisites
from tolerate.errors import OptionError
from tolerate.records import Floats


@dataclass(frozen=True)
class LearningStep:
    """One skill to learn. total: the hours spent once it is learned; asked_by: the later steps that need it."""

    id: str
    hours: float
    total: float
    asked_by: tuple[str, ...]  # empty for a target
    value: float


@dataclass(frozen=True)
class LearningPath:
    """The steps of learning in order. skipped: skills that would be needed, but are acquired."""

    steps: tuple[LearningStep, ...]
    targets: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """The hours of all steps."""
        return sum(step.hours for step in self.steps)


def plan_path(
    skills: SkillGraph,
    targets: Iterable[str],
    acquired: Iterable[str] = (),
    value: Mapping[str, float] | None = None,
) -> LearningPath:
    """The path to the targets. value: of each skill once learned; by default 1 for each target."""
    acquired_closure = with_prerequisites(skills, acquired)
    goals = tuple(dict.fromkeys(targets))
    for name in goals:
        if name not in skills:
            raise OptionError(f'the target "{name}" is not a skill of the graph')
    missing = [name for name in goals if name not in acquired_closure]
    chosen = choose_skills(skills, missing, acquired_closure)
    worth = value or dict.fromkeys(missing, 1.0)
    order = order_skills(skills, chosen, acquired_closure, worth)
    skipped = sorted(
        acquired_closure & {other for name in chosen for clause in skills[name].needs for other in clause}
    )
    return LearningPath(_steps(skills, order, missing, acquired_closure, worth), goals, tuple(skipped))


def choose_skills(skills: SkillGraph, targets: Sequence[str], acquired: Iterable[str] = ()) -> list[str]:
    """The skills of the fewest total hours that reach the targets, each after those it needs."""
    learned = frozenset(acquired)
    missing = [name for name in targets if name not in learned]
    if not missing:
        return []
    names = [name for name in sort_skills(skills) if name in _reachable_skills(skills, missing, learned)]
    column_of = {name: k for k, name in enumerate(names)}
    rows = []
    for name in names:
        for clause in skills[name].needs:
            if not learned & set(clause):
                row = np.zeros(len(names))
                row[column_of[name]] -= 1
                row[[column_of[other] for other in clause]] += 1
                rows.append(row)
    solution = _solve(
        np.array([skills[name].hours for name in names]), rows, [column_of[name] for name in missing]
    )
    return [name for name, take in zip(names, solution, strict=True) if take]


def _solve(hours: Floats, rows: list[Floats], forced: list[int]) -> NDArray[np.bool_]:
    from scipy.optimize import Bounds, LinearConstraint, milp

    low = np.zeros(len(hours))
    low[forced] = 1
    limits = [LinearConstraint(np.array(rows), 0)] if rows else []
    result = milp(
        hours + 1e-6,
        constraints=limits,
        bounds=Bounds(low, 1),
        integrality=np.ones(len(hours)),
        options={"mip_rel_gap": 0},
    )
    return np.asarray(result.x > 0.5)


def _reachable_skills(skills: SkillGraph, targets: Iterable[str], learned: frozenset[str]) -> set[str]:
    """All skills that the targets may need and that are not learned yet."""
    reachable: set[str] = set()
    queue = list(targets)
    while queue:
        name = queue.pop()
        if name not in reachable and name not in learned:
            reachable.add(name)
            queue += [other for clause in skills[name].needs if not learned & set(clause) for other in clause]
    return reachable


# The order


def order_skills(
    skills: SkillGraph, chosen: Sequence[str], acquired: Iterable[str], value: Mapping[str, float]
) -> list[str]:
    """The skills in an order that brings value early and respects the prerequisites of each."""
    learned, remaining, order = set(acquired), list(chosen), []
    while remaining:
        chunk = _best_chunk(skills, remaining, learned, value)
        order += chunk
        learned |= set(chunk)
        remaining = [name for name in remaining if name not in learned]
    return _improve_order(skills, order, frozenset(acquired), value)


def _best_chunk(
    skills: SkillGraph, remaining: Sequence[str], learned: set[str], value: Mapping[str, float]
) -> list[str]:
    """A skill of value after those it still needs: the group with the highest value per hour."""
    chunks = [
        _missing_skills(skills, name, remaining, learned) for name in remaining if value.get(name, 0) > 0
    ]
    if not chunks:
        return list(remaining)
    return max(chunks, key=lambda chunk: _ratio(skills, chunk, value))


def _ratio(skills: SkillGraph, chunk: Sequence[str], value: Mapping[str, float]) -> float:
    return sum(value.get(n, 0) for n in chunk) / max(sum(skills[n].hours for n in chunk), 1e-9)


def _missing_skills(skills: SkillGraph, name: str, remaining: Sequence[str], learned: set[str]) -> list[str]:
    """The skills among `remaining` to learn up to this one; of a clause, the member that takes the fewest hours."""
    candidates, missing = set(remaining), []

    def visit(skill_id: str, planned: set[str]) -> None:
        for clause in skills[skill_id].needs:
            if not set(clause) & (learned | planned):
                options = [other for other in clause if other in candidates]
                visit(
                    min(
                        options,
                        key=lambda other: _hours_to_learn(skills, other, candidates, learned | planned),
                    ),
                    planned,
                )
        if skill_id not in planned:
            planned.add(skill_id)
            missing.append(skill_id)

    visit(name, set())
    return missing


def _hours_to_learn(skills: SkillGraph, name: str, candidates: set[str], learned: set[str]) -> float:
    """The approximate hours that a skill still takes, with those it needs."""
    if name in learned:
        return 0.0
    prerequisites = 0.0
    for clause in skills[name].needs:
        options = [other for other in clause if other in candidates]
        if options and not set(clause) & learned:
            prerequisites += min(_hours_to_learn(skills, other, candidates, learned) for other in options)
    return skills[name].hours + prerequisites


def learning_delay(skills: SkillGraph, order: Sequence[str], value: Mapping[str, float]) -> float:
    """The cost of an order: the sum over skills of value times the hour at which it is learned.

    >>> from tolerate.careers.data.skills import graph
    >>> learning_delay(graph(), ["using-llm", "prompting"], {"prompting": 1.0})
    14.0
    """
    hours = np.cumsum([skills[name].hours for name in order])
    return float(sum(value.get(name, 0.0) * hour for name, hour in zip(order, hours, strict=True)))


def _improve_order(
    skills: SkillGraph, order: list[str], acquired: frozenset[str], value: Mapping[str, float]
) -> list[str]:
    """Local search: move stretches of one to four skills while that reduces the delay."""
    best, cost = order, learning_delay(skills, order, value)
    for _ in range(3):
        before = cost
        for length in (1, 2, 3, 4):
            for start in range(len(best) - length + 1):
                stretch, rest = best[start : start + length], best[:start] + best[start + length :]
                for position in range(max(0, start - 12), min(len(rest), start + 12) + 1):
                    other = rest[:position] + stretch + rest[position:]
                    other_cost = learning_delay(skills, other, value)
                    if other_cost < cost - 1e-9 and is_learnable(skills, other, acquired):
                        best, cost = other, other_cost
                        break
        if cost >= before - 1e-9:
            break
    return best


def _steps(
    skills: SkillGraph,
    order: Sequence[str],
    targets: Sequence[str],
    learned: frozenset[str],
    value: Mapping[str, float],
) -> tuple[LearningStep, ...]:
    steps, total = [], 0.0
    for k, name in enumerate(order):
        total += skills[name].hours
        dependents = [
            later
            for later in order[k + 1 :]
            if any(name in c and not learned & set(c) for c in skills[later].needs)
        ]
        steps.append(LearningStep(name, skills[name].hours, total, tuple(dependents), value.get(name, 0.0)))
    return tuple(steps)


# Exact solutions for tests and benchmarks: slow and simple


def fewest_hours(skills: SkillGraph, targets: Sequence[str], names: Sequence[str]) -> float:
    """The fewest hours that reach the targets, by trying every subset of these skills."""
    best = np.inf
    target_set = set(targets)
    order = [name for name in sort_skills(skills) if name in names]
    for bits in range(1 << len(order)):
        chosen = [name for k, name in enumerate(order) if bits >> k & 1]
        hours = sum(skills[name].hours for name in chosen)
        if hours < best and target_set <= set(chosen) and is_learnable(skills, chosen):
            best = hours
    return float(best)


def least_delay(skills: SkillGraph, chosen: Sequence[str], value: Mapping[str, float]) -> float:
    """The least delay over all orders that can be learned, by dynamic programming (Held & Karp)."""
    names, full = list(chosen), (1 << len(chosen)) - 1
    bit_of = {name: k for k, name in enumerate(names)}
    needs = [
        [sum(1 << bit_of[o] for o in clause if o in bit_of) for clause in skills[n].needs] for n in names
    ]
    cost = {0: 0.0}
    hours_of = {0: 0.0}
    for _ in names:
        after: dict[int, float] = {}
        for mask_before, delay_before in cost.items():
            for k, name in enumerate(names):
                if mask_before >> k & 1 or not all(mask_before & clause for clause in needs[k]):
                    continue
                mask = mask_before | 1 << k
                hours_of[mask] = hours_of[mask_before] + skills[name].hours
                new = delay_before + value.get(name, 0.0) * hours_of[mask]
                after[mask] = min(after.get(mask, np.inf), new)
        cost = after
    return cost[full]


def compare_with_exact(
    skills: SkillGraph, trials: int, size: int = 13, seed: int = 0
) -> tuple[list[float], list[float]]:
    """Hours and delays as ratios to the exact optimum, for random targets that need at most `size` skills."""
    rng = np.random.default_rng(seed)
    hours: list[float] = []
    delays: list[float] = []
    names = list(skills)
    while len(hours) < trials:
        targets = [str(name) for name in rng.choice(names, int(rng.integers(1, 4)), replace=False)]
        acquired = {str(name) for name in rng.choice(names, 45, replace=False)} - set(targets)
        reachable = _reachable_skills(skills, targets, frozenset(acquired))
        if not 3 <= len(reachable) <= size:
            continue
        part = {name: _without_acquired(skills[name], acquired) for name in reachable}
        chosen = choose_skills(part, targets)
        hours.append(sum(part[n].hours for n in chosen) / fewest_hours(part, targets, sorted(reachable)))
        value = {name: float(rng.random()) for name in chosen if rng.random() < 0.5} or {targets[0]: 1.0}
        order = order_skills(part, chosen, (), value)
        delays.append(learning_delay(part, order, value) / least_delay(part, chosen, value))
    return hours, delays


def _without_acquired(skill: Skill, acquired: set[str]) -> Skill:
    """A skill without the needs that are acquired already."""
    return replace(skill, needs=tuple(clause for clause in skill.needs if not acquired & set(clause)))
