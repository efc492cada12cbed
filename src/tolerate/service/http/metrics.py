"""The metrics of a running service, for Prometheus."""

from collections.abc import Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tolerate.service.http.logging import resident_bytes
from tolerate.store.restrictions import Restriction

BUCKET_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


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
            "tolerate_seconds", "Time of a request", ["job"], buckets=BUCKET_SECONDS, registry=self.registry
        )
        self._commit = Histogram(
            "tolerate_commit_seconds", "Wait for the disk", buckets=BUCKET_SECONDS, registry=self.registry
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
        # Looking a child up by its labels costs more than counting.
        self._decision_counter = cache(self._decisions.labels)
        self._token_counter = cache(self._tokens.labels)
        self._seconds_histogram = cache(self._seconds.labels)

    def set_restrictions(self, job: str, tier: str, restrictions: Sequence[Restriction]) -> None:
        """Set what restricts a certificate in force."""
        slices = sum(bool(restriction.slice) for restriction in restrictions)
        self.degraded.labels(job, tier).set(len(restrictions) > slices)
        self.slices.labels(job, tier).set(slices)

    def count_decision(self, job: str, tier: str, decision: str) -> None:
        """Count a decision."""
        self._decision_counter(job, tier, decision).inc()

    def count_usage(self, job: str, tier: str, cost: float, prompt: int, completion: int) -> None:
        """Count the cost of a model's answer, and the tokens of its prompt and its completion."""
        if cost:
            self._cost.labels(job, tier).inc(cost)
        if prompt or completion:
            self._token_counter(job, tier, "read").inc(prompt)
            self._token_counter(job, tier, "written").inc(completion)

    def observe_request(self, job: str, seconds: float, commit: float) -> None:
        """Record the duration of a request, and of its commit, in seconds."""
        self._seconds_histogram(job).observe(seconds)
        self._commit.observe(commit)

    def count_error(self, code: str | None) -> None:
        """Count an error."""
        self._errors.labels(code or "error").inc()

    def text(self) -> bytes:
        """The metrics in Prometheus's text format."""
        return generate_latest(self.registry)


class _Memory(Collector):
    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily("tolerate_memory_bytes", "Resident memory", value=resident_bytes())]
