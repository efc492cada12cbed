"""Starting and stopping the service: database, certificates, first key, the server, and what runs beside it."""

import asyncio
import contextlib
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tolerate.base.json_types import JsonObject
from tolerate.messages.catalogue import message
from tolerate.records import Certificate
from tolerate.service.app import App
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings, text_of, validate_settings
from tolerate.service.database_reader import DatabaseReader
from tolerate.service.decide import binding
from tolerate.service.decide.engine import DecisionEngine
from tolerate.service.desk.service_desk import service_desk
from tolerate.service.host import DemoControls
from tolerate.service.http.connection import limited_protocol
from tolerate.service.http.listen import HttpServer, http_server
from tolerate.service.http.logging import log
from tolerate.service.http.metrics import Metrics
from tolerate.service.upstream.client import UpstreamClient
from tolerate.service.upstream.guard import check_url
from tolerate.service.watch import drift
from tolerate.service.watch.evidence import certificate_watch, settlement_watcher
from tolerate.service.watch.webhooks import WebhookSender, load_secret
from tolerate.stats.monitor.drift import Drift
from tolerate.store import (
    Database,
    DatabaseWriter,
    certificates,
    deliveries,
    people,
    queue,
    review_data,
    traffic,
)
from tolerate.store.ledger import append

SWITCH_SECONDS = 0.0005  # after which the writer's thread gets its turn
SETTLE_SECONDS, FLUSH_SECONDS, MEASURE_SECONDS, WIPE_SECONDS = 0.5, 5.0, 10.0, 3600.0  # between two runs
DAY_SECONDS = 86400


@dataclass(frozen=True)
class InitialSecrets:
    """Secrets generated on first start and printed once; None where they existed before.

    key: an API key. password: the owner's. webhook_secret: signs notices.
    """

    key: str | None = None
    password: str | None = None
    webhook_secret: str | None = None


