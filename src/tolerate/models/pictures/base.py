"""What a generator of pictures is: a trainable model that draws a picture of each requested class."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import OptionError
from tolerate.models.base import Trainable, TrainingDiagnosis, generator
from tolerate.models.pictures.diagnostics import diagnose_draws

Shape = tuple[int, int, int]  # channels, height, width


class PictureModel(Trainable):
    """A class-conditional generator of pictures of one shape.

    Its `step` takes images [n, channels, height, width] in [0, 1] and labels [n], whole numbers from 0.
    """

    def __init__(self, shape: Shape, classes: int, **options: object) -> None:
        super().__init__(**options)
        if len(shape) != 3 or min(shape) < 1 or classes < 1:
            raise OptionError(
                f"shape {shape} with {classes} classes means nothing; expected (channels, height, width) and "
                "at least one class"
            )
        self.shape: Shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self.classes = int(classes)

    def dimensions(self) -> dict[str, JsonValue]:
        """Shape and number of classes."""
        return {"shape": list(self.shape), "classes": self.classes}

    @classmethod
    def stored_dimensions(cls, record: JsonObject) -> tuple[object, ...]:
        """Shape and number of classes."""
        shape = record["shape"]
        return tuple(shape) if isinstance(shape, list) else shape, record["classes"]

    @abstractmethod
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """A picture of each requested class: [n, channels, height, width] in [0, 1], without gradients."""

    def diagnose(self, images: Tensor, labels: Tensor, seed: int) -> Sequence[TrainingDiagnosis]:
        """Whether the model draws as variously as its pictures, and different pictures for different classes."""
        return diagnose_draws(lambda classes: draws(self, classes, seed=seed), images, labels)


@torch.no_grad()
def draws(model: PictureModel, labels: Tensor, *, seed: int, batch: int = 1000) -> Tensor:
    """A picture of each requested class, in [0, 1], on the CPU; the same for the same seed and batch."""
    rng = generator(seed, model.device)
    training = model.training
    model.eval()
    parts = [model.draw(part.to(model.device), rng).float().cpu() for part in torch.split(labels, batch)]
    model.train(training)
    return torch.cat(parts) if parts else torch.zeros(0, *model.shape)
