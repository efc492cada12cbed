"""What public figures and its words tell of a task: how physical, how interpersonal, how much experts leave to people.

Learned from experts' ratings of single tasks (WORKBank), with intervals. Human agency is told from published figures
of the task (a model's and people's exposure labels, use of an assistant for its activities) and its occupation;
these order how much experts leave to people and are no error rates. Its words alone tell less.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.onet import Gathered
from tolerate.careers.data.text import counts, left_out, ridge, tokens, weighted
from tolerate.careers.model.estimate import about, margin
from tolerate.careers.model.relate import standard
from tolerate.records import Floats

Rows = Sequence[Mapping[str, str]]
RATINGS = {
    "physical": "Physical Action Requirement",
    "personal": "Interpersonal Communication Requirement",
    "agency": "Human Agency Scale Rating",
}
ANSWERS = (
    "Physical Action Requirement",
    "Involved Uncertainty",
    "Domain Expertise Requirement",
    "Interpersonal Communication Requirement",
)
PENALTY = 2.0  # of the ridge on words
KEEP = 3.5  # on the human agency scale: from here on experts keep a task mostly human
LABELS = {"E0": 0.0, "E1": 1.0, "E2": 0.5, "E3": 0.5, "T0": 0.0, "T1": 1.0, "T2": 2.0, "T3": 3.0, "T4": 4.0}
TASK_FIGURES = (
    "alpha",
    "beta",
    "gamma",
    "automation",
    "gpt4_automation",
    "human_exposure_agg",
    "gpt4_exposure",
    "gpt4_exposure_alt_rubric",
)
USE_FIGURES = (
    "share_user",
    "share_ai",
    "completion_user",
    "completion_ai",
    "impact_scope_user",
    "impact_scope_ai",
    "feedback_positive_fraction_user",
)


@dataclass(frozen=True)
class Published:
    """Tables about tasks: experts' ratings, exposure of tasks, use of an assistant by activity."""

    experts: Rows = ()
    exposure: Rows = ()
    use: Rows = ()


def rated(it: Gathered, known: Published) -> dict[str, dict[str, Any]]:
    """Ratings of every task of a release, by its id; nothing without experts to learn from."""
    seen = means(known.experts)
    every = [(number, text, code) for code, tasks in it.tasks.items() for number, text, _ in tasks]
    taught = np.array([k for k, (number, _, _) in enumerate(every) if number in seen], int)
    if len(taught) < 60:
        return {}
    ids = [every[k][0] for k in taught]
    targets = np.array([[seen[n][name] for name in RATINGS] for n in ids])
    groups = np.array([seen[n]["occupation"] for n in ids])
    guess, wide, out = _by_words([text for _, text, _ in every], taught, targets, groups)
    if known.exposure:
        kernel = agency_kernel(it, known, every, taught)
        guess[:, 2] = smooth(kernel[taught], targets[:, 2], kernel)
        out[:, 2] = smooth_left_out(kernel[taught], targets[:, 2], groups)
        wide[2] = margin(np.abs(out[:, 2] - targets[:, 2]), 0.9)
    keep = _chances(out[:, 2], targets[:, 2] >= KEEP, guess[:, 2])
    return {
        number: {
            **{
                name: about(min(5.0, max(1.0, float(guess[k, j]))), wide[j]) for j, name in enumerate(RATINGS)
            },
            "keep": round(float(keep[k]), 3),
        }
        for k, (number, _, _) in enumerate(every)
    }


def means(experts: Rows) -> dict[str, dict[str, Any]]:
    """Mean ratings of each task that experts rated, and its occupation."""
    by: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in experts:
        by[row["Task ID"]].append(row)
    wanted = {**RATINGS, **{name: name for name in ANSWERS}}
    return {
        task: {
            **{name: float(np.mean([float(row[column]) for row in rows])) for name, column in wanted.items()},
            "occupation": rows[0]["Occupation (O*NET-SOC Title)"],
            "text": rows[0]["Task"],
        }
        for task, rows in by.items()
    }


# Human agency from published figures


def agency_kernel(
    it: Gathered, known: Published, every: Sequence[tuple[str, str, str]], taught: NDArray[np.int64]
) -> Floats:
    """[tasks, rated tasks] likeness: of the published figures of a task, and a little of its occupation."""
    figures = standard(task_figures(it, known, every))
    own = occupation_rows(it)[[it.at[code] for _, _, code in every]]
    return _radial(figures, figures[taught]) + 0.3 * _radial(own, own[taught])


