"""The training loop: batches, budgets, checkpoints, averages of weights, findings.

What a step sees is a function of (seed, step) alone: its batch, and the randomness it may use. A checkpoint therefore
needs no state of any random generator, and a training that was killed and started again ends with the same weights,
bit for bit, as one that was not.

    trained = train(build("vae", (1, 8, 8), 10), PictureExamples(images, labels), TrainingOptions(seed=1), folder)
    trained.model.draw(torch.full((16,), 7), generator(2))

For authors of models: see `tolerate.models.base.Trainable`. The loop calls `start(...)` and `optimizers()` once,
`step(...)` for each batch, and after the last one `finish(...)` with the averaged weights in the model.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from tolerate.errors import OptionError
from tolerate.models.base import Losses, Trainable, TrainingDiagnosis, torch_seed, torch_threads
from tolerate.models.storage import save
from tolerate.models.training.checkpoint import Checkpoint, LossLog, TrainingState
from tolerate.models.training.diagnostics import discriminator_wins, not_finite
from tolerate.models.training.distributed import Processes
from tolerate.models.training.ema import WeightAverage
from tolerate.models.training.examples import Examples
from tolerate.models.training.plan import BatchSampler, TrainingOptions, TrainingPlan, mix_seeds, plan_for

START_EXAMPLES = 5000  # that initial weights are fitted to
ModelType = TypeVar("ModelType", bound=Trainable)
TrainedType = TypeVar("TrainedType", bound=Trainable, covariant=True)


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a training, as callbacks receive it."""

    share: float  # done, 0 to 1
    step: int
    elapsed: float  # seconds, by the plan's clock
    rate: float  # examples a second
    remaining: float  # seconds, at this rate
    losses: Mapping[str, float]
    noun: str = "examples"

    def __str__(self) -> str:
        losses = ", ".join(f"{name} {value:.4g}" for name, value in self.losses.items())
        return f"step {self.step:,}, {self.rate:,.0f} {self.noun}/s, {losses}"


ReportProgress = Callable[[TrainingProgress], None]


@dataclass(frozen=True)
class Trained(Generic[TrainedType]):
    """A model at the end of its training, with the averaged weights in it."""

    model: TrainedType
    steps: int
    elapsed: float  # seconds, by the plan's clock, over all starts
    examples: int  # seen, repeats counted
    history: tuple[Mapping[str, float], ...] = field(repr=False)  # one record a log line
    findings: tuple[TrainingDiagnosis, ...]
    plan: TrainingPlan


def train(
    model: ModelType,
    examples: Examples,
    options: TrainingOptions | None = None,
    folder: Path | None = None,
    on_progress: ReportProgress | None = None,
) -> Trained[ModelType]:
    """Train a model on examples until its steps or its seconds are spent.

    folder: receives `checkpoints/last.safetensors`, `metrics.jsonl` and at the end the model itself. The same call on
    the same folder continues where the last one stood. Started by `torchrun` or accelerate, the processes share each
    batch and average gradients.
    Raises DataError for unusable examples, RunError for a folder that cannot be written or continued.
    """
    options = options or TrainingOptions()
    plan = plan_for(model, len(examples), options)
    processes = Processes(options.device)
    examples.check(model)
    training = _Training(model, examples, plan, options, processes, folder, on_progress)
    with torch_seed(options.seed), torch_threads(options.threads):
        return training.run()


