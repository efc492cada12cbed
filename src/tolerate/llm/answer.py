"""What a writer gives back: a text, and its own confidence in it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """One candidate: the text, and log-probabilities of its tokens, the end included."""

    text: str
    mean: float  # on average: the length-normalised likelihood
    least: float  # of the least likely token
    ended: bool  # False where the limit cut it off
    total: float = 0.0  # of the whole text
    tokens: int = 0  # how many there are
    read: int = 0  # tokens of its prompt
