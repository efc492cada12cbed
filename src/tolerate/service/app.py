"""The routes of the gateway: plain ASGI, one method a route. The desk has its own (`desk/`)."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable

import orjson

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.llm.openai_format import CHAT, TEXT, Body
from tolerate.service.config import JobSettings
from tolerate.service.database_reader import DatabaseReader
from tolerate.service.decide.engine import NOT_CERTIFIED, DecisionEngine, GatewayReply
from tolerate.service.http.limits import TokenBuckets
from tolerate.service.http.logging import log
from tolerate.service.http.openapi import DESCRIPTION
from tolerate.service.http.requests import (
    ClientDisconnected,
    Headers,
    Message,
    Receive,
    Request,
    Scope,
    Send,
    redirect,
    respond,
    respond_error,
    respond_json,
)
from tolerate.service.openai_format import (
    DONE,
    KEEP_ALIVE,
    ApiError,
    CompletionRequest,
    check_request,
    event_bytes,
    parse_body,
    stream_events,
)
from tolerate.service.watch.overview import overview
from tolerate.store import certificates, people, queue
from tolerate.store.restrictions import Restriction, state_name

Route = Callable[[Request, Send], Awaitable[None]]
KEEP_ALIVE_SECONDS = 2.0  # between the comments of a held stream
WRONG_KEYS = (0.5, 30.0)  # that an address may send: a second, and at once
TICKET = re.compile(r"tk_[0-9a-f]{24}")
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


def _is_ready() -> JsonObject:
    return {"ready": True}


class App:
    """The whole service as one ASGI application."""

    def __init__(
        self,
        engine: DecisionEngine,
        reader: DatabaseReader,
        desk: Route | None = None,
        readiness: Callable[[], JsonObject] = _is_ready,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """desk: answers the paths below /desk. readiness: the body of /readyz, while the service does not stop.

        clock: of the rate limits.
        """
        self.engine, self.reader, self._desk, self._readiness = engine, reader, desk, readiness
        self.service, self.metrics = engine.service, engine.metrics
        self.stopping = False
        self.in_flight = 0
        self._keys: dict[str, people.Key] = {}
        self._rates = TokenBuckets(0.0, 1.0, clock=clock)
        self._wrong_keys = TokenBuckets(*WRONG_KEYS, clock=clock)
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; an error has OpenAI's shape and never a trace."""
        if scope["type"] != "http":
            await _lifespan(scope, receive, send)
            return
        request = Request(scope, receive)
        began = time.monotonic() if self.service.access_log else 0.0
        self.in_flight += 1
        started = False

        async def tracked_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._route(request, tracked_send)
        except ClientDisconnected:
            pass
        except Exception as exception:
            error = self._error_of(exception, request)
            if not started:
                await respond_error(send, error)
        finally:
            self.in_flight -= 1
        if self.service.access_log:
            milliseconds = round(1000 * (time.monotonic() - began), 2)
            log("request", method=request.method, path=request.path, address=request.address, ms=milliseconds)

    def _error_of(self, exception: Exception, request: Request) -> ApiError:
        """The error that a client is sent for an exception; a fault of our own is logged."""
        if isinstance(exception, ApiError):
            self.metrics.count_error(exception.code)
            return exception
        if isinstance(exception, TimeoutError):
            return ApiError(408, "the request came too slowly", "request_timeout")
        log("fault", path=request.path, kind=type(exception).__name__, where=_location(exception))
        self.metrics.count_error("internal")
        return _internal_error()

    async def _route(self, request: Request, send: Send) -> None:
        route = self._routes.get((request.method, request.path))
        if route is None and request.method == "HEAD":
            route = self._routes.get(("GET", request.path))
        if route is None:
            await self._route_by_prefix(request, send)
            return
        if self.in_flight > self.service.concurrency:
            raise ApiError(
                503,
                "too many requests at once",
                "overloaded",
                kind="api_error",
                headers=(("retry-after", "1"),),
            )
        await route(request, send)

    async def _route_by_prefix(self, request: Request, send: Send) -> None:
        """Paths with a part that varies."""
        path = request.path
        if path.startswith("/desk") and self._desk is not None:
            await self._desk(request, send)
        elif path.startswith("/v1/tickets/"):
            await self._only("GET", request, send, self._ticket)
        elif path.startswith("/v1/models/"):
            await self._only("GET", request, send, self._model)
        elif path.startswith("/v1/watch/"):
            await self._only("GET", request, send, self._watch)
        elif path in self._paths:
            allowed = ", ".join(sorted(method for method, route in self._routes if route == path))
            raise ApiError(
                405, f"{path} takes {allowed}", "method_not_allowed", headers=(("allow", allowed),)
            )
        else:
            raise ApiError(404, f"unknown path {path[:200]}", "not_found")

    async def _only(self, method: str, request: Request, send: Send, route: Route) -> None:
        if request.method != method:
            raise ApiError(
                405, f"this path takes {method}", "method_not_allowed", headers=(("allow", method),)
            )
        await route(request, send)

    # Keys

    async def _authenticate(self, request: Request, scope: str) -> people.Key:
        """Authenticate the request, check its scope and apply its rate limit."""
        secret = request.header(b"authorization")
        secret = secret[7:] if secret[:7].lower() == "bearer " else request.header(b"x-api-key")
        if not secret.startswith("tol_"):
            raise self._wrong_key(request, "missing API key: send it as Authorization: Bearer tol_...")
        digest = people.digest(secret)
        key = self._keys.get(digest)
        if key is None or (key.expires is not None and key.expires <= time.time()):
            key = await self.reader.query(people.key, digest, time.time())
            if key is None:
                self._keys.pop(digest, None)
                raise self._wrong_key(request, "unknown, expired or revoked API key")
            self._keys[digest] = key
        if not key.may(scope):
            raise ApiError(403, f'this key lacks the scope "{scope}"', "forbidden", kind="permission_error")
        rate = key.rate or self.service.rate
        if rate and (wait := self._rates.take(key.id, rate)):
            raise _rate_limited(f"at most {rate:g} requests a second", wait)
        return key

    def _wrong_key(self, request: Request, message: str) -> ApiError:
        if wait := self._wrong_keys.take(request.address):
            return _rate_limited("too many wrong keys from this address", wait)
        return ApiError(401, message, "invalid_api_key", kind="authentication_error")

    def forget_keys(self) -> None:
        """Look every key up again: one was revoked."""
        self._keys.clear()

    def _job(self, name: str, key: people.Key) -> JobSettings:
        """The job that a model's name stands for; where there is one job, every name stands for it."""
        job = self.service.job(name)
        if job is None and len(self.service.jobs) == 1:
            job = self.service.jobs[0]
        if job is None:
            names = ", ".join(job.name for job in self.service.jobs)
            raise ApiError(
                404, f'unknown job "{name[:100]}"; choose one of {names}', "model_not_found", param="model"
            )
        if key.jobs and job.name not in key.jobs:
            raise ApiError(403, "this key is for other jobs", "forbidden", kind="permission_error")
        return job

    def _jobs_of(self, key: people.Key) -> list[JobSettings]:
        """The jobs that a key may use."""
        return [job for job in self.service.jobs if not key.jobs or job.name in key.jobs]

    async def _body(self, request: Request) -> Body:
        raw = await request.body(self.service.body, self.service.receive)
        return parse_body(raw, self.service.depth)

    # Completions

    async def _chat(self, request: Request, send: Send) -> None:
        await self._completion(CHAT, request, send)

    async def _text(self, request: Request, send: Send) -> None:
        await self._completion(TEXT, request, send)

    async def _completion(self, kind: str, request: Request, send: Send) -> None:
        key = await self._authenticate(request, "complete")
        completion = check_request(kind, await self._body(request))
        job = self._job(completion.model, key)
        if completion.stream and job.stream == NOT_CERTIFIED:
            await self._uncertified_stream(job, completion, key, send)
        elif completion.stream:
            await self._held_stream(job, completion, key, request, send)
        else:
            reply = await self.engine.complete(job, completion, key)
            await respond(send, 200, reply.bytes, _decision_headers(reply))

    async def _held_stream(
        self, job: JobSettings, completion: CompletionRequest, key: people.Key, request: Request, send: Send
    ) -> None:
        """Send comments until the verdict, then the answer. A failure after the start is an event of the stream."""
        work = asyncio.ensure_future(self.engine.complete(job, completion, key))
        disconnected = asyncio.ensure_future(request.wait_disconnect())
        try:
            await asyncio.wait({work}, timeout=KEEP_ALIVE_SECONDS)
            if work.done() and work.exception() is not None:
                work.result()  # an error before anything was sent is an ordinary error
            await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
            while not work.done():
                if disconnected.done():
                    return
                await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
                await asyncio.wait(
                    {work, disconnected}, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            await send({"type": "http.response.body", "body": _stream_bytes(completion, work)})
        finally:
            disconnected.cancel()
            if not work.done():  # the row is written all the same; only nobody reads the answer
                work.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _uncertified_stream(
        self, job: JobSettings, completion: CompletionRequest, key: people.Key, send: Send
    ) -> None:
        """Pass chunks on as they come, each with the mark that nothing is certified: the job opted out."""
        tier = job.tiers[0]
        body = {**completion.body, **({"model": tier.model} if tier.model else {})}
        await self.engine.record_uncertified(job, tier, key)
        chunks = self.engine.upstreams.stream(tier, completion, body)
        chunk = await anext(chunks, None)
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        try:
            while chunk is not None:
                marked = event_bytes({**chunk, "tolerate": NOT_CERTIFIED})
                await send({"type": "http.response.body", "body": marked, "more_body": True})
                chunk = await anext(chunks, None)
            await send({"type": "http.response.body", "body": DONE})
        except ApiError as error:
            marked = event_bytes({**error.error, "tolerate": NOT_CERTIFIED})
            await send({"type": "http.response.body", "body": marked})
        finally:
            await chunks.aclose()

    async def _decide(self, request: Request, send: Send) -> None:
        key = await self._authenticate(request, "decide")
        body = await self._body(request)
        _check_decide(body)
        entry = await self.engine.decide(self._job(str(body["job"]), key), body, key)
        await respond_json(
            send,
            {
                "decision": entry["decision"],
                "ticket": entry["ticket"],
                "reason": entry["reason"],
                "certificate": entry["certificate"],
                "row": entry["seq"],
                "poll": f"{self.engine.base_url}/v1/tickets/{entry['ticket']}",
            },
        )

    # Queries

    async def _ticket(self, request: Request, send: Send) -> None:
        """The state of a held answer, for the key that asked for it."""
        key = await self._authenticate(request, "complete")
        ticket = request.path.removeprefix("/v1/tickets/")
        item = await self.reader.query(queue.item, ticket) if TICKET.fullmatch(ticket) else None
        if item is None or item.owner != key.id:
            raise ApiError(404, "unknown ticket, or one of another key", "ticket_not_found")
        completion: JsonValue = orjson.loads(item.answer) if item.state == "released" else None
        await respond_json(send, {"ticket": ticket, "state": item.state, "completion": completion})

    async def _models(self, request: Request, send: Send) -> None:
        key = await self._authenticate(request, "read")
        models = [_model_record(job) for job in self._jobs_of(key)]
        await respond_json(send, {"object": "list", "data": models})

    async def _model(self, request: Request, send: Send) -> None:
        key = await self._authenticate(request, "read")
        name = request.path.removeprefix("/v1/models/")
        if self.service.job(name) is None:
            raise ApiError(404, f'unknown job "{name[:100]}"', "model_not_found", param="model")
        await respond_json(send, _model_record(self._job(name, key)))

    async def _jobs(self, request: Request, send: Send) -> None:
        """Each job with its certificates in force."""
        key = await self._authenticate(request, "read")
        active = {
            (promise.job, promise.tier): promise for promise in await self.reader.query(certificates.active)
        }
        jobs = [
            {
                "job": job.name,
                "tiers": [
                    _tier_record(
                        tier.name, active.get((job.name, tier.name)), self.engine.restrictions_on(job, tier)
                    )
                    for tier in job.tiers
                ],
            }
            for job in self._jobs_of(key)
        ]
        await respond_json(send, {"jobs": jobs})

    async def _watch(self, request: Request, send: Send) -> None:
        key = await self._authenticate(request, "read")
        name = request.path.removeprefix("/v1/watch/")
        if self.service.job(name) is None:
            raise ApiError(404, f'unknown job "{name[:100]}"', "model_not_found")
        await respond_json(send, await self.reader.query(overview, self._job(name, key), time.time()))

    async def _health(self, request: Request, send: Send) -> None:
        await respond_json(send, {"alive": True})

    async def _ready(self, request: Request, send: Send) -> None:
        stopping: JsonObject = {"ready": False, "why": "the service stops"}
        body = stopping if self.stopping else self._readiness()
        await respond_json(send, body, 200 if body["ready"] else 503)

    async def _metrics(self, request: Request, send: Send) -> None:
        if self.service.host not in LOCAL_HOSTS:
            await self._authenticate(request, "read")
        self.metrics.in_flight.set(self.in_flight)
        await respond(send, 200, self.metrics.text(), kind=b"text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, request: Request, send: Send) -> None:
        await respond_json(send, DESCRIPTION)

    async def _home(self, request: Request, send: Send) -> None:
        await redirect(send, "/desk")


_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),
]


