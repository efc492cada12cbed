"""The routes of the gateway: plain ASGI, one function a route. The desk has its own (`desk/`)."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from tolerate.service import openai_format as wire
from tolerate.service.config import JobSettings
from tolerate.service.database_reader import Reader
from tolerate.service.decide.gate import Gate, Reply, durable
from tolerate.service.http import requests as http
from tolerate.service.http.limits import Buckets
from tolerate.service.http.logging import log
from tolerate.service.http.openapi import DESCRIPTION
from tolerate.service.http.requests import Gone, Request, Send, refuse, respond, respond_json
from tolerate.service.openai_format import Ask, Body, Refused
from tolerate.store import people, promises, queue
from tolerate.store.degraded import Tightening, state

Route = Callable[[Request, Send], Awaitable[None]]
KEEP_ALIVE = 2.0  # seconds between the comments of a held stream
STRIKES = (0.5, 30.0)  # wrong keys that an address may send: a second, and at once
TICKET = re.compile(r"tk_[0-9a-f]{24}")
MARK = "not certified"


class App:
    """The whole service as one ASGI application."""

    def __init__(self, gate: Gate, reader: Reader, desk: Route | None = None) -> None:
        self.gate, self.reader, self.desk = gate, reader, desk
        self.service, self.metrics = gate.service, gate.metrics
        self.stopping = False
        self.ready: Callable[[], Body] = lambda: {"ready": True}
        self.in_flight = 0
        self._keys: dict[str, people.Key] = {}
        self._rates = Buckets(0.0, 1.0)
        self._strikes = Buckets(*STRIKES)
        self._routes: dict[tuple[str, str], Route] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._text,
            ("POST", "/v1/decide"): self._decide,
            ("GET", "/v1/models"): self._models,
            ("GET", "/v1/jobs"): self._jobs,
            ("GET", "/healthz"): self._health,
            ("GET", "/readyz"): self._ready,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/openapi.json"): self._openapi,
            ("GET", "/"): self._home,
        }
        self._paths = {path for _, path in self._routes}

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: Send) -> None:
        """Answer a request; an error is told in OpenAI's shape and never with a trace."""
        if scope["type"] != "http":
            await _lifespan(scope, receive, send)
            return
        request = Request(scope, receive)
        began = time.monotonic() if self.service.access_log else 0.0
        self.in_flight += 1
        started = False

        async def noted(message: http.Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._route(request, noted)
        except Refused as error:
            self.metrics.failed(error.code)
            if not started:
                await refuse(send, error)
        except Gone:
            pass
        except TimeoutError:
            if not started:
                await refuse(send, Refused(408, "the request came too slowly", "request_timeout"))
        except Exception as error:
            log("fault", path=scope["path"], kind=type(error).__name__, where=_where(error))
            self.metrics.failed("internal")
            if not started:
                await refuse(
                    send,
                    Refused(500, "the service failed; nothing was released", "internal", kind="api_error"),
                )
        finally:
            self.in_flight -= 1
        if self.service.access_log:
            took = round(1000 * (time.monotonic() - began), 2)
            log("request", method=request.method, path=request.path, address=request.address, ms=took)

    async def _route(self, request: Request, send: Send) -> None:
        route = self._routes.get((request.method, request.path))
        if route is None and request.method == "HEAD":
            route = self._routes.get(("GET", request.path))
        if route is None:
            await self._other(request, send)
            return
        if self.in_flight > self.service.concurrency:
            raise Refused(
                503,
                "too many requests at once",
                "overloaded",
                kind="api_error",
                headers=(("retry-after", "1"),),
            )
        await route(request, send)

    async def _other(self, request: Request, send: Send) -> None:
        """Paths with a part that varies."""
        path = request.path
        if path.startswith("/desk") and self.desk is not None:
            await self.desk(request, send)
        elif path.startswith("/v1/tickets/"):
            await self._only("GET", request, send, self._ticket)
        elif path.startswith("/v1/models/"):
            await self._only("GET", request, send, self._model)
        elif path.startswith("/v1/watch/"):
            await self._only("GET", request, send, self._watch)
        elif path in self._paths:
            allowed = ", ".join(sorted(method for method, known in self._routes if known == path))
            raise Refused(405, f"{path} takes {allowed}", "method_not_allowed", headers=(("allow", allowed),))
        else:
            raise Refused(404, f"there is nothing at {path[:200]}", "not_found")

    async def _only(self, method: str, request: Request, send: Send, route: Route) -> None:
        if request.method != method:
            raise Refused(405, f"this takes {method}", "method_not_allowed", headers=(("allow", method),))
        await route(request, send)

    # Keys

    async def _key(self, request: Request, scope: str) -> people.Key:
        """The key of a request, if it opens this; its rate is kept."""
        secret = request.header(b"authorization")
        secret = secret[7:] if secret[:7].lower() == "bearer " else request.header(b"x-api-key")
        if not secret.startswith("tol_"):
            raise self._strike(request, "a key is missing: send it as Authorization: Bearer tol_...")
        digest = people.digest(secret)
        key = self._keys.get(digest)
        if key is None or (key.expires is not None and key.expires <= time.time()):
            key = await self.reader.ask(people.key, digest, time.time())
            if key is None:
                self._keys.pop(digest, None)
                raise self._strike(request, "this key opens nothing; it may have expired or been revoked")
            self._keys[digest] = key
        if not key.may(scope):
            raise Refused(403, f'this key lacks the scope "{scope}"', "forbidden", kind="permission_error")
        rate = key.rate or self.service.rate
        if rate and (wait := self._rates.take(key.id, rate)):
            raise Refused(
                429,
                f"at most {rate:g} requests a second",
                "rate_limit_exceeded",
                kind="rate_limit_error",
                headers=(("retry-after", str(max(1, round(wait)))),),
            )
        return key

    def _strike(self, request: Request, message: str) -> Refused:
        if wait := self._strikes.take(request.address):
            return Refused(
                429,
                "too many wrong keys from this address",
                "rate_limit_exceeded",
                kind="rate_limit_error",
                headers=(("retry-after", str(max(1, round(wait)))),),
            )
        return Refused(401, message, "invalid_api_key", kind="authentication_error")

    def forget_keys(self) -> None:
        """A key was revoked: look every one up again."""
        self._keys.clear()

    def _job(self, name: str, key: people.Key) -> JobSettings:
        """The job that a model's name means; where there is one job, every name means it."""
        job = self.service.job(name)
        if job is None and len(self.service.jobs) == 1:
            job = self.service.jobs[0]
        if job is None:
            known = ", ".join(job.name for job in self.service.jobs)
            raise Refused(
                404, f'no job is called "{name[:100]}"; known: {known}', "model_not_found", param="model"
            )
        if key.jobs and job.name not in key.jobs:
            raise Refused(403, "this key is for other jobs", "forbidden", kind="permission_error")
        return job

    async def _body(self, request: Request) -> Body:
        raw = await request.body(self.service.body, self.service.receive)
        return wire.parse(raw, self.service.depth)

    # Completions

    async def _chat(self, request: Request, send: Send) -> None:
        await self._completion(wire.CHAT, request, send)

    async def _text(self, request: Request, send: Send) -> None:
        await self._completion(wire.TEXT, request, send)

    async def _completion(self, kind: str, request: Request, send: Send) -> None:
        key = await self._key(request, "complete")
        ask = wire.ask_of(kind, await self._body(request))
        job = self._job(ask.model, key)
        if ask.stream and job.stream == MARK:
            await self._pass_on(job, ask, key, send)
        elif ask.stream:
            await self._held_stream(job, ask, key, request, send)
        else:
            reply = await self.gate.complete(job, ask, key)
            await respond(send, 200, reply.bytes, _told(reply))

    async def _held_stream(
        self, job: JobSettings, ask: Ask, key: people.Key, request: Request, send: Send
    ) -> None:
        """Comments until the verdict, then the answer. A failure after the start is an event of the stream."""
        work = asyncio.ensure_future(self.gate.complete(job, ask, key))
        gone = asyncio.ensure_future(request.gone())
        try:
            await asyncio.wait({work}, timeout=KEEP_ALIVE)
            if work.done() and work.exception() is not None:
                work.result()  # an error before anything was sent is an ordinary error
            await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
            while not work.done():
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": wire.KEEP_ALIVE, "more_body": True})
                await asyncio.wait({work, gone}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
            await send({"type": "http.response.body", "body": _stream_bytes(ask, work)})
        finally:
            gone.cancel()
            if not work.done():  # the row is written all the same; only nobody listens
                work.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _pass_on(self, job: JobSettings, ask: Ask, key: people.Key, send: Send) -> None:
        """A job that opted out: chunks go on as they come, each with the mark that nothing is certified."""
        tier = job.tiers[0]
        body = {**ask.body, **({"model": tier.model} if tier.model else {})}
        entry = {
            "kind": "decision", "job": job.name, "tier": tier.name, "ticket": f"un_{time.time_ns():x}",
            "decision": MARK, "score": None, "certificate": None, "reason": "the job streams so",
            "key": key.id,
        }  # fmt: skip
        await durable(self.gate.writer.record(entry))
        self.metrics.decided(job.name, tier.name, MARK)
        chunks = self.gate.upstreams.stream(tier, ask, body)
        first = await anext(chunks, None)
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
        try:
            chunk = first
            while chunk is not None:
                marked = wire.event({**chunk, "tolerate": MARK})
                await send({"type": "http.response.body", "body": marked, "more_body": True})
                chunk = await anext(chunks, None)
            await send({"type": "http.response.body", "body": wire.DONE})
        except Refused as error:
            await send({"type": "http.response.body", "body": wire.event({**error.error, "tolerate": MARK})})
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]

    async def _decide(self, request: Request, send: Send) -> None:
        key = await self._key(request, "decide")
        body = await self._body(request)
        _check_decide(body)
        job = self._job(body["job"], key)
        entry = await self.gate.decide(job, body, key)
        await respond_json(
            send,
            {
                "decision": entry["decision"],
                "ticket": entry["ticket"],
                "reason": entry["reason"],
                "certificate": entry["certificate"],
                "row": entry["seq"],
                "poll": f"{self.gate.base}/v1/tickets/{entry['ticket']}",
            },
        )

    # What is asked about

    async def _ticket(self, request: Request, send: Send) -> None:
        """What became of a held answer, for the key that asked for it."""
        key = await self._key(request, "complete")
        ticket = request.path.removeprefix("/v1/tickets/")
        found = await self.reader.ask(queue.item, ticket) if TICKET.fullmatch(ticket) else None
        if found is None or found.owner != key.id:
            raise Refused(404, "there is no such ticket of this key", "ticket_not_found")
        body: Body = {"ticket": ticket, "state": found.state, "completion": None}
        if found.state == "released":
            body["completion"] = orjson.loads(found.answer)
        await respond_json(send, body)

    async def _models(self, request: Request, send: Send) -> None:
        key = await self._key(request, "read")
        jobs = [job for job in self.service.jobs if not key.jobs or job.name in key.jobs]
        await respond_json(send, {"object": "list", "data": [_model_of(job) for job in jobs]})

    async def _model(self, request: Request, send: Send) -> None:
        key = await self._key(request, "read")
        name = request.path.removeprefix("/v1/models/")
        if self.service.job(name) is None:
            raise Refused(404, f'no job is called "{name[:100]}"', "model_not_found", param="model")
        await respond_json(send, _model_of(self._job(name, key)))

    async def _jobs(self, request: Request, send: Send) -> None:
        """Each job with the promises that stand."""
        key = await self._key(request, "read")
        standing = await self.reader.ask(promises.active)
        found = [
            {
                "job": job.name,
                "tiers": [
                    next(
                        (
                            {"tier": tier.name, "certificate": p.id, **_said(p, self.gate.narrow(job, tier))}
                            for p in standing
                            if (p.job, p.tier) == (job.name, tier.name)
                        ),
                        {"tier": tier.name, "state": "NONE", "certificate": None},
                    )
                    for tier in job.tiers
                ],
            }
            for job in self.service.jobs
            if not key.jobs or job.name in key.jobs
        ]
        await respond_json(send, {"jobs": found})

    async def _watch(self, request: Request, send: Send) -> None:
        key = await self._key(request, "read")
        name = request.path.removeprefix("/v1/watch/")
        if self.service.job(name) is None:
            raise Refused(404, f'no job is called "{name[:100]}"', "model_not_found")
        from tolerate.service.watch.overview import overview

        await respond_json(send, await self.reader.ask(overview, self._job(name, key), time.time()))

    async def _health(self, request: Request, send: Send) -> None:
        await respond_json(send, {"alive": True})

    async def _ready(self, request: Request, send: Send) -> None:
        body = {"ready": False, "why": "the service stops"} if self.stopping else self.ready()
        await respond_json(send, body, 200 if body["ready"] else 503)

    async def _metrics(self, request: Request, send: Send) -> None:
        if self.service.host not in ("127.0.0.1", "::1", "localhost"):
            await self._key(request, "read")
        self.metrics.in_flight.set(self.in_flight)
        await respond(send, 200, self.metrics.text(), kind=b"text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, request: Request, send: Send) -> None:
        await respond_json(send, DESCRIPTION)

    async def _home(self, request: Request, send: Send) -> None:
        await http.redirect(send, "/desk")


_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),
]


