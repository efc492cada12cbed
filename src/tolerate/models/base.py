"""What a model must offer to be trained: a recipe, optimisers, one update step, and what its folder is rebuilt from.

A model is a `torch.nn.Module` that defines one update. Everything else (batches, budgets, checkpoints, averages of
weights, several processes) is the training loop's work. Whatever an update changes must be a parameter, a buffer or
the state of an optimiser: then an interrupted training continues bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tolerate.base.json_types import JsonObject, JsonValue

Losses = dict[str, float | Tensor]  # by the name they are logged under; tensors are read later, all at once
Optimizers = dict[str, torch.optim.Optimizer]
FindingKind = Literal["not-finite", "collapse", "ignores-class", "discriminator-wins"]


@dataclass(frozen=True)
class Recipe:
    """How a model is best trained on so many examples, where the user does not choose otherwise."""

    steps: int
    batch: int = 128
    ema: float = (
        0.999  # decay of the exponential moving average of weights that is kept in the end; 0 for none
    )


@dataclass(frozen=True)
class TrainingDiagnosis:
    """A failure of a training: what was observed, and what to try. Checkpoints and model.json store these fields."""

    kind: FindingKind
    saw: str
    advice: str
    step: int = 0

    def to_json(self) -> dict[str, JsonValue]:
        """The finding as plain JSON values."""
        return asdict(self)


class Trainable(nn.Module, ABC):
    """A model that the training loop can train.

    A constructor takes the dimensions of the data, then options by keyword; a subclass passes its options on to
    `super().__init__(..., **options)`, or adds them to `self.options`, so that its folder can rebuild the model.
    Names of losses that the loop knows: `loss` (shown as progress), and of adversarial models `d_loss`, `g_loss` and
    `d_accuracy` (share of real and generated examples that the discriminator classifies correctly, 0 to 1; a critic
    has none).
    """

    mean_over_processes: Callable[[float], float] | None = None  # set by the loop where there are several

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.options = options

    @abstractmethod
    def dimensions(self) -> dict[str, JsonValue]:
        """The constructor's arguments before the options, by name, as `model.json` stores them."""

    @classmethod
    @abstractmethod
    def stored_dimensions(cls, record: JsonObject) -> tuple[object, ...]:
        """The constructor's arguments before the options, in order, from a `model.json`; KeyError if one is missing."""

    def recipe(self, examples: int, /) -> Recipe:
        """How long and in which batches to train on so many examples."""
        return Recipe(steps=1500 if examples < 10_000 else 6000)

    def start(self, inputs: Tensor, targets: Tensor, /) -> None:
        """Fit the initial weights to some of the examples, once, before the first step. Does nothing by default."""

    @abstractmethod
    def optimizers(self) -> Optimizers:
        """The optimisers of this model's parameters, by name."""

    @abstractmethod
    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        /,
        optimizers: Optimizers,
        rng: torch.Generator,
        progress: float,
    ) -> Losses:
        """One update of the weights: backward and `optimizer.step()` included.

        inputs, targets: a batch of the examples; progress: the share of the training that is done, 0 to 1, for
        schedules. All randomness comes from rng.
        """

    def finish(self, inputs: Tensor, targets: Tensor, rng: torch.Generator, /) -> None:
        """Fit what is fitted after the last update, on all examples; results go into buffers. Nothing by default."""

    def diagnose(self, inputs: Tensor, targets: Tensor, seed: int, /) -> Sequence[TrainingDiagnosis]:
        """Failures that the trained model shows beside its examples. None by default."""
        return ()

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return next(self.parameters()).device


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global random generator inside the context, and restore its state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use so many CPU threads inside the context, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A seeded random generator.

    >>> torch.rand(2, generator=generator(3)).equal(torch.rand(2, generator=generator(3)))
    True
    """
    return torch.Generator(device).manual_seed(seed)