def _internal_error() -> ApiError:
    return ApiError(500, "the service failed; nothing was released", "internal", kind="api_error")


def _rate_limited(message: str, wait: float) -> ApiError:
    """The error of a client that must wait for so many seconds."""
    retry_after = (("retry-after", str(max(1, round(wait)))),)
    return ApiError(429, message, "rate_limit_exceeded", kind="rate_limit_error", headers=retry_after)


def _stream_bytes(completion: CompletionRequest, work: "asyncio.Future[GatewayReply]") -> bytes:
    error = work.exception()
    if error is None:
        return b"".join(stream_events(completion, work.result().body))
    return event_bytes((error if isinstance(error, ApiError) else _internal_error()).error)


def _decision_headers(reply: GatewayReply) -> Headers:
    """The decision in headers of the response."""
    entry = reply.entry
    return [
        (b"x-tolerate-decision", entry["decision"].encode()),
        (b"x-tolerate-ticket", entry["ticket"].encode()),
        (b"x-tolerate-certificate", (entry["certificate"] or "none").encode()),
    ]


def _check_decide(body: JsonObject) -> None:
    """Check the body of a request for a decision; raises ApiError."""
    for name in ("job", "content", "prompt", "tier", "slice", "cluster"):
        value = body.get(name)
        required = name in ("job", "content")
        if (value is None and required) or (name in body and not isinstance(value, str)):
            raise ApiError(400, f"{name}: expected text", "invalid_value", param=name)
    score = body.get("score")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise ApiError(400, "score: expected a number or null", "invalid_value", param="score")


def _model_record(job: JobSettings) -> JsonObject:
    return {"id": job.name, "object": "model", "created": 0, "owned_by": "tolerate"}


def _tier_record(
    tier: str, promise: certificates.StoredCertificate | None, restrictions: tuple[Restriction, ...]
) -> JsonObject:
    """A tier with its certificate in force."""
    if promise is None:
        return {"tier": tier, "state": "NONE", "certificate": None}
    certificate = promise.certificate
    return {
        "tier": tier,
        "certificate": promise.id,
        "state": state_name(promise.status, restrictions),
        "slices_held": [restriction.slice for restriction in restrictions if restriction.slice],
        "tolerance": certificate.tolerance,
        "confidence": certificate.confidence,
        "scope": certificate.scope,
        "threshold": certificate.threshold,
        "since": promise.at,
    }


def _location(error: BaseException) -> str:
    """The innermost line of our own code in a trace, for the log."""
    trace, location = error.__traceback__, "?"
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if "tolerate" in path:
            location = f"{path.rpartition('tolerate/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return location


async def _lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Acknowledge start and stop, which the server does itself; refuse websockets."""
    if scope["type"] == "websocket":
        await receive()
        with contextlib.suppress(RuntimeError):
            await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
