"""Judges of the gateway: each scores an answer, higher is better; None is no score and is never released on one.

A judge gets the request's body, the answer's JSON, and which choice to look at. Wherever a name below is accepted,
`package.module:attribute` is too.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.base.registry import attribute

Body = JsonObject
Judge = Callable[[Body, Body, int], float | None]

# A certificate is bound to a hash of its judge's source (`binding.judge_source`): one more word in these four functions
# would make every certificate that rests on them VOID.


def none(request: Body, answer: Body, choice: int) -> float | None:
    """No score: only a certificate that releases everything releases."""
    return None


def given(request: Body, answer: Body, choice: int) -> float | None:
    """The score that the upstream gives: `score` of the choice, else of the answer."""
    value = _choice(answer, choice).get("score", answer.get("score"))
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def logprobs(request: Body, answer: Body, choice: int) -> float | None:
    """The geometric mean of the tokens' probabilities; the gateway asks the upstream for them."""
    values = _logprobs(_choice(answer, choice))
    return math.exp(sum(values) / len(values)) if values else None


def surest(request: Body, answer: Body, choice: int) -> float | None:
    """The probability of the least sure token: one doubtful word makes an answer doubtful."""
    values = _logprobs(_choice(answer, choice))
    return math.exp(min(values)) if values else None


JUDGES: dict[str, Judge] = {"none": none, "given": given, "logprobs": logprobs, "surest": surest}
ASK_LOGPROBS = ("logprobs", "surest")


def judge(name: str) -> Judge:
    """A judge by its name, or by `package.module:attribute`."""
    function: Judge = JUDGES[name] if name in JUDGES else attribute(name)
    return function


def _choice(answer: Body, choice: int) -> Body:
    choices = answer.get("choices")
    if not isinstance(choices, Sequence) or choice >= len(choices):
        return {}
    item = choices[choice]
    return item if isinstance(item, Mapping) else {}


def _logprobs(choice: Body) -> list[float]:
    """The log-probabilities of chat completions (`content`) and of completions (`token_logprobs`)."""
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, Mapping):
        return []
    tokens = logprobs.get("content")
    values: JsonValue
    if isinstance(tokens, list):
        values = [token.get("logprob") for token in tokens if isinstance(token, Mapping)]
    else:
        values = logprobs.get("token_logprobs")
    if not isinstance(values, list):
        return []
    return [float(value) for value in values if isinstance(value, int | float) and value <= 0]
