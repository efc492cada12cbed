"""Rows of tokens as the training loop takes them."""

from torch import Tensor

from tolerate.errors import DataError
from tolerate.models.base import Trainable
from tolerate.models.texts.base import TextModel
from tolerate.models.training.examples import ArrayOrTensor, Examples


class TokenExamples(Examples):
    """Rows [n, length] of tokens, and a whole number for each: where its answer begins, or its class."""

    noun = "texts"

    def __init__(self, rows: ArrayOrTensor, starts: ArrayOrTensor) -> None:
        super().__init__(rows, starts)

    def check(self, model: Trainable) -> None:
        """Raise DataError if the rows do not suit the model's context and vocabulary."""
        rows, starts = self.inputs, self.targets
        if not isinstance(model, TextModel):
            raise DataError(f"a {type(model).__name__} cannot learn from tokens; expected a TextModel")
        if rows.ndim != 2 or rows.dtype.is_floating_point or len(rows) != len(starts) or not len(rows):
            raise DataError(
                f"got tokens of shape {tuple(rows.shape)} with {len(starts)} starts; expected whole numbers "
                "[rows, length] with one start a row"
            )
        if rows.shape[1] > model.context + 1:
            raise DataError(
                f"rows of {rows.shape[1]} tokens are too long: this model reads {model.context} at once and learns "
                f"from rows of at most {model.context + 1}; cut them, or build it with a longer context"
            )
        largest = int(rows.max())
        if int(rows.min()) < 0 or largest >= model.vocabulary:
            raise DataError(
                f"tokens go from {int(rows.min())} to {largest}; this model knows 0 to {model.vocabulary - 1}. "
                "Was it built for another tokenizer?"
            )

    def model_inputs(self, inputs: Tensor) -> Tensor:
        """Tokens as 64-bit whole numbers."""
        return inputs.long()
