"""How a variational model rates pictures it has not seen: its bound on their likelihood, and how strange they are."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from tolerate.base.arrays import Contents, Ints
from tolerate.models.base import generator
from tolerate.models.pictures.base import PictureModel
from tolerate.models.pictures.drawing import model_in
from tolerate.models.pictures.evaluation.anomaly import anomaly_auroc
from tolerate.models.pictures.evaluation.nonsense import NONSENSE
from tolerate.models.pictures.vae import VAE


@runtime_checkable
class HasBound(Protocol):
    """A model with a lower bound on the log-likelihood of pictures."""

    def bound(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """The two parts of the negative bound in nats: reconstruction and divergence, [n] each."""


def likelihood(folder: Path, images: Contents, labels: Ints, foreign: Contents) -> dict[str, float]:
    """Measures of the variational model kept in a folder, on pictures it has not seen; empty without a bound.

    `nelbo`: mean negative evidence lower bound in nats a picture (Bernoulli pixels). `auroc_shuffled`,
    `auroc_foreign`: how well its reconstruction error separates these pictures from the same with shuffled pixels, and
    from foreign ones; not for a model whose encoder needs the class.
    """
    model: PictureModel = model_in(folder)
    if not isinstance(model, HasBound):
        return {}
    pictures, classes = torch.as_tensor(images), torch.as_tensor(labels)
    with torch.no_grad():
        reconstruction, kl = model.bound(pictures, classes, generator(0))
    measures = {"nelbo": float((reconstruction + kl).mean())}
    if not isinstance(model, VAE):
        return measures
    shuffled = NONSENSE["shuffled"](pictures, classes, generator(1)).numpy()
    for name, strange in {"shuffled": shuffled, "foreign": foreign}.items():
        measures[f"auroc_{name}"] = anomaly_auroc(model, images, strange)
    return measures
