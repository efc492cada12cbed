"""Predicts ratings of a task - how physical, how interpersonal, how much experts leave to people - with intervals.

Learned from experts' ratings of single tasks (WORKBank). Human agency is predicted from published figures of the task
(exposure labels by a model and by people, use of an assistant for its activities) and of its occupation; these say how
much experts leave to people and are not error rates. The words of the task alone predict it less well.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.atlas import Figure
from tolerate.careers.data.onet import OnetData
from tolerate.careers.data.text import count_words, cross_predict, fit_ridge, tf_idf, tokens
from tolerate.careers.model.estimate import conformal_margin, estimated_figure
from tolerate.careers.model.relate import standardize
from tolerate.records import Floats

Rows = Sequence[Mapping[str, str]]
RATING_COLUMNS = {
    "physical": "Physical Action Requirement",
    "personal": "Interpersonal Communication Requirement",
    "agency": "Human Agency Scale Rating",
}
AGENCY = list(RATING_COLUMNS).index("agency")
MIN_RATED_TASKS = 60  # with fewer, nothing is estimated
ANSWER_COLUMNS = (
    "Physical Action Requirement",
    "Involved Uncertainty",
    "Domain Expertise Requirement",
    "Interpersonal Communication Requirement",
)
RIDGE_PENALTY = 2.0  # of the ridge on words
KEEP_RATING = 3.5  # on the human agency scale, from which on experts keep a task mostly human
LABEL_VALUES = {
    "E0": 0.0,
    "E1": 1.0,
    "E2": 0.5,
    "E3": 0.5,
    "T0": 0.0,
    "T1": 1.0,
    "T2": 2.0,
    "T3": 3.0,
    "T4": 4.0,
}
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
class PublishedTables:
    """Tables about tasks: experts' ratings, exposure of tasks, use of an assistant by activity."""

    experts: Rows = ()
    exposure: Rows = ()
    use: Rows = ()


@dataclass(frozen=True)
class MeanRatings:
    """Experts' ratings of one task: the mean of each rating and answer by name, and the task itself."""

    scores: Mapping[str, float]
    occupation: str  # title
    text: str


@dataclass(frozen=True)
class TaskRatings:
    """Estimated ratings of a task, 1 to 5, and the chance that experts would keep it mostly human."""

    physical: Figure
    personal: Figure
    agency: Figure
    keep: float


def rate_tasks(data: OnetData, published: PublishedTables) -> dict[str, TaskRatings]:
    """Ratings of every task of a release, by its id; empty without enough tasks that experts rated."""
    means = mean_ratings(published.experts)
    rows = [(number, text, code) for code, tasks in data.tasks.items() for number, text, _ in tasks]
    rated_rows = np.array([k for k, (number, _, _) in enumerate(rows) if number in means], int)
    if len(rated_rows) < MIN_RATED_TASKS:
        return {}
    rated = [means[rows[k][0]] for k in rated_rows]
    targets = np.array([[ratings.scores[name] for name in RATING_COLUMNS] for ratings in rated])
    groups = np.array([ratings.occupation for ratings in rated])
    estimates, half_widths, left_out = _predict_from_words(
        [text for _, text, _ in rows], rated_rows, targets, groups
    )
    if published.exposure:
        kernel = agency_kernel(data, published, rows, rated_rows)
        estimates[:, AGENCY] = kernel_ridge(kernel[rated_rows], targets[:, AGENCY], kernel)
        left_out[:, AGENCY] = cross_predict_ridge(kernel[rated_rows], targets[:, AGENCY], groups)
        half_widths[AGENCY] = conformal_margin(np.abs(left_out[:, AGENCY] - targets[:, AGENCY]), 0.9)
    keep = _event_chances(left_out[:, AGENCY], targets[:, AGENCY] >= KEEP_RATING, estimates[:, AGENCY])
    return {
        number: TaskRatings(*_rating_figures(estimates[k], half_widths), round(float(keep[k]), 3))
        for k, (number, _, _) in enumerate(rows)
    }


def _rating_figures(estimates: Floats, half_widths: Sequence[float]) -> tuple[Figure, Figure, Figure]:
    physical, personal, agency = (
        estimated_figure(min(5.0, max(1.0, float(value))), half_width)
        for value, half_width in zip(estimates, half_widths, strict=True)
    )
    return physical, personal, agency


def mean_ratings(experts: Rows) -> dict[str, MeanRatings]:
    """Mean ratings of each task that experts rated, by its id."""
    rows_by_task: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in experts:
        rows_by_task[row["Task ID"]].append(row)
    columns = {**RATING_COLUMNS, **{name: name for name in ANSWER_COLUMNS}}
    return {
        task: MeanRatings(
            {name: float(np.mean([float(row[column]) for row in rows])) for name, column in columns.items()},
            rows[0]["Occupation (O*NET-SOC Title)"],
            rows[0]["Task"],
        )
        for task, rows in rows_by_task.items()
    }


# Human agency from published figures


def agency_kernel(
    data: OnetData,
    published: PublishedTables,
    rows: Sequence[tuple[str, str, str]],
    rated_rows: NDArray[np.int64],
) -> Floats:
    """[tasks, rated tasks] similarity of the published figures of tasks and, with weight 0.3, of their occupations."""
    figures = standardize(task_figures(data, published, rows))
    occupations = occupation_rows(data)[[data.index_of[code] for _, _, code in rows]]
    return _radial(figures, figures[rated_rows]) + 0.3 * _radial(occupations, occupations[rated_rows])


