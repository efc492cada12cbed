"""Base class of models of texts, which read rows of tokens of a vocabulary up to a context length."""

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import OptionError
from tolerate.models.base import Trainable


class TextModel(Trainable):
    """A model that reads rows of tokens.

    Its `step` takes rows [n, length] of whole numbers below `vocabulary`, and a whole number for each row: where its
    answer begins, or its class. context: how many tokens are read at once.
    """

    def __init__(self, context: int, vocabulary: int, **options: object) -> None:
        super().__init__(**options)
        if not (isinstance(context, int) and isinstance(vocabulary, int)) or min(context, vocabulary) < 1:
            raise OptionError(
                f"context {context} with vocabulary {vocabulary} is invalid; expected two whole numbers above 0"
            )
        self.context, self.vocabulary = context, vocabulary

    def dimensions(self) -> dict[str, JsonValue]:
        """Context and vocabulary."""
        return {"context": self.context, "vocabulary": self.vocabulary}

    @classmethod
    def stored_dimensions(cls, record: JsonObject) -> tuple[object, ...]:
        """Context and vocabulary; version 0.1 stored them as a picture's shape (1, 1, context) and its classes."""
        shape = record.get("shape")
        if isinstance(shape, list):
            return shape[2], record["classes"]
        return record["context"], record["vocabulary"]