class RunningService:
    """A service with everything it needs, between `start` and `stop`; the host of its desk (`host.ServiceHost`)."""

    def __init__(self, service: ServiceSettings, upstreams: UpstreamClient | None = None) -> None:
        """upstreams: what calls the models; by default over the network."""
        self.service = validate_settings(service)
        self.metrics = Metrics()
        self.writer = DatabaseWriter(service.database)
        self.reader = DatabaseReader(service.database)
        self.upstreams = upstreams or UpstreamClient(service.private)
        self.engine = DecisionEngine(
            self.service, self.writer, self.upstreams, self.metrics, on_alarm=self.report_alarm
        )
        self.webhooks = WebhookSender(self.service.webhooks, self.writer, self.reader, self.upstreams)
        self.initial_secrets = InitialSecrets()
        self.demo: DemoControls | None = None
        self.app = App(self.engine, self.reader, desk=service_desk(self).answer, readiness=self.readiness)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open what is needed and put the certificates in force that hold for what is configured."""
        for url in self.service.webhooks:
            check_url(url, private=self.service.private)
        for _, tier in self._tiers():
            for url in (tier.upstream, *tier.fallback):
                check_url(url, private=self.service.private)
        await self._name_models()
        self.initial_secrets = await self.writer.do(_create_owner, time.time())
        await self.writer.do(deliveries.register, self.service.webhooks)
        if self.service.webhooks:
            secret, is_new = await self.writer.do(load_secret, self.service.webhook_secret)
            self.webhooks.secret = secret
            if is_new:
                self.initial_secrets = replace(self.initial_secrets, webhook_secret=secret)
        for job, tier in self._tiers():
            await self._install_configured(job, tier)
        await self.reload_certificates()
        self._spawn(_repeat(SETTLE_SECONDS, self.settle))
        self._spawn(_repeat(FLUSH_SECONDS, self.flush))
        self._spawn(_repeat(MEASURE_SECONDS, self._measure))
        self._spawn(_repeat(WIPE_SECONDS, self._wipe))
        if self.service.webhooks:
            self._spawn(self.webhooks.run())
        await self.writer.do(append_event, "started")

    async def stop(self) -> None:
        """Write what is left and close."""
        await self.stop_tasks()
        with contextlib.suppress(Exception):
            await self.flush()
            await self.writer.do(append_event, "stopped")
        await self.upstreams.close()
        self.reader.close()
        await asyncio.get_running_loop().run_in_executor(None, self.writer.close)

    async def stop_tasks(self) -> None:
        """End what runs beside the server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def forget_keys(self) -> None:
        """Look every key up again: one was revoked."""
        self.app.forget_keys()

    async def reload_certificates(self) -> None:
        """Read the certificates in force, after anything changed them."""
        in_force = await self.reader.query(certificates.active)
        self.engine.load_certificates(in_force)
        active = {(promise.job, promise.tier) for promise in in_force}
        for job, tier in self._tiers():
            self.metrics.standing.labels(job.name, tier.name).set((job.name, tier.name) in active)
            self.metrics.set_restrictions(job.name, tier.name, self.engine.restrictions_on(job, tier))

    async def settle(self) -> None:
        """Make verdicts final that can no longer be taken back."""
        alarms: list[JsonObject] = []
        items = await self.writer.do(
            queue.settle_due, time.time(), self.settlement_watcher(alarms), self.accepted_losses()
        )
        self.after_settlement(items, alarms)

    def accepted_losses(self) -> dict[str, float]:
        """By job: the largest final loss at which a held item is released."""
        return {job.name: job.accept for job in self.service.jobs}

    def settlement_watcher(self, alarms: list[JsonObject]) -> Callable[[Database, queue.SettledItem], None]:
        """The function that takes a settled item in, inside the writer; it appends the alarms that follow."""
        return settlement_watcher(time.time, alarms, self.service.jobs)

    def after_settlement(self, items: Sequence[queue.SettledItem], alarms: Sequence[JsonObject]) -> None:
        """Answer clients who wait for these items, and send the alarms."""
        self.engine.notify_settled(items)
        for alarm in alarms:
            self.report_alarm(alarm)

    def report_alarm(self, alarm: JsonObject) -> None:
        """Log an alarm; the webhooks are sent it from its row."""
        log("alarm", **alarm)
        self._spawn(self.reload_certificates())
        self.webhooks.wake()

    async def install_certificate(self, job: JobSettings, tier: TierSettings, id: str, by: str) -> None:
        """Put a stored certificate in force, bound to what is configured now."""
        promise = await self.reader.query(certificates.find, id, job.name, tier.name)
        if promise is None:
            return
        bound = binding.current_binding(job, tier, promise.certificate)
        now = time.time()
        await self.writer.do(certificates.install, job.name, tier.name, promise.certificate, bound, by, now)
        await self.reload_certificates()

    async def end_restriction(self, job: JobSettings, tier: str, slice: str, by: str, why: str) -> None:
        """End DEGRADED (slice ""), or the hold of a slice, by a person's decision."""
        now = time.time()
        if await self.writer.do(drift.end_restriction, job.name, tier, slice, by, why, now):
            alarm = {"kind": "eased", "job": job.name, "tier": tier, "slice": slice, "by": by, "why": why}
            self.report_alarm({**alarm, "at": now})

    async def flush(self) -> None:
        """Write the counts, and test the scores, that gathered in memory."""
        minutes = self.engine.counters.take_minutes()
        if minutes:
            await self.writer.do(traffic.add_minutes, minutes)
        for (name, tier), scores in self.engine.counters.take_scores().items():
            job = self.service.job(name)
            if job is None:
                continue
            for start in range(0, len(scores), drift.MAX_SCORES):
                chunk = scores[start : start + drift.MAX_SCORES]
                alarms = await self.writer.do(drift.update_drift, job, tier, chunk, time.time())
                self.after_settlement([], alarms)

    def readiness(self) -> JsonObject:
        """Readiness of the service: whether it takes requests, and for which tiers everything is held."""
        missing = [
            f"{job.name}/{tier.name}"
            for job, tier in self._tiers()
            if self.engine.certificate_in_force(job, tier) is None
        ]
        return {"ready": True, "without_certificate": missing}

    # Parts

    def _tiers(self) -> list[tuple[JobSettings, TierSettings]]:
        return [(job, tier) for job in self.service.jobs for tier in job.tiers]

    async def _name_models(self) -> None:
        """Where no model is configured and the upstream has exactly one, that one is meant."""
        jobs = []
        for job in self.service.jobs:
            tiers = []
            for tier in job.tiers:
                names = [] if tier.model is not None else await self.upstreams.model_names(tier)
                tiers.append(replace(tier, model=names[0]) if len(names) == 1 else tier)
            jobs.append(replace(job, tiers=tuple(tiers)))
        self.service = replace(self.service, jobs=tuple(jobs))
        self.engine.service = self.app.service = self.service

    async def _install_configured(self, job: JobSettings, tier: TierSettings) -> None:
        certificate = None
        if tier.certificate is not None:
            certificate = Certificate.loads(text_of(Path(tier.certificate)))
        lines = await self.writer.do(_update_tier, job, tier, certificate, time.time())
        for line in lines:
            log("certificate", job=job.name, tier=tier.name, what=line)

    async def _measure(self) -> None:
        """Set the metrics of the queue, and record it by minute."""
        for job in self.service.jobs:
            backlog = await self.reader.query(review_data.backlog, job.name, time.time())
            self.metrics.backlog.labels(job.name).set(backlog.open)
            self.metrics.age.labels(job.name).set(backlog.oldest)
            minute = int(time.time() // 60)
            await self.writer.do(traffic.add_wait, job.name, minute, backlog.open, backlog.oldest)
            for tier in job.tiers:
                evidence = await self.reader.query(_tier_evidence, job.name, tier.name)
                if evidence is not None:
                    bound, odds = evidence
                    self.metrics.bound.labels(job.name, tier.name).set(bound)
                    self.metrics.drift.labels(job.name, tier.name).set(odds)

    async def _wipe(self) -> None:
        """Delete texts that are older than their job keeps them."""
        for job in self.service.jobs:
            now = time.time()
            before = now - job.keep_days * DAY_SECONDS
            while await self.writer.do(queue.erase_texts, before, now, job.name):
                pass  # a thousand in each commit, so that answers need not wait

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def append_event(db: Database, kind: str) -> None:
    """Append a row to the ledger that has a kind alone."""
    append(db, kind, time.time())


def _tier_evidence(db: Database, job: str, tier: str) -> tuple[float, float] | None:
    """The bound on the risk, and the odds of drift, of a tier; None without a certificate in force."""
    promise = next((promise for promise in certificates.active(db, job) if promise.tier == tier), None)
    if promise is None:
        return None
    state = certificates.load_drift(db, promise.id, job, tier)
    odds = Drift.from_json(state).evidence if state else 1.0
    return certificate_watch(db, promise).bound, odds


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Call a function every few seconds; a failure is logged and does not end it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception as error:
            log("fault", where=work.__qualname__, kind=type(error).__name__)


def _create_owner(db: Database, now: float) -> InitialSecrets:
    """Create the owner and the first key, if there are no users yet."""
    if people.users(db):
        return InitialSecrets()
    password = secrets.token_urlsafe(12)
    people.add_user(db, "owner", password, "owner", "setup", now)
    return InitialSecrets(people.add_key(db, "first", "setup", now), password)


def _update_tier(
    db: Database, job: JobSettings, tier: TierSettings, certificate: Certificate | None, now: float
) -> list[str]:
    """Install the configured certificate of a tier and withdraw what no longer holds; lines for the log.

    Runs in the writer. A certificate that was withdrawn is never put in force again by a restart; one that is VOID is,
    once everything is again what it holds for and if nobody put another one in its place.
    """
    lines: list[str] = []
    if certificate is not None:
        lines += _install(db, job, tier, certificate, now)
    for promise in _active_certificates(db, job, tier):
        current = binding.current_binding(job, tier, promise.certificate)
        parts = binding.mismatches(promise.bound, current)
        if parts:
            why = message("void.other", parts=", ".join(parts))
            certificates.withdraw(db, job.name, tier.name, "gateway", why, now, "void")
            certificates.add_alarm(db, job.name, "void", now, {"tier": tier.name, "why": why})
            lines.append(f"VOID: {why}; everything is held")
    if not _active_certificates(db, job, tier):
        lines.append("no certificate stands: everything is held")
    return lines


def _install(
    db: Database, job: JobSettings, tier: TierSettings, certificate: Certificate, now: float
) -> list[str]:
    """Put a configured certificate in force, unless it was withdrawn before; lines for the log."""
    stored = certificates.find(db, certificates.certificate_id(certificate), job.name, tier.name)
    is_void = stored is not None and stored.status == "void"
    if stored is None or stored.status == "proposed" or (is_void and not _active_certificates(db, job, tier)):
        before = stored.bound if stored is not None and is_void else {}
        current = binding.current_binding(job, tier, certificate)
        bound = {**current, **before, **binding.certified_binding(certificate)}
        certificates.install(db, job.name, tier.name, certificate, bound, "the command line", now)
        return []
    if stored.status == "active":
        return []
    return [f"not put in force again: it was {stored.status} by {stored.ended_by} ({stored.why})"]


def _active_certificates(
    db: Database, job: JobSettings, tier: TierSettings
) -> list[certificates.StoredCertificate]:
    return [promise for promise in certificates.active(db, job.name) if promise.tier == tier.name]


async def serve(service: ServiceSettings, show: Callable[[str], None] = print) -> None:
    """Run until a signal stops it; requests that have begun are finished first."""
    sys.setswitchinterval(SWITCH_SECONDS)
    running = RunningService(service)
    try:
        await running.start()
        await listen(running, show)
    finally:
        await running.stop()


async def listen(running: RunningService, show: Callable[[str], None]) -> None:
    """Answer requests until a signal comes."""
    server = create_server(running, show)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, begin_shutdown, running, server)
    await server.serve()


