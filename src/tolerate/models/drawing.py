"""Drawings as arrays, for those who know nothing of torch."""

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.models.cost import core_seconds
from tolerate.models.model import Model, draws, load

Bytes = NDArray[np.uint8]


def to_bytes(images: NDArray[np.floating]) -> Bytes:
    """Pictures in [0, 1] as bytes: how drawings are kept, judged and read.

    >>> to_bytes(np.array([0.0, 0.5, 1.2])).tolist()
    [0, 128, 255]
    """
    return np.asarray(np.round(np.clip(images, 0, 1) * 255), dtype=np.uint8)


def drawings(folder: Path, labels: NDArray[np.int64], seed: int) -> Bytes:
    """A drawing of each class asked for [n, channels, height, width], by the model kept in a folder."""
    import torch

    return to_bytes(draws(_model(folder), torch.as_tensor(labels), seed=seed).numpy())


def drawing_cost(folder: Path) -> float:
    """Core-seconds of one drawing, counted in operations: the same on every machine."""
    import torch

    batch = 64
    labels = torch.zeros(batch, dtype=torch.int64)
    return core_seconds(lambda: draws(_model(folder), labels, seed=0)) / batch


def drawings_per_second(folder: Path, classes: int, count: int = 1000) -> float:
    """How fast a model draws on this machine, measured once."""
    labels = np.arange(count) % classes
    drawings(folder, labels[:100], 0)
    began = time.perf_counter()
    drawings(folder, labels, 0)
    return count / (time.perf_counter() - began)


@lru_cache(maxsize=2)
def _model(folder: Path) -> Model:
    return load(folder)
