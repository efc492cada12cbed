"""The parts of the untyped libraries' classes (transformers, peft) that this package uses."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn


class ModelConfig(Protocol):
    """A configuration of transformers. Other fields depend on the type of model; `getattr` asks for them."""

    model_type: str
    is_encoder_decoder: bool

    def to_json_string(self) -> str:
        """The configuration as JSON."""


class PretrainedTokenizer(Protocol):
    """A tokenizer of transformers."""

    bos_token_id: int | None
    eos_token_id: int | None
    unk_token: str | None
    unk_token_id: int | None
    chat_template: str | None
    model_max_length: int

    def __call__(
        self, text: list[str] | None = None, *, text_target: list[str] | None = None, add_special_tokens: bool
    ) -> Mapping[str, list[list[int]]]:
        """Numbers of the tokens of each text, under `input_ids`."""

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str:
        """The text of some numbers."""

    def get_vocab(self) -> dict[str, int]:
        """The number of each token."""

    def convert_tokens_to_ids(self, tokens: str) -> int | None:
        """The number of a token."""

    def apply_chat_template(
        self, conversation: Sequence[Mapping[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        """Messages in the form that the model was trained on."""

    def save_pretrained(self, save_directory: Path) -> object:
        """Write the tokenizer's files."""


class RankAllocator(Protocol):
    """peft's importance scores of AdaLoRA's ranks."""

    exp_avg_ipt: dict[str, Tensor]
    exp_avg_unc: dict[str, Tensor]
    ipt: dict[str, Tensor]

    def update_ipt(self, model: nn.Module) -> None:
        """Update the scores from the gradients."""


class AdapterConfig(Protocol):
    """peft's configuration of one adapter."""

    rank_pattern: dict[str, list[bool]] | None


class AdapterTuner(Protocol):
    """peft's tuner: the network with its adapters inside."""

    model: nn.Module
    rankallocator: RankAllocator
    peft_config: dict[str, AdapterConfig]

    def update_and_allocate(self, global_step: int) -> None:
        """Update the scores and prune ranks, as AdaLoRA's schedule demands at this step."""


class AdaptedNetwork(Protocol):
    """peft's model around a network with adapters."""

    base_model: AdapterTuner

    def named_parameters(self) -> Iterable[tuple[str, Tensor]]:
        """Weights by name."""

    def merge_and_unload(self) -> nn.Module:
        """The network with its adapters added into the matrices."""
