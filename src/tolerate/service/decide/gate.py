"""The path of a request: tier after tier, score, certified rule, ledger, and only then an answer.

Nothing leaves before its row is durable. Whatever is missing, unknown or fails on the way holds the answer: there
is no branch that releases without a certificate that stands.
"""

import asyncio
import os
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import orjson

from tolerate.base.personal_data import mask_json, mask_personal_data
from tolerate.records import Certificate, Decision
from tolerate.service import openai_format as wire
from tolerate.service.config import JobSettings, Service, Tier
from tolerate.service.decide import binding, scores
from tolerate.service.http.metrics import Metrics
from tolerate.service.openai_format import Ask, Body, Refused
from tolerate.service.upstream.pool import Upstreams
from tolerate.store import Database, Writer, promises, queue
from tolerate.store import degraded as tightened
from tolerate.store import second_reviews as seconds
from tolerate.store.ledger import Entry
from tolerate.store.people import Key

T = TypeVar("T")
HELD_PRIORITY = SAMPLE_PRIORITY = 10  # equal: what is held must not starve the watch, nor the other way round
CACHED = 2000  # answers
BELOW = "below the threshold"  # the one reason for which the next tier is asked
NOT_PASSED_ON = "the next certificate speaks only of what that tier judged and passed on"
SCORES = 250  # kept for the test of drift between two looks; what else comes is not looked at


@dataclass(frozen=True, slots=True)
class Made:
    """A tier's answer with its score and price. raw: the upstream's bytes, if they can go out as they are."""

    tier: Tier
    body: Body
    raw: bytes | None
    score: float | None
    read: int
    written: int
    cost: float
    reason: str = ""  # why it must not be released, whatever its score


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: released or held, with the row that says so."""

    entry: Entry
    body: Body
    raw: bytes | None

    @property
    def released(self) -> bool:
        """Whether this is the model's answer."""
        return bool(self.entry["decision"] == Decision.RELEASE)

    @property
    def bytes(self) -> bytes:
        """The JSON to send."""
        return self.raw if self.raw is not None else orjson.dumps(self.body)


class Chance:
    """Random bytes of the system, fetched a few thousand at a time: a call for each would cost more than its use."""

    def __init__(self, fetched: int = 4096) -> None:
        self._fetched, self._left = fetched, b""

    def bytes(self, count: int) -> bytes:
        """Bytes that nobody can guess."""
        if len(self._left) < count:
            self._left = os.urandom(self._fetched)
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def share(self) -> float:
        """A number in [0, 1)."""
        return (int.from_bytes(self.bytes(7)) >> 3) / 2**53


