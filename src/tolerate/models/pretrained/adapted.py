"""A writer that tolerate trained, tuned further: by adapters, or whole.

Only linear layers take adapters: of a Transformer its matrices, of an LSTM its last layer alone, since the gates of
torch's LSTM are one matrix.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tolerate.errors import DataError, OptionError
from tolerate.llm.model_names import PretrainedSpec
from tolerate.models.pretrained.hub import fingerprint
from tolerate.models.pretrained.tuned import TunedModel, adapters_of, options_of
from tolerate.models.storage import load
from tolerate.models.texts.language import LanguageModel, State


class Adapted(TunedModel):
    """A language model of tolerate with adapters (`own:FOLDER#lora`), trained further (`#full`), or unchanged."""

    net: LanguageModel

    def __init__(
        self, context: int, vocabulary: int, /, *, place: str, weights: str = "", **options: Any
    ) -> None:
        spec = PretrainedSpec("own", place, **options)
        folder = Path(place).expanduser()
        current = fingerprint(folder)
        if weights and weights != current:
            raise DataError(
                f"{place} holds other weights than those this was made with ({current}, then {weights}); put the "
                "writer back, or tune again"
            )
        net = load(folder, LanguageModel)
        if isinstance(net, TunedModel):
            raise DataError(f"{place} is tuned already; name the writer that it was made from")
        super().__init__(net.context, net.vocabulary, **options_of(spec), weights=current)
        self.source = spec
        linear = [
            name
            for name, module in net.named_modules()
            if isinstance(module, nn.Linear) and "pointer" not in name
        ]
        if spec.tune in ("lora", "adalora") and not linear:
            raise OptionError(f"{place} has no linear layers to adapt; try #full")
        inner = [name for name in linear if name != "head"]
        self._set_network(net, adapters_of(spec), inner or linear)
        self.eval()

    @classmethod
    def of(cls, source: PretrainedSpec) -> "Adapted":
        """The writer of a name such as `own:FOLDER#lora`."""
        return cls(1, 1, **options_of(source))  # its dimensions are the writer's

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each one."""
        return self.net(tokens)  # type: ignore[no-any-return]

    def loss(self, tokens: Tensor, starts: Tensor) -> Tensor:
        """The loss of the tuned writer."""
        self.net.mean_over_processes = self.mean_over_processes
        return self.net.loss(tokens, starts)

    def begin(self, prompts: Sequence[Tensor]) -> tuple[State, Tensor]:
        """Read prompts."""
        return self.net.begin(prompts)

    def advance(self, state: State, tokens: Tensor) -> tuple[State, Tensor]:
        """Read one more token of each row."""
        return self.net.advance(state, tokens)

    def keep(self, state: State, rows: Tensor) -> State:
        """The state of these rows."""
        return self.net.keep(state, rows)
