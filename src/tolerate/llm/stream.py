"""Streams of completions: events out of bytes, and the whole answer that they add up to.

The events are OpenAI's completion chunks (platform.openai.com/docs/api-reference/chat-streaming) in the format of
server-sent events: lines that begin with `data:`, a blank line between two events, `[DONE]` at the end.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.llm.openai_format import CHAT, OBJECTS, TEXT, Body, MalformedAnswer, ReportedError, check_answer

MAX_CHOICES = 128  # OpenAI's own limit of `n`
MAX_TOOL_CALLS = 128
HEAD_FIELDS = ("id", "created", "model", "system_fingerprint", "usage", "score")


class MalformedEvent(MalformedAnswer):
    """Raised when the data of an event is not JSON."""


class StreamTooLong(MalformedAnswer):
    """A stream has more bytes than are read."""


def tolerant_json(text: bytes) -> JsonValue:
    """JSON as servers send it: NaN is a number, and bytes that are not UTF-8 are replaced."""
    value: JsonValue = json.loads(text.decode("utf-8", "replace"))
    return value


class EventReader:
    """The JSON events of a stream of bytes, however the bytes are cut; `done` after `[DONE]`.

    Errors never repeat what a model wrote: the gateway shows them to clients who must not see it yet. An event is given
    as soon as its line is complete. JSON over several `data:` lines, which the format of server-sent events allows, is
    joined. loads: parses the JSON of an event; raises ValueError.
    """

    def __init__(self, max_bytes: int, loads: Callable[[bytes], JsonValue] = tolerant_json) -> None:
        self.done = False
        self._max_bytes, self._loads = max_bytes, loads
        self._size = 0
        self._rest = b""  # bytes of a line that has not ended
        self._lines: list[
            bytes
        ] = []  # data of an event that has not ended, the first line of which is no JSON

    def feed(self, data: bytes) -> Iterator[JsonObject]:
        """The events that are complete with these bytes; raises MalformedAnswer and ReportedError."""
        self._size += len(data)
        if self._size > self._max_bytes:
            raise StreamTooLong("a stream that is too long")
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            yield from self._read(line.rstrip(b"\r"))

    def finish(self) -> Iterator[JsonObject]:
        """The last event, if no line break ended it."""
        rest, self._rest = self._rest, b""
        yield from self._read(rest.rstrip(b"\r"))
        yield from self._read(b"")

    def _read(self, line: bytes) -> Iterator[JsonObject]:
        """The events that end with a line."""
        if self.done:
            return
        text = line[5:].strip() if line.startswith(b"data:") else b""
        if self._lines and (not line or text == b"[DONE]"):
            joined, self._lines = b"\n".join(self._lines), []
            yield self._checked(self._parse(joined))
        if text == b"[DONE]":
            self.done = True
        elif self._lines and text:
            self._lines.append(text)
        elif text:
            try:
                event = self._parse(text)
            except MalformedEvent:
                self._lines.append(text)
            else:
                yield self._checked(event)

    def _parse(self, text: bytes) -> JsonValue:
        try:
            return self._loads(text)
        except (ValueError, RecursionError):
            raise MalformedEvent("an event that is not JSON") from None

    def _checked(self, event: JsonValue) -> JsonObject:
        if not isinstance(event, dict):
            raise MalformedAnswer("an event that is not an object")
        if event.get("error"):
            raise ReportedError(str(event["error"])[:200])
        return event


class StreamAssembler:
    """The whole answer of a stream, put together from its chunks.

    strict: every chunk must have choices and every choice must end with a reason; else `[DONE]` ends them all, and
    chunks without choices are passed over, as some servers send them.
    """

    def __init__(self, kind: str = CHAT, *, strict: bool = True, max_choices: int = MAX_CHOICES) -> None:
        self.kind, self.strict, self.max_choices = kind, strict, max_choices
        self._head: Body = {}
        self._choices: dict[int, StreamedChoice] = {}

    def add(self, chunk: JsonObject) -> None:
        """Add one chunk; raises MalformedAnswer."""
        for name in HEAD_FIELDS:
            if chunk.get(name) is not None:
                self._head[name] = chunk[name]
        choices = chunk.get("choices")
        if choices is None and not self.strict:
            return
        if not isinstance(choices, list):
            raise MalformedAnswer("a chunk without choices")
        for part in choices:
            if not isinstance(part, dict):
                raise MalformedAnswer("a choice that is not an object")
            self._choice(part).add(part)

    def _choice(self, part: JsonObject) -> "StreamedChoice":
        """The choice that a part belongs to."""
        index = part.get("index", 0)
        if index is None and not self.strict:
            index = 0
        if not isinstance(index, int) or not 0 <= index < self.max_choices:
            raise MalformedAnswer("a choice whose index is no number of a choice")
        if index not in self._choices:
            self._choices[index] = StreamedChoice(self.kind)
        return self._choices[index]

    def answer(self, done: bool = False) -> JsonObject:
        """The answer; raises MalformedAnswer if a choice never ended. done: whether the stream said `[DONE]`."""
        ended = all(choice.finish_reason is not None for choice in self._choices.values())
        if not self._choices or not (ended or (done and not self.strict)):
            raise MalformedAnswer("a stream that was cut before its end")
        choices = [self._choices[index].body(index) for index in sorted(self._choices)]
        return check_answer(self.kind, {**self._head, "object": OBJECTS[self.kind], "choices": choices})


class StreamedChoice:
    """One choice of a streamed answer so far."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.finish_reason: JsonValue = None
        self._fields: Body = {}
        self._text = ""
        self._message: Body = {"role": "assistant", "content": None}
        self._calls: list[StreamedToolCall] = []
        self._logprobs: dict[str, list[JsonValue]] | None = None

    def add(self, part: JsonObject) -> None:
        """Add a part: text, tool calls, log-probabilities, finish reason."""
        if part.get("finish_reason") is not None:
            self.finish_reason = part["finish_reason"]
        if part.get("score") is not None:
            self._fields["score"] = part["score"]
        self._add_logprobs(part.get("logprobs"))
        if self.kind == TEXT:
            self._text += _text(part.get("text"))
            return
        delta = part.get("delta")
        self._add_delta(part.get("message") if delta is None else delta)

    def body(self, index: int) -> Body:
        """The choice as a whole answer has it."""
        head: Body = {
            "index": index,
            "finish_reason": self.finish_reason,
            "logprobs": self._logprobs,
            **self._fields,
        }
        if self.kind == TEXT:
            return {**head, "text": self._text}
        calls: Body = {"tool_calls": [call.body() for call in self._calls]} if self._calls else {}
        return {**head, "message": {**self._message, **calls}}

    def _add_delta(self, delta: JsonValue) -> None:
        if delta is None:
            return
        if not isinstance(delta, dict):
            raise MalformedAnswer("a chunk whose delta is not an object")
        if isinstance(delta.get("role"), str):
            self._message["role"] = delta["role"]
        for name in ("content", "refusal"):
            if delta.get(name) is not None:
                self._message[name] = _text(self._message.get(name)) + _text(delta[name])
        calls = delta.get("tool_calls") or []
        if not isinstance(calls, list):
            raise MalformedAnswer("a chunk whose tool calls are not a list")
        for call in calls:
            self._add_call(call)

    def _add_call(self, call: JsonValue) -> None:
        index = call.get("index", 0) if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(index, int):
            raise MalformedAnswer("a tool call that is not an object with an index")
        if not 0 <= index <= min(len(self._calls), MAX_TOOL_CALLS - 1):
            raise MalformedAnswer("a tool call out of order")
        if index == len(self._calls):
            self._calls.append(StreamedToolCall())
        self._calls[index].add(call)

    def _add_logprobs(self, logprobs: JsonValue) -> None:
        if not isinstance(logprobs, Mapping):
            return
        if self._logprobs is None:
            self._logprobs = {}
        for name, values in logprobs.items():
            if isinstance(values, list):
                self._logprobs.setdefault(name, []).extend(values)


