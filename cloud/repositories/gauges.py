"""How the work stands, counted for operators by indexes alone."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from cloud.repositories.now import Clock
from cloud.repositories.states import RUNNING, in_states
from cloud.tables.event import EVENTS
from cloud.tables.job import JOBS, LANES
from cloud.tables.server import SERVERS
from cloud.tables.webhook import WEBHOOK_DELIVERIES
from shared.api.servers import BreakerState

__all__ = ["GaugeRows", "Gauges", "Lag", "ServerGauge", "WaitingGauge"]

_J = JOBS.c
_L = LANES.c
_S = SERVERS.c
_D = WEBHOOK_DELIVERIES.c


@dataclass(frozen=True, slots=True)
class Lag:
    count: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class WaitingGauge:
    pool: str
    priority: int
    waiting: Lag


@dataclass(frozen=True, slots=True)
class ServerGauge:
    name: str
    breaker: BreakerState
    led: bool
    jobs: int
    runs: int  # of the jobs, those whose execution has begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    waiting: tuple[WaitingGauge, ...]
    running: tuple[tuple[str, int], ...]  # by pool
    servers: tuple[ServerGauge, ...]
    outbox: Lag
    webhooks: Lag  # how many wait, and since when the first is due


class GaugeRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def read(self) -> Gauges:
        now = self.now()
        return Gauges(
            waiting=self._waiting(now),
            running=self._running(),
            servers=self._servers(now),
            outbox=self._outbox(now),
            webhooks=self._webhooks(now),
        )

    def now(self) -> datetime:
        """By the database's clock."""
        at: datetime = self._connection.execute(select(self._clock.now())).scalar_one()
        return at

    def _waiting(self, now: datetime) -> tuple[WaitingGauge, ...]:
        rows = self._connection.execute(
            select(_L.pool, _L.priority, func.sum(_L.waiting), func.min(_L.oldest_at)).group_by(
                _L.pool, _L.priority
            )
        )
        return tuple(
            WaitingGauge(pool, priority, Lag(int(count), _age_s(oldest, now)))
            for pool, priority, count, oldest in rows
        )

    def _running(self) -> tuple[tuple[str, int], ...]:
        rows = self._connection.execute(
            select(_J.pool, func.count()).where(in_states(RUNNING)).group_by(_J.pool)
        )
        return tuple((pool, count) for pool, count in rows)

    def _servers(self, now: datetime) -> tuple[ServerGauge, ...]:
        at_work = and_(_J.server == _S.name, in_states(RUNNING))
        rows = self._connection.execute(
            select(_S.name, _S.breaker, _S.lead_until, func.count(_J.id), func.count(_J.started_at))
            .join_from(SERVERS, JOBS, at_work, isouter=True)
            .group_by(_S.name, _S.breaker, _S.lead_until)
        )
        return tuple(
            ServerGauge(name, BreakerState(breaker), until is not None and until > now, jobs, runs)
            for name, breaker, until, jobs, runs in rows
        )

    def _outbox(self, now: datetime) -> Lag:
        row = self._connection.execute(
            select(func.count(), func.min(EVENTS.c.at)).where(EVENTS.c.published_at.is_(None))
        ).one()
        return Lag(row[0], _age_s(row[1], now))

    def _webhooks(self, now: datetime) -> Lag:
        row = self._connection.execute(
            select(func.count(), func.min(_D.next_at)).where(_D.state == "waiting")
        ).one()
        return Lag(row[0], _age_s(row[1], now))


def _age_s(at: datetime | None, now: datetime) -> float:
    return 0.0 if at is None else max(0.0, (now - at).total_seconds())
