"""Several processes that train one model: each takes its share of a batch, gradients are averaged.

`torchrun --nproc_per_node 2` and `accelerate.debug_launcher` start them; accelerate finds out who is
who. Started plainly there is one process, and nothing here costs anything.
"""

import os
from typing import Any

import torch
from torch import Tensor

from tolerate.base.workers import leads
from tolerate.errors import OptionError
from tolerate.models.base import Model


class Processes:
    """The processes of this training, seen from one of them."""

    def __init__(self, device: str = "auto") -> None:
        self.rank, self.count = 0, int(os.environ.get("WORLD_SIZE", "1"))
        self.device = _device(device)
        if self.count > 1:
            from accelerate import PartialState

            state = PartialState(cpu=self.device.type == "cpu")
            self.rank, self.count, self.device = state.process_index, state.num_processes, state.device

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    @property
    def bf16(self) -> bool:
        """Whether this device computes in bfloat16 fast enough to want it: a GPU that has it."""
        return self.device.type == "cuda" and torch.cuda.is_bf16_supported()

    def agree(self, model: Model) -> None:
        """Give every process the first one's weights."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                torch.distributed.broadcast(tensor, 0)

    def share(self, optimizer: torch.optim.Optimizer) -> None:
        """Average the gradients over the processes before each of this optimiser's steps."""
        if self.count > 1:
            optimizer.register_step_pre_hook(self._average_gradients)

    def _average_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self._average([weight.grad for weight in weights if weight.grad is not None])

    def share_buffers(self, model: Model) -> None:
        """Average what layers have counted for themselves, such as the means of batch norm."""
        if self.count > 1:
            self._average([buffer for buffer in model.buffers() if buffer.is_floating_point()])

    def _average(self, tensors: list[Tensor]) -> None:
        """All of them in one message."""
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        parts = torch.split(flat / self.count, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def largest(self, value: float) -> float:
        """The largest of the processes' values."""
        if self.count == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MAX)
        return float(tensor)

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean of the processes' values, name by name."""
        if self.count == 1 or not values:
            return values
        tensor = torch.tensor(list(values.values()), device=self.device)
        self._average([tensor])
        return dict(zip(values, tensor.tolist(), strict=True))

    def mean_of(self, value: float) -> float:
        """The mean of the processes' values."""
        return self.mean({"": value})[""]

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            torch.distributed.barrier()


def is_first() -> bool:
    """Whether this process writes files: by the group where there is one, else by what torchrun says."""
    grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() == 0 if grouped else leads()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f'device "{name}" cannot be used: {error}. Try "cpu" or "auto"') from None
    return device
