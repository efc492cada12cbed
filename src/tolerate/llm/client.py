"""Texts from a model behind an OpenAI-compatible server: many requests at once, each paid for once.

What a server does not know (`n`, `seed`, `logprobs`) it may refuse or ignore: a refused field is left out from then
on, and missing candidates are requested one by one.
"""

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import RunError
from tolerate.llm.cache import ResponseCache, cache_path, request_key
from tolerate.llm.completion import (
    CHARACTERS_PER_TOKEN,
    Completion,
    clean,
    completions,
    count_tokens,
    parse_candidates,
    prompt_characters,
)
from tolerate.llm.connections import ConnectionPool
from tolerate.llm.endpoint_names import Endpoint, parse_endpoint
from tolerate.llm.http import post_json
from tolerate.llm.openai_format import CHAT, PATHS, Body
from tolerate.llm.rate_limit import RateLimiter
from tolerate.llm.retry import PermanentError, retry

CALL = PATHS[CHAT].lstrip("/")
OPTIONAL_FIELDS = (
    "max_tokens",
    "top_logprobs",
    "logprobs",
    "seed",
    "temperature",
    "n",
    "stream_options",
)  # fields that a server may do without
STREAM_FIELDS: Body = {"stream": True, "stream_options": {"include_usage": True}}
MAX_SEED = 2**31  # servers take seeds below this


def no_progress(done: int, total: int) -> None:
    """A progress callback that does nothing."""


@dataclass(frozen=True)
class Usage:
    """Counts of requests, tokens and dollars; `cached` requests were answered from the disk."""

    requests: int = 0
    cached: int = 0
    failed_attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0
    counted: bool = True  # False if a server did not count tokens, so that they were estimated

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.requests + other.requests,
            self.cached + other.cached,
            self.failed_attempts + other.failed_attempts,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.dollars + other.dollars,
            self.counted and other.counted,
        )

    def __str__(self) -> str:
        money = f", ${self.dollars:.4f}" if self.dollars else ""
        about = "" if self.counted else "about "
        return (
            f"{self.requests:,} requests sent, {self.cached:,} answered from the cache, "
            f"{self.failed_attempts:,} tries failed, "
            f"{about}{self.prompt_tokens:,} tokens read and {self.completion_tokens:,} written{money}"
        )


