"""A text that a model on this machine generated, with the log-probabilities of its tokens."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GeneratedText:
    """One candidate text; log-probabilities are those of its tokens, the end token included."""

    text: str
    mean_logprob: float  # the length-normalised likelihood
    min_logprob: float  # of the least likely token
    ended: bool  # False if the limit of tokens cut it off
    total_logprob: float = 0.0
    token_count: int = 0
    prompt_tokens: int = 0