def task_figures(data: OnetData, published: PublishedTables, tasks: Sequence[tuple[str, str, str]]) -> Floats:
    """[tasks, figures], NaN where a figure is not published."""
    exposure = {
        str(int(float(row["Task ID"]))): [_parse_figure(row.get(n, "")) for n in TASK_FIGURES]
        for row in published.exposure
    }
    use = {row["IWA"]: [_parse_figure(row.get(n, "")) for n in USE_FIGURES] for row in published.use}
    activities: dict[str, list[str]] = defaultdict(list)
    for rows in data.activities.values():
        for number, activity, _ in rows:
            activities[number].append(activity.rsplit(".", 1)[0])
    missing = [np.nan] * len(USE_FIGURES)
    figures = []
    for number, text, _ in tasks:
        uses = [use[a] for a in activities[number] if a in use]
        figures.append(
            [
                *exposure.get(number, [np.nan] * len(TASK_FIGURES)),
                *(np.mean(uses, 0) if uses else missing),
                len(text),
            ]
        )
    return np.array(figures, float)


def _parse_figure(cell: str) -> float:
    if cell in LABEL_VALUES:
        return LABEL_VALUES[cell]
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def occupation_rows(data: OnetData) -> Floats:
    """[occupations, figures] standardised: skills, knowledge, styles, interests, values, exactness, preparation."""
    names = ("skill", "skill level", "knowledge", "knowledge level", "style", "interest", "value")
    tables = [data.tables[name].values for name in names]
    return standardize(
        np.hstack([*tables, data.tables["context"].column("exactness")[:, None], data.zones[:, None]])
    )


def _radial(rows: Floats, others: Floats, width: float = 0.5) -> Floats:
    squares = (rows**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * rows @ others.T
    return np.asarray(np.exp(-width * np.maximum(squares, 0) / max(rows.shape[1], 1)))


def kernel_ridge(kernel: Floats, targets: Floats, new: Floats, noise: float = 2.0) -> Floats:
    """Predictions of kernel ridge regression. kernel: [rated, rated] similarity; new: [tasks, rated]."""
    mean = targets.mean()
    return np.asarray(mean + new @ np.linalg.solve(kernel + noise * np.eye(len(targets)), targets - mean))


def cross_predict_ridge(
    kernel: Floats, targets: Floats, groups: NDArray[np.str_], folds: int = 10, seed: int = 0
) -> Floats:
    """Predictions of each rated task by a kernel ridge regression without its group (cross-validation)."""
    kinds, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(kinds))[group] % folds
    predictions = np.full(len(targets), np.nan)
    for k in range(folds):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if len(test):
            predictions[test] = kernel_ridge(
                kernel[np.ix_(train, train)], targets[train], kernel[np.ix_(test, train)]
            )
    return predictions


# From words


def _predict_from_words(
    texts: list[str], rated_rows: NDArray[np.int64], targets: Floats, groups: NDArray[np.str_]
) -> tuple[Floats, list[float], Floats]:
    """Predictions of all tasks, half widths of their intervals, and cross-validated predictions of the rated tasks."""
    rows = tf_idf(count_words([tokens(text) for text in texts], min_bags=3)[0]).tocsr()
    rows = rows[:, np.asarray((rows[rated_rows] != 0).sum(0)).ravel() >= 2]  # words that the rated tasks use
    words = np.asarray(rows[rated_rows].todense())
    left_out = cross_predict(_fit_predict, words, targets, groups)
    half_widths = [
        conformal_margin(np.abs(targets[:, j] - left_out[:, j]), 0.9) for j in range(targets.shape[1])
    ]
    fit = fit_ridge(words, targets, penalty=RIDGE_PENALTY)
    predictions = fit.mean - fit.centre @ fit.weights + rows @ fit.weights  # rows are sparse: not centred
    return np.clip(predictions, 1, 5), half_widths, left_out


def _fit_predict(train: Floats, targets: Floats, new: Floats) -> Floats:
    return fit_ridge(train, targets, penalty=RIDGE_PENALTY)(new)


def _event_chances(scores: Floats, happened: NDArray[np.bool_], new: Floats) -> Floats:
    """Chances of an event by logistic regression on its score. scores: cross-validated; new: of the rows predicted."""
    from scipy.optimize import minimize

    centre, spread = scores.mean(), max(float(scores.std()), 1e-9)
    x, y = (scores - centre) / spread, np.asarray(happened, float)

    def loss(line: Floats) -> float:
        z = line[0] + line[1] * x
        return float(np.logaddexp(0, z).sum() - (y * z).sum() + 0.5 * line[1] ** 2)

    a, b = minimize(loss, np.zeros(2)).x
    return np.asarray(1 / (1 + np.exp(-(a + b * (new - centre) / spread))))


# Evaluation in three classes


def agency_classes(agency: Floats) -> NDArray[np.int64]:
    """Human agency in three classes: 0 mostly the machine, 1 both, 2 mostly the person."""
    return np.where(np.asarray(agency) < 2.5, 0, np.where(np.asarray(agency) < KEEP_RATING, 1, 2))


def classify_by_shares(scores: Floats, truth: NDArray[np.int64], new: Floats) -> NDArray[np.int64]:
    """Classes of new scores, cut at the quantiles that give the training scores the shares of the true classes."""
    low, high = np.quantile(scores, [np.mean(truth == 0), np.mean(truth <= 1)])
    return np.asarray((new > low).astype(int) + (new > high).astype(int))


def kappa(ratings: NDArray[np.int64], others: NDArray[np.int64], size: int = 3) -> float:
    """Agreement beyond chance with quadratic weights. Cohen (1968).

    >>> kappa(np.array([0, 1, 2]), np.array([0, 1, 2]))
    1.0
    """
    table = np.zeros((size, size))
    np.add.at(table, (ratings, others), 1)
    weights = (np.arange(size)[:, None] - np.arange(size)) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return float(1 - (weights * table).sum() / (weights * chance).sum())