class ServedModel:
    """A model behind a server, asked in threads; everything that it ever answered is cached on the disk.

    >>> ServedModel("openai:m@http://127.0.0.1:1/v1", cache=None).usage.requests
    0
    """

    def __init__(
        self, name: str, cache: Path | str | None = "", *, limiter: RateLimiter | None = None
    ) -> None:
        """name: `openai:MODEL@URL`. cache: the file of replies; by default the user's; None for none."""
        self.endpoint: Endpoint = parse_endpoint(name)
        path = cache_path() if cache == "" else cache
        self.cache = None if path is None else ResponseCache(Path(path))
        self.limiter = limiter or RateLimiter(self.endpoint.rpm, self.endpoint.tpm)
        self.usage = Usage()
        self.refused_fields: set[str] = set()
        self.stream_only = False  # whether the server answers in streams alone
        self.connections = ConnectionPool(direct=self.endpoint.local)
        self._lock = threading.Lock()

    def write(
        self,
        prompts: Sequence[str],
        candidates: int = 1,
        seed: int = 0,
        *,
        system: str = "",
        alternatives: int = 0,
        on_progress: Callable[[int, int], None] = no_progress,
    ) -> list[list[Completion]]:
        """Candidates for each prompt, in the order of the prompts; a prompt that comes twice is asked once.

        alternatives: how many likely tokens to ask for in each position, beside the one that was chosen.
        Stops at the first failure that does not pass (RunError); what was answered until then is cached.
        """
        unique = list(dict.fromkeys(prompts))
        bodies = [self._body(prompt, seed, candidates, system, alternatives) for prompt in unique]
        answers = dict(zip(unique, self.request_all(bodies, on_progress), strict=True))
        # A server that knows no `n` sends one candidate; the others are requested with seeds of their own.
        missing = [(p, index) for p in unique for index in range(len(answers[p]), candidates)]
        bodies = [self._body(p, seed + index, 1, system, alternatives) for p, index in missing]
        for (prompt, _), extra in zip(missing, self.request_all(bodies, on_progress), strict=True):
            answers[prompt] = [*answers[prompt], extra[0]]
        return [answers[prompt][:candidates] for prompt in prompts]

    def request_all(
        self, bodies: Sequence[JsonObject], on_progress: Callable[[int, int], None] = no_progress
    ) -> list[list[Completion]]:
        """The candidates that each request brings, in order; from the cache where they are there."""
        keys = [request_key(self.endpoint.address(CALL), body) for body in bodies]
        replies: dict[str, JsonValue] = {
            key: reply for key in dict.fromkeys(keys) if (reply := self._cached(key)) is not None
        }
        pending = {key: body for key, body in zip(keys, bodies, strict=True) if key not in replies}
        cached, total = len(replies), len(replies) + len(pending)
        self._add(Usage(cached=cached))
        on_progress(cached, total)
        replies |= self._send_all(pending, lambda done: on_progress(cached + done, total))
        return [
            completions(body, replies[key], self.endpoint.host)
            for key, body in zip(keys, bodies, strict=True)
        ]

    def _cached(self, key: str) -> JsonValue:
        return None if self.cache is None else self.cache.get(key)

    def _send_all(
        self, pending: Mapping[str, JsonObject], on_done: Callable[[int], None]
    ) -> dict[str, JsonValue]:
        """Send the first alone, which shows what the server refuses, and the others side by side."""
        self.limiter.cancelled.clear()
        replies: dict[str, JsonValue] = {}
        requests = list(pending.items())
        for key, body in requests[:1]:
            replies[key] = self._reply(key, body)
        pool = ThreadPoolExecutor(self.endpoint.parallel)
        try:
            futures = {pool.submit(self._reply, key, body): key for key, body in requests[1:]}
            for future in as_completed(futures):
                replies[futures[future]] = future.result()
                on_done(len(replies))
        except BaseException:
            self.limiter.cancelled.set()  # wakes those that wait; a request under way is paid for, so it may end
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return replies

    def _reply(self, key: str, body: JsonObject) -> JsonValue:
        """The reply to one request, cached before anybody uses it."""
        expected = _expected_tokens(body)
        reply = retry(
            lambda: self._send(body),
            self.limiter,
            attempts=self.endpoint.tries,
            longest=self.endpoint.patience,
            tokens=expected,
            on_failure=lambda _: self._add(Usage(failed_attempts=1)),
        )
        if self.cache is not None:
            self.cache.put(key, body, reply)
        self.limiter.correct(expected, self._charge(body, reply))
        return reply

    def _send(self, body: JsonObject) -> JsonValue:
        """Send once; a field that the server refuses is left out, now and from then on."""
        self._check_budget()
        while True:
            accepted = self._accepted_fields(body)
            try:
                reply = post_json(
                    self.endpoint.address(CALL),
                    accepted,
                    key=self.endpoint.secret(),
                    timeout=self.endpoint.timeout,
                    pool=self.connections,
                )
            except PermanentError as refusal:
                if not self.stream_only and requires_stream(refusal):
                    self.stream_only = True
                    continue
                name = refused_field(refusal, accepted)
                if name is None:
                    raise
                self.refused_fields.add(name)
                continue
            parse_candidates(reply, self.endpoint.host)  # a reply that cannot be read is a failed try
            return reply

    def _check_budget(self) -> None:
        limit = self.endpoint.max_dollars
        if limit and self.usage.dollars >= limit:
            raise RunError(
                f"${self.usage.dollars:.4f} are spent, and most={limit:g} allows no more. What is "
                "finished is kept: give a higher limit and run the same command again"
            )

    def _body(self, prompt: str, seed: int, candidates: int, system: str, alternatives: int = 0) -> Body:
        """One request in OpenAI's format."""
        messages: list[Body] = [{"role": "system", "content": clean(system)}] if system else []
        body: Body = {
            "model": self.endpoint.model,
            "messages": [*messages, {"role": "user", "content": clean(prompt)}],
            "temperature": self.endpoint.temperature,
            "max_tokens": self.endpoint.tokens,
            "seed": seed % MAX_SEED,
        }
        if candidates > 1:
            body["n"] = candidates
        if self.endpoint.logprobs:
            body["logprobs"] = True
            if alternatives:
                body["top_logprobs"] = alternatives
        return body

    def _accepted_fields(self, body: JsonObject) -> Body:
        """A request with the fields that the server is not known to refuse."""
        refused = self.refused_fields | ({"top_logprobs"} if "logprobs" in self.refused_fields else set())
        fields = {**body, **STREAM_FIELDS} if self.stream_only else dict(body)
        accepted = {name: value for name, value in fields.items() if name not in refused}
        if "max_tokens" in refused:
            accepted["max_completion_tokens"] = body["max_tokens"]
        return accepted

    def _charge(self, body: JsonObject, reply: JsonValue) -> float:
        """Add a reply to the usage; return the tokens it used."""
        prompt, completion, counted = count_tokens(body, reply)
        dollars = (prompt * self.endpoint.price_in + completion * self.endpoint.price_out) / 1e6
        self._add(
            Usage(
                requests=1,
                prompt_tokens=prompt,
                completion_tokens=completion,
                dollars=dollars,
                counted=counted,
            )
        )
        return float(prompt + completion)

    def _add(self, usage: Usage) -> None:
        with self._lock:
            self.usage = self.usage + usage


def _expected_tokens(body: JsonObject) -> float:
    """Tokens that a request may cost, for the limit a minute."""
    tokens, candidates = body.get("max_tokens"), body.get("n", 1)
    written = tokens * candidates if isinstance(tokens, int) and isinstance(candidates, int) else 0
    return prompt_characters(body) / CHARACTERS_PER_TOKEN + written


def requires_stream(refusal: PermanentError) -> bool:
    """Whether a server refuses because it answers in streams alone.

    >>> message = "this model supports streaming only; set stream=true"
    >>> requires_stream(PermanentError("", 400, {"message": message}))
    True
    """
    message = str(refusal.error.get("message") or refusal).lower()
    about = refusal.error.get("param") == "stream" or re.search(r"\bstream(ing|ed)?\b", message) is not None
    denied = re.search(r"\b(not|cannot|no|un)\w*\s*(support|allow)\w*\s*stream", message) is not None
    return refusal.status in (400, 405, 422) and about and not denied


def refused_field(refusal: PermanentError, sent: Iterable[str]) -> str | None:
    """The field that a server's refusal is about, if the request can do without it.

    >>> refused_field(PermanentError("", 400, {"message": "Unsupported parameter: 'seed'"}), ["model", "seed"])
    'seed'
    """
    if refusal.status not in (400, 422):
        return None
    param, message = refusal.error.get("param"), str(refusal.error.get("message") or refusal)
    for name in OPTIONAL_FIELDS:
        word = rf"['\"`]{name}['\"`]" if name == "n" else rf"\b{name}\b"
        if name in sent and (param == name or re.search(word, message)):
            return name
    return None
