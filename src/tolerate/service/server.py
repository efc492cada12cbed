"""Starting and stopping the service: database, certificates, first key, the server, and what runs beside it."""

import asyncio
import contextlib
import math
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tolerate.records import Certificate
from tolerate.service.app import App
from tolerate.service.config import JobSettings, Service, Tier, checked
from tolerate.service.database_reader import Reader
from tolerate.service.decide import binding
from tolerate.service.decide.gate import Gate, load_certificate
from tolerate.service.desk import Desk
from tolerate.service.http.connection import connections
from tolerate.service.http.listen import Quiet, quiet
from tolerate.service.http.logging import log
from tolerate.service.http.metrics import Metrics
from tolerate.service.upstream.guard import check_url
from tolerate.service.upstream.pool import Upstreams
from tolerate.service.watch import drift as drifting
from tolerate.service.watch.evidence import watch_of, watcher
from tolerate.service.watch.webhooks import Notices, secret_of
from tolerate.store import Database, Writer, deliveries, people, promises, queue
from tolerate.store.ledger import append

SWITCH = 0.0005  # seconds after which the writer's thread gets its turn


@dataclass(frozen=True)
class First:
    """What is shown once: the first key, the owner's password, the webhooks' secret; None if they were made before."""

    key: str | None = None
    password: str | None = None
    secret: str | None = None


class Turns(Protocol):
    """The demonstration's switch."""

    @property
    def worse(self) -> bool:
        """Whether it is worse now."""
        ...

    @property
    def other(self) -> bool:
        """Whether other questions are asked now."""
        ...

    async def turn(self, worse: bool) -> None:
        """Make the model worse, or good again."""
        ...

    async def ask(self, other: bool) -> None:
        """Ask other questions, or the certified ones."""
        ...