def task_figures(it: Gathered, known: Published, every: Sequence[tuple[str, str, str]]) -> Floats:
    """[tasks, figures], NaN where none is published."""
    exposure = {
        str(int(float(row["Task ID"]))): [_figure(row.get(n, "")) for n in TASK_FIGURES]
        for row in known.exposure
    }
    use = {row["IWA"]: [_figure(row.get(n, "")) for n in USE_FIGURES] for row in known.use}
    activities: dict[str, list[str]] = defaultdict(list)
    for rows in it.activities.values():
        for task, activity, _ in rows:
            activities[task].append(activity.rsplit(".", 1)[0])
    nothing = [np.nan] * len(USE_FIGURES)
    lines = []
    for number, text, _ in every:
        uses = [use[a] for a in activities[number] if a in use]
        lines.append(
            [
                *exposure.get(number, [np.nan] * len(TASK_FIGURES)),
                *(np.mean(uses, 0) if uses else nothing),
                len(text),
            ]
        )
    return np.array(lines, float)


def _figure(cell: str) -> float:
    if cell in LABELS:
        return LABELS[cell]
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def occupation_rows(it: Gathered) -> Floats:
    """[occupations, figures] standardised: skills, knowledge, styles, interests, values, exactness, preparation."""
    names = ("skill", "skill level", "knowledge", "knowledge level", "style", "interest", "value")
    blocks = [it.blocks[name].values for name in names]
    return standard(np.hstack([*blocks, it.blocks["context"].of("exactness")[:, None], it.zones[:, None]]))


def _radial(rows: Floats, others: Floats, width: float = 0.5) -> Floats:
    squares = (rows**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * rows @ others.T
    return np.asarray(np.exp(-width * np.maximum(squares, 0) / max(rows.shape[1], 1)))


def smooth(among: Floats, targets: Floats, new: Floats, noise: float = 2.0) -> Floats:
    """Kernel ridge regression. among: [rated, rated] likeness; new: [tasks, rated]."""
    mean = targets.mean()
    return np.asarray(mean + new @ np.linalg.solve(among + noise * np.eye(len(targets)), targets - mean))


def smooth_left_out(
    among: Floats, targets: Floats, groups: NDArray[np.str_], folds: int = 10, seed: int = 0
) -> Floats:
    """Predictions of each rated task by a fit without its group."""
    kinds, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(kinds))[group] % folds
    out = np.full(len(targets), np.nan)
    for k in range(folds):
        inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if len(outside):
            out[outside] = smooth(
                among[np.ix_(inside, inside)], targets[inside], among[np.ix_(outside, inside)]
            )
    return out


# From words


def _by_words(
    texts: list[str], taught: NDArray[np.int64], targets: Floats, groups: NDArray[np.str_]
) -> tuple[Floats, list[float], Floats]:
    """Predictions of every task, half widths of their intervals, and predictions of the rated ones left out."""
    rows = weighted(counts([tokens(text) for text in texts], least=3)[0]).tocsr()
    rows = rows[:, np.asarray((rows[taught] != 0).sum(0)).ravel() >= 2]  # words that the rated tasks use
    words = np.asarray(rows[taught].todense())
    out = left_out(_fit, words, targets, groups)
    wide = [margin(np.abs(targets[:, j] - out[:, j]), 0.9) for j in range(targets.shape[1])]
    line = ridge(words, targets, penalty=PENALTY)
    guess = line.mean - line.centre @ line.weights + rows @ line.weights
    return np.clip(guess, 1, 5), wide, out


def _fit(train: Floats, targets: Floats, new: Floats) -> Floats:
    return ridge(train, targets, penalty=PENALTY)(new)


def _chances(scores: Floats, happened: NDArray[np.bool_], new: Floats) -> Floats:
    """Chance of an event by its score: a logistic line through scores of rows left out of the fit."""
    from scipy.optimize import minimize

    centre, spread = scores.mean(), max(float(scores.std()), 1e-9)
    x, y = (scores - centre) / spread, np.asarray(happened, float)

    def loss(at: Floats) -> float:
        z = at[0] + at[1] * x
        return float(np.logaddexp(0, z).sum() - (y * z).sum() + 0.5 * at[1] ** 2)

    a, b = minimize(loss, np.zeros(2)).x
    return np.asarray(1 / (1 + np.exp(-(a + b * (new - centre) / spread))))


# Judging it: three classes


def classes(agency: Floats) -> NDArray[np.int64]:
    """The human agency scale in three classes: mostly the machine, both, mostly the person."""
    return np.where(np.asarray(agency) < 2.5, 0, np.where(np.asarray(agency) < KEEP, 1, 2))


def split(scores: Floats, truth: NDArray[np.int64], new: Floats) -> NDArray[np.int64]:
    """Classes of new scores by cuts that give the scores of the fit the shares of its classes."""
    low, high = np.quantile(scores, [np.mean(truth == 0), np.mean(truth <= 1)])
    return np.asarray((new > low).astype(int) + (new > high).astype(int))


def kappa(one: NDArray[np.int64], other: NDArray[np.int64], size: int = 3) -> float:
    """Agreement beyond chance with quadratic weights. Cohen (1968).

    >>> kappa(np.array([0, 1, 2]), np.array([0, 1, 2]))
    1.0
    """
    table = np.zeros((size, size))
    np.add.at(table, (one, other), 1)
    weights = (np.arange(size)[:, None] - np.arange(size)) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return float(1 - (weights * table).sum() / (weights * chance).sum())
