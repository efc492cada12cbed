"""OpenAI's formats: what is asked, what is answered, as a whole or as a stream, and how errors look."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

Body = dict[str, Any]
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": held until the verdict\n\n"
CHAT, TEXT = "chat", "text"
PATHS = {CHAT: "/chat/completions", TEXT: "/completions"}
OBJECTS = {CHAT: "chat.completion", TEXT: "text_completion"}
MOST_CHOICES = 16
MOST_TOKENS = 2**31


class Refused(Exception):
    """An answer that is an error, in OpenAI's shape."""

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
class Ask:
    """A request that makes sense: chat or text, what was sent, and what the gateway needs to know of it."""

    kind: str
    body: Body
    model: str
    stream: bool
    usage: bool  # whether a stream ends with its usage
    n: int
    slice: str
    cluster: str


def parse(raw: bytes, depth: int) -> Body:
    """A JSON object from bytes; refused if it is none, or nested too deep."""
    if raw.count(b"[") + raw.count(b"{") > depth and _depth(raw) > depth:
        raise Refused(400, f"the body is nested deeper than {depth} levels", "too_deep")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is no JSON: {error}", "invalid_json") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body must be a JSON object", "invalid_json")
    return body


def _depth(raw: bytes) -> int:
    """How deep brackets nest, strings left out.

    >>> _depth(b'[[{"a": "[[["}]]')
    3
    """
    level = deepest = 0
    inside = escaped = False
    for sign in raw:
        if inside:
            inside, escaped = sign != 34 or escaped, sign == 92 and not escaped
        elif sign == 34:
            inside = True
        elif sign in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif sign in b"]}":
            level -= 1
    return deepest


def ask_of(kind: str, body: Body) -> Ask:
    """A checked request; a part that means nothing is refused by name."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _bad("model", "expected the name of a model as text")
    if kind == CHAT:
        _check_messages(body.get("messages"))
    elif not _is_prompt(body.get("prompt")):
        raise _bad("prompt", "expected text, or a list with one text")
    stream, n = body.get("stream"), body.get("n")
    if stream is not None and not isinstance(stream, bool):
        raise _bad("stream", "expected true or false")
    if isinstance(n, float) and n.is_integer():
        n = body["n"] = int(n)
    if n is not None and (not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= MOST_CHOICES):
        raise _bad("n", f"expected a whole number from 1 to {MOST_CHOICES}")
    options, metadata = body.get("stream_options"), body.get("metadata")
    if options is not None and not isinstance(options, dict):
        raise _bad("stream_options", "expected an object")
    if options and not isinstance(options.get("include_usage"), bool | None):
        raise _bad("stream_options.include_usage", "expected true or false")
    if metadata is not None and not isinstance(metadata, dict):
        raise _bad("metadata", "expected an object")
    return Ask(
        kind,
        body,
        model,
        bool(stream),
        bool(options and options.get("include_usage")),
        n or 1,
        _named(metadata, "slice"),
        _named(metadata, "cluster"),
    )


def _bad(param: str, expected: str) -> Refused:
    return Refused(400, f"{param}: {expected}", "invalid_value", param=param)


def _named(metadata: Body | None, name: str) -> str:
    value = metadata.get(name) if metadata else None
    return value[:64] if isinstance(value, str) else ""


def _is_prompt(prompt: Any) -> bool:
    return isinstance(prompt, str) or (
        isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str)
    )


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise _bad("messages", "expected a list of at least one message")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _bad(f"messages[{place}]", "expected an object with a role")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise _bad(f"messages[{place}].content", "expected text or a list of parts")
        if isinstance(content, list) and not all(isinstance(part, dict) for part in content):
            raise _bad(f"messages[{place}].content", "expected parts that are objects")


def prompt_text(ask: Ask) -> str:
    """What was asked, as a person reads it."""
    if ask.kind == TEXT:
        prompt = ask.body["prompt"]
        return str(prompt if isinstance(prompt, str) else prompt[0])
    lines = [
        f"{message['role']}: {_content_text(message.get('content'))}" for message in ask.body["messages"]
    ]
    return "\n\n".join(lines)


def _content_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(
        str(part.get("text", f"[{part.get('type', 'part')}]")) for part in content if isinstance(part, dict)
    )


def system_text(ask: Ask) -> str | None:
    """The system prompt that the application gives; None if it gives none."""
    if ask.kind == TEXT:
        return None
    found = [
        _content_text(message.get("content"))
        for message in ask.body["messages"]
        if message["role"] in ("system", "developer")
    ]
    return "\n".join(found) if found else None


def answer_text(answer: Body) -> str:
    """Everything in an answer that reaches a person or a program: texts and tool calls of every choice."""
    parts = [_choice_text(choice) for choice in answer.get("choices") or ()]
    return parts[0] if len(parts) == 1 else "\n\n".join(f"[{i}] {part}" for i, part in enumerate(parts, 1))


def _choice_text(choice: Body) -> str:
    if "text" in choice:
        return str(choice["text"] or "")
    message = choice.get("message") or {}
    found = [str(message[name]) for name in ("content", "refusal") if message.get(name)]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        found.append(f"{function.get('name', '')}({function.get('arguments', '')})")
    return "\n".join(found)


def check_answer(kind: str, answer: Any) -> Body:
    """An upstream's answer, if it is one; what is malformed is never passed on."""
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list) or not answer["choices"]:
        raise _malformed("no choices")
    for choice in answer["choices"]:
        if not isinstance(choice, dict):
            raise _malformed("a choice that is no object")
        if kind == CHAT and not isinstance(choice.get("message"), dict):
            raise _malformed("a choice without a message")
        if kind == TEXT and not isinstance(choice.get("text"), str):
            raise _malformed("a choice without a text")
        calls = choice.get("message", {}).get("tool_calls") if kind == CHAT else None
        if calls is not None and not (isinstance(calls, list) and all(isinstance(c, dict) for c in calls)):
            raise _malformed("tool calls that are no list of objects")
    return answer


