"""OpenAI's format as the gateway speaks it to clients: requests that are checked, held answers, streams, errors.

What servers answer is read in `tolerate.llm.openai_format` and `tolerate.llm.stream`.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.llm.openai_format import CHAT, HELD_REASON, OBJECTS, TEXT, Body, choices_of, object_of

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": held until the verdict\n\n"
MAX_CHOICES = 16
MAX_LABEL_CHARACTERS = 64  # of a slice or a cluster


class ApiError(Exception):
    """An error response in OpenAI's shape. kind: its type; param: the field of the request that is wrong."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.kind, self.param, self.headers = kind, param, headers

    @property
    def body(self) -> bytes:
        """The JSON of the error."""
        return orjson.dumps(self.error)

    @property
    def error(self) -> Body:
        """The error as OpenAI's clients read it."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A checked request of a client: chat or text, its body, and what the gateway needs to know of it."""

    kind: str  # CHAT or TEXT
    body: JsonObject
    model: str
    stream: bool
    include_usage: bool  # whether a stream ends with its usage
    choice_count: int
    slice: str
    cluster: str


def parse_body(raw: bytes, max_depth: int) -> Body:
    """The JSON object in the body of a request; raises ApiError if it is none, or nested too deep."""
    if raw.count(b"[") + raw.count(b"{") > max_depth and _depth(raw) > max_depth:
        raise ApiError(400, f"the body is nested deeper than {max_depth} levels", "too_deep")
    try:
        body: JsonValue = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error}", "invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object", "invalid_json")
    return body


def _depth(raw: bytes) -> int:
    """How deep brackets nest, those in strings not counted.

    >>> _depth(b'[[{"a": "[[["}]]')
    3
    """
    level = deepest = 0
    in_string = escaped = False
    for sign in raw:
        if in_string:
            in_string, escaped = sign != 34 or escaped, sign == 92 and not escaped
        elif sign == 34:
            in_string = True
        elif sign in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif sign in b"]}":
            level -= 1
    return deepest


def check_request(kind: str, body: Body) -> CompletionRequest:
    """A request whose fields are valid; raises ApiError, which names the field that is not."""
    model, stream = body.get("model"), body.get("stream")
    if not isinstance(model, str) or not model:
        raise _invalid("model", "expected the name of a model as text")
    if kind == CHAT:
        _check_messages(body.get("messages"))
    elif not _is_prompt(body.get("prompt")):
        raise _invalid("prompt", "expected text, or a list with one text")
    if stream is not None and not isinstance(stream, bool):
        raise _invalid("stream", "expected true or false")
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise _invalid("metadata", "expected an object")
    labels: JsonObject = metadata or {}
    return CompletionRequest(
        kind,
        body,
        model,
        bool(stream),
        _includes_usage(body.get("stream_options")),
        _choice_count(body),
        _label(labels, "slice"),
        _label(labels, "cluster"),
    )


def _choice_count(body: Body) -> int:
    """The number of choices that a request asks for; 2.0, as some clients write it, becomes 2 in its body."""
    n = body.get("n")
    if isinstance(n, float) and n.is_integer():
        n = body["n"] = int(n)
    if n is None:
        return 1
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= MAX_CHOICES:
        raise _invalid("n", f"expected a whole number from 1 to {MAX_CHOICES}")
    return n


def _includes_usage(options: JsonValue) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict):
        raise _invalid("stream_options", "expected an object")
    include_usage = options.get("include_usage")
    if not isinstance(include_usage, bool | None):
        raise _invalid("stream_options.include_usage", "expected true or false")
    return bool(include_usage)


def _invalid(param: str, expected: str) -> ApiError:
    return ApiError(400, f"{param}: {expected}", "invalid_value", param=param)


def _label(metadata: JsonObject, name: str) -> str:
    value = metadata.get(name)
    return value[:MAX_LABEL_CHARACTERS] if isinstance(value, str) else ""


def _is_prompt(prompt: JsonValue) -> bool:
    return isinstance(prompt, str) or (
        isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str)
    )


