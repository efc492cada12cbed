"""Estimates the figures that a release lacks for an occupation, such as the consequence of an error, with intervals.

A Gaussian process on similarity in words, skills, knowledge, styles and context, each with a weight that maximises the
likelihood of the measured figures (Rasmussen & Williams 2006, chapter 5). The interval is the process' own standard
deviation, stretched so that it covers 90% of the measured figures when they are left out. Pay and exposure are not
used: they would bring in the view of a market, and did not help (mean error 0.353 with and without).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.atlas import Figure
from tolerate.careers.data.onet import OnetData
from tolerate.careers.model.relate import standardize
from tolerate.records import Floats

SCALE_MIN, SCALE_MAX = 1.0, 5.0
TABLE_GROUPS = {
    "skills": ("skill", "skill level"),
    "knowledge": ("knowledge", "knowledge level"),
    "styles": ("style", "interest", "value"),
}
WORD_SIMILARITIES = ("tasks latent", "all words")  # similarities of `relate` that are used as they are
MIN_MEASURED_FIGURES = 60  # with fewer, nothing is estimated
FOLDS = 10
MAX_ITERATIONS = 20


@dataclass(frozen=True)
class Kernels:
    """[occupations, occupations] similarities: fixed ones, and squared distances whose kernel width is fitted."""

    fixed: tuple[Floats, ...]
    distances: tuple[Floats, ...]

    @property
    def size(self) -> int:
        """The number of parameters of a mixture: a weight each, a width for each distance, and the noise."""
        return len(self.fixed) + 2 * len(self.distances) + 1

    def subset(self, rows: NDArray[np.int64]) -> "Kernels":
        """The kernels of some occupations."""
        cut = np.ix_(rows, rows)
        return Kernels(tuple(k[cut] for k in self.fixed), tuple(d[cut] for d in self.distances))

    def mix(self, logs: Floats) -> tuple[list[Floats], list[Floats], float]:
        """The weighted parts, their derivatives by the log widths, and the noise. logs: of the parameters."""
        n = len(self.fixed)
        parts = [np.exp(weight_log) * k for weight_log, k in zip(logs, self.fixed, strict=False)]
        widths = []
        for j, d in enumerate(self.distances):
            weight, width = np.exp(logs[n + 2 * j]), np.exp(logs[n + 2 * j + 1])
            parts.append(weight * np.exp(-width * d))
            widths.append(-parts[-1] * width * d)
        return parts, widths, float(np.exp(logs[-1]))


def build_kernels(data: OnetData, words: Mapping[str, Floats], context: tuple[str, ...] = ()) -> Kernels:
    """The kernels of a release's occupations. context: figures of work context that are used beside the rest."""
    blocks = [
        standardize(np.hstack([data.tables[name].values for name in names]))
        for names in TABLE_GROUPS.values()
    ]
    blocks.append(
        standardize(np.column_stack([*(data.tables["context"].column(name) for name in context), data.zones]))
    )
    linear = [block @ block.T / max(block.shape[1], 1) for block in blocks]
    return Kernels(
        (*(0.5 * (words[name] + words[name].T) for name in WORD_SIMILARITIES if name in words), *linear),
        tuple(_distances(block) for block in blocks),
    )


def _distances(rows: Floats) -> Floats:
    squares = (rows**2).sum(1)
    return np.asarray(
        np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0) / max(rows.shape[1], 1)
    )


def tune(kernel: Kernels, values: Floats, max_iterations: int = MAX_ITERATIONS) -> Floats:
    """The logarithms of weights, widths and noise that maximise the likelihood of the values, under a weak prior."""
    from scipy.optimize import minimize

    start = np.full(kernel.size, -3.0)
    start[len(kernel.fixed) : -1] = np.tile([-2.5, -1.0], len(kernel.distances))
    start[-1] = -1.6
    y = values - values.mean()

    def loss(logs: Floats) -> tuple[float, Floats]:
        parts, widths, noise = kernel.mix(logs)
        covariance = np.sum(parts, axis=0) + noise * np.eye(len(y))
        inverse = np.linalg.inv(covariance)
        solved = inverse @ y
        gradient_matrix = 0.5 * (inverse - np.outer(solved, solved))
        by_weight = [float((gradient_matrix * part).sum()) for part in parts]
        by_width = [float((gradient_matrix * width).sum()) for width in widths]
        n = len(kernel.fixed)
        gradient = [*by_weight[:n], *(x for pair in zip(by_weight[n:], by_width, strict=True) for x in pair)]
        gradient.append(float(np.trace(gradient_matrix)) * noise)
        deviation = logs - start
        value = (
            0.5 * float(y @ solved)
            + 0.5 * float(np.linalg.slogdet(covariance)[1])
            + 0.02 * float(deviation @ deviation)
        )
        return value, np.array(gradient) + 0.04 * deviation

    return np.asarray(
        minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": max_iterations}).x
    )


