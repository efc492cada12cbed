"""A reply that came as a stream of events, put together into the reply that was asked for.

The events are OpenAI's chat completion chunks (platform.openai.com/docs/api-reference/chat-streaming) in the format of
server-sent events: lines that begin with `data:`, a blank line between two events, `[DONE]` at the end.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any


class Cut(ValueError):
    """The stream ended before the reply did, or says that something went wrong."""


def assembled(parts: Iterable[bytes]) -> dict[str, Any]:
    """The chat completion that the events of a stream add up to. Raises Cut.

    >>> said = b'data: {"choices": [{"index": 0, "delta": {"content": "four"}, "finish_reason": "stop"}]}'
    >>> assembled([said, b"\\n\\ndata: [DONE]\\n\\n"])["choices"][0]["message"]["content"]
    'four'
    """
    choices: dict[int, dict[str, Any]] = {}
    whole: dict[str, Any] = {"object": "chat.completion"}
    done = False
    for event in _events(parts):
        if event == "[DONE]":
            done = True
            break
        chunk = _read(event)
        for name in ("id", "model", "usage"):
            whole |= {name: chunk[name]} if chunk.get(name) else {}
        for choice in chunk.get("choices") or []:
            _add(choices.setdefault(int(choice.get("index") or 0), _empty()), choice)
    ended = bool(choices) and all(choice["finish_reason"] for choice in choices.values())
    if not (ended or (done and choices)):
        raise Cut("was cut before its end")
    return {**whole, "choices": [{"index": index, **choices[index]} for index in sorted(choices)]}


def _empty() -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}


def _add(choice: dict[str, Any], more: dict[str, Any]) -> None:
    """Take in one choice of a chunk: text, log-probabilities, how it ended."""
    said = more.get("delta") or more.get("message") or {}
    choice["message"]["content"] += said.get("content") or ""
    given = (more.get("logprobs") or {}).get("content")
    if given:
        before = (choice["logprobs"] or {}).get("content", [])
        choice["logprobs"] = {"content": [*before, *given]}
    choice["finish_reason"] = more.get("finish_reason") or choice["finish_reason"]


def _read(event: str) -> dict[str, Any]:
    try:
        chunk = json.loads(event)
    except (ValueError, RecursionError):
        raise Cut(f"holds what is no JSON: {event[:60]!r}") from None
    if not isinstance(chunk, dict) or "error" in chunk:
        said = chunk.get("error") if isinstance(chunk, dict) else chunk
        raise Cut(f"says that something went wrong: {str(said)[:200]}")
    if not all(isinstance(one, dict) for one in chunk.get("choices") or []):
        raise Cut("holds choices of another shape")
    return chunk


def _events(parts: Iterable[bytes]) -> Iterator[str]:
    """The data of each event; an event's lines are joined."""
    data: list[str] = []
    for line in _lines(parts):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    """Lines, however the bytes were cut into parts; they end with \\n, \\r\\n or \\r."""
    rest = b""
    for part in parts:
        rest += part
        *whole, rest = rest.replace(b"\r\n", b"\n").split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace").rstrip("\r")
