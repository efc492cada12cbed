"""Fills in what a release does not say of an occupation - how serious an error is - with an interval, marked so.

A ridge on skills, knowledge, styles, interests, values, preparation and exactness; the interval is the spread of
the errors on occupations that were left out of the fit (split conformal over folds: it covers nine in ten
if the missing occupations are like the known ones). No pay, no exposure: they would smuggle a market's view in.
"""

from collections.abc import Callable

import numpy as np

from tolerate.careers.atlas import Figure
from tolerate.careers.onet import Gathered
from tolerate.careers.text import left_out, ridge
from tolerate.records import Floats

INPUTS = ("skill", "skill level", "knowledge", "knowledge level", "style", "interest", "value")
LOW, HIGH = 1.0, 5.0


def features(it: Gathered, context: tuple[str, ...] = ()) -> Floats:
    """[occupations, features] standardised, missing ones at the mean; `context` names figures known beside."""
    columns = [it.blocks[name].values for name in INPUTS if it.blocks[name].names]
    columns += [it.blocks["context"].of(name)[:, None] for name in context]
    columns += [it.zones[:, None], _groups(it)]
    table = np.hstack(columns)
    with np.errstate(all="ignore"):
        known = np.isfinite(table)
        mean = np.where(known.any(0), np.nansum(table, 0) / np.maximum(known.sum(0), 1), 0.0)
        table = np.where(known, table, mean)
        return np.asarray((table - mean) / np.maximum(table.std(0), 1e-9))


def _groups(it: Gathered) -> Floats:
    """One column a major group."""
    majors = np.array([code[:2] for code in it.codes])
    return np.asarray(majors[:, None] == np.unique(majors)[None, :], float)


def fit(train: Floats, targets: Floats, new: Floats) -> Floats:
    """The prediction: a ridge whose penalty is a fixed share of the number of rows."""
    return np.clip(ridge(train, targets, penalty=0.6 * len(train))(new), LOW, HIGH)


def estimate(
    known: Floats,
    table: Floats,
    groups: Floats,
    predict: Callable[[Floats, Floats, Floats], Floats] = fit,
    confidence: float = 0.9,
) -> list[Figure | None]:
    """A figure for every row: the known ones as measured, the others estimated with an interval.

    known: [rows], NaN where missing; table: [rows, features]; groups: [rows], folds keep a group together.
    """
    have = np.isfinite(known)
    if have.sum() < 60:  # too few to learn from: say nothing rather than guess
        return [Figure.measured(float(v)) if ok else None for v, ok in zip(known, have, strict=True)]
    out = left_out(predict, table[have], known[have, None], groups[have])[:, 0]
    wide = margin(np.abs(known[have] - out), confidence)
    guess = predict(table[have], known[have, None], table)[:, 0]
    return [
        Figure.measured(float(v)) if ok else about(float(g), wide)
        for v, ok, g in zip(known, have, guess, strict=True)
    ]


def about(value: float, wide: float) -> Figure:
    """An estimate with its interval, cut to the scale."""
    low, high = (float(np.clip(value + side * wide, LOW, HIGH)) for side in (-1, 1))
    return Figure(round(value, 2), round(low, 2), round(high, 2), estimated=True)


def margin(errors: Floats, confidence: float) -> float:
    """Half the width of the interval: the conformal quantile of errors on rows left out."""
    rank = min(int(np.ceil(confidence * (len(errors) + 1))), len(errors))
    return float(np.sort(errors)[rank - 1])
