"""Judges of the gateway: each scores an answer, higher is better; None is no score and is never released on one.

A judge gets the request's body, the answer's JSON, and which choice to look at. Wherever a name below is accepted,
`package.module:attribute` is too.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from tolerate.base.registry import attribute

Body = Mapping[str, Any]
Judge = Callable[[Body, Body, int], float | None]


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
    """A judge by its name."""
    found: Judge = JUDGES[name] if name in JUDGES else attribute(name)
    return found


def _choice(answer: Body, choice: int) -> Body:
    choices = answer.get("choices") or []
    found = choices[choice] if choice < len(choices) else {}
    return found if isinstance(found, Mapping) else {}


def _logprobs(choice: Body) -> list[float]:
    """Of chat completions (`content`) and of completions (`token_logprobs`)."""
    found = choice.get("logprobs")
    if not isinstance(found, Mapping):
        return []
    tokens = found.get("content")
    values = (
        [t.get("logprob") for t in tokens if isinstance(t, Mapping)]
        if isinstance(tokens, list)
        else (found.get("token_logprobs") or [])
    )
    return [float(v) for v in values if isinstance(v, int | float) and v <= 0]
