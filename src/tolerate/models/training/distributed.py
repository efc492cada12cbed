"""Several processes that train one model: each takes its share of a batch, gradients are averaged.

`torchrun --nproc_per_node 2` and `accelerate.debug_launcher` start them; accelerate finds their ranks. A single process
pays nothing for this.
"""

import os

import torch
from torch import Tensor, nn

from tolerate.base.workers import is_first_process
from tolerate.errors import OptionError


class Processes:
    """The processes of a training: this one's rank and device, and operations over all of them."""

    def __init__(self, device: str = "auto") -> None:
        self.rank, self.count = 0, int(os.environ.get("WORLD_SIZE", "1"))
        self.device = _device(device)
        if self.count > 1:
            from accelerate import PartialState

            state = PartialState(cpu=self.device.type == "cpu")
            self.rank, self.count, self.device = state.process_index, state.num_processes, state.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @property
    def bf16(self) -> bool:
        """Whether bfloat16 is worth using on this device: a GPU that supports it."""
        return self.device.type == "cuda" and torch.cuda.is_bf16_supported()

    def broadcast_weights(self, model: nn.Module) -> None:
        """Give every process the first one's weights and buffers."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                torch.distributed.broadcast(tensor, 0)

    def average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Average the gradients over the processes before each of this optimiser's steps."""
        if self.count > 1:
            optimizer.register_step_pre_hook(self._before_step)

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self._average([weight.grad for weight in weights if weight.grad is not None])

    def average_buffers(self, model: nn.Module) -> None:
        """Average floating-point buffers, such as the running means of batch norm."""
        if self.count > 1:
            self._average([buffer for buffer in model.buffers() if buffer.is_floating_point()])

    def _average(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their mean over the processes, in one message."""
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        parts = torch.split(flat / self.count, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def maximum(self, value: float) -> float:
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

    def barrier(self) -> None:
        """Block until every process reaches this point."""
        if self.count > 1:
            torch.distributed.barrier()


def is_main_process() -> bool:
    """Whether this process writes the files: by its rank in the process group, else by torchrun's environment."""
    grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() == 0 if grouped else is_first_process()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f'device "{name}" cannot be used: {error}. Try "cpu" or "auto"') from None
    return device
