"""A tier's answer: what the upstream is asked, which of its choices is given, and how it scores."""

from dataclasses import dataclass

import orjson

from tolerate.base.json_types import JsonObject
from tolerate.llm.openai_format import CHAT, Body, answer_text, choices_of, token_usage
from tolerate.messages.catalogue import message
from tolerate.service.config import JobSettings, TierSettings
from tolerate.service.decide import scores
from tolerate.service.openai_format import ApiError, CompletionRequest, messages_of, system_text
from tolerate.service.upstream.client import UpstreamAnswer
from tolerate.store.people import Key

OTHER_PROMPT = message("held.system_prompt")


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """A tier's answer with its score and cost. raw: the upstream's bytes, if they can go out as they are."""

    tier: TierSettings
    body: JsonObject
    raw: bytes | None
    score: float | None
    prompt_tokens: int
    completion_tokens: int
    cost: float
    hold_reason: str = ""  # why it must not be released, whatever its score


def upstream_body(tier: TierSettings, request: CompletionRequest) -> tuple[Body, str]:
    """The body sent upstream, and the reason to hold its answer if the prompt is not the certified one."""
    body, hold_reason = dict(request.body), ""
    if tier.model is not None:
        body["model"] = tier.model
    if tier.prompt is not None and request.kind == CHAT:
        prompt = system_text(request)
        if prompt is None:
            body["messages"] = [{"role": "system", "content": tier.prompt}, *messages_of(request)]
        elif prompt != tier.prompt:
            hold_reason = OTHER_PROMPT
    if tier.candidates > 1:
        if request.choice_count > 1:
            raise ApiError(
                400, "n: this job makes candidates of its own; ask for one", "invalid_value", param="n"
            )
        body["n"] = tier.candidates
    if _adds_logprobs(tier, request):
        body["logprobs"] = True if request.kind == CHAT else 1
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)
    return body, hold_reason


def _adds_logprobs(tier: TierSettings, request: CompletionRequest) -> bool:
    """Whether log-probabilities are requested for the judge alone, and taken out again."""
    return tier.judge in scores.ASK_LOGPROBS and not request.body.get("logprobs")


def score_answer(
    tier: TierSettings, request: CompletionRequest, answer: UpstreamAnswer, hold_reason: str
) -> ScoredAnswer:
    """An upstream's answer with the choice that is given, its score and its cost."""
    body, score, unchanged = choose(tier, request, answer.body)
    if _adds_logprobs(tier, request):
        body, unchanged = _without_logprobs(body), False
    prompt, completion = token_usage(answer.body)
    prompt_tokens, completion_tokens = prompt or 0, completion or 0
    cost = (prompt_tokens * tier.price_in + completion_tokens * tier.price_out) / 1e6
    raw = answer.raw if unchanged else None
    return ScoredAnswer(tier, body, raw, score, prompt_tokens, completion_tokens, cost, hold_reason)


def choose(
    tier: TierSettings, request: CompletionRequest, answer: JsonObject
) -> tuple[JsonObject, float | None, bool]:
    """The answer to give, its score, and whether it is the upstream's answer unchanged.

    Several choices that the client asked for are one item: the lowest score counts, and a missing one is none.
    """
    judge, choices = scores.judge(tier.judge), choices_of(answer)
    values = [comparable_score(judge(request.body, answer, index)) for index in range(len(choices))]
    if tier.strategy == "plain":
        present = [value for value in values if value is not None]
        return answer, min(present) if len(present) == len(values) else None, True
    if tier.strategy.startswith("best-of"):
        index = max(range(len(values)), key=lambda i: -1e300 if (v := values[i]) is None else v)
        return _with_choice(answer, choices[index]), values[index], False
    texts = [_normalise(answer_text({"choices": [choice]})) for choice in choices]
    majority = max(texts, key=texts.count)
    choice = choices[texts.index(majority)]
    return _with_choice(answer, choice), texts.count(majority) / tier.candidates, False


def comparable_score(score: float | None) -> float | None:
    """A score that can be compared; NaN becomes None."""
    return None if score is None or score != score else float(score)


def _with_choice(answer: JsonObject, choice: JsonObject) -> JsonObject:
    return {**answer, "choices": [{**choice, "index": 0}]}


def _normalise(text: str) -> str:
    """A text as answers are compared: without case, spaces and closing punctuation.

    >>> _normalise(" Forty-two. ")
    'forty-two'
    """
    return " ".join(text.lower().split()).strip(" .。!！")


def _without_logprobs(answer: JsonObject) -> JsonObject:
    return {**answer, "choices": [{**choice, "logprobs": None} for choice in choices_of(answer)]}


def cache_key(job: JobSettings, tier: TierSettings, key: Key, body: JsonObject) -> bytes:
    """A key for the cache of answers: of this client, this tier and this request."""
    return orjson.dumps([job.name, tier.name, key.id, body], option=orjson.OPT_SORT_KEYS)