class Gate:
    """Everything that decides. One event loop owns it."""

    def __init__(self, service: Service, writer: Writer, upstreams: Upstreams, metrics: Metrics) -> None:
        self.service, self.writer, self.upstreams, self.metrics = service, writer, upstreams, metrics
        self.base = f"http://{service.host}:{service.port}"
        self.promises: dict[str, promises.Promise] = {}
        self.counts: dict[tuple[str, str, int], list[Any]] = {}
        self.seen: dict[
            tuple[str, str], list[tuple[float | None, float]]
        ] = {}  # scores, each with a lot for ties
        self._waiting: dict[str, asyncio.Future[queue.Settled]] = {}
        self._cache: OrderedDict[bytes, tuple[float, Made]] = OrderedDict()
        self._policies = {
            job.name: [re.compile(pattern, re.IGNORECASE) for pattern in job.policy] for job in service.jobs
        }
        self._chance = Chance()

    # The rule

    def standing(self, job: JobSettings, tier: Tier) -> promises.Promise | None:
        """The promise in force for a tier; None holds everything."""
        id = self.writer.standing.get((job.name, tier.name))
        promise = None if id is None else self.promises.get(id + tier.name)
        return promise if promise is not None and promise.job == job.name else None

    def know(self, found: Iterable[promises.Promise]) -> None:
        """Keep promises at hand; whether they stand is the writer's word."""
        for promise in found:
            self.promises[promise.id + promise.tier] = promise

    def narrow(self, job: JobSettings, tier: Tier) -> tuple[tightened.Tightening, ...]:
        """What narrows the promise of a tier."""
        return self.writer.tight.get((job.name, tier.name), ())

    def rule(self, job: JobSettings, made: Made, slice: str = "") -> tuple[Decision, str, str | None]:
        """Decision, reason and certificate for a scored answer."""
        promise = self.standing(job, made.tier)
        if promise is None:
            return Decision.REVIEW, "no certificate stands", None
        if made.reason:
            return Decision.REVIEW, made.reason, promise.id
        if promise.certificate.decide(made.score) is not Decision.RELEASE:
            return Decision.REVIEW, BELOW, promise.id
        why = tightened.held(self.narrow(job, made.tier), slice, made.score)
        return Decision.REVIEW if why else Decision.RELEASE, why, promise.id

    # A request

    async def complete(self, job: JobSettings, ask: Ask, key: Key) -> Reply:
        """Answer a request: what a certificate releases, or a ticket."""
        began = time.monotonic()
        ticket = "tk_" + self._chance.bytes(12).hex()
        policy = self._policy(job, ask)
        trail: list[Body] = []
        made, decision, reason, certificate = None, Decision.REVIEW, "", None
        failure: Refused | None = None
        for tier in job.tiers:
            try:
                made = await self._make(job, tier, ask, key)
            except Refused as error:
                if error.status < 429:
                    await self._failed(job, tier, ticket, key, error)
                    raise
                failure = error
                trail.append({"tier": tier.name, "failed": error.code})
                continue
            if policy or failure is not None:  # a certificate speaks of what the tiers before it passed on
                made = replace(made, reason=policy or f"{trail[-1]['tier']} failed: {NOT_PASSED_ON}")
            await self._check_served(job, made)
            decision, reason, certificate = self.rule(job, made, ask.slice)
            trail.append({"tier": tier.name, "score": made.score, "cost": made.cost})
            if reason != BELOW:
                break
        if made is None:
            assert failure is not None
            await self._failed(job, job.tiers[-1], ticket, key, failure)
            raise failure
        return await self._decided(job, ask, key, ticket, made, decision, reason, certificate, trail, began)

    async def _decided(
        self,
        job: JobSettings,
        ask: Ask,
        key: Key,
        ticket: str,
        made: Made,
        decision: Decision,
        reason: str,
        certificate: str | None,
        trail: list[Body],
        began: float,
    ) -> Reply:
        """Write the row, wait for the disk, and answer as the row says."""
        narrow = self.narrow(job, made.tier)
        if narrow:
            job = replace(job, share=max(job.share, *(each.share for each in narrow)))
        drawn = self._chance.share() < job.share
        again = drawn and job.second > 0 and self._chance.share() < job.second
        text = wire.answer_text(made.body)
        cost = sum(each.get("cost", 0.0) for each in trail)
        entry: Entry = {
            "kind": "decision",
            "job": job.name,
            "tier": made.tier.name,
            "ticket": ticket,
            "decision": decision.value,
            "score": made.score,
            "certificate": certificate,
            "reason": reason,
            "key": key.id,
            "slice": ask.slice,
            "content": binding.sha(text),
            "cost": cost,
            "tokens": [made.read, made.written],
            "drawn": drawn,
            "share": job.share,
        }
        if again:
            entry["again"] = True
        if len(trail) > 1:
            entry["tiers"] = trail
        waiting = self._expect(ticket) if job.wait > 0 and decision is not Decision.RELEASE else None
        committing = time.monotonic()
        try:
            keep = partial(_keep, job, ask, key, made, text, cost)
            entry = await durable(self.writer.record(entry, keep))
        except Refused:
            self._waiting.pop(ticket, None)
            raise
        now = time.monotonic()
        self.metrics.took(job.name, now - began, now - committing)
        self._count(job, ask.slice, entry, made, len(trail) - 1)
        if entry["decision"] == Decision.RELEASE:
            return Reply(entry, made.body, made.raw)
        settled = await self._wait(waiting, ticket, job.wait) if waiting is not None else None
        if settled is not None and settled.outcome == "released":
            return Reply({**entry, "decision": "release", "by": "a person"}, made.body, made.raw)
        return Reply(entry, self.held_answer(ask, ticket, entry["reason"], made.body.get("usage")), None)

    def held_answer(self, ask: Ask, ticket: str, reason: str, usage: Any) -> Body:
        """The valid, empty answer of a held item."""
        return wire.held(ask, ticket, reason, f"{self.base}/v1/tickets/{ticket}", usage)

    async def decide(self, job: JobSettings, body: Body, key: Key) -> Entry:
        """The rule alone: the caller brings content and score, and gets the decision and a ticket."""
        tier = next((each for each in job.tiers if each.name == body.get("tier", job.tiers[0].name)), None)
        if tier is None:
            raise Refused(404, "the job has no such tier", "tier_not_found", param="tier")
        text = body["content"]
        made = Made(tier, {"choices": [{"text": text}]}, None, _number(body.get("score")), 0, 0, 0.0)
        ask = Ask(wire.TEXT, {"prompt": body.get("prompt", "")}, job.name, False, False, 1, *_labels(body))
        decision, reason, certificate = self.rule(job, made, ask.slice)
        self._note_score(job, made)
        ticket = "tk_" + self._chance.bytes(12).hex()
        trail: list[Body] = [{"tier": tier.name}]
        reply = await self._decided(
            replace(job, wait=0.0),
            ask,
            key,
            ticket,
            made,
            decision,
            reason,
            certificate,
            trail,
            time.monotonic(),
        )
        return reply.entry

    # Parts of it

    async def _make(self, job: JobSettings, tier: Tier, ask: Ask, key: Key) -> Made:
        """A tier's answer, scored."""
        body, reason = _request(tier, ask)
        name = _cache_key(job, tier, key, body) if job.cache else b""
        if name and (found := self._cached(name)) is not None:
            return found
        answer = await self.upstreams.complete(tier, ask, body)
        chosen, score, whole = choose(tier, ask, answer.body)
        read, written = wire.tokens(answer.body)
        cost = (read * tier.price_in + written * tier.price_out) / 1e6
        stripped = tier.judge in scores.ASK_LOGPROBS and not ask.body.get("logprobs")
        if stripped:
            chosen = _without_logprobs(chosen)
        raw = answer.raw if whole and not stripped else None
        made = Made(tier, chosen, raw, score, read, written, cost, reason)
        self._note_score(job, made)
        if name:
            self._remember(name, job.cache, made)
        return made

    def _cached(self, name: bytes) -> Made | None:
        found = self._cache.get(name)
        if found is None or found[0] < time.monotonic():
            return None
        return replace(found[1], cost=0.0, read=0, written=0)

    def _remember(self, name: bytes, seconds: float, made: Made) -> None:
        self._cache[name] = (time.monotonic() + seconds, made)
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)

    def _policy(self, job: JobSettings, ask: Ask) -> str:
        """Why the job's policy sends a request to a person; "" if it does not."""
        patterns = self._policies[job.name]
        text = wire.prompt_text(ask) if patterns else ""
        return next((f"policy: {p.pattern}" for p in patterns if p.search(text)), "")

    async def _check_served(self, job: JobSettings, made: Made) -> None:
        """The model must answer under the name that the certificate first met; another one makes it VOID."""
        served, promise = made.body.get("model"), self.standing(job, made.tier)
        if promise is None or not isinstance(served, str):
            return
        bound = promise.bound.get("served")
        if bound == served:
            return
        now = time.time()
        if bound is None:
            self.know([replace(promise, bound={**promise.bound, "served": served})])
            work = self.writer.do(promises.bind, promise.id, job.name, made.tier.name, "served", served, now)
            await durable(work)
            return
        why = f'the model answers as "{served}", the certificate holds for "{bound}"'
        await self.void(job, made.tier, why)

    async def void(self, job: JobSettings, tier: Tier, why: str) -> None:
        """The certificate of a tier holds for something else: take it out of force."""

        def work(db: Database) -> list[str]:
            at = time.time()
            gone = promises.withdraw(db, job.name, tier.name, "gateway", why, at, "void")
            if gone:
                promises.alarm(db, job.name, "void", at, {"tier": tier.name, "why": why})
            return gone

        if await durable(self.writer.do(work)):
            self.alarmed({"kind": "void", "job": job.name, "tier": tier.name, "why": why})

    def alarmed(self, alarm: Body) -> None:
        """Tell the webhooks; replaced by the server, which owns the tasks."""

    async def _failed(self, job: JobSettings, tier: Tier, ticket: str, key: Key, error: Refused) -> None:
        entry: Entry = {
            "kind": "decision",
            "job": job.name,
            "tier": tier.name,
            "ticket": ticket,
            "decision": "failed",
            "score": None,
            "certificate": None,
            "reason": error.code,
            "key": key.id,
        }
        self._place(job.name, "")[3] += 1
        self.metrics.decided(job.name, tier.name, "failed")
        await durable(self.writer.record(entry))

    # Waiting for a person

    def _expect(self, ticket: str) -> "asyncio.Future[queue.Settled]":
        future: asyncio.Future[queue.Settled] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        return future

    async def _wait(
        self, waiting: "asyncio.Future[queue.Settled]", ticket: str, seconds: float
    ) -> queue.Settled | None:
        try:
            await asyncio.wait({waiting}, timeout=seconds)
            return waiting.result() if waiting.done() and not waiting.cancelled() else None
        finally:
            self._waiting.pop(ticket, None)

    def settled(self, done: Iterable[queue.Settled]) -> None:
        """Tell those who wait for an item that a person decided."""
        for each in done:
            waiting = self._waiting.get(each.item.ticket)
            if waiting is not None and not waiting.done():
                waiting.set_result(each)

    def let_go(self) -> None:
        """Those who wait get their tickets now: the service stops."""
        for waiting in self._waiting.values():
            waiting.cancel()

    # Counting

    def _place(self, job: str, slice: str) -> list[Any]:
        name = (job, slice, int(time.time() // 60))
        found = self.counts.get(name)
        if found is None:
            found = self.counts[name] = [0, 0, 0, 0, 0.0, 0, [0] * 10]
        return found

    def _count(self, job: JobSettings, slice: str, entry: Entry, made: Made, escalated: int) -> None:
        released = entry["decision"] == Decision.RELEASE
        self.metrics.decided(job.name, made.tier.name, entry["decision"])
        self.metrics.spent(job.name, made.tier.name, entry["cost"], made.read, made.written)
        for part in ("", slice) if slice in job.slices else ("",):
            place = self._place(job.name, part)
            place[0 if released else 1] += 1
            place[2] += escalated
            place[4] += entry["cost"]
            place[5] += made.read + made.written
            if made.score is not None:
                place[6][int(min(max(made.score, 0.0), 0.99) * 10)] += 1

    def _note_score(self, job: JobSettings, made: Made) -> None:
        """A fresh score, for the test of drift; one from the cache is no new item."""
        kept = self.seen.setdefault((job.name, made.tier.name), [])
        if len(kept) < SCORES and job.drift < 1 and made.tier.judge != "none":
            kept.append((made.score, self._chance.share()))

    def take_scores(self) -> dict[tuple[str, str], list[tuple[float | None, float]]]:
        """The scores since the last call, by job and tier."""
        taken, self.seen = self.seen, {}
        return {place: scores for place, scores in taken.items() if scores}

    def take_counts(self) -> list[promises.Minute]:
        """The counts since the last call."""
        taken, self.counts = self.counts, {}
        return [
            promises.Minute(*(job, slice, minute, *values[:6], tuple(values[6])))
            for (job, slice, minute), values in taken.items()
        ]


async def durable(written: Awaitable[T]) -> T:
    """What was written; if the disk does not take it, nothing is released."""
    try:
        return await written
    except Exception as error:
        message = "the decision could not be written, so nothing is released"
        raise Refused(503, message, "not_durable", kind="api_error") from error


def _labels(body: Body) -> tuple[str, str]:
    return body.get("slice", "")[:64], body.get("cluster", "")[:64]


def _keep(
    job: JobSettings, ask: Ask, key: Key, made: Made, text: str, cost: float, db: Database, entry: Entry
) -> None:
    """Put what is held, or drawn, before the reviewers; runs in the writer."""
    released = entry["decision"] == Decision.RELEASE
    prompt, answer = wire.prompt_text(ask), made.body
    if job.mask:
        prompt, text, answer = mask_personal_data(prompt), mask_personal_data(text), mask_json(answer)
    queue.keep(
        db,
        queue.Item(
            ticket=entry["ticket"],
            job=job.name,
            at=entry["at"],
            prompt=prompt,
            content=text,
            tier=made.tier.name,
            certificate=entry["certificate"],
            owner=key.id,
            slice=ask.slice,
            cluster=ask.cluster,
            state="delivered" if released else "held",
            why="sample" if released else "held",
            reason=entry["reason"],
            decision=entry["decision"],
            score=made.score,
            chance=job.share if entry["drawn"] else 1.0,
            drawn=int(entry["drawn"]),
            answer="" if released else orjson.dumps(answer).decode(),
            cost=cost,
            reviewers=job.reviewers + bool(entry.get("again")),
        ),
        SAMPLE_PRIORITY if released else HELD_PRIORITY,
    )
    if entry["drawn"] and job.second > 0:
        seconds.note(db, entry["ticket"], job.name, job.second, bool(entry.get("again")))


def _request(tier: Tier, ask: Ask) -> tuple[Body, str]:
    """What the upstream is asked, and why its answer must be held, if the prompt is not the certified one."""
    body, reason = dict(ask.body), ""
    if tier.model is not None:
        body["model"] = tier.model
    if tier.prompt is not None and ask.kind == wire.CHAT:
        given = wire.system_text(ask)
        if given is None:
            body["messages"] = [{"role": "system", "content": tier.prompt}, *body["messages"]]
        elif given != tier.prompt:
            reason = "the system prompt is not the certified one"
    if tier.candidates > 1:
        if ask.n > 1:
            raise Refused(
                400, "n: this job makes candidates of its own; ask for one", "invalid_value", param="n"
            )
        body["n"] = tier.candidates
    if tier.judge in scores.ASK_LOGPROBS and not body.get("logprobs"):
        body["logprobs"] = True if ask.kind == wire.CHAT else 1
    if ask.stream:
        body["stream_options"] = {"include_usage": True}
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)
    return body, reason


def choose(tier: Tier, ask: Ask, answer: Body) -> tuple[Body, float | None, bool]:
    """The answer to give, its score, and whether it is the upstream's answer as it came.

    Several choices that the client asked for are one item: the lowest score counts, one without a score is none.
    """
    judge = scores.judge(tier.judge)
    values = [_number(judge(ask.body, answer, place)) for place in range(len(answer["choices"]))]
    if tier.strategy == "plain":
        missing = any(value is None for value in values)
        return answer, None if missing else min(v for v in values if v is not None), True
    if tier.strategy.startswith("best-of"):
        place = max(range(len(values)), key=lambda i: -1e300 if (v := values[i]) is None else v)
        return _only(answer, place), values[place], False
    texts = [_normal(wire.answer_text({"choices": [choice]})) for choice in answer["choices"]]
    most = max(texts, key=texts.count)
    return _only(answer, texts.index(most)), texts.count(most) / tier.candidates, False


def _number(score: float | None) -> float | None:
    """A score that can be compared; NaN is none."""
    return None if score is None or score != score else float(score)


def _only(answer: Body, place: int) -> Body:
    return {**answer, "choices": [{**answer["choices"][place], "index": 0}]}


def _normal(text: str) -> str:
    """A text without what does not matter when answers are compared.

    >>> _normal(" Forty-two. ")
    'forty-two'
    """
    return " ".join(text.lower().split()).strip(" .。!！")


def _without_logprobs(answer: Body) -> Body:
    return {**answer, "choices": [{**choice, "logprobs": None} for choice in answer["choices"]]}


def _cache_key(job: JobSettings, tier: Tier, key: Key, body: Body) -> bytes:
    parts = [job.name, tier.name, key.id, body]
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


def load_certificate(path: str) -> Certificate:
    """A certificate from its file."""
    from pathlib import Path

    from tolerate.service.config import text_of

    return Certificate.loads(text_of(Path(path)))
