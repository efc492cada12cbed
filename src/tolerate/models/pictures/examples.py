"""Labelled pictures as the training loop takes them."""

import torch
from torch import Tensor

from tolerate.errors import DataError
from tolerate.models.base import Trainable
from tolerate.models.pictures.base import PictureModel
from tolerate.models.training.examples import ArrayOrTensor, Examples


class PictureExamples(Examples):
    """Images [n, channels, height, width], floats in [0, 1] or bytes, with a label each: whole numbers from 0."""

    noun = "pictures"

    def __init__(self, images: ArrayOrTensor, labels: ArrayOrTensor) -> None:
        super().__init__(images, labels)
        if self.inputs.dtype != torch.uint8:
            self.inputs = self.inputs.float()

    def check(self, model: Trainable) -> None:
        """Raise DataError if the pictures do not suit the model's shape and number of classes."""
        images, labels = self.inputs, self.targets
        if not isinstance(model, PictureModel):
            raise DataError(f"a {type(model).__name__} cannot learn from pictures; expected a PictureModel")
        if images.shape[1:] != model.shape or len(images) != len(labels) or not len(images):
            raise DataError(
                f"got pictures of shape {tuple(images.shape)} with {len(labels)} labels; this model was built "
                f"for [n, {', '.join(map(str, model.shape))}] with a label each"
            )
        if images.dtype != torch.uint8 and not bool(((images >= 0) & (images <= 1)).all()):
            raise DataError("some pixels are not in [0, 1]; pass bytes, or divide by the largest value first")
        if int(labels.min()) < 0 or int(labels.max()) >= model.classes:
            raise DataError(
                f"labels go from {int(labels.min())} to {int(labels.max())}; this model was built for 0 to "
                f"{model.classes - 1}"
            )

    def model_inputs(self, inputs: Tensor) -> Tensor:
        """Pictures as floats in [0, 1]."""
        return to_floats(inputs)


def to_floats(images: Tensor) -> Tensor:
    """Pictures as floats in [0, 1], from bytes or floats."""
    return images.float() / 255 if images.dtype == torch.uint8 else images
