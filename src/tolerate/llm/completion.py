"""The candidates in a server's reply, with what the log-probabilities and the usage say of them."""

import math
from dataclasses import dataclass, replace

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.llm.openai_format import CUT_REASON, object_of, token_usage
from tolerate.llm.retry import TransientError

CHARACTERS_PER_TOKEN = 4  # roughly, where a server does not count


@dataclass(frozen=True)
class Completion:
    """One candidate. mean_logprob, min_logprob: of its tokens; NaN where the server gave none.

    choice_count: how many candidates came for that prompt. alternatives: for each token, itself first, the
    likely tokens in its position with their log-probabilities; where they were asked for.
    """

    text: str
    mean_logprob: float = math.nan
    min_logprob: float = math.nan
    ended: bool = True  # False if it was cut at the limit of tokens
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    choice_count: int = 1
    alternatives: tuple[tuple[tuple[str, float], ...], ...] = ()


def completions(body: JsonObject, reply: JsonValue, host: str) -> list[Completion]:
    """The candidates in a reply, each with its share of the tokens. body: the request. Raises TransientError."""
    candidates = parse_candidates(reply, host)
    read, written, _ = count_tokens(body, reply)
    share = written / len(candidates)
    return [
        replace(candidate, prompt_tokens=read, completion_tokens=share, choice_count=len(candidates))
        for candidate in candidates
    ]


def parse_candidates(reply: JsonValue, host: str) -> list[Completion]:
    """The candidates in a reply, in the order of their indices. Raises TransientError if it has none."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices:
        error = reply.get("error") if isinstance(reply, dict) else None
        raise TransientError(f"{host} answered without choices" + (f": {str(error)[:200]}" if error else ""))
    try:
        return [
            _completion(choice) for choice in sorted(choices, key=lambda choice: choice.get("index") or 0)
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise TransientError(f"{host} answered with choices of another shape ({error})") from None


def _completion(choice: JsonObject) -> Completion:
    message = choice["message"]
    if not isinstance(message, dict):
        raise TypeError("a message that is not an object")
    logprobs = _token_logprobs(choice)
    mean, least = (math.fsum(logprobs) / len(logprobs), min(logprobs)) if logprobs else (math.nan, math.nan)
    ended = choice.get("finish_reason") != CUT_REASON
    text = clean(_content_text(message.get("content")))
    return Completion(text, mean, least, ended, alternatives=_alternatives(choice))


def _content_text(content: JsonValue) -> str:
    """The text of a message's content, which may come in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    if content is not None and not isinstance(content, str):
        raise TypeError("content that is not text")
    return content or ""


def _tokens(choice: JsonObject) -> list[JsonObject]:
    """What the log-probabilities of a choice say of each token."""
    tokens = object_of(choice, "logprobs").get("content")
    return [token for token in tokens if isinstance(token, dict)] if isinstance(tokens, list) else []


def _alternatives(choice: JsonObject) -> tuple[tuple[tuple[str, float], ...], ...]:
    """The likely tokens in each position, the one that was chosen first; empty where none were given."""
    rows = []
    for token in _tokens(choice):
        others = token.get("top_logprobs")
        if isinstance(others, list) and others:
            rows.append([token, *(other for other in others if isinstance(other, dict))])
    return tuple(tuple(pair for token in row if (pair := _token_logprob(token)) is not None) for row in rows)


def _token_logprob(token: JsonObject) -> tuple[str, float] | None:
    text, logprob = token.get("token"), token.get("logprob")
    if not isinstance(text, str) or not isinstance(logprob, int | float):
        return None
    return text, float(logprob)


def _token_logprobs(choice: JsonObject) -> list[float]:
    """The log-probabilities of a choice's tokens; empty where they were not given."""
    values = [token.get("logprob") for token in _tokens(choice)]
    return [
        min(float(value), 0.0) for value in values if isinstance(value, int | float) and math.isfinite(value)
    ]


def clean(text: str) -> str:
    """A text that can be written as UTF-8: half a character becomes a question mark.

    >>> clean("half " + chr(0xD83D))
    'half ?'
    """
    return text.encode("utf-8", "replace").decode()


def count_tokens(body: JsonObject, reply: JsonValue) -> tuple[int, int, bool]:
    """Tokens of the prompt and of the answers, and whether the server counted them itself; else they are estimated."""
    prompt, completion = token_usage(reply) if isinstance(reply, dict) else (None, None)
    if prompt is not None and completion is not None:
        return prompt, completion, True
    answered = sum(len(candidate.text) for candidate in parse_candidates(reply, ""))
    return (
        math.ceil(prompt_characters(body) / CHARACTERS_PER_TOKEN),
        math.ceil(answered / CHARACTERS_PER_TOKEN),
        False,
    )


def prompt_characters(body: JsonObject) -> int:
    """Characters of all messages of a request."""
    messages = body.get("messages")
    contents = [message["content"] for message in messages] if isinstance(messages, list) else []
    return sum(len(content) for content in contents)
