"""The one training loop of the zoo: batches, budgets, checkpoints, averages of weights, findings.

What a step sees is a function of (seed, step) alone: its batch, and the randomness it may use.
A checkpoint therefore needs no state of any random generator, and a training that was killed and
started again ends with the very weights of one that was not.

    trained = train(build("vae", (1, 8, 8), 10), images, labels, seed=1, folder=Path("vae"))
    trained.model.draw(torch.full((16,), 7), generator(2))

For those who write a model: see `tolerate.models.base.Model`. The loop calls `start(...)` and
`optimizers()` once, `step(...)` for each batch, and after the last one `finish(...)` with the averaged
weights in place.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tolerate.errors import DataError, OptionError
from tolerate.models.base import Losses, Model, generator, save, seeded
from tolerate.models.texts.language import LanguageModel
from tolerate.models.training.checkpoint import Checkpoint, Log, fingerprint
from tolerate.models.training.diagnostics import Finding, discriminator_wins, not_finite, weigh_draws
from tolerate.models.training.distributed import Processes
from tolerate.models.training.ema import Average

Clock = Literal["wall", "cpu"]
Images = Tensor | NDArray[Any]
LOOKS = 100  # log lines of a training whose steps are known
SOME = 5000  # pictures that first weights are fitted to
EVERY = 50  # steps between log lines where they are not


@dataclass(frozen=True)
class Plan:
    """When a training ends, and what each of its steps sees."""

    steps: int | None
    budget: float | None  # seconds, by `clock`
    clock: Clock
    batch: int  # pictures of a step, all processes together
    ema: float
    seed: int
    every: int  # steps between log lines

    def done(self, step: int, elapsed: float) -> float:
        """The share of the training that is done, 0 to 1; above 1 where a budget was overrun."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = elapsed / self.budget if self.budget else 0.0
        return max(by_steps, by_time)


@dataclass(frozen=True)
class Progress:
    """Where a training stands."""

    share: float  # done, 0 to 1
    step: int
    elapsed: float  # seconds, by the plan's clock
    rate: float  # pictures a second
    left: float  # seconds, at this rate
    losses: Mapping[str, float]

    def __str__(self) -> str:
        losses = ", ".join(f"{name} {value:.4g}" for name, value in self.losses.items())
        return f"step {self.step:,}, {self.rate:,.0f} pictures/s, {losses}"


@dataclass(frozen=True)
class Trained:
    """A model at the end of its training: averaged weights in place, ready to draw."""

    model: Model
    steps: int
    elapsed: float  # seconds, by the plan's clock, over all starts
    pictures: int  # seen, repeats counted
    history: tuple[Mapping[str, float], ...] = field(repr=False)  # one record a log line
    findings: tuple[Finding, ...]
    plan: Plan


