"""Calls to model servers: time-outs, retries with back-off, a circuit breaker, fallback addresses."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import orjson

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.llm.openai_format import PATHS, MalformedAnswer, ReportedError, check_answer
from tolerate.llm.retry import RETRY_STATUSES, retry_after_seconds
from tolerate.llm.stream import EventReader, StreamAssembler, StreamTooLong
from tolerate.service.config import TierSettings
from tolerate.service.openai_format import MAX_CHOICES, ApiError, CompletionRequest
from tolerate.service.upstream.guard import check_url
from tolerate.service.upstream.transport import BodyTooLong, UpstreamPool

BREAKER_FAILURES = 5  # in a row open the circuit breaker
BREAKER_REST_SECONDS = 10.0  # until one call tries again
BACKOFF_SECONDS = (0.1, 0.4, 1.6)
MAX_BACKOFF_SECONDS = 5.0  # where the server asks for a wait
MAX_RESPONSE_BYTES = 32 * 2**20
NAMES_SECONDS = 5.0  # for a list of models
WEBHOOK_SECONDS = 10.0


class HttpResponse(Protocol):
    """A response whose headers have been read (`transport.UpstreamResponse`)."""

    status: int

    def header(self, name: bytes) -> str:
        """A header's text, "" if it is absent."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        ...

    async def read(self, max_bytes: int) -> bytes:
        """The whole body; raises BodyTooLong."""
        ...

    async def read_start(self, max_bytes: int) -> bytes:
        """The body's first bytes."""
        ...


class Transport(Protocol):
    """Protocol of what sends requests to servers (`transport.UpstreamPool`, or a fake in tests)."""

    def post(
        self, url: str, data: bytes, headers: Mapping[str, str], timeout: float
    ) -> AbstractAsyncContextManager[HttpResponse]:
        """Send a body; `async with` gives the response."""
        ...

    def get(
        self, url: str, headers: Mapping[str, str], timeout: float
    ) -> AbstractAsyncContextManager[HttpResponse]:
        """Request a resource; `async with` gives the response."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass
class CircuitBreaker:
    """Whether an address is worth a call: after some failures in a row it rests, then one call tries it."""

    failures: int = 0
    until: float = 0.0  # the end of the rest, on the monotonic clock

    def is_open(self, now: float) -> bool:
        """Whether the address rests; the first call after a rest passes and begins the next rest."""
        if self.failures < BREAKER_FAILURES:
            return False
        if now < self.until:
            return True
        self.until = now + BREAKER_REST_SECONDS
        return False

    def record(self, success: bool, now: float) -> None:
        """Count a call."""
        self.failures = 0 if success else self.failures + 1
        if self.failures == BREAKER_FAILURES:
            self.until = now + BREAKER_REST_SECONDS


@dataclass(frozen=True)
class UpstreamAnswer:
    """A model's answer: the JSON and, if it did not come as a stream, its bytes."""

    body: JsonObject
    raw: bytes | None
    attempts: int = 1


class RetryableFailure(Exception):
    """A failure that another try may mend. wait_seconds: what the server asks to wait."""

    def __init__(self, error: ApiError, wait_seconds: float | None = None) -> None:
        super().__init__(error.message)
        self.error, self.wait_seconds = error, wait_seconds