def _stream_bytes(ask: Ask, work: "asyncio.Future[Reply]") -> bytes:
    error = work.exception()
    if error is None:
        return b"".join(wire.stream_of(ask, work.result().body))
    if isinstance(error, Refused):
        return wire.event(error.error)
    return wire.event(
        Refused(500, "the service failed; nothing was released", "internal", kind="api_error").error
    )


def _told(reply: Reply) -> http.Headers:
    """The decision, for those who look at headers."""
    entry = reply.entry
    return [
        (b"x-tolerate-decision", entry["decision"].encode()),
        (b"x-tolerate-ticket", entry["ticket"].encode()),
        (b"x-tolerate-certificate", (entry["certificate"] or "none").encode()),
    ]


def _check_decide(body: Body) -> None:
    for name, kind, needed in (
        ("job", str, True), ("content", str, True), ("prompt", str, False), ("tier", str, False),
        ("slice", str, False), ("cluster", str, False),
    ):  # fmt: skip
        value = body.get(name)
        if (value is None and needed) or (name in body and not isinstance(value, kind)):
            raise Refused(400, f"{name}: expected text", "invalid_value", param=name)
    score = body.get("score")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise Refused(400, "score: expected a number or null", "invalid_value", param="score")


def _model_of(job: JobSettings) -> Body:
    return {"id": job.name, "object": "model", "created": 0, "owned_by": "tolerate"}


def _said(promise: promises.Promise, narrow: tuple[Tightening, ...]) -> Body:
    certificate = promise.certificate
    return {
        "state": state(promise.status, narrow),
        "slices_held": [each.slice for each in narrow if each.slice],
        "tolerance": certificate.tolerance,
        "confidence": certificate.confidence,
        "scope": certificate.scope,
        "threshold": certificate.threshold,
        "since": promise.at,
    }


def _where(error: BaseException) -> str:
    """The innermost line of our own, for the log."""
    trace, found = error.__traceback__, "?"
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "tolerate" in name:
            found = f"{name.rpartition('tolerate/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


async def _lifespan(scope: http.Scope, receive: http.Receive, send: Send) -> None:
    """The server starts and stops things itself; websockets are refused."""
    if scope["type"] == "websocket":
        await receive()
        with contextlib.suppress(RuntimeError):
            await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message: Any = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
