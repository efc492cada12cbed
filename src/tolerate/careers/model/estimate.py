"""Fills in what a release does not say of an occupation - how serious an error is - with an interval, marked so.

A Gaussian process: likeness in words, skills, knowledge, styles and context, each with a weight that maximises the
likelihood of the known figures (Rasmussen & Williams 2006, chapter 5). The interval is the process' own spread,
stretched so that it covers nine in ten of the known figures when they are left out. No pay and no exposure: they
would smuggle a market's view in, and they did not help (mean error .353 with and without).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.atlas import Figure
from tolerate.careers.data.onet import Gathered
from tolerate.records import Floats

LOW, HIGH = 1.0, 5.0
GROUPS = {
    "skills": ("skill", "skill level"),
    "knowledge": ("knowledge", "knowledge level"),
    "styles": ("style", "interest", "value"),
}
WORDS = ("tasks latent", "all words")  # similarities of `relate` that serve as they are
FEWEST = 60  # known figures; below that nothing is said rather than guessed
FOLDS = 10
ROUNDS = 20


@dataclass(frozen=True)
class Kernels:
    """[occupations, occupations] likenesses: some as they are, some squared distances with a width to be found."""

    fixed: tuple[Floats, ...]
    distances: tuple[Floats, ...]

    @property
    def size(self) -> int:
        """How many numbers set a mixture: a weight each, a width a distance, and the noise."""
        return len(self.fixed) + 2 * len(self.distances) + 1

    def at(self, rows: NDArray[np.int64]) -> "Kernels":
        """The same of some occupations."""
        cut = np.ix_(rows, rows)
        return Kernels(tuple(k[cut] for k in self.fixed), tuple(d[cut] for d in self.distances))

    def mix(self, logs: Floats) -> tuple[list[Floats], list[Floats], float]:
        """The weighted parts, the derivatives by the widths, and the noise, at these logarithms."""
        n = len(self.fixed)
        parts = [np.exp(w) * k for w, k in zip(logs, self.fixed, strict=False)]
        widths = []
        for j, d in enumerate(self.distances):
            weight, width = np.exp(logs[n + 2 * j]), np.exp(logs[n + 2 * j + 1])
            parts.append(weight * np.exp(-width * d))
            widths.append(-parts[-1] * width * d)
        return parts, widths, float(np.exp(logs[-1]))


def kernels(it: Gathered, words: Mapping[str, Floats], context: tuple[str, ...] = ()) -> Kernels:
    """The likenesses of a release's occupations. context: figures of work context that are known beside."""
    blocks = [_standard(np.hstack([it.blocks[name].values for name in names])) for names in GROUPS.values()]
    blocks.append(
        _standard(np.column_stack([*(it.blocks["context"].of(name) for name in context), it.zones]))
    )
    lines = [block @ block.T / max(block.shape[1], 1) for block in blocks]
    return Kernels(
        (*(0.5 * (words[name] + words[name].T) for name in WORDS if name in words), *lines),
        tuple(_distances(block) for block in blocks),
    )


def _standard(values: Floats) -> Floats:
    """Standardised columns with missing figures at the mean."""
    from tolerate.careers.model.relate import standard

    return standard(values)


def _distances(rows: Floats) -> Floats:
    squares = (rows**2).sum(1)
    return np.asarray(
        np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0) / max(rows.shape[1], 1)
    )


