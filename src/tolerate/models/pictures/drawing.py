"""Drawings of trained models as arrays, for callers that do not use torch."""

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tolerate.base.arrays import Ints
from tolerate.models.base import torch_threads
from tolerate.models.pictures.base import PictureModel, draws
from tolerate.models.storage import load
from tolerate.models.training.cost import core_seconds

Bytes = NDArray[np.uint8]
COST_BATCH = 64  # drawings whose operations are counted together


def drawings(folder: Path, labels: Ints, seed: int) -> Bytes:
    """A drawing of each requested class [n, channels, height, width], by the model kept in a folder."""
    with torch_threads(1):  # two threads beside a busy core are many times slower than one
        return _to_bytes(draws(model_in(folder), torch.as_tensor(labels), seed=seed).numpy())


def drawing_cost(folder: Path) -> float:
    """Core-seconds of one drawing, counted in operations: the same on every machine."""
    labels = torch.zeros(COST_BATCH, dtype=torch.int64)
    return core_seconds(lambda: draws(model_in(folder), labels, seed=0)) / COST_BATCH


def drawings_per_second(folder: Path, classes: int, count: int = 1000) -> float:
    """How many drawings a second the model makes on this machine, measured once."""
    labels = np.arange(count) % classes
    drawings(folder, labels[:100], 0)
    start = time.perf_counter()
    drawings(folder, labels, 0)
    return count / (time.perf_counter() - start)


@lru_cache(maxsize=2)
def model_in(folder: Path) -> PictureModel:
    """The picture model kept in a folder; the last two are kept in memory."""
    return load(folder, PictureModel)


def _to_bytes(images: NDArray[np.floating]) -> Bytes:
    """Pictures in [0, 1] as bytes: how drawings are kept, judged and read.

    >>> _to_bytes(np.array([0.0, 0.5, 1.2])).tolist()
    [0, 128, 255]
    """
    return np.asarray(np.round(np.clip(images, 0, 1) * 255), dtype=np.uint8)
