"""Calls to models: one connection pool, time-outs, retries with back-off, a circuit breaker, fallback addresses."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

from tolerate.service.config import Tier
from tolerate.service.openai_format import PATHS, Ask, Assembly, Body, Events, Refused, check_answer
from tolerate.service.upstream.client import Calls, Response, TooLong
from tolerate.service.upstream.guard import check_url

AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
FAILURES, REST = 5, 10.0  # failures in a row that open the breaker, and seconds until it tries again
BACK_OFF = (0.1, 0.4, 1.6)
LARGEST = 32 * 2**20


@dataclass
class Breaker:
    """Whether an address is worth a call: after some failures in a row it rests, then one call tries it."""

    failed: int = 0
    until: float = 0.0

    def open(self, now: float) -> bool:
        """Whether it rests; the first call after the rest passes and takes the next rest upon itself."""
        if self.failed < FAILURES:
            return False
        if now < self.until:
            return True
        self.until = now + REST
        return False

    def tell(self, good: bool, now: float) -> None:
        """How a call went."""
        self.failed = 0 if good else self.failed + 1
        if self.failed == FAILURES:
            self.until = now + REST


@dataclass(frozen=True)
class Answer:
    """What a model answered: the JSON and, if it came whole, its bytes."""

    body: Body
    raw: bytes | None
    attempts: int = 1


class Upstreams:
    """Everything that calls a model."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self.calls = Calls(private)
        self.breakers: dict[str, Breaker] = {}

    async def close(self) -> None:
        """Let the connections go."""
        await self.calls.close()

    async def complete(self, tier: Tier, ask: Ask, body: Body) -> Answer:
        """A tier's answer to a request, whole; tried again, then elsewhere, where that may help."""
        failure = Refused(503, "the model is not available", "upstream_unavailable", kind="api_error")
        attempts = 0
        for base in (tier.upstream, *tier.fallback):
            breaker = self.breakers.setdefault(base, Breaker())
            for attempt in range(tier.retries + 1):
                if breaker.open(time.monotonic()):
                    break
                attempts += 1
                try:
                    answer = await self._once(base, tier, ask, body)
                except _Again as error:
                    breaker.tell(False, time.monotonic())
                    failure = error.failure
                    if attempt < tier.retries:
                        await asyncio.sleep(_pause(attempt, error.after))
                    continue
                breaker.tell(True, time.monotonic())
                return Answer(answer.body, answer.raw, attempts)
        raise failure

    async def _once(self, base: str, tier: Tier, ask: Ask, body: Body) -> Answer:
        try:
            url = base + PATHS[ask.kind]
            async with self.calls.post(url, orjson.dumps(body), _headers(tier), tier.timeout) as response:
                await _refuse_status(response)
                if body.get("stream"):
                    return await _assembled(response, ask)
                raw = await _read(response)
                return Answer(check_answer(ask.kind, _json(raw)), raw)
        except TimeoutError:
            raise _Again(
                Refused(504, "the model took too long", "upstream_timeout", kind="api_error")
            ) from None
        except OSError:
            raise _Again(
                Refused(502, "the model cannot be reached", "upstream_unavailable", kind="api_error")
            ) from None

    async def stream(self, tier: Tier, ask: Ask, body: Body) -> AsyncIterator[Body]:
        """The events of an answer as they come, for jobs that are not certified."""
        try:
            url = tier.upstream + PATHS[ask.kind]
            async with self.calls.post(url, orjson.dumps(body), _headers(tier), tier.timeout) as response:
                await _refuse_status(response)
                events = Events(LARGEST)
                async for piece in response.pieces():
                    for each in events.feed(piece):
                        yield each
        except _Again as error:
            raise error.failure from None
        except OSError:  # a time-out is one too
            raise Refused(
                502, "the model cannot be reached", "upstream_unavailable", kind="api_error"
            ) from None

    async def models(self, tier: Tier) -> list[str]:
        """The models that an upstream names; none if it does not say."""
        try:
            async with self.calls.get(f"{tier.upstream}/models", _headers(tier), 5.0) as response:
                found = _json(await _read(response)) if response.status == 200 else {}
                return [str(each["id"]) for each in found.get("data", [])]
        except (OSError, Refused, AttributeError, KeyError, TypeError):
            return []

    async def tell(self, url: str, body: bytes, headers: dict[str, str]) -> bool:
        """Post a notice to a webhook, once; whether it was taken."""
        try:
            check_url(url, private=self._private, resolve=False)
            kind = {"content-type": "application/json", "user-agent": "tolerate"}
            async with self.calls.post(url, body, {**kind, **headers}, 10.0) as response:
                return 200 <= response.status < 300
        except (OSError, ValueError):
            return False


class _Again(Exception):
    """A failure that another try may mend. after: seconds that the upstream asks to wait."""

    def __init__(self, failure: Refused, after: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure, self.after = failure, after


def _headers(tier: Tier) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "tolerate"}
    if tier.key:
        headers["authorization"] = f"Bearer {tier.key}"
    return headers


def _pause(attempt: int, after: float | None) -> float:
    if after is not None:
        return min(after, 5.0)
    return BACK_OFF[min(attempt, len(BACK_OFF) - 1)] * (0.5 + random.random())


async def _refuse_status(response: Response) -> None:
    """Raise for anything but 200; the upstream's own words are not passed on, its kind is."""
    status = response.status
    if status == 200:
        return
    failure = Refused(502, f"the model's server answered {status}", "upstream_error", kind="api_error")
    if status == 429:
        failure = Refused(429, "the model's server asks to wait", "upstream_busy", kind="rate_limit_error")
    elif status in (400, 404, 413, 422):
        said = (await response.start(4096)).decode("utf-8", "replace")
        failure = Refused(
            400, f"the model's server refused the request ({status}): {said[:500]}", "upstream_refused"
        )
    if status in AGAIN:
        after = response.header(b"retry-after")
        raise _Again(failure, float(after) if after.isdigit() else None)
    raise failure


async def _read(response: Response) -> bytes:
    if response.header(b"content-encoding") not in ("", "identity"):
        raise Refused(502, "the model's answer is compressed", "bad_upstream", kind="api_error")
    try:
        return await response.read(LARGEST)
    except TooLong:
        raise Refused(502, "the model's answer is too long", "bad_upstream", kind="api_error") from None


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Refused(502, "the model's answer is no JSON", "bad_upstream", kind="api_error") from None


async def _assembled(response: Response, ask: Ask) -> Answer:
    """A streamed answer, gathered; nothing of it is passed on before its end."""
    if "text/event-stream" not in response.header(b"content-type"):
        return Answer(check_answer(ask.kind, _json(await _read(response))), None)
    events, whole = Events(LARGEST), Assembly(ask.kind)
    async for piece in response.pieces():
        for each in events.feed(piece):
            whole.add(each)
    return Answer(whole.whole(), None)
