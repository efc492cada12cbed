"""Adapters, small matrices trained in place of the large ones: LoRA, and AdaLoRA, which allocates their ranks.

LoRA (Hu et al. 2021, arXiv:2106.09685): each chosen matrix W becomes W + (alpha / rank) B A, and only A and B learn.
AdaLoRA (Zhang et al. 2023, arXiv:2303.10512): B E A with a diagonal E; during training the least important entries of
E, over all matrices, are set to 0 until the target rank is reached on average. Both by the library `peft`.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tolerate.errors import OptionError
from tolerate.models.pretrained.transformers_types import AdaptedNetwork

ADAPTER_NAME = "default"  # peft's, of the only adapter
SCHEDULE_STEPS = 1000  # of AdaLoRA's schedule, whatever the training's number of steps
FIRST_PRUNING_STEP, LAST_PRUNING_STEP = 100, 700  # of those
INITIAL_RANK_FACTOR = 1.5  # ranks at the beginning, as multiples of those in the end
ORTHOGONALITY_WEIGHT = 0.1  # of the penalty on A and B (equation 4)


@dataclass(frozen=True)
class Adapters:
    """The kind and size of adapters."""

    kind: str  # lora or adalora
    rank: int = 8
    alpha: float = 0.0  # 2 * rank
    dropout: float = 0.0


def adapt(net: nn.Module, adapters: Adapters, matrices: list[str] | str) -> AdaptedNetwork:
    """Put adapters into a network, in place, and freeze all other weights; returns peft's model around it.

    matrices: names of the linear layers, or "all-linear" for all of a model of transformers but its last.
    """
    try:
        import peft
    except ImportError:
        raise OptionError('adapters need peft; try: pip install "tolerate[text]"') from None
    common: dict[str, Any] = {
        "lora_alpha": adapters.alpha or 2 * adapters.rank,
        "lora_dropout": adapters.dropout,
        "target_modules": matrices,
    }
    if adapters.kind == "lora":
        config = peft.LoraConfig(r=adapters.rank, **common)
    else:
        config = peft.AdaLoraConfig(
            init_r=max(adapters.rank + 1, round(INITIAL_RANK_FACTOR * adapters.rank)),
            target_r=adapters.rank,
            tinit=FIRST_PRUNING_STEP,
            tfinal=SCHEDULE_STEPS - LAST_PRUNING_STEP,
            deltaT=1,
            total_step=SCHEDULE_STEPS,
            orth_reg_weight=ORTHOGONALITY_WEIGHT,
            **common,
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft's, about settings that it corrects by itself
            adapted: AdaptedNetwork = peft.get_peft_model(net, config)
            return adapted
    except ValueError as error:
        raise OptionError(f"this model takes no adapters: {str(error).splitlines()[0][:200]}") from None


def merge(adapted: AdaptedNetwork) -> nn.Module:
    """The network with its adapters added into the matrices: as fast as it was before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return adapted.merge_and_unload()


def orthogonality_penalty(adapted: AdaptedNetwork) -> Tensor:
    """The deviation of the rows of A and the columns of B from orthonormal, weighted as in the loss (equation 4)."""
    deviations = []
    for name, weight in adapted.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            square = weight @ weight.T if "lora_A" in name else weight.T @ weight
            deviations.append(torch.norm(square - torch.eye(len(square), device=weight.device)))
    return ORTHOGONALITY_WEIGHT * torch.stack(deviations).mean()


def ranks(adapted: AdaptedNetwork) -> dict[str, int]:
    """The number of entries of each diagonal that are not pruned, by matrix."""
    return {
        name.removeprefix("base_model.model.").removesuffix(f".lora_E.{ADAPTER_NAME}"): int(
            (weight != 0).sum()
        )
        for name, weight in adapted.named_parameters()
        if "lora_E" in name
    }


class RankAllocation:
    """AdaLoRA's importance scores and which ranks are not pruned; stored in checkpoints.

    peft counts steps; a training with a budget in seconds does not know how many it will have. So the schedule here
    counts thousandths of the training, and the one step at which ranks are fixed is never skipped or done twice.
    """

    def __init__(self, adapted: AdaptedNetwork) -> None:
        self.tuner = adapted.base_model
        self.fixed = False

    def update(self, progress: float) -> None:
        """After a step's gradients: update the scores, and prune the entries beyond the budget."""
        last = LAST_PRUNING_STEP - 1
        step = min(int(progress * SCHEDULE_STEPS), SCHEDULE_STEPS)
        if step > last and not self.fixed:
            self._fix()
        elif self.fixed:
            self.tuner.update_and_allocate(LAST_PRUNING_STEP + 1)
        else:
            self.tuner.update_and_allocate(step)

    def _fix(self) -> None:
        """The last allocation; it needs scores of at least one step."""
        if not self.tuner.rankallocator.exp_avg_ipt:  # a training too short to have scores
            self.tuner.rankallocator.update_ipt(self.tuner.model)
        self.tuner.update_and_allocate(LAST_PRUNING_STEP)
        self.fixed = True

    def state(self) -> dict[str, Tensor]:
        """The scores and the pruning pattern as tensors."""
        ranker = self.tuner.rankallocator
        state = {f"mean/{name}": tensor for name, tensor in ranker.exp_avg_ipt.items()}
        state |= {f"spread/{name}": tensor for name, tensor in ranker.exp_avg_unc.items()}
        state |= {f"kept/{name}": torch.tensor(pattern).byte() for name, pattern in self._pattern.items()}
        return state | {"fixed": torch.tensor(int(self.fixed))}

    @property
    def _pattern(self) -> dict[str, list[bool]]:
        return dict(self.tuner.peft_config[ADAPTER_NAME].rank_pattern or {})

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore a state."""
        ranker = self.tuner.rankallocator
        ranker.exp_avg_ipt = _under("mean/", state)
        ranker.exp_avg_unc = _under("spread/", state)
        ranker.ipt = {name: torch.zeros_like(tensor) for name, tensor in ranker.exp_avg_ipt.items()}
        patterns = {name: tensor.bool().tolist() for name, tensor in _under("kept/", state).items()}
        self.tuner.peft_config[ADAPTER_NAME].rank_pattern = patterns or None
        self.fixed = bool(state["fixed"])


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor.clone() for name, tensor in state.items() if name.startswith(prefix)
    }
