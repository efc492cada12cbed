"""Drawings as arrays, for those who know nothing of torch."""

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tolerate.models.base import Model, draws, generator, load
from tolerate.models.pictures.evaluation.anomaly import anomaly_auroc
from tolerate.models.pictures.evaluation.nonsense import NONSENSE
from tolerate.models.pictures.vae import VAE
from tolerate.models.training.cost import core_seconds
from tolerate.models.training.loop import threaded

Bytes = NDArray[np.uint8]


def _to_bytes(images: NDArray[np.floating]) -> Bytes:
    """Pictures in [0, 1] as bytes: how drawings are kept, judged and read.

    >>> _to_bytes(np.array([0.0, 0.5, 1.2])).tolist()
    [0, 128, 255]
    """
    return np.asarray(np.round(np.clip(images, 0, 1) * 255), dtype=np.uint8)


def drawings(folder: Path, labels: NDArray[np.int64], seed: int) -> Bytes:
    """A drawing of each class asked for [n, channels, height, width], by the model kept in a folder."""
    import torch

    with threaded(1):  # two threads beside a busy core are many times slower than one
        return _to_bytes(draws(_model(folder), torch.as_tensor(labels), seed=seed).numpy())


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


def likelihood(
    folder: Path, images: NDArray[np.floating], labels: NDArray[np.int64], foreign: NDArray[np.floating]
) -> dict[str, Any]:
    """What a variational model makes of real pictures it has not seen, and of strange ones.

    `nelbo`: mean negative evidence lower bound in nats a picture (Bernoulli pixels). `auroc_shuffled`,
    `auroc_foreign`: how well its reconstruction error tells real pictures from such with shuffled
    pixels, and from foreign pictures. Nothing for a model without a bound.
    """
    import torch

    model: Any = _model(folder)
    if not hasattr(model, "bound"):
        return {}
    seen, truth = torch.as_tensor(images), torch.as_tensor(labels)
    with torch.no_grad():
        reconstruction, kl = model.bound(seen, truth, generator(0))
    found = {"nelbo": float((reconstruction + kl).mean())}
    if not isinstance(model, VAE):  # one that must be told the class has no reconstruction of its own
        return found
    strange = {"shuffled": NONSENSE["shuffled"](seen, truth, generator(1)).numpy(), "foreign": foreign}
    again = _Again(model)
    return found | {f"auroc_{name}": anomaly_auroc(again, images, other) for name, other in strange.items()}


class _Again:
    """Draws pictures again through a VAE's latents."""

    def __init__(self, model: VAE) -> None:
        self.model = model

    def reconstruct(self, images: Tensor) -> Tensor:
        """The decoder's mean picture at the encoder's mean."""
        return self.model.decode(self.model.encode(images)[0])
