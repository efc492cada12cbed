"""Asking people for verdicts in a run: what they see of an item, and what they answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Question:
    """One item as a person at the desk sees it: the request, and the text, picture, sound or film that answers it.

    media: the bytes of a picture, sound or film. file: or its name, below the folder of the batch.
    """

    request: str = ""
    text: str = ""
    media: bytes = field(default=b"", repr=False)
    file: str = ""


@dataclass(frozen=True)
class PeopleVerdicts:
    """The losses of some items by people at the desk, in the items' order, and who they are, for a certificate."""

    losses: list[float]
    by: str


People = Callable[[Sequence[Question], Path], PeopleVerdicts]  # asks people; verdicts are kept in the folder
