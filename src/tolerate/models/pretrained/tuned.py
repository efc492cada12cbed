"""A language model of which only a part learns: its adapters, or all of it. What is kept is that part alone.

`Pretrained` (a model of transformers) and `Adapted` (one of our own) are both of this kind. Checkpoints and the
saved folder hold the part that learns and the place of the rest, with its fingerprint.
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
from tolerate.models.pretrained.adapters import Adapters, Allocation, adapt, merged, ranks, straightness
from tolerate.models.texts.language import LanguageModel

RATES = {"lora": 1e-3, "adalora": 2e-3, "full": 5e-5, "": 1e-3}  # of Adam
WARM = 0.05  # share of the training in which the rate rises; over the rest it falls to a tenth


class TunedModel(LanguageModel):
    """A network whose learning part is its adapters (`#lora`, `#adalora`), all of it (`#full`) or nothing."""

    net: Any

    def __init__(
        self, context: int, vocabulary: int, /, *, tune: str = "", rate: float = 0.0, **options: Any
    ) -> None:
        super().__init__(context, vocabulary, rate=rate or RATES[tune])
        self.options = {"tune": tune, "rate": self.rate, **options}
        self.tune = tune
        self._adapted: Any = None
        self._allocation: Allocation | None = None
        self._clipped = False

    def _put(self, net: nn.Module, how: Adapters, matrices: list[str] | str) -> None:
        """Take in the network and freeze what does not learn."""
        self.net = net
        if self.tune in ("lora", "adalora"):
            self._hold(adapt(net, how, matrices))
        elif self.tune != "full":
            net.requires_grad_(False)

    def _hold(self, adapted: Any) -> None:
        """The adapted network, out of the sight of `parameters()`: it is around `net`, which is in sight."""
        object.__setattr__(self, "_adapted", adapted)
        if self.tune == "adalora":
            self._allocation = Allocation(adapted)

    # What learns, and what is kept of it

    @property
    def learning(self) -> dict[str, Tensor]:
        """The weights that learn, by name."""
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}

    @property
    def share(self) -> float:
        """The share of all weights that learns."""
        return sum(weight.numel() for weight in self.learning.values()) / sum(
            weight.numel() for weight in self.parameters()
        )

    @property
    def ranks(self) -> dict[str, int]:
        """Ranks that AdaLoRA has left, by matrix."""
        return ranks(self._adapted) if self._allocation else {}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """What learns alone, and what AdaLoRA knows."""
        state: dict[str, Any] = {name: weight.detach() for name, weight in self.learning.items()}
        if self._allocation is not None:
            state |= {f"allocation/{name}": tensor for name, tensor in self._allocation.state().items()}
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take up what `state_dict` gave; the rest stays as it is."""
        own = self.learning
        weights = {name: tensor for name, tensor in state_dict.items() if not name.startswith("allocation/")}
        if own.keys() != weights.keys() or any(
            own[name].shape != tensor.shape for name, tensor in weights.items()
        ):
            strange = sorted(own.keys() ^ weights.keys())[:1] or ["shapes"]
            raise RuntimeError(f"what learns here is another part of the model ({strange[0]})")
        with torch.no_grad():
            for name, weight in own.items():
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
        """Add the adapters into the matrices, for writing; nothing learns any more."""
        if self._adapted is not None:
            self.net = merged(self._adapted)
            object.__setattr__(self, "_adapted", None)
            self._allocation = None
        self.requires_grad_(False)

    # Training

    def recipe(self, texts: int) -> Recipe:
        """Short: most is known already."""
        return Recipe(steps=300, batch=8, ema=0.0)

    def optimizers(self) -> Optimizers:
        """Adam for what learns."""
        if not self.learning:
            raise OptionError("nothing of this model learns; say how: #lora, #adalora or #full")
        return {"adam": torch.optim.AdamW(self.learning.values(), self.rate, weight_decay=0.0)}

    def step(
        self, rows: Tensor, starts: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """One update of what learns; afterwards AdaLoRA deals out its ranks."""
        adam = optimizers["adam"]
        share = min(1.0, (progress + 0.001) / WARM) * (1.0 - 0.9 * progress)
        for group in adam.param_groups:
            group["lr"] = share * self.rate
        adam.zero_grad(set_to_none=True)
        loss = self.loss(rows, starts)
        whole = loss + straightness(self._adapted) if self._allocation else loss
        whole.backward()  # type: ignore[no-untyped-call]
        self._clip(adam)
        adam.step()
        if self._allocation is not None:
            self._allocation.update(progress)
        return {"loss": loss}

    def _clip(self, adam: torch.optim.Optimizer) -> None:
        """Cut gradients to norm 1, from now on. A hook, set late, so that it comes after the processes' averaging."""
        if not self._clipped:
            weights = list(self.learning.values())
            adam.register_step_pre_hook(lambda *_: (torch.nn.utils.clip_grad_norm_(weights, 1.0), None)[1])
            self._clipped = True


def adapters_of(source: PretrainedSpec) -> Adapters:
    """The adapters that a name asks for."""
    return Adapters(source.tune, source.rank, source.alpha, source.dropout)


def options_of(source: PretrainedSpec) -> dict[str, Any]:
    """What a name says, as the options of a model: where it is, and what is not as usual."""
    usual = PretrainedSpec(source.kind, source.place)
    options = {
        option.name: getattr(source, option.name)
        for option in fields(PretrainedSpec)[2:]
        if option.name not in ("steps", "batch")
    }
    changed = {name: value for name, value in options.items() if value != getattr(usual, name)}
    place = str(Path(source.place).expanduser().resolve()) if source.local else source.place
    return {"place": place, **changed}