def _check_messages(messages: JsonValue) -> None:
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages", "expected a list of at least one message")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _invalid(f"messages[{index}]", "expected an object with a role")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise _invalid(f"messages[{index}].content", "expected text or a list of parts")
        if isinstance(content, list) and not all(isinstance(part, dict) for part in content):
            raise _invalid(f"messages[{index}].content", "expected parts that are objects")


def prompt_text(request: CompletionRequest) -> str:
    """The prompt of a request, as a person reads it."""
    if request.kind == TEXT:
        prompt = request.body["prompt"]
        return str(prompt[0] if isinstance(prompt, list) else prompt)
    return "\n\n".join(
        f"{message['role']}: {_content_text(message.get('content'))}" for message in messages_of(request)
    )


def messages_of(request: CompletionRequest) -> list[JsonObject]:
    """The messages of a chat request."""
    messages = request.body["messages"]
    return messages if isinstance(messages, list) else []


def _content_text(content: JsonValue) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(
        str(part.get("text", f"[{part.get('type', 'part')}]")) for part in content if isinstance(part, dict)
    )


def system_text(request: CompletionRequest) -> str | None:
    """The system prompt in a request; None if it has none."""
    if request.kind == TEXT:
        return None
    texts = [
        _content_text(message.get("content"))
        for message in messages_of(request)
        if message["role"] in ("system", "developer")
    ]
    return "\n".join(texts) if texts else None


def held_answer(
    request: CompletionRequest, ticket: str, reason: str, poll_url: str, usage: JsonValue
) -> Body:
    """A valid answer without content: it is held, and `poll_url` will tell what a person decides."""
    empty: Body = {"message": {"role": "assistant", "content": "", "refusal": None}}
    choice: Body = empty if request.kind == CHAT else {"text": ""}
    return {
        "id": ticket,
        "object": OBJECTS[request.kind],
        "created": int(time.time()),
        "model": request.model,
        "choices": [
            {"index": index, **choice, "logprobs": None, "finish_reason": HELD_REASON}
            for index in range(request.choice_count)
        ],
        "usage": usage or {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "tolerate": {"decision": "review", "ticket": ticket, "reason": reason, "poll": poll_url},
    }


# Streams


def event_bytes(body: JsonObject) -> bytes:
    """One event of a stream."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


def stream_events(request: CompletionRequest, answer: JsonObject) -> Iterator[bytes]:
    """A whole answer as a stream: role, content, tool calls, the reason for the end, usage if asked for."""
    head: Body = {
        name: answer[name] for name in ("id", "created", "model", "system_fingerprint") if name in answer
    }
    head["object"] = "chat.completion.chunk" if request.kind == CHAT else "text_completion"
    if "tolerate" in answer:
        head["tolerate"] = answer["tolerate"]
    no_usage: Body = {"usage": None} if request.include_usage else {}
    for choice in choices_of(answer):
        for part in _parts(request.kind, choice):
            yield event_bytes({**head, "choices": [{"index": choice.get("index", 0), **part}], **no_usage})
    if request.include_usage:
        yield event_bytes({**head, "choices": [], "usage": answer.get("usage")})
    yield DONE


def _parts(kind: str, choice: JsonObject) -> Iterator[Body]:
    finish_reason = choice.get("finish_reason") or "stop"
    if kind == TEXT:
        yield {"text": choice.get("text", ""), "logprobs": choice.get("logprobs"), "finish_reason": None}
        yield {"text": "", "logprobs": None, "finish_reason": finish_reason}
        return
    message = object_of(choice, "message")
    yield {"delta": {"role": message.get("role", "assistant"), "content": ""}, "finish_reason": None}
    for name in ("content", "refusal"):
        if message.get(name):
            yield {"delta": {name: message[name]}, "logprobs": choice.get("logprobs"), "finish_reason": None}
    calls = message.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        yield {"delta": {"tool_calls": [{"index": index, **call}]}, "finish_reason": None}
    yield {"delta": {}, "finish_reason": finish_reason}