class StreamedToolCall:
    """One tool call of a streamed answer so far."""

    def __init__(self) -> None:
        self.id = self.name = self.arguments = ""

    def add(self, part: JsonObject) -> None:
        """Add a part of the call."""
        function = part.get("function") or {}
        if not isinstance(function, dict):
            raise MalformedAnswer("a tool call whose function is not an object")
        self.id = self.id or _text(part.get("id"))
        self.name += _text(function.get("name"))
        self.arguments += _text(function.get("arguments"))

    def body(self) -> Body:
        """The call as a whole answer has it."""
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedAnswer("a chunk whose text is not text")
    return value


def read_stream(parts: Iterable[bytes], max_bytes: int) -> JsonObject:
    """The whole chat completion of a stream, read up to `[DONE]`; raises MalformedAnswer and ReportedError.

    >>> stream = b'data: {"choices": [{"index": 0, "delta": {"content": "four"}, "finish_reason": "stop"}]}'
    >>> read_stream([stream, b"\\n\\ndata: [DONE]\\n\\n"], 1000)["choices"][0]["message"]["content"]
    'four'
    """
    events, assembler = EventReader(max_bytes), StreamAssembler(strict=False)
    for part in parts:
        for event in events.feed(part):
            assembler.add(event)
        if events.done:
            break
    for event in events.finish():
        assembler.add(event)
    return assembler.answer(events.done)
