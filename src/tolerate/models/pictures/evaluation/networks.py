"""Base of reader, judge and features: classifiers of pictures of one shape, and their file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from tolerate.base.arrays import Contents
from tolerate.base.files import write_whole
from tolerate.errors import DataError, RunError
from tolerate.models.pictures.base import Shape
from tolerate.models.pictures.evaluation.classifier import ClassifierOptions, PictureClassifier
from tolerate.models.storage import detached_copies, fill, lists_to_tuples, read_tensors


@dataclass(frozen=True)
class PictureNetworks:
    """Networks trained on real pictures of one shape and the classes that they tell apart.

    All fields but the networks are stored as JSON beside the weights, under their own names.
    """

    names: ClassVar[tuple[str, ...]]  # of the networks in the file

    networks: tuple[PictureClassifier, ...]
    classes: tuple[str, ...]
    shape: Shape
    course: ClassifierOptions

    def check_shape(self, images: Contents) -> None:
        """Raise DataError for pictures of another shape than the networks were trained on."""
        if images.shape[1:] != self.shape:
            raise DataError(
                f"pictures are {images.shape[1:]}, expected (channels, height, width) = {self.shape}"
            )

    def save(self, path: Path) -> None:
        """Write networks and fields as one safetensors file; it appears complete or not at all."""
        from safetensors.torch import save

        state = {
            f"{name}.{key}": value
            for name, network in zip(self.names, self.networks, strict=True)
            for key, value in network.state_dict().items()
        }
        about = {name: value for name, value in vars(self).items() if name != "networks"}
        notes = json.dumps({**about, "course": vars(self.course)}, sort_keys=True)
        write_whole(path, save(detached_copies(state), {"about": notes}))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load the networks that `save` wrote."""
        tensors, notes = read_tensors(path)
        try:
            stored = json.loads(notes["about"])
        except (KeyError, ValueError):
            raise RunError(f"{path} holds weights but does not say of what; train again") from None
        about: dict[str, Any] = {key: lists_to_tuples(value) for key, value in stored.items()}
        course = ClassifierOptions(**about.pop("course"))
        networks = []
        for name in cls.names:
            network = PictureClassifier(
                about["shape"], len(about["classes"]) + course.nonsense, course.width, course.neck
            )
            weights = {
                key.removeprefix(f"{name}."): tensor
                for key, tensor in tensors.items()
                if key.startswith(f"{name}.")
            }
            fill(network.eval(), weights)
            networks.append(network)
        return cls(networks=tuple(networks), course=course, **about)
