"""Streams put together strictly, as the gateway does it: tool calls, refusals, logarithms, and what is malformed."""

import json
from typing import Any

import pytest

from tolerate.llm.openai_format import CHAT, TEXT, MalformedAnswer, ReportedError
from tolerate.llm.stream import EventReader, StreamAssembler


def assemble(*parts: dict[str, Any], kind: str = CHAT, max_choices: int = 16) -> Any:
    """The answer of chunks that hold one part of a choice each."""
    assembler = StreamAssembler(kind, max_choices=max_choices)
    for part in parts:
        assembler.add({"id": "1", "model": "m", "choices": [part]})
    return assembler.answer()


def test_a_chat_with_tool_calls_a_refusal_and_log_probabilities() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "look", "arguments": '{"a"'}}
    rest = {"index": 0, "function": {"arguments": ": 1}"}}
    answer = assemble(
        {"delta": {"role": "assistant", "refusal": "I "}, "logprobs": {"content": [1], "refusal": [2]}},
        {"delta": {"refusal": "will not", "tool_calls": [call]}, "logprobs": {"content": [3]}},
        {"delta": {"tool_calls": [rest]}, "finish_reason": "tool_calls", "score": 0.5},
    )
    function = {"name": "look", "arguments": '{"a": 1}'}
    assert answer == {
        "id": "1",
        "model": "m",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "logprobs": {"content": [1, 3], "refusal": [2]},
                "score": 0.5,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": "I will not",
                    "tool_calls": [{"id": "c", "type": "function", "function": function}],
                },
            }
        ],
    }


def test_choices_of_a_text_completion_in_any_order() -> None:
    answer = assemble(
        {"index": 1, "text": "b"},
        {"index": 0, "text": "a", "finish_reason": "stop"},
        {"index": 1, "text": "c", "finish_reason": "length"},
        kind=TEXT,
    )
    assert [choice["text"] for choice in answer["choices"]] == ["a", "bc"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"delta": {"content": "a"}}, "cut before its end"),
        ({"index": 16, "delta": {}, "finish_reason": "stop"}, "index"),
        ({"index": None, "delta": {}, "finish_reason": "stop"}, "index"),
        ({"delta": [], "finish_reason": "stop"}, "delta"),
        ({"delta": {"content": 7}, "finish_reason": "stop"}, "not text"),
        ({"delta": {"tool_calls": {"a": 1}}, "finish_reason": "stop"}, "not a list"),
        ({"delta": {"tool_calls": [{"index": 1}]}, "finish_reason": "stop"}, "out of order"),
        ({"delta": {"tool_calls": [7]}, "finish_reason": "stop"}, "with an index"),
        ({"delta": {"tool_calls": [{"function": 7}]}, "finish_reason": "stop"}, "function"),
    ],
)
def test_what_is_malformed_is_no_answer(part: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedAnswer, match=message):
        assemble(part)


@pytest.mark.parametrize(
    "data", [b"data: {\n\n", b"data: []\n\n", b"data: {\ndata: [DONE]\n", b'data: "a"\n']
)
def test_events_that_are_no_objects_are_refused_without_their_text(data: bytes) -> None:
    with pytest.raises(MalformedAnswer) as error:
        list(EventReader(1000).feed(data))
    assert "{" not in str(error.value) and '"a"' not in str(error.value)


def test_an_event_comes_with_its_line_and_nothing_after_the_end() -> None:
    events = EventReader(1000)
    assert list(events.feed(b'data: {"a": 1}\n')) == [{"a": 1}]
    assert list(events.feed(b'data: {"a":\ndata: 2}\n')) == []
    assert list(events.feed(b"\n")) == [{"a": 2}]
    assert list(events.feed(b'data: {"a": 3}')) == []
    assert list(events.finish()) == [{"a": 3}]
    assert list(events.feed(b'data: [DONE]\n\ndata: {"a": 4}\n\n')) == [] and events.done


def test_an_error_of_the_server_ends_the_stream() -> None:
    with pytest.raises(ReportedError, match="overloaded"):
        list(EventReader(1000).feed(b"data: " + json.dumps({"error": "overloaded"}).encode() + b"\n"))
