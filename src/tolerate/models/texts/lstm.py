"""A language model with long short-term memory. Hochreiter and Schmidhuber 1997; Mikolov et al. 2010.

The architecture before Transformers: everything it has read must fit into one state, so copying a number from ten
words back is hard. A baseline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.models.base import Optimizers
from tolerate.models.texts.language import PAD, LanguageModel


@dataclass(frozen=True)
class LSTMState:
    """Hidden and cell states [layers, n, width]."""

    hidden: Tensor
    cell: Tensor

    @property
    def last(self) -> Tensor:
        """The top layer's hidden state: [n, width]."""
        return self.hidden[-1]


class LSTM(LanguageModel):
    """Predicts the next token from a state of fixed size; Adam trains all of it."""

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        width: int = 256,
        layers: int = 1,
        rate: float = 0.02,
        table_rate: float = 0.004,
    ) -> None:
        super().__init__(context, vocabulary, rate=rate, table_rate=table_rate, width=width, layers=layers)
        self.table = nn.Embedding(vocabulary, width // 2)
        self.cells = nn.LSTM(width // 2, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocabulary)
        with torch.no_grad():  # a forget gate that begins open keeps what it read (Jozefowicz et al. 2015)
            for name, bias in self.cells.named_parameters():
                if name.startswith("bias_ih"):
                    bias[width : 2 * width] = 1.0

    def optimizers(self) -> Optimizers:
        """Adam: orthogonal steps do not suit gates that share one matrix."""
        return {
            "adam": torch.optim.AdamW(self.parameters(), self.table_rate, betas=(0.9, 0.99), weight_decay=0.0)
        }

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each one: [n, length] -> [n, length, vocabulary]."""
        logits: Tensor = self.head(self.cells(self.table(tokens))[0])
        return logits

    def begin(self, prompts: Sequence[Tensor]) -> tuple[LSTMState, Tensor]:
        """Read prompts of any lengths."""
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        longest = int(lengths.max())
        rows = torch.stack(
            [F.pad(prompt.long(), (0, longest - len(prompt)), value=PAD) for prompt in prompts]
        )
        packed = nn.utils.rnn.pack_padded_sequence(
            self.table(rows.to(self.device)), lengths, batch_first=True, enforce_sorted=False
        )
        _, (hidden, cell) = self.cells(packed)
        return LSTMState(hidden, cell), self.head(hidden[-1])

    def advance(self, state: LSTMState, tokens: Tensor) -> tuple[LSTMState, Tensor]:
        """Read one more token of each row."""
        _, (hidden, cell) = self.cells(self.table(tokens[:, None]), (state.hidden, state.cell))
        return LSTMState(hidden, cell), self.head(hidden[-1])

    def keep(self, state: LSTMState, rows: Tensor) -> LSTMState:
        """The state of these rows."""
        return LSTMState(state.hidden[:, rows].contiguous(), state.cell[:, rows].contiguous())
