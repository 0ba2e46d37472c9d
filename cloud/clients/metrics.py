"""What Prometheus reads of this process, and of the database as one of them last saw it.

Labels are words of ours: templates of routes, presets, pools, names of servers, codes. Never ids of
jobs or accounts, addresses or anything that a client chose.
"""

from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RUN_BUCKETS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class Metrics:
    """One per process. Counting is safe from every thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seen_at = float("-inf")
        self._requests = self._counter("requests", "Requests answered", "method", "route", "status")
        self._request_seconds = Histogram(
            "safelight_request_seconds",
            "Time to the end of an answer; streams are left out",
            ("route",),
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._ended = self._counter("jobs_ended", "Jobs that ended", "preset", "outcome")
        self._failures = self._counter("job_failures", "Jobs that failed, by reason", "code")
        self._run_seconds = Histogram(
            "safelight_job_seconds",
            "From the begin of a job's execution to its end",
            ("preset", "outcome"),
            buckets=_RUN_BUCKETS,
            registry=self.registry,
        )
        self._leases_lost = self._counter("leases_lost", "Jobs taken back from workers that fell silent")
        self._sign_ins_failed = self._counter("sign_ins_failed", "Keys and tickets that were not good")
        self._refusals = self._counter("rate_limited", "Requests that were too many")
        self.queue_jobs = self._gauge("queue_jobs", "Jobs that wait", "pool", "priority")
        self.queue_oldest_seconds = self._gauge(
            "queue_oldest_seconds", "How long the oldest job has waited", "pool", "priority"
        )
        self.jobs_running = self._gauge("jobs_running", "Jobs that a worker has", "pool")
        self.server_busy = self._gauge(
            "server_busy", "1 while a server runs something: its mean over time is the busy share", "server"
        )
        self.server_jobs = self._gauge("server_jobs", "Jobs at a server, waiting ones among them", "server")
        self.server_breaker = self._gauge(
            "server_breaker", "0 closed, 1 half open, 2 open: the server is not used", "server"
        )
        self.server_led = self._gauge("server_led", "1 while a worker looks after the server", "server")
        self.outbox_events = self._gauge("outbox_events", "Events that were not told yet")
        self.outbox_oldest_seconds = self._gauge("outbox_oldest_seconds", "How long the oldest has waited")
        self.webhooks_waiting = self._gauge("webhooks_waiting", "Webhook messages to be sent, retries too")
        self.webhooks_late_seconds = self._gauge(
            "webhooks_late_seconds", "How long the most overdue webhook message has been due"
        )
        self.database_up = self._gauge("database_up", "1 if the database answered lately")
        self.database_busy = self._gauge("database_busy", "Connections in use, or transactions in line")
        self.inspections = self._gauge("inspections", "Files that are looked at, or wait for it")
        self.streams = self._gauge("streams", "Streams that are open")

    def request_answered(self, *, method: str, route: str, status: int, seconds: float | None) -> None:
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._request_seconds.labels(route).observe(seconds)

    def job_ended(self, *, preset: str, outcome: str, code: str | None, seconds: float | None) -> None:
        """`code` of what failed; `seconds` of what had begun."""
        self._ended.labels(preset, outcome).inc()
        if code is not None:
            self._failures.labels(code).inc()
        if seconds is not None:
            self._run_seconds.labels(preset, outcome).observe(max(0.0, seconds))

    def leases_lost(self, count: int) -> None:
        self._leases_lost.inc(count)

    def sign_in_failed(self) -> None:
        self._sign_ins_failed.inc()

    def rate_limited(self) -> None:
        self._refusals.inc()

    def is_due(self, every_s: float) -> bool:
        """Whether the database should be looked at again; then true once."""
        if monotonic() - self._seen_at < every_s:
            return False
        self._seen_at = monotonic()
        return True

    def text(self) -> bytes:
        """In Prometheus' own form."""
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"safelight_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"safelight_{name}", about, labels, registry=self.registry)