def _malformed(what: str) -> Refused:
    return Refused(502, f"the model's answer has {what}", "bad_upstream", kind="api_error")


def tokens(answer: Body) -> tuple[int, int]:
    """Tokens read and written, as far as the upstream says something that can be.

    >>> tokens({"usage": {"prompt_tokens": 7, "completion_tokens": -1}})
    (7, 0)
    """
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return 0, 0
    return _whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens"))


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else 0


def held(ask: Ask, ticket: str, reason: str, poll: str, usage: Any) -> Body:
    """A valid answer without content: it was held, and this is where a person's decision will be."""
    empty: Body = {"message": {"role": "assistant", "content": "", "refusal": None}}
    choice = empty if ask.kind == CHAT else {"text": ""}
    return {
        "id": ticket,
        "object": OBJECTS[ask.kind],
        "created": int(time.time()),
        "model": ask.model,
        "choices": [
            {"index": i, **choice, "logprobs": None, "finish_reason": "content_filter"} for i in range(ask.n)
        ],
        "usage": usage or {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "tolerate": {"decision": "review", "ticket": ticket, "reason": reason, "poll": poll},
    }


# Streams


def event(body: Body) -> bytes:
    """One event of a stream."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


def stream_of(ask: Ask, answer: Body) -> Iterator[bytes]:
    """A whole answer as a stream: role, content, tool calls, the reason for the end, usage if asked for."""
    head: Body = {
        name: answer[name] for name in ("id", "created", "model", "system_fingerprint") if name in answer
    }
    head["object"] = "chat.completion.chunk" if ask.kind == CHAT else "text_completion"
    if "tolerate" in answer:
        head["tolerate"] = answer["tolerate"]
    ends: Body = {"usage": None} if ask.usage else {}
    for choice in answer["choices"]:
        for part in _parts(ask.kind, choice):
            yield event({**head, "choices": [{"index": choice.get("index", 0), **part}], **ends})
    if ask.usage:
        yield event({**head, "choices": [], "usage": answer.get("usage")})
    yield DONE


def _parts(kind: str, choice: Body) -> Iterator[Body]:
    end = choice.get("finish_reason") or "stop"
    if kind == TEXT:
        yield {"text": choice.get("text", ""), "logprobs": choice.get("logprobs"), "finish_reason": None}
        yield {"text": "", "logprobs": None, "finish_reason": end}
        return
    message = choice.get("message") or {}
    yield {"delta": {"role": message.get("role", "assistant"), "content": ""}, "finish_reason": None}
    for name in ("content", "refusal"):
        if message.get(name):
            yield {"delta": {name: message[name]}, "logprobs": choice.get("logprobs"), "finish_reason": None}
    calls = message.get("tool_calls") or ()
    for place, call in enumerate(calls):
        yield {"delta": {"tool_calls": [{"index": place, **call}]}, "finish_reason": None}
    yield {"delta": {}, "finish_reason": end}


class Events:
    """The JSON events of a stream of bytes, however it is cut; anything else is refused."""

    def __init__(self, most: int) -> None:
        self._rest = b""
        self._seen, self._most = 0, most
        self.done = False

    def feed(self, data: bytes) -> Iterator[Body]:
        """The events that are complete with this piece."""
        self._seen += len(data)
        if self._seen > self._most:
            raise Refused(502, "the model's stream is too long", "bad_upstream", kind="api_error")
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if self.done or not line.startswith(b"data:"):
                continue
            text = line[5:].strip()
            if text == b"[DONE]":
                self.done = True
            elif text:
                yield self._event(text)

    def _event(self, text: bytes) -> Body:
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise _malformed("an event that is no JSON") from None
        if not isinstance(body, dict):
            raise _malformed("an event that is no object")
        if body.get("error"):
            raise Refused(502, "the model failed while it answered", "upstream_error", kind="api_error")
        return body


class Assembly:
    """A whole answer from the chunks of a stream."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._head: Body = {}
        self._choices: dict[int, Body] = {}

    def add(self, chunk: Body) -> None:
        """Take one chunk in."""
        for name in ("id", "created", "model", "system_fingerprint", "usage", "score"):
            if chunk.get(name) is not None:
                self._head[name] = chunk[name]
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise _malformed("a chunk without choices")
        for each in choices:
            if not isinstance(each, dict) or not isinstance(each.get("index", 0), int):
                raise _malformed("a chunk with a strange choice")
            self._add_choice(each)

    def _add_choice(self, each: Body) -> None:
        index = each.get("index", 0)
        if not 0 <= index < MOST_CHOICES:
            raise _malformed("a chunk with a strange choice")
        choice = self._choices.setdefault(index, {"index": index, "finish_reason": None, "logprobs": None})
        for name in ("finish_reason", "score"):
            if each.get(name) is not None:
                choice[name] = each[name]
        _add_logprobs(choice, each.get("logprobs"))
        if self.kind == TEXT:
            choice["text"] = choice.get("text", "") + _str(each.get("text"))
        else:
            _add_delta(
                choice.setdefault("message", {"role": "assistant", "content": None}), each.get("delta")
            )

    def whole(self) -> Body:
        """The answer; refused if a choice never ended."""
        if not self._choices or any(choice["finish_reason"] is None for choice in self._choices.values()):
            raise _malformed("a stream that ended before its end")
        choices = [self._choices[index] for index in sorted(self._choices)]
        return check_answer(self.kind, {**self._head, "object": OBJECTS[self.kind], "choices": choices})


def _str(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _malformed("a chunk whose text is no text")
    return value


def _add_delta(message: Body, delta: Any) -> None:
    if delta is None:
        return
    if not isinstance(delta, dict):
        raise _malformed("a chunk with a strange delta")
    if isinstance(delta.get("role"), str):
        message["role"] = delta["role"]
    for name in ("content", "refusal"):
        if delta.get(name) is not None:
            message[name] = (message.get(name) or "") + _str(delta[name])
    calls = delta.get("tool_calls") or []
    if not isinstance(calls, list):
        raise _malformed("a chunk with strange tool calls")
    for call in calls:
        _add_call(message.setdefault("tool_calls", []), call)


def _add_call(calls: list[Body], call: Any) -> None:
    if not isinstance(call, dict) or not isinstance(call.get("index", 0), int):
        raise _malformed("a chunk with a strange tool call")
    place = call.get("index", 0)
    if not 0 <= place <= min(len(calls), 127):
        raise _malformed("a chunk with a tool call out of order")
    if place == len(calls):
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    into = calls[place]
    function = call.get("function") or {}
    if not isinstance(function, dict):
        raise _malformed("a chunk with a strange tool call")
    into["id"] = into["id"] or _str(call.get("id"))
    into["function"]["name"] += _str(function.get("name"))
    into["function"]["arguments"] += _str(function.get("arguments"))


def _add_logprobs(choice: Body, logprobs: Any) -> None:
    if not isinstance(logprobs, Mapping):
        return
    into = choice["logprobs"] = choice["logprobs"] or {}
    for name, values in logprobs.items():
        if isinstance(values, list):
            into[name] = (into.get(name) or []) + values
