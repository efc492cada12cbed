"""What an interrupted training continues from: one safetensors file and the lines of its log."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tolerate.base.files import write_whole
from tolerate.errors import OptionError, RunError
from tolerate.models.base import Model, Optimizers, alone, fill, read_tensors
from tolerate.models.training.ema import Average

LAYOUT = "1"


class Checkpoint:
    """`checkpoints/last.safetensors` of a folder: weights, averages, optimisers, step and seconds.

    Written beside and renamed, so that it is whole or the one before. `about` says what it belongs
    to; a checkpoint of another training is refused.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.path = folder / "checkpoints" / "last.safetensors"
        self.about = json.loads(json.dumps(about))

    def write(self, model: Model, average: Average, optimizers: Optimizers, state: Mapping[str, Any]) -> None:
        """Keep where the training stands."""
        from safetensors.torch import save

        tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
        tensors |= {f"ema/{name}": tensor for name, tensor in average.weights.items()}
        groups: dict[str, Any] = {}
        for name, optimizer in optimizers.items():
            tensors |= _optimizer_tensors(name, optimizer)
            groups[name] = _plain(optimizer.state_dict())
        notes = {"about": self.about, "groups": groups, **_findings_plain(state)}
        write_whole(self.path, save(alone(tensors), {"layout": LAYOUT, "notes": json.dumps(notes)}))

    def read(self, model: Model, average: Average, optimizers: Optimizers) -> dict[str, Any] | None:
        """Take up where the training stood; None if there is nothing to take up."""
        if not self.path.exists():
            return None
        tensors, metadata = read_tensors(self.path)
        notes = self._notes(metadata)
        fill(model, _under("model/", tensors))
        for name, tensor in _under("ema/", tensors).items():
            average.weights[name].copy_(tensor)
        for name, optimizer in optimizers.items():
            kept = _under(f"optimizer/{name}/", tensors)
            optimizer.load_state_dict(_whole(notes["groups"][name], kept))
        return notes

    def _notes(self, metadata: Mapping[str, str]) -> dict[str, Any]:
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


def _findings_plain(state: Mapping[str, Any]) -> dict[str, Any]:
    return {**state, "findings": [finding.to_json() for finding in state["findings"]]}


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


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """The rest of an optimiser's state: groups, and numbers beside the tensors."""
    numbers = {
        number: {key: value for key, value in values.items() if not isinstance(value, Tensor)}
        for number, values in state["state"].items()
    }
    return {"state": numbers, "param_groups": state["param_groups"]}


def _whole(plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """An optimiser's state again: numbers and tensors together."""
    state: dict[int, dict[str, Any]] = {
        int(number): dict(values) for number, values in plain["state"].items()
    }
    for key, tensor in tensors.items():
        number, _, name = key.partition("/")
        state[int(number)][name] = tensor
    return {"state": state, "param_groups": plain["param_groups"]}


def fingerprint(images: Tensor, labels: Tensor) -> str:
    """A short name of the pictures a training rests on."""
    sums = [zlib.crc32(tensor.cpu().contiguous().numpy().data) for tensor in (images, labels)]
    return f"{len(images)} pictures {sums[0]:08x}-{sums[1]:08x}"


class Log:
    """The losses of a training: one record a line in `metrics.jsonl`, and TensorBoard on request."""

    def __init__(self, folder: Path | None, board: bool = False) -> None:
        self.path = None if folder is None else folder / "metrics.jsonl"
        self.history: list[dict[str, float]] = []
        self.folder = folder
        self._writer: Any = None
        if board:
            self._open_board()

    def resume(self, step: int) -> None:
        """Forget what came after the checkpoint: it will be done again."""
        if self.path is not None:
            lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
            records = [json.loads(line) for line in lines]
            self.history = [record for record in records if record["step"] <= step]
            write_whole(self.path, "".join(map(_row, self.history)).encode())

    def write(self, record: dict[str, float]) -> None:
        """One more record."""
        self.history.append(record)
        if self.path is not None:
            append(self.path, _row(record))
        if self._writer is not None:
            for name, value in record.items():
                self._writer.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Let TensorBoard see the last lines."""
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
    """Add a line to a file, whole or not at all."""
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
