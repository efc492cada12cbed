"""Small matrices beside the large ones, trained in their place: LoRA, and AdaLoRA, which deals out their ranks.

LoRA (Hu et al. 2021, arXiv:2106.09685): each chosen matrix W becomes W + (alpha / rank) B A, and only A and B learn.
AdaLoRA (Zhang et al. 2023, arXiv:2303.10512): B E A with a diagonal E; while it learns, the entries of E that matter
least, over all matrices, are set to 0 until the wanted rank is left on average. Both by the library `peft`.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tolerate.errors import OptionError

NAME = "default"  # peft's, of the only adapter
LENGTH = 1000  # AdaLoRA's schedule in parts of the training, whatever the number of steps
BEGIN, END = 100, 700  # parts between which ranks are taken away
ROOM = 1.5  # ranks at the beginning, as multiples of those in the end
STRAIGHT = 0.1  # weight of the pull of A and B towards orthogonal rows (equation 4)


@dataclass(frozen=True)
class Adapters:
    """What kind, and how large."""

    kind: str  # lora or adalora
    rank: int = 8
    alpha: float = 0.0  # 2 * rank
    dropout: float = 0.0


def adapt(net: nn.Module, how: Adapters, matrices: list[str] | str) -> Any:
    """Put adapters into a network, in place; the model of `peft` around it. Everything else is frozen.

    matrices: names of the linear layers, or "all-linear" for all of a model of transformers but its last.
    """
    try:
        import peft
    except ImportError:
        raise OptionError('adapters need peft; try: pip install "tolerate[text]"') from None
    common: dict[str, Any] = {
        "lora_alpha": how.alpha or 2 * how.rank,
        "lora_dropout": how.dropout,
        "target_modules": matrices,
    }
    config: Any
    if how.kind == "lora":
        config = peft.LoraConfig(r=how.rank, **common)
    else:
        config = peft.AdaLoraConfig(
            init_r=max(how.rank + 1, round(ROOM * how.rank)),
            target_r=how.rank,
            tinit=BEGIN,
            tfinal=LENGTH - END,
            deltaT=1,
            total_step=LENGTH,
            orth_reg_weight=STRAIGHT,
            **common,
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft's own, about what it sets right by itself
            return peft.get_peft_model(net, config)
    except ValueError as error:
        raise OptionError(f"this model takes no adapters: {str(error).splitlines()[0][:200]}") from None


def merged(adapted: Any) -> Any:
    """The network with its adapters added into the matrices: as fast as it was before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return adapted.merge_and_unload()


def straightness(adapted: Any) -> Tensor:
    """How far the rows of A and the columns of B are from orthonormal, weighted as in the loss."""
    deviations = []
    for name, weight in adapted.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            square = weight @ weight.T if "lora_A" in name else weight.T @ weight
            deviations.append(torch.norm(square - torch.eye(len(square), device=weight.device)))
    return STRAIGHT * torch.stack(deviations).mean()


def ranks(adapted: Any) -> dict[str, int]:
    """How many entries of each diagonal are left, by matrix."""
    return {
        name.removeprefix("base_model.model.").removesuffix(f".lora_E.{NAME}"): int((weight != 0).sum())
        for name, weight in adapted.named_parameters()
        if "lora_E" in name
    }


class Allocation:
    """AdaLoRA's bookkeeping: what each entry has mattered so far, and which are left. Goes into checkpoints.

    peft counts steps; a training with a budget in seconds does not know how many it will have. So its schedule
    counts thousandths of the training, and the one step at which ranks are fixed is never skipped or done twice.
    """

    def __init__(self, adapted: Any) -> None:
        self.tuner = adapted.base_model
        self.fixed = False

    def update(self, progress: float) -> None:
        """After a step's gradients: weigh the entries, and take away those beyond the budget."""
        last = END - 1
        step = min(int(progress * LENGTH), LENGTH)
        if step > last and not self.fixed:
            self._fix()
        elif self.fixed:
            self.tuner.update_and_allocate(END + 1)
        else:
            self.tuner.update_and_allocate(step)

    def _fix(self) -> None:
        """The last allocation; it needs what came before it."""
        if not self.tuner.rankallocator.exp_avg_ipt:  # a training of so few steps that nothing was weighed
            self.tuner.rankallocator.update_ipt(self.tuner.model)
        self.tuner.update_and_allocate(END)
        self.fixed = True

    def state(self) -> dict[str, Tensor]:
        """All of it as tensors."""
        ranker = self.tuner.rankallocator
        state = {f"mean/{name}": tensor for name, tensor in ranker.exp_avg_ipt.items()}
        state |= {f"spread/{name}": tensor for name, tensor in ranker.exp_avg_unc.items()}
        state |= {f"kept/{name}": torch.tensor(pattern).byte() for name, pattern in self._pattern.items()}
        return state | {"fixed": torch.tensor(int(self.fixed))}

    @property
    def _pattern(self) -> dict[str, list[bool]]:
        return dict(self.tuner.peft_config[NAME].rank_pattern or {})

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up a state."""
        ranker = self.tuner.rankallocator
        ranker.exp_avg_ipt = _under("mean/", state)
        ranker.exp_avg_unc = _under("spread/", state)
        ranker.ipt = {name: torch.zeros_like(tensor) for name, tensor in ranker.exp_avg_ipt.items()}
        patterns = {name: tensor.bool().tolist() for name, tensor in _under("kept/", state).items()}
        self.tuner.peft_config[NAME].rank_pattern = patterns or None
        self.fixed = bool(state["fixed"])


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor.clone() for name, tensor in state.items() if name.startswith(prefix)
    }