class Running:
    """A service with everything it needs, between `start` and `stop`."""

    def __init__(self, service: Service) -> None:
        self.service = checked(service)
        self.metrics = Metrics()
        self.writer = Writer(service.database)
        self.reader = Reader(service.database)
        self.upstreams = Upstreams(service.private)
        self.gate = Gate(self.service, self.writer, self.upstreams, self.metrics)
        self.gate.alarmed = self.alarmed  # type: ignore[method-assign]
        self.app = App(self.gate, self.reader)
        self.app.ready = self._ready
        self.first = First()
        self.demo: Turns | None = None
        self.app.desk = Desk(self).answer
        self.notices = Notices(self.service.webhooks, self.writer, self.reader, self.upstreams)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Open what is needed and put the certificates in force that hold for what is configured."""
        for url in self.service.webhooks:
            check_url(url, private=self.service.private)
        for job in self.service.jobs:
            for tier in job.tiers:
                for url in (tier.upstream, *tier.fallback):
                    check_url(url, private=self.service.private)
        await self._name_models()
        self.first = await self.writer.do(_first, time.time())
        await self.writer.do(deliveries.follow, self.service.webhooks)
        if self.service.webhooks:
            self.notices.secret, fresh = await self.writer.do(secret_of, self.service.webhook_secret)
            self.first = replace(self.first, secret=self.notices.secret if fresh else None)
        for job in self.service.jobs:
            for tier in job.tiers:
                await self._install(job, tier)
        await self.learn()
        for every, work in (
            (0.5, self.settle),
            (5.0, self._flush),
            (10.0, self._measure),
            (3600.0, self._forget),
        ):
            self._spawn(_repeat(every, work))
        if self.service.webhooks:
            self._spawn(self.notices.work())
        await self.writer.do(append_now, "started")

    async def stop(self) -> None:
        """Write what is left and close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await self._flush()
            await self.writer.do(append_now, "stopped")
        await self.upstreams.close()
        self.reader.close()
        await asyncio.get_running_loop().run_in_executor(None, self.writer.close)

    async def learn(self) -> None:
        """Read the promises in force, after anything changed them."""
        found = await self.reader.ask(promises.active)
        self.gate.know(found)
        standing = {(each.job, each.tier) for each in found}
        for job in self.service.jobs:
            for tier in job.tiers:
                self.metrics.standing.labels(job.name, tier.name).set((job.name, tier.name) in standing)
                self.metrics.narrowed(job.name, tier.name, self.gate.narrow(job, tier))

    async def settle(self) -> None:
        """Make verdicts final that can no longer be taken back."""
        told: list[dict[str, Any]] = []
        done = await self.writer.do(queue.settle_due, time.time(), self.watcher(told), self.accept())
        self.after(done, told)

    def accept(self) -> dict[str, float]:
        """The largest loss at which a held item of a job is released."""
        return {job.name: job.accept for job in self.service.jobs}

    def watcher(self, told: list[dict[str, Any]]) -> Callable[[Database, queue.Settled], None]:
        """What to do with a settled item, inside the writer; alarms are put into `told`."""
        return watcher(time.time, told, self.service.jobs)

    def after(self, done: list[queue.Settled], told: list[dict[str, Any]]) -> None:
        """What follows from settled items: waiting clients are answered, alarms are told."""
        self.gate.settled(done)
        for alarm in told:
            self.alarmed(alarm)

    def alarmed(self, alarm: dict[str, Any]) -> None:
        """Log an alarm; the webhooks are told from its row."""
        log("alarm", **alarm)
        self._spawn(self.learn())
        self.notices.wake()

    async def install(self, job: JobSettings, tier: Tier, id: str, by: str) -> None:
        """Put a kept certificate in force, bound to what is configured now."""
        promise = await self.reader.ask(promises.find, id, job.name, tier.name)
        if promise is None:
            return
        bound = binding.bound_now(job, tier, promise.certificate)
        now = time.time()
        await self.writer.do(promises.install, job.name, tier.name, promise.certificate, bound, by, now)
        await self.learn()

    async def ease(self, job: JobSettings, tier: str, slice: str, by: str, why: str) -> None:
        """A person decides that DEGRADED, or the hold of a slice, is over."""
        at = time.time()
        if await self.writer.do(drifting.ease, job.name, tier, slice, by, why, at):
            about = {"kind": "eased", "job": job.name, "tier": tier, "slice": slice, "by": by, "why": why}
            self.alarmed({**about, "at": at})

    # Parts

    async def _name_models(self) -> None:
        """Where no model is named and the upstream has exactly one, that one is meant."""
        jobs = []
        for job in self.service.jobs:
            tiers = []
            for tier in job.tiers:
                names = [] if tier.model is not None else await self.upstreams.models(tier)
                tiers.append(replace(tier, model=names[0]) if len(names) == 1 else tier)
            jobs.append(replace(job, tiers=tuple(tiers)))
        self.service = replace(self.service, jobs=tuple(jobs))
        self.gate.service = self.app.service = self.service

    async def _install(self, job: JobSettings, tier: Tier) -> None:
        given = None if tier.certificate is None else load_certificate(tier.certificate)
        said = await self.writer.do(_put_in_force, job, tier, given, time.time())
        for line in said:
            log("certificate", job=job.name, tier=tier.name, what=line)

    async def _flush(self) -> None:
        counts = self.gate.take_counts()
        if counts:
            await self.writer.do(promises.add_minutes, counts)
        for (name, tier), scores in self.gate.take_scores().items():
            job = self.service.job(name)
            for start in range(0, len(scores) if job is not None else 0, drifting.MOST):
                some = scores[start : start + drifting.MOST]
                self.after([], await self.writer.do(drifting.look, job, tier, some, time.time()))

    async def _measure(self) -> None:
        for job in self.service.jobs:
            waiting = await self.reader.ask(queue.backlog, job.name, time.time())
            self.metrics.backlog.labels(job.name).set(waiting.open)
            self.metrics.age.labels(job.name).set(waiting.oldest)
            minute = int(time.time() // 60)
            await self.writer.do(promises.add_wait, job.name, minute, waiting.open, waiting.oldest)
            for tier in job.tiers:
                found = await self.reader.ask(_shown, job.name, tier.name)
                if found is not None:
                    self.metrics.bound.labels(job.name, tier.name).set(found[0])
                    self.metrics.drift.labels(job.name, tier.name).set(found[1])

    async def _forget(self) -> None:
        """Texts older than the job keeps them."""
        for job in self.service.jobs:
            now = time.time()
            before = now - job.keep_days * 86400
            while await self.writer.do(queue.wipe, before, now, job.name):
                pass  # a thousand in each commit, so that answers need not wait

    def _ready(self) -> dict[str, Any]:
        missing = [
            f"{job.name}/{tier.name}"
            for job in self.service.jobs
            for tier in job.tiers
            if self.gate.standing(job, tier) is None
        ]
        return {"ready": True, "without_certificate": missing}

    def _spawn(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def append_now(db: Database, kind: str) -> None:
    """One row of the ledger without more to say."""
    append(db, kind, time.time())


def _shown(db: Database, job: str, tier: str) -> tuple[float, float] | None:
    """The bound on the risk and the evidence of drift of a tier whose certificate stands."""
    promise = next((each for each in promises.active(db, job) if each.tier == tier), None)
    if promise is None:
        return None
    drift = promises.load_drift(db, promise.id, job, tier)
    return watch_of(db, promise).bound, math.exp(min(drift["log_evidence"], 700.0)) if drift else 1.0


async def _repeat(every: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again; a failure is logged and does not end it."""
    while True:
        await asyncio.sleep(every)
        try:
            await work()
        except Exception as error:
            log("fault", where=getattr(work, "__name__", "?"), kind=type(error).__name__)


def _first(db: Database, at: float) -> First:
    """The owner and the first key, if nobody is there yet."""
    if people.users(db):
        return First()
    password = secrets.token_urlsafe(12)
    people.add_user(db, "owner", password, "owner", "setup", at)
    return First(people.add_key(db, "first", "setup", at), password)


def _put_in_force(
    db: Database, job: JobSettings, tier: Tier, given: Certificate | None, at: float
) -> list[str]:
    """Make the tier's promise what it should be, inside the writer; what is worth saying.

    A certificate that was withdrawn is never put in force again by a restart; one that is VOID is, once everything is
    again what it holds for and if nobody put another one in its place.
    """
    said: list[str] = []
    stands = any(promise.tier == tier.name for promise in promises.active(db, job.name))
    if given is not None:
        id = promises.certificate_id(given)
        known = promises.find(db, id, job.name, tier.name)
        if known is None or known.status == "proposed" or (known.status == "void" and not stands):
            before = known.bound if known is not None and known.status == "void" else {}
            bound = {**binding.bound_now(job, tier, given), **before, **binding.promised(given)}
            promises.install(db, job.name, tier.name, given, bound, "the command line", at)
        elif known.status != "active":
            said.append(f"not put in force again: it was {known.status} by {known.ended_by} ({known.why})")
    for promise in promises.active(db, job.name):
        if promise.tier == tier.name:
            wrong = binding.mismatches(promise.bound, binding.bound_now(job, tier, promise.certificate))
            if wrong:
                why = f"another {', '.join(wrong)} than the certificate holds for"
                promises.withdraw(db, job.name, tier.name, "gateway", why, at, "void")
                promises.alarm(db, job.name, "void", at, {"tier": tier.name, "why": why})
                said.append(f"VOID: {why}; everything is held")
    if not any(promise.tier == tier.name for promise in promises.active(db, job.name)):
        said.append("no certificate stands: everything is held")
    return said


async def serve(service: Service, say: Callable[[str], None] = print) -> None:
    """Run until a signal stops it; what was taken is finished first."""
    sys.setswitchinterval(SWITCH)
    running = Running(service)
    try:
        await running.start()
        await run(running, say)
    finally:
        await running.stop()


async def run(running: Running, say: Callable[[str], None]) -> None:
    """Listen until a signal comes."""
    server = server_of(running, say)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_soon, running, server)
    await server.serve()


def server_of(running: Running, say: Callable[[str], None]) -> Quiet:
    """The HTTP server of a started service."""
    service = running.service
    server = quiet(
        running.app, service.host, service.port, http=connections(service.receive), drain=service.drain
    )
    server.on_started = lambda: _announce(running, server, say)
    return server


def stop_soon(running: Running, server: Quiet) -> None:
    """Take nothing new, finish what was taken, then stop."""
    running.app.stopping = True
    running.gate.let_go()
    server.should_exit = True


def _announce(running: Running, server: Quiet, say: Callable[[str], None]) -> None:
    """Where everything is; the first key and password are shown this once."""
    port = server.servers[0].sockets[0].getsockname()[1]
    base = f"http://{running.service.host}:{port}"
    running.gate.base = base
    say(f"gateway  {base}/v1\ndesk     {base}/desk")
    if running.first.key is not None:
        say(f"first key         {running.first.key}")
        say(f"owner's password  {running.first.password}   (user: owner; both are shown this once)")
    if running.first.secret is not None:
        say(f"webhooks' secret  {running.first.secret}   (signs every notice; shown this once)")
    for place, why in running._ready().items():
        if place == "without_certificate" and why:
            say(f"no certificate stands for {', '.join(why)}: everything is held for people")
