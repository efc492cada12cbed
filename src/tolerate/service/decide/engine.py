"""The path of a request: tier after tier, score, certified rule, ledger, and only then an answer.

Nothing leaves before its row is durable. Whatever is missing, unknown or fails on the way holds the answer: there
is no branch that releases without a certificate in force.
"""

import asyncio
import os
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, TypeVar

import orjson

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.base.personal_data import mask_json, mask_personal_data
from tolerate.llm.openai_format import TEXT, Body, answer_text
from tolerate.messages.catalogue import message
from tolerate.records import Decision
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
from tolerate.service.decide import binding
from tolerate.service.decide.answers import (
    ScoredAnswer,
    cache_key,
    comparable_score,
    score_answer,
    upstream_body,
)
from tolerate.service.decide.counters import Counters, bin_of
from tolerate.service.http.metrics import Metrics
from tolerate.service.openai_format import (
    MAX_LABEL_CHARACTERS,
    ApiError,
    CompletionRequest,
    held_answer,
    prompt_text,
)
from tolerate.service.upstream.client import UpstreamClient
from tolerate.store import Database, DatabaseWriter, certificates, queue, restrictions, second_reviews
from tolerate.store.ledger import Entry
from tolerate.store.people import Key

T = TypeVar("T")
HELD_PRIORITY = SAMPLE_PRIORITY = 10  # equal: what is held must not starve the watch, nor the other way round
MAX_CACHED_ANSWERS = 2000
BELOW_THRESHOLD = message("held.below_threshold")  # the one reason for which the next tier is asked
NO_CERTIFICATE = message("held.no_certificate")
NOT_CERTIFIED = "not certified"  # the mark, and the decision, of streams of jobs that opted out


class Ruling(NamedTuple):
    """The decision of the certified rule on an answer. certificate: the id of the one in force, if there is one."""

    decision: Decision
    reason: str
    certificate: str | None


@dataclass(slots=True)
class Case:
    """One request until its decision. trail: the steps of each tier, for the ledger."""

    job: JobSettings
    request: CompletionRequest
    key: Key
    ticket: str
    began: float  # on the monotonic clock
    trail: list[JsonObject] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """The cost of all tiers that answered."""
        total = 0.0
        for tier in self.trail:
            cost = tier.get("cost")
            total += cost if isinstance(cost, float) else 0.0
        return total


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """The reply to the client: released or held, with the ledger row that records it."""

    entry: Entry
    body: JsonObject
    raw: bytes | None

    @property
    def bytes(self) -> bytes:
        """The JSON to send."""
        return self.raw if self.raw is not None else orjson.dumps(self.body)


class RandomSource:
    """Random bytes of the system, fetched a few thousand at a time: a call for each would cost more than its use."""

    def __init__(self, block_size: int = 4096) -> None:
        self._block_size, self._block = block_size, b""

    def bytes(self, count: int) -> bytes:
        """Bytes that nobody can guess."""
        if len(self._block) < count:
            self._block = os.urandom(self._block_size)
        data, self._block = self._block[:count], self._block[count:]
        return data

    def share(self) -> float:
        """A number in [0, 1)."""
        return (int.from_bytes(self.bytes(7)) >> 3) / 2**53