def create_server(running: RunningService, show: Callable[[str], None]) -> HttpServer:
    """The HTTP server of a started service. show: prints the addresses and the initial secrets, once it listens."""
    service = running.service
    protocol = limited_protocol(service.receive)
    server = http_server(running.app, service.host, service.port, protocol=protocol, drain=service.drain)
    server.on_started = lambda: _announce(running, server.port, show)
    return server


def begin_shutdown(running: RunningService, server: HttpServer) -> None:
    """Accept nothing new and finish what has begun; then the server stops."""
    running.app.stopping = True
    running.engine.stop_waiting()
    server.should_exit = True


def _announce(running: RunningService, port: int, show: Callable[[str], None]) -> None:
    """Show the addresses; the initial secrets are shown this once."""
    base = f"http://{running.service.host}:{port}"
    running.engine.base_url = base
    initial = running.initial_secrets
    show(f"gateway  {base}/v1\ndesk     {base}/desk")
    if initial.key is not None:
        show(f"first key         {initial.key}")
        show(f"owner's password  {initial.password}   (user: owner; both are shown this once)")
    if initial.webhook_secret is not None:
        show(f"webhooks' secret  {initial.webhook_secret}   (signs every notice; shown this once)")
    missing = running.readiness()["without_certificate"]
    if isinstance(missing, list) and missing:
        show(f"no certificate stands for {', '.join(missing)}: everything is held for people")
