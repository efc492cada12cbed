"""OpenAI's chat and text completions: names, and checks of what a server answered; used by clients and the gateway.

The format: platform.openai.com/docs/api-reference/chat and /completions. vLLM, llama.cpp, Ollama, LM Studio and most
providers speak it, so whatever a server sends is checked before a part of it is used.
"""

from typing import TypeAlias

from tolerate.base.json_types import JsonObject, JsonValue

Body: TypeAlias = dict[str, JsonValue]  # a request or an answer that is being put together

CHAT, TEXT = "chat", "text"
PATHS = {CHAT: "/chat/completions", TEXT: "/completions"}
OBJECTS = {CHAT: "chat.completion", TEXT: "text_completion"}
HELD_REASON = "content_filter"  # the finish reason of an answer that was held
CUT_REASON = "length"  # the finish reason of an answer that was cut at the limit of tokens
MAX_TOKEN_COUNT = 2**31


class MalformedAnswer(ValueError):
    """Raised when an answer is not in OpenAI's format. The message continues "the answer has ..."."""


class ReportedError(ValueError):
    """A server reported an error in the middle of its answer. The message is the server's."""


def check_answer(kind: str, answer: JsonValue) -> JsonObject:
    """A server's whole answer, if it has choices of this kind; raises MalformedAnswer."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(choices, list) or not choices:
        raise MalformedAnswer("no choices")
    for choice in choices:
        if not isinstance(choice, dict):
            raise MalformedAnswer("a choice that is not an object")
        if kind == TEXT and not isinstance(choice.get("text"), str):
            raise MalformedAnswer("a choice without a text")
        if kind == CHAT:
            _check_message(choice.get("message"))
    return answer


def _check_message(message: JsonValue) -> None:
    if not isinstance(message, dict):
        raise MalformedAnswer("a choice without a message")
    calls = message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        raise MalformedAnswer("tool calls that are not a list of objects")


def choices_of(answer: JsonObject) -> list[JsonObject]:
    """The choices of an answer; anything that is not an object is left out."""
    choices = answer.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def object_of(body: JsonObject, name: str) -> JsonObject:
    """The object in a field; an empty one if the field holds something else."""
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def answer_text(answer: JsonObject) -> str:
    """Everything in an answer that reaches a person or a program: texts and tool calls of every choice."""
    parts = [_choice_text(choice) for choice in choices_of(answer)]
    return parts[0] if len(parts) == 1 else "\n\n".join(f"[{i}] {part}" for i, part in enumerate(parts, 1))


def _choice_text(choice: JsonObject) -> str:
    if "text" in choice:
        return str(choice["text"] or "")
    message = object_of(choice, "message")
    parts = [str(message[name]) for name in ("content", "refusal") if message.get(name)]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = object_of(call, "function")
        parts.append(f"{function.get('name', '')}({function.get('arguments', '')})")
    return "\n".join(parts)


def token_usage(answer: JsonObject) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the completion; None where the server gives no number that can be.

    >>> token_usage({"usage": {"prompt_tokens": 7, "completion_tokens": -1}})
    (7, None)
    """
    usage = object_of(answer, "usage")
    return _token_count(usage.get("prompt_tokens")), _token_count(usage.get("completion_tokens"))


def _token_count(value: JsonValue) -> int | None:
    return value if type(value) is int and 0 <= value < MAX_TOKEN_COUNT else None
