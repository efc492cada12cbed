"""The learning path: the fewest hours that reach the targets, then the order that pays soonest.

Which skills: a 0/1 programme, solved exactly (HiGHS): take x in {0,1} a skill, minimise the hours, such that
each target is taken, and of each clause of a taken skill one member is taken or known. The graph has no circles,
so that every solution can be ordered. Which order: value a skill brings (share of the person's work it
unlocks within tolerance) should come early: minimise the sum of value times the hour it is reached, greedily
by the best ratio of value to hours, then by moving single skills while that helps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.skills import Graph, Skill, implied, ordered, possible
from tolerate.errors import OptionError
from tolerate.records import Floats


@dataclass(frozen=True)
class Step:
    """One skill to learn: what asks for it, and the hours spent when it is done."""

    id: str
    hours: float
    total: float
    asked_by: tuple[str, ...]  # later steps, or the targets
    value: float


@dataclass(frozen=True)
class Path:
    """An order of learning. skipped: what would have been needed, and is known."""

    steps: tuple[Step, ...]
    targets: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """All hours of it."""
        return sum(step.hours for step in self.steps)


def plan(
    skills: Graph, targets: Iterable[str], known: Iterable[str] = (), value: Mapping[str, float] | None = None
) -> Path:
    """The path to the targets. value: what each skill is worth once learned, by default the targets equally."""
    have = implied(skills, known)
    goals = tuple(dict.fromkeys(targets))
    for name in goals:
        if name not in skills:
            raise OptionError(f'the target "{name}" is no skill of the graph')
    wanted = [name for name in goals if name not in have]
    chosen = choose(skills, wanted, have)
    worth = value or dict.fromkeys(wanted, 1.0)
    order = arrange(skills, chosen, have, worth)
    skipped = sorted(have & {other for name in chosen for clause in skills[name].needs for other in clause})
    return Path(_steps(skills, order, wanted, have, worth), goals, tuple(skipped))


def choose(skills: Graph, targets: Sequence[str], known: Iterable[str] = ()) -> list[str]:
    """The skills of least total hours that reach the targets, in an order that can be learned."""
    have = frozenset(known)
    wanted = [name for name in targets if name not in have]
    if not wanted:
        return []
    names = [name for name in ordered(skills) if name in _reach(skills, wanted, have)]
    at = {name: k for k, name in enumerate(names)}
    rows = []
    for name in names:
        for clause in skills[name].needs:
            if not have & set(clause):
                row = np.zeros(len(names))
                row[at[name]] -= 1
                row[[at[other] for other in clause]] += 1
                rows.append(row)
    taken = _solve(np.array([skills[name].hours for name in names]), rows, [at[name] for name in wanted])
    return [name for name, take in zip(names, taken, strict=True) if take]


def _solve(hours: Floats, rows: list[Floats], forced: list[int]) -> NDArray[np.bool_]:
    from scipy.optimize import Bounds, LinearConstraint, milp

    low = np.zeros(len(hours))
    low[forced] = 1
    limits = [LinearConstraint(np.array(rows), 0)] if rows else []
    found = milp(
        hours + 1e-6,
        constraints=limits,
        bounds=Bounds(low, 1),
        integrality=np.ones(len(hours)),
        options={"mip_rel_gap": 0},
    )
    return np.asarray(found.x > 0.5)


def _reach(skills: Graph, wanted: Iterable[str], have: frozenset[str]) -> set[str]:
    """Everything that the targets might need and that is not known."""
    found: set[str] = set()
    queue = list(wanted)
    while queue:
        name = queue.pop()
        if name not in found and name not in have:
            found.add(name)
            queue += [other for clause in skills[name].needs if not have & set(clause) for other in clause]
    return found


# The order


def arrange(
    skills: Graph, chosen: Sequence[str], known: Iterable[str], value: Mapping[str, float]
) -> list[str]:
    """An order of these skills that brings value early and respects what each needs."""
    have, left, order = set(known), list(chosen), []
    while left:
        chunk = _best_chunk(skills, left, have, value)
        order += chunk
        have |= set(chunk)
        left = [name for name in left if name not in have]
    return _polished(skills, order, frozenset(known), value)


def _best_chunk(skills: Graph, left: Sequence[str], have: set[str], value: Mapping[str, float]) -> list[str]:
    """What one valued skill still needs, itself last: of all such, the one of most value an hour."""
    chunks = [_needed(skills, name, left, have) for name in left if value.get(name, 0) > 0]
    if not chunks:
        return list(left)
    return max(chunks, key=lambda chunk: _ratio(skills, chunk, value))


def _ratio(skills: Graph, chunk: Sequence[str], value: Mapping[str, float]) -> float:
    return sum(value.get(n, 0) for n in chunk) / max(sum(skills[n].hours for n in chunk), 1e-9)


def _needed(skills: Graph, name: str, left: Sequence[str], have: set[str]) -> list[str]:
    """The skills among `left` to be learned up to this one; of a clause, the member that takes least."""
    inside, found = set(left), []

    def visit(at: str, sofar: set[str]) -> None:
        for clause in skills[at].needs:
            if not set(clause) & (have | sofar):
                options = [other for other in clause if other in inside]
                visit(min(options, key=lambda other: _load(skills, other, inside, have | sofar)), sofar)
        if at not in sofar:
            sofar.add(at)
            found.append(at)

    visit(name, set())
    return found


def _load(skills: Graph, name: str, inside: set[str], have: set[str]) -> float:
    """About how many hours a skill still takes, with all that it needs."""
    if name in have:
        return 0.0
    deeper = 0.0
    for clause in skills[name].needs:
        options = [other for other in clause if other in inside]
        if options and not set(clause) & have:
            deeper += min(_load(skills, other, inside, have) for other in options)
    return skills[name].hours + deeper


def delay(skills: Graph, order: Sequence[str], value: Mapping[str, float]) -> float:
    """What an order costs: the sum over skills of value times the hour at which it is known.

    >>> from tolerate.careers.data.skills import graph
    >>> delay(graph(), ["using-llm", "prompting"], {"prompting": 1.0})
    14.0
    """
    hours = np.cumsum([skills[name].hours for name in order])
    return float(sum(value.get(name, 0.0) * hour for name, hour in zip(order, hours, strict=True)))


def _polished(
    skills: Graph, order: list[str], known: frozenset[str], value: Mapping[str, float]
) -> list[str]:
    """Move stretches of one to four skills to where they help, while that helps."""
    best, cost = order, delay(skills, order, value)
    for _ in range(3):
        before = cost
        for length in (1, 2, 3, 4):
            for start in range(len(best) - length + 1):
                stretch, rest = best[start : start + length], best[:start] + best[start + length :]
                for to in range(max(0, start - 12), min(len(rest), start + 12) + 1):
                    other = rest[:to] + stretch + rest[to:]
                    spent = delay(skills, other, value)
                    if spent < cost - 1e-9 and possible(skills, other, known):
                        best, cost = other, spent
                        break
        if cost >= before - 1e-9:
            break
    return best


def _steps(
    skills: Graph,
    order: Sequence[str],
    wanted: Sequence[str],
    have: frozenset[str],
    value: Mapping[str, float],
) -> tuple[Step, ...]:
    steps, total = [], 0.0
    for k, name in enumerate(order):
        total += skills[name].hours
        asked = [
            later
            for later in order[k + 1 :]
            if any(name in c and not have & set(c) for c in skills[later].needs)
        ]
        steps.append(Step(name, skills[name].hours, total, tuple(asked), value.get(name, 0.0)))
    return tuple(steps)


# The oracles, for tests and benchmarks: slow and plainly right


def fewest_hours(skills: Graph, targets: Sequence[str], names: Sequence[str]) -> float:
    """The least hours that reach the targets, by trying every subset of these skills."""
    best = np.inf
    wanted = set(targets)
    order = [name for name in ordered(skills) if name in names]
    for bits in range(1 << len(order)):
        chosen = [name for k, name in enumerate(order) if bits >> k & 1]
        hours = sum(skills[name].hours for name in chosen)
        if hours < best and wanted <= set(chosen) and possible(skills, chosen):
            best = hours
    return float(best)


def least_delay(skills: Graph, chosen: Sequence[str], value: Mapping[str, float]) -> float:
    """The least sum of value times the hour it is reached, over every order that can be learned (Held & Karp)."""
    names, full = list(chosen), (1 << len(chosen)) - 1
    at = {name: k for k, name in enumerate(names)}
    needs = [[sum(1 << at[o] for o in clause if o in at) for clause in skills[n].needs] for n in names]
    cost = {0: 0.0}
    spent = {0: 0.0}
    for _ in names:
        after: dict[int, float] = {}
        for done, sofar in cost.items():
            for k, name in enumerate(names):
                if done >> k & 1 or not all(done & clause for clause in needs[k]):
                    continue
                mask = done | 1 << k
                spent[mask] = spent[done] + skills[name].hours
                new = sofar + value.get(name, 0.0) * spent[mask]
                after[mask] = min(after.get(mask, np.inf), new)
        cost = after
    return cost[full]


def against_exact(
    skills: Graph, trials: int, size: int = 13, seed: int = 0
) -> tuple[list[float], list[float]]:
    """Hours and delays as ratios to the exact optimum, for random targets that need at most `size` skills."""
    rng = np.random.default_rng(seed)
    hours: list[float] = []
    delays: list[float] = []
    names = list(skills)
    while len(hours) < trials:
        targets = [str(name) for name in rng.choice(names, int(rng.integers(1, 4)), replace=False)]
        known = {str(name) for name in rng.choice(names, 45, replace=False)} - set(targets)
        inside = _reach(skills, targets, frozenset(known))
        if not 3 <= len(inside) <= size:
            continue
        part = {name: _without(skills[name], known) for name in inside}
        chosen = choose(part, targets)
        hours.append(sum(part[n].hours for n in chosen) / fewest_hours(part, targets, sorted(inside)))
        value = {name: float(rng.random()) for name in chosen if rng.random() < 0.5} or {targets[0]: 1.0}
        order = arrange(part, chosen, (), value)
        delays.append(delay(part, order, value) / least_delay(part, chosen, value))
    return hours, delays


def _without(skill: Skill, known: set[str]) -> Skill:
    """A skill whose needs that are known already are left out."""
    return replace(skill, needs=tuple(clause for clause in skill.needs if not known & set(clause)))
