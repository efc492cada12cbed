"""Training examples as the loop sees them: rows of inputs with a target each, of any modality."""

import copy
import zlib
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tolerate.models.base import Trainable

ArrayOrTensor = Tensor | NDArray[np.generic]


class Examples(ABC):
    """Inputs [n, ...] and a whole-number target for each [n]; a modality says what they are."""

    noun: ClassVar[str]  # of several examples, in progress messages: pictures, texts

    def __init__(self, inputs: ArrayOrTensor, targets: ArrayOrTensor) -> None:
        self.inputs, self.targets = to_tensor(inputs), to_tensor(targets).long()

    def __len__(self) -> int:
        return len(self.inputs)

    @abstractmethod
    def check(self, model: Trainable) -> None:
        """Raise DataError if this model cannot be trained on these examples."""

    @abstractmethod
    def model_inputs(self, inputs: Tensor) -> Tensor:
        """Stored inputs in the form that a model's `step` takes."""

    def batch(self, indices: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Inputs and targets of some examples, as a model's `step` takes them, on the device of the examples."""
        return self.model_inputs(self.inputs[indices]), self.targets[indices]

    def to(self, device: torch.device) -> Self:
        """The same examples on a device."""
        moved = copy.copy(self)
        moved.inputs, moved.targets = self.inputs.to(device), self.targets.to(device)
        return moved

    def fingerprint(self) -> str:
        """Number and checksums of the examples; a checkpoint stores it.

        It says "pictures" for every modality, as the checkpoints of version 0.1 do.
        """
        sums = [zlib.crc32(tensor.cpu().contiguous().numpy().data) for tensor in (self.inputs, self.targets)]
        return f"{len(self)} pictures {sums[0]:08x}-{sums[1]:08x}"


def to_tensor(values: ArrayOrTensor) -> Tensor:
    """A tensor of the values; arrays that must not be written to are copied."""
    if isinstance(values, np.ndarray) and not values.flags.writeable:
        values = values.copy()
    return torch.as_tensor(values)
