"""What a generator of the zoo is: five methods, and how it is kept in a folder.

A model is a `torch.nn.Module` that says how one update goes and how it draws. Everything else
(batches, budgets, checkpoints, averages of weights, several processes) is `train`'s work. Whatever
an update changes must be a parameter, a buffer or the state of an optimiser: then a training that
was interrupted continues bit for bit.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tolerate.base.folder import to_json, write_whole
from tolerate.errors import DataError, OptionError, RunError

Shape = tuple[int, int, int]  # channels, height, width
Losses = dict[str, float | Tensor]  # name -> what the log keeps; tensors are read later, all at once
Optimizers = dict[str, torch.optim.Optimizer]


@dataclass(frozen=True)
class Recipe:
    """How a model is best trained on so many pictures, where the user does not say otherwise."""

    steps: int
    batch: int = 128
    ema: float = 0.999  # decay of the average of weights that draws; 0 for none


class Model(nn.Module, ABC):
    """A class-conditional generator of pictures of one shape.

    A subclass passes its options on to `super().__init__(shape, classes, **options)`, so that
    `save` can write down how to build it again. Names of losses that the loop knows: `loss` (shown
    as progress), and of adversarial models `d_loss`, `g_loss` and `d_accuracy` (share of real and
    drawn pictures that the discriminator tells apart, 0 to 1; leave it out for a critic).
    """

    reads_tokens = False  # a language model's "pictures" are rows of whole numbers, see `language`

    def __init__(self, shape: Shape, classes: int, **options: Any) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1 or classes < 1:
            raise OptionError(
                f"shape {shape} with {classes} classes means nothing; expected (channels, height, width) and "
                "at least one class"
            )
        self.shape: Shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self.classes = int(classes)
        self.options = options

    def recipe(self, pictures: int) -> Recipe:
        """How long and in which batches to train on so many pictures."""
        return Recipe(steps=1500 if pictures < 10_000 else 6000)

    def start(self, images: Tensor, labels: Tensor) -> None:
        """Fit the first weights to some of the pictures, once, before the first step; no need to do anything."""

    @abstractmethod
    def optimizers(self) -> Optimizers:
        """The optimisers, by name, over this model's parameters."""

    @abstractmethod
    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """One update of the weights: backward and `optimizer.step()` included.

        images: [n, channels, height, width] in [0, 1]; labels: [n] integers; progress: the share of
        the training that is done, 0 to 1, for schedules. All randomness comes from rng.
        """

    def finish(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> None:
        """What is left to do after the last update, on all pictures; its results go into buffers."""

    @abstractmethod
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """A picture of each class asked for: [n, channels, height, width] in [0, 1], without gradients."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's global randomness set by a seed inside, and as it was before outside."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Randomness for `draw` and `step`.

    >>> torch.rand(2, generator=generator(3)).equal(torch.rand(2, generator=generator(3)))
    True
    """
    return torch.Generator(device).manual_seed(seed)


@torch.no_grad()
def draws(model: Model, labels: Tensor, *, seed: int, batch: int = 1000) -> Tensor:
    """A picture of each class asked for, in [0, 1], on the CPU; the same for the same seed and batch."""
    rng = generator(seed, model.device)
    training = model.training
    model.eval()
    parts = [model.draw(part.to(model.device), rng).float().cpu() for part in torch.split(labels, batch)]
    model.train(training)
    return torch.cat(parts) if parts else torch.zeros(0, *model.shape)


def save(model: Model, folder: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write a model as `model.safetensors` with `model.json` beside it, the latter last.

    about: anything worth knowing beside it, kept in `model.json`.
    """
    from safetensors.torch import save as to_bytes

    kind = type(model)
    recipe = {
        "model": f"{kind.__module__}:{kind.__qualname__}",
        "shape": list(model.shape),
        "classes": model.classes,
        "options": model.options,
        "about": dict(about or {}),
    }
    write_whole(folder / "model.safetensors", to_bytes(alone(model.state_dict())))
    write_whole(folder / "model.json", to_json(recipe))


def load(folder: Path, device: torch.device | str = "cpu") -> Model:
    """The model that `save` wrote, ready to draw; no pickle is ever read."""
    from tolerate.models import build

    recipe = _recipe(folder / "model.json")
    try:
        model = build(recipe["model"], tuple(recipe["shape"]), recipe["classes"], **tupled(recipe["options"]))
    except KeyError as error:
        raise DataError(f"{folder / 'model.json'} lacks {error}; was it written by tolerate?") from None
    fill(model, read_tensors(folder / "model.safetensors")[0])
    return model.to(device).eval()


def _recipe(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise RunError(
            f"cannot read {path}: {error.strerror}; expected a folder that a training wrote"
        ) from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); train the model again") from None


def fill(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load weights and buffers; a buffer may have grown in `finish`, so its shape follows the file."""
    for name, buffer in list(model.named_buffers()):
        if name in state and state[name].shape != buffer.shape:
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, torch.empty_like(state[name], device=buffer.device))
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise RunError(f"these weights are of another model: {error}") from None


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and its notes."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"cannot read {path}: {error}; delete it to train from the beginning, or choose another folder"
        ) from None


def alone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory, as safetensors asks for."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def tupled(value: Any) -> Any:
    """JSON's lists as the tuples they were.

    >>> tupled({"widths": [32, 64]})
    {'widths': (32, 64)}
    """
    if isinstance(value, dict):
        return {key: tupled(item) for key, item in value.items()}
    return tuple(tupled(item) for item in value) if isinstance(value, list) else value
