"""Checkpoints, from which an interrupted training continues: one safetensors file and the lines of its log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from tolerate.base.files import write_whole
from tolerate.base.json_types import JsonObject
from tolerate.errors import OptionError, RunError
from tolerate.models.base import Optimizers, Trainable, TrainingDiagnosis
from tolerate.models.storage import detached_copies, fill, read_tensors
from tolerate.models.training.ema import WeightAverage

LAYOUT = "1"


@dataclass(frozen=True)
class TrainingState:
    """The progress of a training as a checkpoint stores it."""

    step: int
    elapsed: float  # seconds
    findings: Sequence[TrainingDiagnosis]


class OptimizerNumbers(TypedDict):
    """The state of an optimiser beside its tensors, by number of the weight, and its groups."""

    state: dict[str, dict[str, object]]
    param_groups: list[dict[str, object]]


class Checkpoint:
    """`checkpoints/last.safetensors` of a folder: weights, averages, optimisers, step and seconds.

    Written beside and renamed, so that it is complete or the previous one. `about` identifies the training; a
    checkpoint of another training is refused.
    """

    def __init__(self, folder: Path, about: Mapping[str, object]) -> None:
        self.path = folder / "checkpoints" / "last.safetensors"
        self.about: JsonObject = json.loads(json.dumps(about))

    def write(
        self, model: Trainable, average: WeightAverage, optimizers: Optimizers, state: TrainingState
    ) -> None:
        """Store the state of the training."""
        from safetensors.torch import save

        tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
        tensors |= {f"ema/{name}": tensor for name, tensor in average.weights.items()}
        for name, optimizer in optimizers.items():
            tensors |= _optimizer_tensors(name, optimizer)
        notes = {
            "about": self.about,
            "groups": {name: _optimizer_numbers(optimizer) for name, optimizer in optimizers.items()},
            "step": state.step,
            "elapsed": state.elapsed,
            "findings": [finding.to_json() for finding in state.findings],
        }
        metadata = {"layout": LAYOUT, "notes": json.dumps(notes)}
        write_whole(self.path, save(detached_copies(tensors), metadata))

    def read(self, model: Trainable, average: WeightAverage, optimizers: Optimizers) -> TrainingState | None:
        """Load the stored state into model, average and optimisers; None if there is no checkpoint."""
        if not self.path.exists():
            return None
        tensors, metadata = read_tensors(self.path)
        notes = self._notes(metadata)
        fill(model, _under("model/", tensors))
        for name, tensor in _under("ema/", tensors).items():
            average.weights[name].copy_(tensor)
        for name, optimizer in optimizers.items():
            stored = _under(f"optimizer/{name}/", tensors)
            optimizer.load_state_dict(_optimizer_state(notes["groups"][name], stored))
            _match_memory_formats(optimizer)
        findings = [TrainingDiagnosis(**finding) for finding in notes["findings"]]
        return TrainingState(notes["step"], notes["elapsed"], findings)

    def _notes(self, metadata: Mapping[str, str]) -> dict[str, Any]:
        """The JSON notes of a checkpoint; RunError if it belongs to another training or version."""
        if metadata.get("layout") != LAYOUT:
            raise RunError(
                f"{self.path} was written by another version of tolerate; choose another folder or delete it"
            )
        notes: dict[str, Any] = json.loads(metadata["notes"])
        for key, value in self.about.items():
            if notes["about"].get(key) != value:
                raise RunError(
                    f"{self.path} belongs to a training with {key} = {notes['about'].get(key)}, this one has "
                    f"{value}; choose another folder, or delete it to start again"
                )
        return notes


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimizer_tensors(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimiser's state, by number of the weight and name."""
    return {
        f"optimizer/{name}/{number}/{key}": value
        for number, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def _optimizer_numbers(optimizer: torch.optim.Optimizer) -> OptimizerNumbers:
    """The rest of an optimiser's state: groups, and numbers beside the tensors."""
    state = optimizer.state_dict()
    numbers = {
        number: {key: value for key, value in values.items() if not isinstance(value, Tensor)}
        for number, values in state["state"].items()
    }
    return {"state": numbers, "param_groups": state["param_groups"]}


def _optimizer_state(stored: OptimizerNumbers, tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """An optimiser's state again: numbers and tensors together."""
    state = {int(number): dict(values) for number, values in stored["state"].items()}
    for key, tensor in tensors.items():
        number, _, name = key.partition("/")
        state[int(number)][name] = tensor
    return {"state": state, "param_groups": stored["param_groups"]}


def _match_memory_formats(optimizer: torch.optim.Optimizer) -> None:
    """Lay the state of each weight out in memory as the weight is.

    Files hold contiguous tensors; fused optimisers step through weight and state in the order of memory, so that with
    weights in channels-last format they would pair each weight with the state of another.
    """
    for weight, values in optimizer.state.items():
        for key, value in values.items():
            if not isinstance(value, Tensor) or value.shape != weight.shape:
                continue
            if value.stride() != weight.stride():
                values[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


class LossLog:
    """The losses of a training: one record a line in `metrics.jsonl`, and TensorBoard on request."""

    def __init__(self, folder: Path | None, board: bool = False) -> None:
        self.path = None if folder is None else folder / "metrics.jsonl"
        self.history: list[dict[str, float]] = []
        self.folder = folder
        self._writer: Any = None
        if board:
            self._open_board()

    def resume(self, step: int) -> None:
        """Drop the records after the checkpoint: those steps are repeated."""
        if self.path is not None:
            lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
            records = [json.loads(line) for line in lines]
            self.history = [record for record in records if record["step"] <= step]
            write_whole(self.path, "".join(map(_row, self.history)).encode())

    def write(self, record: dict[str, float]) -> None:
        """Append a record."""
        self.history.append(record)
        if self.path is not None:
            append(self.path, _row(record))
        if self._writer is not None:
            for name, value in record.items():
                self._writer.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Flush the TensorBoard log."""
        if self._writer is not None:
            self._writer.close()

    def _open_board(self) -> None:
        if self.folder is None:
            raise OptionError("TensorBoard needs a folder to write to; pass folder=...")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise OptionError('TensorBoard is not installed; try: pip install "tolerate[board]"') from None
        self._writer = SummaryWriter(self.folder / "board")


def _row(record: Mapping[str, float]) -> str:
    return json.dumps(record) + "\n"


def append(path: Path, line: str) -> None:
    """Append a line to a file, completely or not at all."""
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab", buffering=0) as file:
            file.write(line.encode())
    except OSError as error:
        with path.open("r+b") as file:
            file.truncate(size)
        reason = error.strerror or str(error)
        raise RunError(
            f"could not write {path}: {reason}. Free some space or choose another folder"
        ) from None