def predict(
    kernel: Kernels, logs: Floats, values: Floats, train: NDArray[np.int64], new: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Predictions and their standard deviations at `new` from the values at `train`."""
    return _conditional(*_mixture(kernel, logs), values, train, new)


def _mixture(kernel: Kernels, logs: Floats) -> tuple[Floats, float]:
    parts, _, noise = kernel.mix(logs)
    return np.asarray(np.sum(parts, axis=0)), noise


def _conditional(
    mixture: Floats, noise: float, values: Floats, train: NDArray[np.int64], new: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    cross = mixture[np.ix_(new, train)]
    mean = values[train].mean()
    inverse = np.linalg.inv(mixture[np.ix_(train, train)] + noise * np.eye(len(train)))
    estimates = mean + cross @ inverse @ (values[train] - mean)
    spread = np.diag(mixture)[new] + noise - ((cross @ inverse) * cross).sum(1)
    return np.clip(estimates, SCALE_MIN, SCALE_MAX), np.sqrt(np.maximum(spread, 1e-9))


def cross_predict(
    kernel: Kernels,
    values: Floats,
    groups: NDArray[np.str_],
    folds: int = FOLDS,
    logs: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Predictions and standard deviations of each measured value by a fit without its group (cross-validation).

    logs: the parameters; by default they are fitted anew in every fold, without the values left out.
    """
    train = np.flatnonzero(np.isfinite(values))
    kinds, group = np.unique(groups[train], return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(kinds))[group] % folds
    estimates, spread = np.full(len(train), np.nan), np.full(len(train), np.nan)
    mixture = None if logs is None else _mixture(kernel, logs)
    for k in range(folds):
        rest, fold_rows = train[fold != k], train[fold == k]
        mixed = mixture or _mixture(kernel, tune(kernel.subset(rest), values[rest]))
        estimates[fold == k], spread[fold == k] = _conditional(*mixed, values, rest, fold_rows)
    return estimates, spread


def estimate(
    kernel: Kernels,
    values: Floats,
    groups: NDArray[np.str_],
    confidence: float = 0.9,
    max_iterations: int = MAX_ITERATIONS,
) -> list[Figure | None]:
    """A figure for every occupation: measured ones as they are, the others estimated with an interval."""
    is_measured = np.isfinite(values)
    train, new = np.flatnonzero(is_measured), np.flatnonzero(~is_measured)
    figures: list[Figure | None] = [
        Figure.from_measurement(float(v)) if ok else None for v, ok in zip(values, is_measured, strict=True)
    ]
    if len(train) < MIN_MEASURED_FIGURES or not len(new):
        return figures
    logs = tune(kernel.subset(train), values[train], max_iterations)
    estimates, spread = cross_predict(kernel, values, groups, logs=logs)
    stretch = conformal_margin(np.abs(estimates - values[train]) / spread, confidence)
    for index, value, half_width in zip(new, *predict(kernel, logs, values, train, new), strict=True):
        figures[index] = estimated_figure(float(value), float(stretch * half_width))
    return figures


def estimated_figure(value: float, half_width: float) -> Figure:
    """An estimate with its interval, clipped to the scale."""
    low, high = (min(SCALE_MAX, max(SCALE_MIN, value + side * half_width)) for side in (-1, 1))
    return Figure(round(value, 2), round(low, 2), round(high, 2), estimated=True)


def conformal_margin(errors: Floats, confidence: float) -> float:
    """The conformal quantile of errors on rows left out: it covers another error with this confidence."""
    rank = min(int(np.ceil(confidence * (len(errors) + 1))), len(errors))
    return float(np.sort(errors)[rank - 1])
