"""How people moved between the 22 major groups, told from what the groups are like: never from past flows of a pair.

Moves that happened are not moves that suit a person; this is a check of the likenesses that `moves` builds on, and
enters no plan. Model: kernel ridge of the log flow, centred within an origin, on likenesses of the two groups and on
size, pay and preparation of each.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tolerate.careers.data.atlas import Occupation
from tolerate.careers.data.onet import Gathered
from tolerate.careers.model.relate import standard, usable
from tolerate.records import Floats

MAJORS = tuple(
    f"{k}" for k in (11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53)
)
N = len(MAJORS)
Rows = Sequence[Mapping[str, str]]


def counted(rows: Rows, years: Sequence[str]) -> tuple[Floats, Floats]:
    """[origins, destinations] moves in these years, and [2, destinations] those from unemployment and outside."""
    table, from_outside = np.zeros((N, N)), np.zeros((2, N))
    for row in rows:
        origin, destination = row["origin_state"], row["destination_state"]
        if row["month"][:4] not in years or not destination.startswith("occ"):
            continue
        to, weight = int(destination[-2:]) - 1, float(row["weighted_transition_count"])
        if origin.startswith("occ"):
            table[int(origin[-2:]) - 1, to] += weight
        else:
            from_outside[int(origin == "nilf"), to] += weight
    return table, from_outside


def features(
    it: Gathered,
    table: Mapping[str, Floats],
    figures: Mapping[str, Occupation],
    past: Floats,
    outside: Floats,
) -> Floats:
    """[pairs, features] of every ordered pair of groups; of past flows only who stayed and who came from outside."""
    ok = usable(it)
    members = [np.flatnonzero(ok & np.array([c[:2] == major for c in it.codes])) for major in MAJORS]
    jobs = np.array([figures[c].jobs or np.nan for c in it.codes])
    weight = np.where(np.isfinite(jobs), jobs, np.nanmin(jobs))
    pairs = [_mean(values, members, weight) for name, values in table.items() if not name.startswith("soc")]
    pairs += [
        _best(table[name], members, weight)
        for name in ("all words", "wider activities", "knowledge", "profile")
        if name in table
    ]
    own = {
        "stayed": np.log(np.diag(past)),
        "share that stayed": np.log(np.diag(past) / past.sum(1)),
        "jobs": np.log([np.nansum(jobs[m]) for m in members]),
        "pay": _average(np.log([figures[c].pay or np.nan for c in it.codes]), members, weight),
        "preparation": _average(it.zones, members, weight),
        "from unemployment": np.log(outside[0] + 1),
        "from outside": np.log(outside[1] + 1),
    }
    for name in ("pay", "preparation"):
        gap = own[name][None] - own[name][:, None]
        pairs += [gap, -np.abs(gap)]
    rows = _group_profiles(it, members, weight)
    pairs.append(-np.sqrt(np.maximum(((rows[:, None] - rows[None]) ** 2).sum(2), 0)))
    pairs += [np.tile(v, (N, 1)) for v in own.values()] + [np.tile(v[:, None], (1, N)) for v in own.values()]
    off = ~np.eye(N, dtype=bool)
    return standard(np.column_stack([values[off] for values in pairs]))


def _mean(values: Floats, members: Sequence[NDArray[np.int64]], weight: Floats) -> Floats:
    """Mean likeness of two groups' occupations, weighted by jobs."""
    out = np.zeros((N, N))
    for a, i in enumerate(members):
        for b, j in enumerate(members):
            out[a, b] = weight[i] @ values[np.ix_(i, j)] @ weight[j] / (weight[i].sum() * weight[j].sum())
    return out


def _best(values: Floats, members: Sequence[NDArray[np.int64]], weight: Floats, most: int = 5) -> Floats:
    """Mean likeness of each occupation of a group to the five most alike of another."""
    out = np.zeros((N, N))
    for a, i in enumerate(members):
        for b, j in enumerate(members):
            near = -np.sort(-values[np.ix_(i, j)], axis=1)[:, :most]
            out[a, b] = weight[i] @ near.mean(1) / weight[i].sum()
    return out


def _average(values: Floats, members: Sequence[NDArray[np.int64]], weight: Floats) -> Floats:
    values = np.asarray(values, float)
    filled = np.where(np.isfinite(values), values, np.nanmean(values))
    return np.array([weight[m] @ filled[m] / weight[m].sum() for m in members])


def _group_profiles(it: Gathered, members: Sequence[NDArray[np.int64]], weight: Floats) -> Floats:
    names = ("skill level", "knowledge level", "interest", "style")
    rows = standard(np.hstack([it.blocks[name].values for name in names]))
    return standard(np.array([weight[m] @ rows[m] / weight[m].sum() for m in members]))


def targets(flows: Floats) -> Floats:
    """Log flows of the pairs, centred within each origin; a small constant stands in for none."""
    off = ~np.eye(N, dtype=bool)
    logs = np.log(flows + 0.02 * np.median(flows[off]))
    logs = np.where(off, logs, np.nan)
    return np.asarray((logs - np.nanmean(logs, axis=1, keepdims=True))[off])


def fit(train: Floats, values: Floats, new: Floats, width: float = 0.3, noise: float = 0.1) -> Floats:
    """Kernel ridge: a radial kernel beside a straight line."""

    def kernel(a: Floats, b: Floats) -> Floats:
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        return np.asarray(np.exp(-width * np.maximum(squares, 0) / a.shape[1]) + a @ b.T / a.shape[1])

    return np.asarray(
        kernel(new, train) @ np.linalg.solve(kernel(train, train) + noise * np.eye(len(train)), values)
    )


def within(predicted: Floats, flows: Floats) -> float:
    """Mean over origins of the rank correlation between predicted and seen flows to the other groups."""
    off = ~np.eye(N, dtype=bool)
    table = np.full((N, N), np.nan)
    table[off] = predicted
    return float(np.mean([spearmanr(table[i][off[i]], flows[i][off[i]]).statistic for i in range(N)]))


def left_out(rows: Floats, values: Floats, side: str) -> Floats:
    """Predictions of each pair by a fit without its origin, or without its destination."""
    places = np.argwhere(~np.eye(N, dtype=bool))[:, 0 if side == "origin" else 1]
    out = np.zeros(len(values))
    for k in range(N):
        inside = places != k
        out[~inside] = fit(rows[inside], values[inside], rows[~inside])
    return out