class DecisionEngine:
    """Everything that decides. One event loop owns it."""

    def __init__(
        self,
        service: ServiceSettings,
        writer: DatabaseWriter,
        upstreams: UpstreamClient,
        metrics: Metrics,
        on_alarm: Callable[[JsonObject], None] = lambda alarm: None,
    ) -> None:
        """on_alarm: called with each alarm that a decision raises, when its row is on the disk."""
        self.service, self.writer, self.upstreams, self.metrics = service, writer, upstreams, metrics
        self.on_alarm = on_alarm
        self.base_url = f"http://{service.host}:{service.port}"
        self.counters = Counters()
        self._promises: dict[str, certificates.StoredCertificate] = {}
        self._waiting: dict[str, asyncio.Future[queue.SettledItem]] = {}
        self._cache: OrderedDict[bytes, tuple[float, ScoredAnswer]] = OrderedDict()
        self._policies = {
            job.name: [re.compile(pattern, re.IGNORECASE) for pattern in job.policy] for job in service.jobs
        }
        self._random = RandomSource()

    # The rule

    def certificate_in_force(
        self, job: JobSettings, tier: TierSettings
    ) -> certificates.StoredCertificate | None:
        """The certificate in force for a tier; without one everything is held."""
        id = self.writer.standing.get((job.name, tier.name))
        promise = None if id is None else self._promises.get(id + tier.name)
        return promise if promise is not None and promise.job == job.name else None

    def load_certificates(self, certificates: Iterable[certificates.StoredCertificate]) -> None:
        """Keep certificates in memory; whether one is in force, the writer says."""
        for promise in certificates:
            self._promises[promise.id + promise.tier] = promise

    def restrictions_on(self, job: JobSettings, tier: TierSettings) -> tuple[restrictions.Restriction, ...]:
        """The restrictions on the certificate of a tier."""
        return self.writer.restrictions.get((job.name, tier.name), ())

    def apply_rule(self, job: JobSettings, answer: ScoredAnswer, slice: str = "") -> Ruling:
        """The ruling of the certificate in force on a scored answer."""
        promise = self.certificate_in_force(job, answer.tier)
        if promise is None:
            return Ruling(Decision.REVIEW, NO_CERTIFICATE, None)
        if answer.hold_reason:
            return Ruling(Decision.REVIEW, answer.hold_reason, promise.id)
        if promise.certificate.decide(answer.score) is not Decision.RELEASE:
            return Ruling(Decision.REVIEW, BELOW_THRESHOLD, promise.id)
        reason = restrictions.hold_reason(self.restrictions_on(job, answer.tier), slice, answer.score)
        return Ruling(Decision.REVIEW if reason else Decision.RELEASE, reason, promise.id)

    # A request

    async def complete(self, job: JobSettings, request: CompletionRequest, key: Key) -> GatewayReply:
        """Answer a request: what a certificate releases, or a ticket. Raises ApiError."""
        case = Case(job, request, key, self._new_ticket(), time.monotonic())
        policy = self._policy_reason(job, request)
        answer: ScoredAnswer | None = None
        ruling = Ruling(Decision.REVIEW, "", None)
        failure: ApiError | None = None
        for tier in job.tiers:
            try:
                answer = await self._answer(job, tier, request, key)
            except ApiError as error:
                if error.status < 429:
                    await self._record_failure(case, tier, error)
                    raise
                failure = error
                case.trail.append({"tier": tier.name, "failed": error.code})
                continue
            if policy or failure is not None:  # a certificate speaks of what the tiers before it passed on
                reason = policy or message("held.tier_failed", tier=str(case.trail[-1]["tier"]))
                answer = replace(answer, hold_reason=reason)
            await self._check_served_model(job, answer)
            ruling = self.apply_rule(job, answer, request.slice)
            case.trail.append({"tier": tier.name, "score": answer.score, "cost": answer.cost})
            if ruling.reason != BELOW_THRESHOLD:
                break
        if answer is None:
            assert failure is not None
            await self._record_failure(case, job.tiers[-1], failure)
            raise failure
        return await self._record_decision(case, answer, ruling)

    async def _record_decision(self, case: Case, answer: ScoredAnswer, ruling: Ruling) -> GatewayReply:
        """Write the row, wait for the disk, and answer as the row says."""
        job, request = case.job, case.request
        in_force = self.restrictions_on(job, answer.tier)
        if in_force:
            job = replace(job, share=max(job.share, *(restriction.share for restriction in in_force)))
        drawn = self._random.share() < job.share
        again = drawn and job.second > 0 and self._random.share() < job.second
        text, cost = answer_text(answer.body), case.cost
        entry: Entry = {
            "kind": "decision",
            "job": job.name,
            "tier": answer.tier.name,
            "ticket": case.ticket,
            "decision": ruling.decision.value,
            "score": answer.score,
            "certificate": ruling.certificate,
            "reason": ruling.reason,
            "key": case.key.id,
            "slice": request.slice,
            "content": binding.sha256(text),
            "cost": cost,
            "tokens": [answer.prompt_tokens, answer.completion_tokens],
            "drawn": drawn,
            "share": job.share,
        }
        if again:
            entry["again"] = True
        if len(case.trail) > 1:
            entry["tiers"] = case.trail
        waits = job.wait > 0 and ruling.decision is not Decision.RELEASE
        waiting = self._expect_settlement(case.ticket) if waits else None
        committing = time.monotonic()
        try:
            keep_item = partial(_keep_item, job, case, answer, text)
            entry = await await_durable(self.writer.record(entry, keep_item))
        except ApiError:
            self._waiting.pop(case.ticket, None)
            raise
        now = time.monotonic()
        self.metrics.observe_request(job.name, now - case.began, now - committing)
        self._count(case, entry, answer)
        if entry["decision"] == Decision.RELEASE:
            return GatewayReply(entry, answer.body, answer.raw)
        settled = await self._settlement(waiting, case.ticket, job.wait) if waiting is not None else None
        if settled is not None and settled.outcome == "released":
            entry = {**entry, "decision": "release", "by": "a person"}
            return GatewayReply(entry, answer.body, answer.raw)
        usage = answer.body.get("usage")
        return GatewayReply(entry, self._held_answer(request, case.ticket, entry["reason"], usage), None)

    def _held_answer(
        self, request: CompletionRequest, ticket: str, reason: str, usage: JsonValue
    ) -> JsonObject:
        return held_answer(request, ticket, reason, f"{self.base_url}/v1/tickets/{ticket}", usage)

    async def decide(self, job: JobSettings, body: JsonObject, key: Key) -> Entry:
        """The decision alone: the caller brings content and score, and gets the row with a ticket."""
        name = body.get("tier", job.tiers[0].name)
        tier = next((tier for tier in job.tiers if tier.name == name), None)
        if tier is None:
            raise ApiError(404, "the job has no such tier", "tier_not_found", param="tier")
        score = body.get("score")
        number = comparable_score(score if isinstance(score, int | float) else None)
        answer = ScoredAnswer(tier, {"choices": [{"text": body["content"]}]}, None, number, 0, 0, 0.0)
        prompt: Body = {"prompt": body.get("prompt", "")}
        request = CompletionRequest(
            TEXT, prompt, job.name, False, False, 1, _label(body, "slice"), _label(body, "cluster")
        )
        ruling = self.apply_rule(job, answer, request.slice)
        self._sample_score(job, answer)
        trail: list[JsonObject] = [{"tier": tier.name}]
        case = Case(replace(job, wait=0.0), request, key, self._new_ticket(), time.monotonic(), trail)
        return (await self._record_decision(case, answer, ruling)).entry

    async def record_uncertified(self, job: JobSettings, tier: TierSettings, key: Key) -> None:
        """Record that a job which opted out passes a stream on; returns when the row is on the disk."""
        entry: Entry = {
            "kind": "decision",
            "job": job.name,
            "tier": tier.name,
            "ticket": f"un_{time.time_ns():x}",
            "decision": NOT_CERTIFIED,
            "score": None,
            "certificate": None,
            "reason": "the job streams so",
            "key": key.id,
        }
        await await_durable(self.writer.record(entry))
        self.metrics.count_decision(job.name, tier.name, NOT_CERTIFIED)

    # Parts of it

    def _new_ticket(self) -> str:
        return "tk_" + self._random.bytes(12).hex()

    async def _answer(
        self, job: JobSettings, tier: TierSettings, request: CompletionRequest, key: Key
    ) -> ScoredAnswer:
        """A tier's scored answer, from the cache if it is there."""
        body, hold_reason = upstream_body(tier, request)
        name = cache_key(job, tier, key, body) if job.cache else b""
        if name and (cached := self._cached(name)) is not None:
            return cached
        answer = score_answer(tier, request, await self.upstreams.complete(tier, request, body), hold_reason)
        self._sample_score(job, answer)
        if name:
            self._remember(name, job.cache, answer)
        return answer

    def _cached(self, name: bytes) -> ScoredAnswer | None:
        until, answer = self._cache.get(name, (0.0, None))
        if answer is None or until < time.monotonic():
            return None
        return replace(answer, cost=0.0, prompt_tokens=0, completion_tokens=0)

    def _remember(self, name: bytes, seconds: float, answer: ScoredAnswer) -> None:
        self._cache[name] = (time.monotonic() + seconds, answer)
        while len(self._cache) > MAX_CACHED_ANSWERS:
            self._cache.popitem(last=False)

    def _policy_reason(self, job: JobSettings, request: CompletionRequest) -> str:
        """Why the job's policy sends a request to a person; "" if it does not."""
        patterns = self._policies[job.name]
        text = prompt_text(request) if patterns else ""
        matching = (pattern.pattern for pattern in patterns if pattern.search(text))
        return next((message("held.policy", pattern=pattern) for pattern in matching), "")

    async def _check_served_model(self, job: JobSettings, answer: ScoredAnswer) -> None:
        """The model must answer under the name that the certificate first met; another one makes it VOID."""
        served, promise = answer.body.get("model"), self.certificate_in_force(job, answer.tier)
        if promise is None or not isinstance(served, str):
            return
        bound = promise.bound.get("served")
        if bound == served:
            return
        if bound is None:
            self.load_certificates([replace(promise, bound={**promise.bound, "served": served})])
            await await_durable(
                self.writer.do(
                    certificates.bind, promise.id, job.name, answer.tier.name, "served", served, time.time()
                )
            )
            return
        await self._void(job, answer.tier, message("void.model", served=served, bound=bound))

    async def _void(self, job: JobSettings, tier: TierSettings, why: str) -> None:
        """Take the certificate of a tier out of force: it holds for something else."""

        def withdraw(db: Database) -> list[str]:
            now = time.time()
            ids = certificates.withdraw(db, job.name, tier.name, "gateway", why, now, "void")
            if ids:
                certificates.add_alarm(db, job.name, "void", now, {"tier": tier.name, "why": why})
            return ids

        if await await_durable(self.writer.do(withdraw)):
            self.on_alarm({"kind": "void", "job": job.name, "tier": tier.name, "why": why})

    async def _record_failure(self, case: Case, tier: TierSettings, error: ApiError) -> None:
        entry: Entry = {
            "kind": "decision",
            "job": case.job.name,
            "tier": tier.name,
            "ticket": case.ticket,
            "decision": "failed",
            "score": None,
            "certificate": None,
            "reason": error.code,
            "key": case.key.id,
        }
        self.counters.minute(case.job.name).failed += 1
        self.metrics.count_decision(case.job.name, tier.name, "failed")
        await await_durable(self.writer.record(entry))

    # Waiting for a person

    def _expect_settlement(self, ticket: str) -> "asyncio.Future[queue.SettledItem]":
        future: asyncio.Future[queue.SettledItem] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        return future

    async def _settlement(
        self, waiting: "asyncio.Future[queue.SettledItem]", ticket: str, seconds: float
    ) -> queue.SettledItem | None:
        """The settled item, if a person decides within some seconds."""
        try:
            await asyncio.wait({waiting}, timeout=seconds)
            return waiting.result() if waiting.done() and not waiting.cancelled() else None
        finally:
            self._waiting.pop(ticket, None)

    def notify_settled(self, items: Iterable[queue.SettledItem]) -> None:
        """Answer the clients who wait for these items."""
        for settled in items:
            waiting = self._waiting.get(settled.item.ticket)
            if waiting is not None and not waiting.done():
                waiting.set_result(settled)

    def stop_waiting(self) -> None:
        """Give the clients who wait for a person their tickets now: the service stops."""
        for waiting in self._waiting.values():
            waiting.cancel()

    # Counting

    def _count(self, case: Case, entry: Entry, answer: ScoredAnswer) -> None:
        job, slice = case.job, case.request.slice
        released = entry["decision"] == Decision.RELEASE
        tokens = answer.prompt_tokens + answer.completion_tokens
        self.metrics.count_decision(job.name, answer.tier.name, entry["decision"])
        self.metrics.count_usage(
            job.name, answer.tier.name, entry["cost"], answer.prompt_tokens, answer.completion_tokens
        )
        for name in ("", slice) if slice in job.slices else ("",):
            counter = self.counters.minute(job.name, name)
            counter.released += released
            counter.held += not released
            counter.escalated += len(case.trail) - 1
            counter.cost += entry["cost"]
            counter.tokens += tokens
            if answer.score is not None:
                counter.scores[bin_of(answer.score)] += 1

    def _sample_score(self, job: JobSettings, answer: ScoredAnswer) -> None:
        """Add a fresh score to the sample for the test of drift; one from the cache is no new item."""
        if job.drift < 1 and answer.tier.judge != "none":
            self.counters.add_score(job.name, answer.tier.name, answer.score, self._random.share())


