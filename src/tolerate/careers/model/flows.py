"""Predicts moves of people between the 22 major groups from their similarity, not from past moves of a pair.

Moves that happened are not moves that suit a person; this only validates the similarities that moves are based on, and
is not part of a plan. Model: kernel ridge regression of the log flow, centred within an origin, on similarities of the
two groups and on size, pay and preparation of each.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tolerate.careers.data.atlas import Occupation
from tolerate.careers.data.onet import OnetData
from tolerate.careers.model.relate import standardize, usable_mask
from tolerate.records import Floats

MAJOR_GROUPS = tuple(
    f"{k}" for k in (11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53)
)
GROUP_COUNT = len(MAJOR_GROUPS)
Rows = Sequence[Mapping[str, str]]


def count_moves(rows: Rows, years: Sequence[str]) -> tuple[Floats, Floats]:
    """[origins, destinations] moves in these years, and [2, destinations] those from unemployment and outside."""
    table, from_outside = np.zeros((GROUP_COUNT, GROUP_COUNT)), np.zeros((2, GROUP_COUNT))
    for row in rows:
        origin, destination = row["origin_state"], row["destination_state"]
        if row["month"][:4] not in years or not destination.startswith("occ"):
            continue
        column, weight = int(destination[-2:]) - 1, float(row["weighted_transition_count"])
        if origin.startswith("occ"):
            table[int(origin[-2:]) - 1, column] += weight
        else:
            from_outside[int(origin == "nilf"), column] += weight
    return table, from_outside


def features(
    data: OnetData,
    table: Mapping[str, Floats],
    figures: Mapping[str, Occupation],
    past: Floats,
    outside: Floats,
) -> Floats:
    """[pairs, features] of every ordered pair of groups; of past flows only those that stayed or came from outside."""
    mask = usable_mask(data)
    members = [
        np.flatnonzero(mask & np.array([c[:2] == major for c in data.codes])) for major in MAJOR_GROUPS
    ]
    jobs = np.array([figures[c].jobs or np.nan for c in data.codes])
    weight = np.where(np.isfinite(jobs), jobs, np.nanmin(jobs))
    pairs = [
        _mean_similarity(values, members, weight)
        for name, values in table.items()
        if not name.startswith("soc")
    ]
    pairs += [
        _nearest_similarity(table[name], members, weight)
        for name in ("all words", "wider activities", "knowledge", "profile")
        if name in table
    ]
    group_figures = {
        "stayed": np.log(np.diag(past)),
        "share that stayed": np.log(np.diag(past) / past.sum(1)),
        "jobs": np.log([np.nansum(jobs[m]) for m in members]),
        "pay": _group_average(np.log([figures[c].pay or np.nan for c in data.codes]), members, weight),
        "preparation": _group_average(data.zones, members, weight),
        "from unemployment": np.log(outside[0] + 1),
        "from outside": np.log(outside[1] + 1),
    }
    for name in ("pay", "preparation"):
        gap = group_figures[name][None] - group_figures[name][:, None]
        pairs += [gap, -np.abs(gap)]
    rows = _group_profiles(data, members, weight)
    pairs.append(-np.sqrt(np.maximum(((rows[:, None] - rows[None]) ** 2).sum(2), 0)))
    pairs += [np.tile(v, (GROUP_COUNT, 1)) for v in group_figures.values()] + [
        np.tile(v[:, None], (1, GROUP_COUNT)) for v in group_figures.values()
    ]
    off_diagonal = ~np.eye(GROUP_COUNT, dtype=bool)
    return standardize(np.column_stack([values[off_diagonal] for values in pairs]))


def _mean_similarity(values: Floats, members: Sequence[NDArray[np.int64]], weight: Floats) -> Floats:
    """[groups, groups] mean similarity of two groups' occupations, weighted by jobs."""
    similarity = np.zeros((GROUP_COUNT, GROUP_COUNT))
    for a, i in enumerate(members):
        for b, j in enumerate(members):
            similarity[a, b] = (
                weight[i] @ values[np.ix_(i, j)] @ weight[j] / (weight[i].sum() * weight[j].sum())
            )
    return similarity


def _nearest_similarity(
    values: Floats, members: Sequence[NDArray[np.int64]], weight: Floats, neighbours: int = 5
) -> Floats:
    """[groups, groups] mean similarity of a group's occupations to their nearest ones in another group."""
    similarity = np.zeros((GROUP_COUNT, GROUP_COUNT))
    for a, i in enumerate(members):
        for b, j in enumerate(members):
            nearest = -np.sort(-values[np.ix_(i, j)], axis=1)[:, :neighbours]
            similarity[a, b] = weight[i] @ nearest.mean(1) / weight[i].sum()
    return similarity


def _group_average(values: Floats, members: Sequence[NDArray[np.int64]], weight: Floats) -> Floats:
    values = np.asarray(values, float)
    filled = np.where(np.isfinite(values), values, np.nanmean(values))
    return np.array([weight[m] @ filled[m] / weight[m].sum() for m in members])


def _group_profiles(data: OnetData, members: Sequence[NDArray[np.int64]], weight: Floats) -> Floats:
    names = ("skill level", "knowledge level", "interest", "style")
    rows = standardize(np.hstack([data.tables[name].values for name in names]))
    return standardize(np.array([weight[m] @ rows[m] / weight[m].sum() for m in members]))


def targets(flows: Floats) -> Floats:
    """[pairs] log flows, centred within each origin; a small constant is added because of flows of 0."""
    off_diagonal = ~np.eye(GROUP_COUNT, dtype=bool)
    logs = np.log(flows + 0.02 * np.median(flows[off_diagonal]))
    logs = np.where(off_diagonal, logs, np.nan)
    return np.asarray((logs - np.nanmean(logs, axis=1, keepdims=True))[off_diagonal])


def fit_predict(train: Floats, values: Floats, new: Floats, width: float = 0.3, noise: float = 0.1) -> Floats:
    """Predictions of kernel ridge regression with a radial plus a linear kernel."""

    def kernel(a: Floats, b: Floats) -> Floats:
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        return np.asarray(np.exp(-width * np.maximum(squares, 0) / a.shape[1]) + a @ b.T / a.shape[1])

    return np.asarray(
        kernel(new, train) @ np.linalg.solve(kernel(train, train) + noise * np.eye(len(train)), values)
    )


def rank_correlation(predicted: Floats, flows: Floats) -> float:
    """The rank correlation of predicted and observed flows to the other groups, averaged over origins."""
    off_diagonal = ~np.eye(GROUP_COUNT, dtype=bool)
    table = np.full((GROUP_COUNT, GROUP_COUNT), np.nan)
    table[off_diagonal] = predicted
    return float(
        np.mean(
            [
                spearmanr(table[i][off_diagonal[i]], flows[i][off_diagonal[i]]).statistic
                for i in range(GROUP_COUNT)
            ]
        )
    )


def cross_predict(rows: Floats, values: Floats, side: str) -> Floats:
    """Predictions of each pair by a fit without its origin, or its destination (side)."""
    group_of_pair = np.argwhere(~np.eye(GROUP_COUNT, dtype=bool))[:, 0 if side == "origin" else 1]
    predictions = np.zeros(len(values))
    for k in range(GROUP_COUNT):
        train = group_of_pair != k
        predictions[~train] = fit_predict(rows[train], values[train], rows[~train])
    return predictions
