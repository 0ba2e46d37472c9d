"""What Prometheus is told: this process's own counts, and how the work stands in the database."""

from typing import assert_never

import structlog

from cloud.clients.inspector import Inspector
from cloud.clients.metrics import Metrics
from cloud.repositories.database import Database
from cloud.repositories.gauges import Gauges
from cloud.services.stream_door import StreamDoor
from shared.api.servers import BreakerState
from shared.errors import TransientError

__all__ = ["Observing"]

_log = structlog.get_logger(__name__)


class Observing:
    """The database is asked at most every `every_s`, however often Prometheus comes."""

    def __init__(
        self,
        *,
        database: Database,
        metrics: Metrics,
        inspector: Inspector,
        streams: StreamDoor,
        every_s: float = 5.0,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._inspector = inspector
        self._streams = streams
        self._every_s = every_s

    async def text(self) -> bytes:
        """Comes also while the database is away."""
        self._metrics.database_busy.set(self._database.busy)
        self._metrics.inspections.set(self._inspector.busy)
        self._metrics.streams.set(self._streams.open)
        if self._metrics.is_due(self._every_s):
            try:
                self._show(await self._database.read(lambda unit: unit.gauges.read()))
            except TransientError as error:
                _log.warning("gauges_unread", error=error.code)
                self._metrics.database_up.set(0)
            else:
                self._metrics.database_up.set(1)
        return self._metrics.text()

    def _show(self, gauges: Gauges) -> None:
        metrics = self._metrics
        for by_label in (metrics.queue_jobs, metrics.queue_oldest_seconds, metrics.jobs_running):
            by_label.clear()
        for by_server in (
            metrics.server_busy,
            metrics.server_jobs,
            metrics.server_breaker,
            metrics.server_led,
        ):
            by_server.clear()
        for item in gauges.waiting:
            metrics.queue_jobs.labels(item.pool, item.priority).set(item.waiting.count)
            metrics.queue_oldest_seconds.labels(item.pool, item.priority).set(item.waiting.oldest_s)
        for pool, count in gauges.running:
            metrics.jobs_running.labels(pool).set(count)
        for server in gauges.servers:
            metrics.server_busy.labels(server.name).set(min(1, server.runs))
            metrics.server_jobs.labels(server.name).set(server.jobs)
            metrics.server_breaker.labels(server.name).set(_number(server.breaker))
            metrics.server_led.labels(server.name).set(server.led)
        metrics.outbox_events.set(gauges.outbox.count)
        metrics.outbox_oldest_seconds.set(gauges.outbox.oldest_s)
        metrics.webhooks_waiting.set(gauges.webhooks.count)
        metrics.webhooks_late_seconds.set(gauges.webhooks.oldest_s)


def _number(breaker: BreakerState) -> int:
    match breaker:
        case BreakerState.CLOSED:
            return 0
        case BreakerState.HALF_OPEN:
            return 1
        case BreakerState.OPEN:
            return 2
        case _:
            assert_never(breaker)