async def await_durable(written: Awaitable[T]) -> T:
    """The result of a write; if the disk does not take it, nothing is released (ApiError 503)."""
    try:
        return await written
    except Exception as error:
        text = "the decision could not be written, so nothing is released"
        raise ApiError(503, text, "not_durable", kind="api_error") from error


def _label(body: JsonObject, name: str) -> str:
    value = body.get(name, "")
    return value[:MAX_LABEL_CHARACTERS] if isinstance(value, str) else ""


def _keep_item(
    job: JobSettings, case: Case, answer: ScoredAnswer, text: str, db: Database, entry: Entry
) -> None:
    """Put an item that is held, or drawn, before the reviewers; runs in the writer. job: as it was decided."""
    request = case.request
    released = entry["decision"] == Decision.RELEASE
    prompt, body = prompt_text(request), answer.body
    if job.mask:
        prompt, text = mask_personal_data(prompt), mask_personal_data(text)
    stored: JsonValue = mask_json(body) if job.mask and not released else body
    queue.add_item(
        db,
        queue.Item(
            ticket=entry["ticket"],
            job=job.name,
            at=entry["at"],
            prompt=prompt,
            content=text,
            tier=answer.tier.name,
            certificate=entry["certificate"],
            owner=case.key.id,
            slice=request.slice,
            cluster=request.cluster,
            state="delivered" if released else "held",
            why="sample" if released else "held",
            reason=entry["reason"],
            decision=entry["decision"],
            score=answer.score,
            chance=job.share if entry["drawn"] else 1.0,
            drawn=int(entry["drawn"]),
            answer="" if released else orjson.dumps(stored).decode(),
            cost=entry["cost"],
            reviewers=job.reviewers + bool(entry.get("again")),
        ),
        SAMPLE_PRIORITY if released else HELD_PRIORITY,
    )
    if entry["drawn"] and job.second > 0:
        second_reviews.add_draw(db, entry["ticket"], job.name, job.second, bool(entry.get("again")))