class _Training(Generic[ModelType]):
    """The state of a training in progress."""

    def __init__(
        self,
        model: ModelType,
        examples: Examples,
        plan: TrainingPlan,
        options: TrainingOptions,
        processes: Processes,
        folder: Path | None,
        on_progress: ReportProgress | None,
    ) -> None:
        if plan.batch < processes.count:
            raise OptionError(f"a batch of {plan.batch} cannot be shared by {processes.count} processes")
        model.to(processes.device)
        self.model, self.examples = model, examples.to(processes.device)
        self.plan, self.options, self.folder, self.processes = plan, options, folder, processes
        self.on_progress = on_progress
        self.bf16 = processes.bf16 if options.bf16 is None else options.bf16
        self.sampler = BatchSampler(len(examples), plan.batch, plan.seed)
        self.rng = torch.Generator(processes.device)
        with torch.no_grad():
            model.start(*self.examples.batch(slice(START_EXAMPLES)))
        processes.broadcast_weights(model)
        if processes.count > 1:
            model.mean_over_processes = processes.mean_of
        self.optimizers = model.optimizers()
        for optimizer in self.optimizers.values():
            processes.average_gradients(optimizer)
        self.average = WeightAverage(model, plan.ema)
        self.log = LossLog(folder if processes.is_main else None, options.board)
        self.step, self.earlier_seconds, self.findings = 0, 0.0, list[TrainingDiagnosis]()
        self.sums: dict[str, tuple[Tensor | float, int]] = {}  # since the last log line: sum and count
        self.started = self.last_checkpoint = self._clock()
        self.first_step = 0

    def run(self) -> Trained[ModelType]:
        """Train from the beginning, or from the checkpoint, to the end."""
        checkpoint = self._checkpoint()
        if checkpoint is not None:
            self._resume(checkpoint)
        self.last_good = self._weights()
        self.model.train()
        over = self._is_over()
        while not over:
            self._update()
            over = self._is_over()
            if over or self.step % self.plan.every == 0:
                self._log(checkpoint, over)
                over = over or bool(self.findings)
        return self._finish()

    def _checkpoint(self) -> Checkpoint | None:
        if self.folder is None:
            return None
        about = {"options": self.model.options, "plan": vars(self.plan)}
        return Checkpoint(self.folder, {**about, "data": self.examples.fingerprint()})

    def _resume(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.read(self.model, self.average, self.optimizers)
        self.processes.barrier()
        if state is not None:
            self.step, self.earlier_seconds, self.findings = state.step, state.elapsed, list(state.findings)
        self.log.resume(self.step)
        self.started = self.last_checkpoint = self._clock()
        self.first_step = self.step

    def _clock(self) -> float:
        return time.process_time() if self.plan.clock == "cpu" else time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds spent so far; with a budget the processes agree on the longest."""
        return self.processes.maximum(self.own_elapsed) if self.plan.budget else self.own_elapsed

    @property
    def own_elapsed(self) -> float:
        """Seconds spent so far by this process."""
        return self.earlier_seconds + self._clock() - self.started

    def _is_over(self) -> bool:
        return bool(self.findings) or self.plan.share_done(self.step, self.elapsed) >= 1

    def _update(self) -> None:
        """One step: its batch and its randomness follow from its number."""
        indices = self.sampler.indices(self.step)[self.processes.rank :: self.processes.count]
        inputs, targets = self.examples.batch(indices)
        seed = mix_seeds(self.plan.seed, self.step, self.processes.rank)
        self.rng.manual_seed(seed)
        torch.default_generator.manual_seed(seed)
        share = min(self.plan.share_done(self.step, self.elapsed), 1.0)
        with self._precision():
            losses = self.model.step(inputs, targets, self.optimizers, self.rng, share)
        self._add(losses)
        self.average.update(self.step)
        self.step += 1

    def _precision(self) -> AbstractContextManager[object]:
        device = self.processes.device.type
        return torch.autocast(device, torch.bfloat16) if self.bf16 else nullcontext()

    def _add(self, losses: Losses) -> None:
        for name, value in losses.items():
            value = torch.as_tensor(value, device=self.processes.device).detach().float()
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)

    def _log(self, checkpoint: Checkpoint | None, over: bool) -> None:
        """Write a log line; keep the weights if they are finite, else return to the last good ones."""
        line = self._line()
        self.processes.average_buffers(self.model)
        finding = not_finite(line, self.model, self.step)
        if finding:
            self.findings.append(finding)
            self._restore()
        else:
            self.last_good = self._weights()
        self.log.write(line)
        self._report(line)
        over = over or bool(self.findings)
        if checkpoint is not None and (over or self._checkpoint_is_due()):
            self._write(checkpoint)

    def _checkpoint_is_due(self) -> bool:
        return self._clock() - self.last_checkpoint >= self.options.checkpoint_seconds

    def _line(self) -> dict[str, float]:
        """Step, seconds and the mean of each loss since the last log line."""
        means = {name: float(total) / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        means = self.processes.mean(means)
        return {"step": self.step, "elapsed": round(self.elapsed, 3), **means}

    def _weights(self) -> dict[str, Tensor]:
        """A copy of weights and averages, to return to if the next ones are not finite."""
        state = {f"model/{name}": tensor.clone() for name, tensor in self.model.state_dict().items()}
        return state | {f"ema/{name}": tensor.clone() for name, tensor in self.average.weights.items()}

    def _restore(self) -> None:
        weights = {key[6:]: value for key, value in self.last_good.items() if key.startswith("model/")}
        self.model.load_state_dict(weights)
        for name, tensor in self.average.weights.items():
            tensor.copy_(self.last_good[f"ema/{name}"])

    def _write(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint; the other processes wait for it."""
        if self.processes.is_main:
            state = TrainingState(self.step, self.own_elapsed, tuple(self.findings))
            checkpoint.write(self.model, self.average, self.optimizers, state)
        self.processes.barrier()
        self.last_checkpoint = self._clock()

    def _report(self, line: Mapping[str, float]) -> None:
        if self.on_progress is None:
            return
        elapsed = self.own_elapsed
        share = min(self.plan.share_done(self.step, elapsed), 1.0)
        rate = (self.step - self.first_step) * self.plan.batch / max(elapsed - self.earlier_seconds, 1e-9)
        remaining = elapsed * (1 - share) / share if share else math.nan
        losses = {name: value for name, value in line.items() if name not in ("step", "elapsed")}
        noun = self.examples.noun
        self.on_progress(TrainingProgress(share, self.step, elapsed, rate, remaining, losses, noun))

    def _finish(self) -> Trained[ModelType]:
        """Put the averaged weights into the model, finish and diagnose it, and save it in its folder."""
        elapsed = self.own_elapsed
        self.average.apply(self.model)
        self.model.eval()
        self.rng.manual_seed(mix_seeds(self.plan.seed, self.step, -2))
        torch.default_generator.manual_seed(mix_seeds(self.plan.seed, self.step, -2))
        inputs, targets = self.examples.batch(slice(None))
        with torch.no_grad():
            self.model.finish(inputs, targets, self.rng)
        findings = [*self.findings, *discriminator_wins(self.log.history)]
        findings += self.model.diagnose(inputs, targets, mix_seeds(self.plan.seed, -3))
        self.log.close()
        trained = Trained(
            model=self.model,
            steps=self.step,
            elapsed=elapsed,
            examples=self.step * self.plan.batch,
            history=tuple(self.log.history),
            findings=tuple(findings),
            plan=self.plan,
        )
        if self.folder is not None and self.processes.is_main:
            reports = [finding.to_json() for finding in findings]
            save(self.model, self.folder, {"steps": self.step, "findings": reports})
        self.processes.barrier()
        return trained