def tuned(kernel: Kernels, values: Floats, rounds: int = ROUNDS) -> Floats:
    """The logarithms of weights, widths and noise under which the values are most likely; a weak prior holds them."""
    from scipy.optimize import minimize

    start = np.full(kernel.size, -3.0)
    start[len(kernel.fixed) : -1] = np.tile([-2.5, -1.0], len(kernel.distances))
    start[-1] = -1.6
    y = values - values.mean()

    def loss(logs: Floats) -> tuple[float, Floats]:
        parts, widths, noise = kernel.mix(logs)
        whole = np.sum(parts, axis=0) + noise * np.eye(len(y))
        inverse = np.linalg.inv(whole)
        a = inverse @ y
        pull = 0.5 * (inverse - np.outer(a, a))
        by_weight = [float((pull * part).sum()) for part in parts]
        by_width = [float((pull * width).sum()) for width in widths]
        n = len(kernel.fixed)
        slope = [*by_weight[:n], *(x for pair in zip(by_weight[n:], by_width, strict=True) for x in pair)]
        slope.append(float(np.trace(pull)) * noise)
        held = logs - start
        value = 0.5 * float(y @ a) + 0.5 * float(np.linalg.slogdet(whole)[1]) + 0.02 * float(held @ held)
        return value, np.array(slope) + 0.04 * held

    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": rounds}).x)


def predict(
    kernel: Kernels, logs: Floats, values: Floats, known: NDArray[np.int64], new: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Predictions and their standard deviations at `new` from the values at `known`."""
    return _conditional(*_whole(kernel, logs), values, known, new)


def _whole(kernel: Kernels, logs: Floats) -> tuple[Floats, float]:
    parts, _, noise = kernel.mix(logs)
    return np.asarray(np.sum(parts, axis=0)), noise


def _conditional(
    whole: Floats, noise: float, values: Floats, known: NDArray[np.int64], new: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    cross = whole[np.ix_(new, known)]
    mean = values[known].mean()
    inverse = np.linalg.inv(whole[np.ix_(known, known)] + noise * np.eye(len(known)))
    guess = mean + cross @ inverse @ (values[known] - mean)
    spread = np.diag(whole)[new] + noise - ((cross @ inverse) * cross).sum(1)
    return np.clip(guess, LOW, HIGH), np.sqrt(np.maximum(spread, 1e-9))


def left_out(
    kernel: Kernels,
    values: Floats,
    groups: NDArray[np.str_],
    folds: int = FOLDS,
    logs: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Predictions and spreads of each known value by a fit without its group.

    logs: weights to use; by default they are found in every fold anew, without the values left out.
    """
    known = np.flatnonzero(np.isfinite(values))
    kinds, group = np.unique(groups[known], return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(kinds))[group] % folds
    guess, spread = np.full(len(known), np.nan), np.full(len(known), np.nan)
    whole = None if logs is None else _whole(kernel, logs)
    for k in range(folds):
        inside, outside = known[fold != k], known[fold == k]
        mixed = whole or _whole(kernel, tuned(kernel.at(inside), values[inside]))
        guess[fold == k], spread[fold == k] = _conditional(*mixed, values, inside, outside)
    return guess, spread


def estimate(
    kernel: Kernels, values: Floats, groups: NDArray[np.str_], confidence: float = 0.9, rounds: int = ROUNDS
) -> list[Figure | None]:
    """A figure of every occupation: the known ones as measured, the others estimated with an interval."""
    have = np.isfinite(values)
    known, new = np.flatnonzero(have), np.flatnonzero(~have)
    found: list[Figure | None] = [
        Figure.measured(float(v)) if ok else None for v, ok in zip(values, have, strict=True)
    ]
    if len(known) < FEWEST or not len(new):
        return found
    logs = tuned(kernel.at(known), values[known], rounds)
    guess, spread = left_out(kernel, values, groups, logs=logs)
    stretch = margin(np.abs(guess - values[known]) / spread, confidence)
    for place, value, wide in zip(new, *predict(kernel, logs, values, known, new), strict=True):
        found[place] = about(float(value), float(stretch * wide))
    return found


def about(value: float, wide: float) -> Figure:
    """An estimate with its interval, cut to the scale."""
    low, high = (min(HIGH, max(LOW, value + side * wide)) for side in (-1, 1))
    return Figure(round(value, 2), round(low, 2), round(high, 2), estimated=True)


def margin(errors: Floats, confidence: float) -> float:
    """The conformal quantile of errors on rows left out: it covers a further one with this confidence."""
    rank = min(int(np.ceil(confidence * (len(errors) + 1))), len(errors))
    return float(np.sort(errors)[rank - 1])
