"""Options of a training, and the plan that follows from them: when it ends, and which examples each step uses."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tolerate.errors import OptionError
from tolerate.models.base import Trainable, generator

Clock = Literal["wall", "cpu"]
LOG_LINES = 100  # of a training whose number of steps is known
LOG_STEPS = 50  # between log lines where it is not


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training; None leaves the choice to the model's recipe or the machine.

    With a `budget` alone the number of steps is open. Time spent before an interruption counts. `threads`: these models
    are small, and on a busy machine two CPU threads ran ten times slower than one.
    """

    steps: int | None = None
    budget: float | None = None  # seconds: of wall time, or of this process's CPU time with clock="cpu"
    clock: Clock = "wall"
    batch: int | None = None  # examples of a step, all processes together
    ema: float | None = None
    seed: int = 0
    every: int | None = None  # steps between log lines
    device: str = "auto"  # a GPU if there is one
    threads: int = 1  # of the CPU
    bf16: bool | None = None  # None: where the GPU supports it
    checkpoint_seconds: float = 30.0  # at least, between two checkpoints
    board: bool = False  # write a TensorBoard log


@dataclass(frozen=True)
class TrainingPlan:
    """The resolved options of a training: its end and the batches of its steps. The fields are keys in checkpoints."""

    steps: int | None
    budget: float | None  # seconds, by `clock`
    clock: Clock
    batch: int  # examples of a step, all processes together
    ema: float
    seed: int
    every: int  # steps between log lines

    def share_done(self, step: int, elapsed: float) -> float:
        """The share of the training that is done, 0 to 1; above 1 where a budget was overrun."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = elapsed / self.budget if self.budget else 0.0
        return max(by_steps, by_time)


def plan_for(model: Trainable, examples: int, options: TrainingOptions) -> TrainingPlan:
    """The plan that the options make, completed by the model's recipe for so many examples."""
    recipe = model.recipe(examples)
    steps, budget = options.steps, options.budget
    if steps is None and budget is None:
        steps = recipe.steps
    batch = recipe.batch if options.batch is None else options.batch
    ema = recipe.ema if options.ema is None else options.ema
    every = options.every or (max(1, steps // LOG_LINES) if steps else LOG_STEPS)
    _check_positive(steps=steps, budget=budget, batch=batch, every=every)
    if not 0 <= ema < 1:
        raise OptionError(f"ema is {ema}; expected a decay from 0 (none) to just below 1, such as 0.999")
    if options.clock not in ("wall", "cpu"):
        raise OptionError(f'clock is "{options.clock}"; expected "wall" or "cpu"')
    return TrainingPlan(steps, budget, options.clock, batch, ema, options.seed, every)


def _check_positive(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not value > 0:
            raise OptionError(f"{name} is {value}; expected a number above 0")


class BatchSampler:
    """Samples the batch of each step: every example once a pass, in an order set by seed and pass.

    >>> sampler = BatchSampler(examples=5, batch=4, seed=0)
    >>> sorted(torch.cat([sampler.indices(step) for step in range(5)]).tolist()) == sorted([*range(5)] * 4)
    True
    """

    def __init__(self, examples: int, batch: int, seed: int) -> None:
        self.examples, self.batch, self.seed = examples, batch, seed
        self._orders: dict[int, Tensor] = {}

    def indices(self, step: int) -> Tensor:
        """Indices of the examples of a step: [batch]."""
        position, end = step * self.batch, (step + 1) * self.batch
        parts = []
        while position < end:
            passes, offset = divmod(position, self.examples)
            part = self._order(passes)[offset : offset + end - position]
            parts.append(part)
            position += len(part)
        return torch.cat(parts)

    def _order(self, passes: int) -> Tensor:
        """The order of all examples in a pass; only this pass's and the previous one's are kept."""
        if passes not in self._orders:
            self._orders = {key: order for key, order in self._orders.items() if key == passes - 1}
            rng = generator(mix_seeds(self.seed, passes, -1))
            self._orders[passes] = torch.randperm(self.examples, generator=rng)
        return self._orders[passes]


def mix_seeds(*numbers: int) -> int:
    """One seed from several numbers, so that near ones give unlike seeds (splitmix64's finaliser).

    >>> len({mix_seeds(seed, step, 0) % 2**32 for seed in range(50) for step in range(50)})
    2500
    """
    mask, state = 2**64 - 1, 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return state >> 1
