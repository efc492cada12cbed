"""Base of language models that are tuned by adapters or whole; only the trained weights are stored.

Its subclasses are `Pretrained` (a model of transformers) and `Adapted` (one that tolerate trained). Checkpoints and
the saved folder hold the trained weights and the path of the base model, with its fingerprint.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tolerate.errors import OptionError
from tolerate.llm.model_names import PretrainedSpec
from tolerate.models.base import Losses, Optimizers, Recipe
from tolerate.models.pretrained.adapters import (
    Adapters,
    RankAllocation,
    adapt,
    merge,
    orthogonality_penalty,
    ranks,
)
from tolerate.models.pretrained.transformers_types import AdaptedNetwork
from tolerate.models.texts.language import LanguageModel

RATES = {"lora": 1e-3, "adalora": 2e-3, "full": 5e-5, "": 1e-3}  # of Adam
WARMUP_SHARE = 0.05  # share of the training in which the rate rises; over the rest it falls to a tenth


class TunedModel(LanguageModel):
    """A network of which the adapters are trained (`#lora`, `#adalora`), or all (`#full`), or nothing."""

    net: Any  # a network of transformers, or a LanguageModel

    def __init__(
        self, context: int, vocabulary: int, /, *, tune: str = "", rate: float = 0.0, **options: Any
    ) -> None:
        super().__init__(context, vocabulary, rate=rate or RATES[tune])
        self.options = {"tune": tune, "rate": self.rate, **options}
        self.tune = tune
        self._adapted: AdaptedNetwork | None = None
        self._allocation: RankAllocation | None = None
        self._clipped = False

    def _set_network(self, net: nn.Module, adapters: Adapters, matrices: list[str] | str) -> None:
        """Set the network, put adapters into it if it is tuned by them, and freeze what is not trained."""
        self.net = net
        if self.tune in ("lora", "adalora"):
            self._set_adapters(adapt(net, adapters, matrices))
        elif self.tune != "full":
            net.requires_grad_(False)

    def _set_adapters(self, adapted: AdaptedNetwork) -> None:
        """Set the adapted network without registering it as a submodule: it wraps `net`, whose weights count once."""
        object.__setattr__(self, "_adapted", adapted)
        if self.tune == "adalora":
            self._allocation = RankAllocation(adapted)

    # What is trained and stored

    @property
    def trainable_weights(self) -> dict[str, Tensor]:
        """The weights that are trained, by name."""
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}

    @property
    def trainable_share(self) -> float:
        """The share of all weights that is trained."""
        return sum(weight.numel() for weight in self.trainable_weights.values()) / sum(
            weight.numel() for weight in self.parameters()
        )

    @property
    def ranks(self) -> dict[str, int]:
        """AdaLoRA's ranks that are not pruned, by matrix."""
        return ranks(self._adapted) if self._allocation and self._adapted else {}

    def state_dict(self, *args: object, **kwargs: object) -> dict[str, Tensor]:  # type: ignore[override]
        """The trained weights only, and AdaLoRA's scores."""
        state: dict[str, Tensor] = {name: weight.detach() for name, weight in self.trainable_weights.items()}
        if self._allocation is not None:
            state |= {f"allocation/{name}": tensor for name, tensor in self._allocation.state().items()}
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False
    ) -> Any:  # torch's return type has no public name
        """Restore what `state_dict` returned; all other weights stay as they are."""
        current = self.trainable_weights
        weights = {name: tensor for name, tensor in state_dict.items() if not name.startswith("allocation/")}
        if current.keys() != weights.keys() or any(
            current[name].shape != tensor.shape for name, tensor in weights.items()
        ):
            difference = sorted(current.keys() ^ weights.keys())[:1] or ["shapes"]
            raise RuntimeError(f"these are weights of another part of the model ({difference[0]})")
        with torch.no_grad():
            for name, weight in current.items():
                weight.copy_(weights[name])
        if self._allocation is not None:
            self._allocation.load(
                {
                    name.removeprefix("allocation/"): tensor
                    for name, tensor in state_dict.items()
                    if name not in weights
                }
            )
        return None

    def merge(self) -> None:
        """Add the adapters into the matrices, for writing; no weight is trainable afterwards."""
        if self._adapted is not None:
            self.net = merge(self._adapted)
            object.__setattr__(self, "_adapted", None)
            self._allocation = None
        self.requires_grad_(False)

    # Training

    def recipe(self, texts: int) -> Recipe:
        """A short training: the model is pretrained."""
        return Recipe(steps=300, batch=8, ema=0.0)

    def optimizers(self) -> Optimizers:
        """AdamW for the weights that are trained."""
        if not self.trainable_weights:
            raise OptionError("no weight of this model is trained; add #lora, #adalora or #full to its name")
        return {"adam": torch.optim.AdamW(self.trainable_weights.values(), self.rate, weight_decay=0.0)}

    def step(
        self, rows: Tensor, starts: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """Take one step on the trained weights; afterwards AdaLoRA allocates its ranks."""
        adam = optimizers["adam"]
        share = min(1.0, (progress + 0.001) / WARMUP_SHARE) * (1.0 - 0.9 * progress)
        for group in adam.param_groups:
            group["lr"] = share * self.rate
        adam.zero_grad(set_to_none=True)
        loss = self.loss(rows, starts)
        total = loss + orthogonality_penalty(self._adapted) if self._allocation and self._adapted else loss
        total.backward()  # type: ignore[no-untyped-call]
        self._clip(adam)
        adam.step()
        if self._allocation is not None:
            self._allocation.update(progress)
        return {"loss": loss}

    def _clip(self, adam: torch.optim.Optimizer) -> None:
        """Clip gradients to norm 1 by a hook; it is registered late, so that it runs after the processes' averaging."""
        if not self._clipped:
            weights = list(self.trainable_weights.values())
            adam.register_step_pre_hook(lambda *_: (torch.nn.utils.clip_grad_norm_(weights, 1.0), None)[1])
            self._clipped = True


def adapters_of(source: PretrainedSpec) -> Adapters:
    """The adapters of a name such as `hf:gpt2#lora+rank=4`."""
    return Adapters(source.tune, source.rank, source.alpha, source.dropout)


def options_of(source: PretrainedSpec) -> dict[str, Any]:
    """The settings of a name as options of a model: where it is, and all that differ from the defaults."""
    default = PretrainedSpec(source.kind, source.place)
    options = {
        option.name: getattr(source, option.name)
        for option in fields(PretrainedSpec)[2:]
        if option.name not in ("steps", "batch")
    }
    changed = {name: value for name, value in options.items() if value != getattr(default, name)}
    place = str(Path(source.place).expanduser().resolve()) if source.local else source.place
    return {"place": place, **changed}