class UpstreamClient:
    """Everything that calls a model server or a webhook."""

    def __init__(self, private: bool, transport: Transport | None = None) -> None:
        """private: whether private addresses may be called."""
        self._private = private
        self.transport: Transport = transport or UpstreamPool(private)
        self.breakers: dict[str, CircuitBreaker] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def complete(
        self, tier: TierSettings, request: CompletionRequest, body: JsonObject
    ) -> UpstreamAnswer:
        """A tier's whole answer to a request; tried again, then elsewhere, where that may help. Raises ApiError."""
        failure = ApiError(503, "the model is not available", "upstream_unavailable", kind="api_error")
        attempts = 0
        for base in (tier.upstream, *tier.fallback):
            breaker = self.breakers.setdefault(base, CircuitBreaker())
            for attempt in range(tier.retries + 1):
                if breaker.is_open(time.monotonic()):
                    break
                attempts += 1
                try:
                    answer, raw = await self._attempt(base, tier, request, body)
                except RetryableFailure as error:
                    breaker.record(False, time.monotonic())
                    failure = error.error
                    if attempt < tier.retries:
                        await asyncio.sleep(_backoff_seconds(attempt, error.wait_seconds))
                    continue
                breaker.record(True, time.monotonic())
                return UpstreamAnswer(answer, raw, attempts)
        raise failure

    async def _attempt(
        self, base: str, tier: TierSettings, request: CompletionRequest, body: JsonObject
    ) -> tuple[JsonObject, bytes | None]:
        """One try at one address."""
        try:
            url = base + PATHS[request.kind]
            async with self.transport.post(url, orjson.dumps(body), _headers(tier), tier.timeout) as response:
                await _check_status(response)
                if body.get("stream"):
                    return await _assemble(response, request.kind), None
                raw = await _read(response)
                return check_answer(request.kind, _parse(raw)), raw
        except MalformedAnswer as error:
            raise _bad_upstream(error) from None
        except TimeoutError:
            raise RetryableFailure(
                ApiError(504, "the model took too long", "upstream_timeout", kind="api_error")
            ) from None
        except OSError:
            raise RetryableFailure(_unreachable()) from None

    async def stream(
        self, tier: TierSettings, request: CompletionRequest, body: JsonObject
    ) -> AsyncGenerator[JsonObject, None]:
        """The events of an answer as they come, for jobs that are not certified. Raises ApiError."""
        try:
            url = tier.upstream + PATHS[request.kind]
            async with self.transport.post(url, orjson.dumps(body), _headers(tier), tier.timeout) as response:
                await _check_status(response)
                async for event in _events(response):
                    yield event
        except RetryableFailure as failure:
            raise failure.error from None
        except MalformedAnswer as error:
            raise _bad_upstream(error) from None
        except OSError:  # a time-out is one too
            raise _unreachable() from None

    async def model_names(self, tier: TierSettings) -> list[str]:
        """The models that an upstream names; none if it does not say."""
        try:
            async with self.transport.get(
                f"{tier.upstream}/models", _headers(tier), NAMES_SECONDS
            ) as response:
                body = _parse(await _read(response)) if response.status == 200 else {}
        except (OSError, ApiError, MalformedAnswer):
            return []
        models = body.get("data") if isinstance(body, dict) else None
        if not isinstance(models, list) or not all(
            isinstance(model, dict) and "id" in model for model in models
        ):
            return []
        return [str(model["id"]) for model in models]

    async def notify(self, url: str, body: bytes, headers: Mapping[str, str]) -> bool:
        """Post a notice to a webhook, once; whether it was accepted."""
        try:
            check_url(url, private=self._private, resolve=False)
            own = {"content-type": "application/json", "user-agent": "tolerate"}
            async with self.transport.post(url, body, {**own, **headers}, WEBHOOK_SECONDS) as response:
                return 200 <= response.status < 300
        except (OSError, ValueError):
            return False


def _headers(tier: TierSettings) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "tolerate"}
    if tier.key:
        headers["authorization"] = f"Bearer {tier.key}"
    return headers


def _backoff_seconds(attempt: int, wait_seconds: float | None) -> float:
    if wait_seconds is not None:
        return min(wait_seconds, MAX_BACKOFF_SECONDS)
    return BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)] * (0.5 + random.random())


def _unreachable() -> ApiError:
    return ApiError(502, "the model cannot be reached", "upstream_unavailable", kind="api_error")


def _bad_upstream(error: MalformedAnswer) -> ApiError:
    message = "the model's stream is too long" if isinstance(error, StreamTooLong) else ""
    return ApiError(502, message or f"the model's answer has {error}", "bad_upstream", kind="api_error")


async def _check_status(response: HttpResponse) -> None:
    """Raise for anything but 200; the upstream's own message is not passed on, except that of a refusal."""
    status = response.status
    if status == 200:
        return
    failure = ApiError(502, f"the model's server answered {status}", "upstream_error", kind="api_error")
    if status == 429:
        failure = ApiError(429, "the model's server asks to wait", "upstream_busy", kind="rate_limit_error")
    elif status in (400, 404, 413, 422):
        message = (await response.read_start(4096)).decode("utf-8", "replace")
        failure = ApiError(
            400, f"the model's server refused the request ({status}): {message[:500]}", "upstream_refused"
        )
    if status in RETRY_STATUSES:
        wait_seconds = retry_after_seconds(lambda name: response.header(name.encode()))
        raise RetryableFailure(failure, wait_seconds)
    raise failure


async def _read(response: HttpResponse) -> bytes:
    if response.header(b"content-encoding") not in ("", "identity"):
        raise ApiError(502, "the model's answer is compressed", "bad_upstream", kind="api_error")
    try:
        return await response.read(MAX_RESPONSE_BYTES)
    except BodyTooLong:
        raise ApiError(502, "the model's answer is too long", "bad_upstream", kind="api_error") from None


def _parse(raw: bytes) -> JsonValue:
    try:
        value: JsonValue = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ApiError(502, "the model's answer is not JSON", "bad_upstream", kind="api_error") from None
    return value


async def _events(response: HttpResponse) -> AsyncIterator[JsonObject]:
    """The events of a streamed response; raises ApiError where the model reports an error."""
    events = EventReader(MAX_RESPONSE_BYTES, orjson.loads)
    try:
        async for piece in response.pieces():
            for event in events.feed(piece):
                yield event
        for event in events.finish():
            yield event
    except ReportedError:
        raise ApiError(
            502, "the model failed while it answered", "upstream_error", kind="api_error"
        ) from None


async def _assemble(response: HttpResponse, kind: str) -> JsonObject:
    """A streamed answer, gathered; nothing of it is passed on before its end."""
    if "text/event-stream" not in response.header(b"content-type"):
        return check_answer(kind, _parse(await _read(response)))
    assembler = StreamAssembler(kind, max_choices=MAX_CHOICES)
    async for event in _events(response):
        assembler.add(event)
    return assembler.answer()
