"""What Prometheus reads of a running service."""

from collections.abc import Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tolerate.service.http.logging import resident_bytes
from tolerate.store.degraded import Tightening

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "tolerate_decisions", "Decisions", ["job", "tier", "decision"], registry=self.registry
        )
        self._errors = Counter("tolerate_errors", "Errors by code", ["code"], registry=self.registry)
        self._cost = Counter("tolerate_cost", "Cost of models", ["job", "tier"], registry=self.registry)
        self._tokens = Counter("tolerate_tokens", "Tokens", ["job", "tier", "way"], registry=self.registry)
        self._seconds = Histogram(
            "tolerate_seconds", "Time of a request", ["job"], buckets=SECONDS, registry=self.registry
        )
        self._commit = Histogram(
            "tolerate_commit_seconds", "Wait for the disk", buckets=SECONDS, registry=self.registry
        )
        self.in_flight = Gauge("tolerate_in_flight", "Requests being answered", registry=self.registry)
        self.standing = Gauge(
            "tolerate_certificate_stands",
            "1 while the certificate stands",
            ["job", "tier"],
            registry=self.registry,
        )
        self.degraded = Gauge(
            "tolerate_certificate_degraded",
            "1 while the certificate stands and is DEGRADED",
            ["job", "tier"],
            registry=self.registry,
        )
        self.slices = Gauge(
            "tolerate_slices_held", "Slices that are held", ["job", "tier"], registry=self.registry
        )
        self.bound = Gauge(
            "tolerate_risk_bound", "Anytime-valid bound on the risk", ["job", "tier"], registry=self.registry
        )
        self.drift = Gauge(
            "tolerate_drift_evidence", "Odds against the scores", ["job", "tier"], registry=self.registry
        )
        self.backlog = Gauge("tolerate_review_open", "Looks that wait", ["job"], registry=self.registry)
        self.age = Gauge(
            "tolerate_review_oldest_seconds", "Age of the oldest", ["job"], registry=self.registry
        )
        self.registry.register(_Memory())
        # looking a child up by its labels costs more than counting
        self._counts = cache(self._decisions.labels)
        self._tokens_of = cache(self._tokens.labels)
        self._seconds_of = cache(self._seconds.labels)

    def narrowed(self, job: str, tier: str, tightenings: Sequence[Tightening]) -> None:
        """Note what narrows a certificate in force."""
        slices = sum(bool(each.slice) for each in tightenings)
        self.degraded.labels(job, tier).set(len(tightenings) > slices)
        self.slices.labels(job, tier).set(slices)

    def decided(self, job: str, tier: str, decision: str) -> None:
        """Count a decision."""
        self._counts(job, tier, decision).inc()

    def spent(self, job: str, tier: str, cost: float, read: int, written: int) -> None:
        """Count what a model cost."""
        if cost:
            self._cost.labels(job, tier).inc(cost)
        if read or written:
            self._tokens_of(job, tier, "read").inc(read)
            self._tokens_of(job, tier, "written").inc(written)

    def took(self, job: str, seconds: float, commit: float) -> None:
        """Note how long a request took, and its commit."""
        self._seconds_of(job).observe(seconds)
        self._commit.observe(commit)

    def failed(self, code: str | None) -> None:
        """Count an error."""
        self._errors.labels(code or "error").inc()

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self.registry)


class _Memory(Collector):
    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily("tolerate_memory_bytes", "Resident memory", value=resident_bytes())]
