"""Curves of training losses for the report."""

from collections.abc import Mapping, Sequence
from math import isfinite

from tolerate.report.results import Curve


def loss_curves(history: Sequence[Mapping[str, float]]) -> dict[str, Curve]:
    """The losses that a training logged, by name: (step, value) pairs.

    >>> loss_curves([{"step": 10, "loss": 2.0, "seconds": 1.0}])
    {'loss': ((10, 2.0),)}
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in history:
        for name, value in line.items():
            if "loss" in name and isfinite(value):
                curves.setdefault(name, []).append((int(line["step"]), float(value)))
    return {name: tuple(points) for name, points in curves.items()}