def train(
    model: Model,
    images: Images,
    labels: Images,
    *,
    steps: int | None = None,
    budget: float | None = None,
    clock: Clock = "wall",
    batch: int | None = None,
    ema: float | None = None,
    seed: int = 0,
    folder: Path | None = None,
    device: str = "auto",
    threads: int = 1,
    bf16: bool | None = None,
    every: int | None = None,
    keep: float = 30.0,
    board: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train a model on labelled pictures until its steps or its seconds are spent.

    images: [n, channels, height, width], floats in [0, 1] or bytes; labels: [n], integers from 0.
    steps, batch, ema: the model's own recipe where not given. With a `budget` alone the number of
    steps is open. budget: seconds of wall time, or of this process's CPU time with clock="cpu";
    what was spent before an interruption counts.
    folder: keeps `checkpoints/last.safetensors` (at least `keep` seconds apart), `metrics.jsonl` and at
    the end the model itself. The same call on the same folder continues where the last one stood.
    device: "auto" takes a GPU if there is one. threads: of the CPU; these models are small, and on a
    busy machine two threads ran ten times slower than one. bf16: None for where the GPU has it.
    Started by `torchrun` or accelerate, the processes share each batch and average gradients.
    Raises DataError for unusable pictures, RunError for a folder that cannot be written or continued.
    """
    plan = plan_for(model, len(images), steps, budget, clock, batch, ema, seed, every)
    processes = Processes(device)
    pictures = (check_tokens if model.reads_tokens else check_pictures)(model, images, labels)
    training = _Training(model, *pictures, plan, folder, processes, bf16, keep, board, on_progress)
    with seeded(seed), threaded(threads):
        return training.run()


@contextmanager
def threaded(count: int) -> Iterator[None]:
    """So many CPU threads inside, and as many as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def plan_for(
    model: Model,
    pictures: int,
    steps: int | None = None,
    budget: float | None = None,
    clock: Clock = "wall",
    batch: int | None = None,
    ema: float | None = None,
    seed: int = 0,
    every: int | None = None,
) -> Plan:
    """The plan that the given options and, for the others, the model's recipe make."""
    recipe = model.recipe(pictures)
    if steps is None and budget is None:
        steps = recipe.steps
    batch = recipe.batch if batch is None else batch
    ema = recipe.ema if ema is None else ema
    every = every or (max(1, steps // LOOKS) if steps else EVERY)
    _positive(steps=steps, budget=budget, batch=batch, every=every)
    if not 0 <= ema < 1:
        raise OptionError(f"ema is {ema}; expected a decay from 0 (none) to just below 1, such as 0.999")
    if clock not in ("wall", "cpu"):
        raise OptionError(f'clock is "{clock}"; expected "wall" or "cpu"')
    return Plan(steps, budget, clock, batch, ema, seed, every)


def _positive(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not value > 0:
            raise OptionError(f"{name} is {value}; expected a number above 0")


def check_pictures(model: Model, images: Images, labels: Images) -> tuple[Tensor, Tensor]:
    """The pictures and labels as tensors, if this model can be trained on them."""
    pictures, classes = _tensor(images), _tensor(labels).long()
    if pictures.shape[1:] != model.shape or len(pictures) != len(classes) or not len(pictures):
        raise DataError(
            f"got pictures of shape {tuple(pictures.shape)} with {len(classes)} labels; this model was built "
            f"for [n, {', '.join(map(str, model.shape))}] with a label each"
        )
    if pictures.dtype != torch.uint8:
        pictures = pictures.float()
        if not bool(((pictures >= 0) & (pictures <= 1)).all()):
            raise DataError("some pixels are not in [0, 1]; pass bytes, or divide by the largest value first")
    if int(classes.min()) < 0 or int(classes.max()) >= model.classes:
        raise DataError(
            f"labels go from {int(classes.min())} to {int(classes.max())}; this model was built for 0 to "
            f"{model.classes - 1}"
        )
    return pictures, classes


def check_tokens(model: Model, images: Images, labels: Images) -> tuple[Tensor, Tensor]:
    """Rows of tokens [n, length] and where each row's answer begins [n], if this model can learn from them."""
    rows, starts = _tensor(images), _tensor(labels).long()
    if rows.ndim != 2 or rows.dtype.is_floating_point or len(rows) != len(starts) or not len(rows):
        raise DataError(
            f"got tokens of shape {tuple(rows.shape)} with {len(starts)} starts; expected whole numbers "
            "[rows, length] with one start a row"
        )
    if rows.shape[1] > model.shape[2] + 1:
        raise DataError(
            f"rows of {rows.shape[1]} tokens are too long: this model reads {model.shape[2]} at once and learns "
            f"from rows of at most {model.shape[2] + 1}; cut them, or build it with a longer context"
        )
    largest = int(rows.max())
    if int(rows.min()) < 0 or largest >= model.classes:
        raise DataError(
            f"tokens go from {int(rows.min())} to {largest}; this model knows 0 to {model.classes - 1}. "
            "Was it built for another tokenizer?"
        )
    return rows, starts


def _tensor(values: Images) -> Tensor:
    """A tensor of the values; arrays that must not be written to are copied."""
    if isinstance(values, np.ndarray) and not values.flags.writeable:
        values = values.copy()
    return torch.as_tensor(values)


class Batches:
    """Which pictures each step sees: every picture once a pass, in an order set by seed and pass.

    >>> batches = Batches(pictures=5, batch=4, seed=0)
    >>> sorted(torch.cat([batches.at(step) for step in range(5)]).tolist()) == sorted([*range(5)] * 4)
    True
    """

    def __init__(self, pictures: int, batch: int, seed: int) -> None:
        self.pictures, self.batch, self.seed = pictures, batch, seed
        self._orders: dict[int, Tensor] = {}

    def at(self, step: int) -> Tensor:
        """Indices of the pictures of a step: [batch]."""
        at, end = step * self.batch, (step + 1) * self.batch
        parts = []
        while at < end:
            turn, place = divmod(at, self.pictures)
            part = self._order(turn)[place : place + end - at]
            parts.append(part)
            at += len(part)
        return torch.cat(parts)

    def _order(self, turn: int) -> Tensor:
        if turn not in self._orders:
            self._orders = {key: order for key, order in self._orders.items() if key == turn - 1}
            self._orders[turn] = torch.randperm(self.pictures, generator=generator(mix(self.seed, turn, -1)))
        return self._orders[turn]


def mix(*numbers: int) -> int:
    """One seed from several numbers, so that near ones give unlike seeds (splitmix64's finaliser).

    >>> len({mix(seed, step, 0) % 2**32 for seed in range(50) for step in range(50)})
    2500
    """
    mask, state = 2**64 - 1, 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return state >> 1


class _Training:
    """One training at work."""

    def __init__(
        self,
        model: Model,
        images: Tensor,
        labels: Tensor,
        plan: Plan,
        folder: Path | None,
        processes: Processes,
        bf16: bool | None,
        keep: float,
        board: bool,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        if plan.batch < processes.count:
            raise OptionError(f"a batch of {plan.batch} cannot be shared by {processes.count} processes")
        self.model = model.to(processes.device)
        self.plan, self.folder, self.processes, self.keep = plan, folder, processes, keep
        self.images, self.labels = images.to(processes.device), labels.to(processes.device)
        self.on_progress = on_progress
        self.bf16 = processes.bf16 if bf16 is None else bf16
        self.batches = Batches(len(images), plan.batch, plan.seed)
        self.rng = torch.Generator(processes.device)
        with torch.no_grad():
            model.start(self._given(self.images[:SOME]), self.labels[:SOME])
        processes.agree(model)
        if isinstance(model, LanguageModel) and processes.count > 1:
            model.mean_over_processes = processes.mean_of
        self.optimizers = model.optimizers()
        for optimizer in self.optimizers.values():
            processes.share(optimizer)
        self.average = Average(model, plan.ema)
        self.log = Log(folder if processes.main else None, board)
        self.step, self.spent, self.findings = 0, 0.0, list[Finding]()
        self.sums: dict[str, tuple[Tensor | float, int]] = {}  # since the last log line: sum and count
        self.began = self.kept = self._now()
        self.since = 0

    def run(self) -> Trained:
        """From the beginning, or from the checkpoint, to the end."""
        checkpoint = self._checkpoint()
        if checkpoint is not None:
            self._resume(checkpoint)
        self.good = self._weights()
        self.model.train()
        over = self._over()
        while not over:
            self._update()
            over = self._over()
            if over or self.step % self.plan.every == 0:
                self._look(checkpoint, over)
                over = over or bool(self.findings)
        return self._end()

    def _checkpoint(self) -> Checkpoint | None:
        if self.folder is None:
            return None
        about = {"options": self.model.options, "plan": vars(self.plan)}
        return Checkpoint(self.folder, {**about, "data": fingerprint(self.images, self.labels)})

    def _resume(self, checkpoint: Checkpoint) -> None:
        found = checkpoint.read(self.model, self.average, self.optimizers)
        self.processes.wait()
        if found is not None:
            self.step, self.spent = found["step"], found["elapsed"]
            self.findings = [Finding(**finding) for finding in found["findings"]]
        self.log.resume(self.step)
        self.began = self.kept = self._now()
        self.since = self.step

    def _now(self) -> float:
        return time.process_time() if self.plan.clock == "cpu" else time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds spent so far; the processes agree on the longest."""
        mine = self.spent + self._now() - self.began
        return self.processes.largest(mine) if self.plan.budget else mine

    def _over(self) -> bool:
        return bool(self.findings) or self.plan.done(self.step, self.elapsed) >= 1

    def _update(self) -> None:
        """One step: its batch and its randomness follow from its number."""
        mine = self.batches.at(self.step)[self.processes.rank :: self.processes.count]
        images, labels = self._given(self.images[mine]), self.labels[mine]
        seed = mix(self.plan.seed, self.step, self.processes.rank)
        self.rng.manual_seed(seed)
        torch.default_generator.manual_seed(seed)
        done = min(self.plan.done(self.step, self.elapsed), 1.0)
        with self._precision():
            losses = self.model.step(images, labels, self.optimizers, self.rng, done)
        self._add(losses)
        self.average.update(self.step)
        self.step += 1

    def _given(self, images: Tensor) -> Tensor:
        """What a model is given: pictures as floats in [0, 1], tokens as whole numbers."""
        return images.long() if self.model.reads_tokens else floats(images)

    def _precision(self) -> AbstractContextManager[Any]:
        device = self.processes.device.type
        return torch.autocast(device, torch.bfloat16) if self.bf16 else nullcontext()

    def _add(self, losses: Losses) -> None:
        for name, value in losses.items():
            value = torch.as_tensor(value, device=self.processes.device).detach().float()
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)

    def _look(self, checkpoint: Checkpoint | None, over: bool) -> None:
        """Write a log line, keep what is good, notice what is not."""
        line = self._line()
        self.processes.share_buffers(self.model)
        finding = not_finite(line, self.model, self.step)
        if finding:
            self.findings.append(finding)
            self._restore()
        else:
            self.good = self._weights()
        self.log.write(line)
        self._tell(line)
        over = over or bool(self.findings)
        if checkpoint is not None and (over or self._now() - self.kept >= self.keep):
            self._keep(checkpoint)

    def _line(self) -> dict[str, float]:
        """Step, seconds and the mean of each loss since the last log line."""
        means = {name: float(total) / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        means = self.processes.mean(means)
        return {"step": self.step, "elapsed": round(self.elapsed, 3), **means}

    def _weights(self) -> dict[str, Tensor]:
        """A copy of weights and averages, to go back to if the next ones are spoiled."""
        state = {f"model/{name}": tensor.clone() for name, tensor in self.model.state_dict().items()}
        return state | {f"ema/{name}": tensor.clone() for name, tensor in self.average.weights.items()}

    def _restore(self) -> None:
        own = {key[6:]: value for key, value in self.good.items() if key.startswith("model/")}
        self.model.load_state_dict(own)
        for name, tensor in self.average.weights.items():
            tensor.copy_(self.good[f"ema/{name}"])

    def _keep(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint; the other processes wait for it."""
        if self.processes.main:
            state = {"step": self.step, "elapsed": self.elapsed_here, "findings": self.findings}
            checkpoint.write(self.model, self.average, self.optimizers, state)
        self.processes.wait()
        self.kept = self._now()

    @property
    def elapsed_here(self) -> float:
        """Seconds spent so far by this process."""
        return self.spent + self._now() - self.began

    def _tell(self, line: Mapping[str, float]) -> None:
        if self.on_progress is None:
            return
        elapsed = self.elapsed_here
        share = min(self.plan.done(self.step, elapsed), 1.0)
        rate = (self.step - self.since) * self.plan.batch / max(elapsed - self.spent, 1e-9)
        left = elapsed * (1 - share) / share if share else math.nan
        losses = {name: value for name, value in line.items() if name not in ("step", "elapsed")}
        self.on_progress(Progress(share, self.step, elapsed, rate, left, losses))

    def _end(self) -> Trained:
        """Averaged weights in place, what is left to fit, what went wrong, the model in its folder."""
        elapsed = self.elapsed_here
        self.average.apply(self.model)
        self.model.eval()
        self.rng.manual_seed(mix(self.plan.seed, self.step, -2))
        torch.default_generator.manual_seed(mix(self.plan.seed, self.step, -2))
        with torch.no_grad():
            self.model.finish(self._given(self.images), self.labels, self.rng)
        findings = [*self.findings, *discriminator_wins(self.log.history)]
        if not self.model.reads_tokens:
            findings += weigh_draws(self.model, self.images, self.labels, mix(self.plan.seed, -3))
        self.log.close()
        trained = Trained(
            model=self.model,
            steps=self.step,
            elapsed=elapsed,
            pictures=self.step * self.plan.batch,
            history=tuple(self.log.history),
            findings=tuple(findings),
            plan=self.plan,
        )
        if self.folder is not None and self.processes.main:
            save(
                self.model, self.folder, {"steps": self.step, "findings": [one.to_json() for one in findings]}
            )
        self.processes.wait()
        return trained


def floats(images: Tensor) -> Tensor:
    """Pictures as floats in [0, 1], whatever they are kept as."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


__all__ = ["Batches", "Plan", "Progress", "Trained", "floats", "plan_for", "train"]
