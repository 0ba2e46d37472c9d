"""What runs where: how many jobs each server has, and which of them only wait there."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, and_, exists, func, or_, select, update

from cloud.repositories.attempt import AttemptRef
from cloud.repositories.lanes import LANE_COLUMNS, Backlog, Lane, lane_of
from cloud.repositories.now import Clock
from cloud.repositories.servers import ServerRecord, ServerRows
from cloud.repositories.states import RUNNING, in_states
from cloud.tables.job import ATTEMPTS, JOBS
from shared.api.jobs import AttemptEnd
from shared.jobs.state import JobState

__all__ = ["Behind", "Scene", "Standing", "StandingRows"]

_J = JOBS.c
_A = ATTEMPTS.c
_OPEN = (JobState.QUEUED, *RUNNING)
_WITHOUT_AN_END = (AttemptEnd.BROKEN_OFF, AttemptEnd.LOST, AttemptEnd.RELEASED)
_ONLY_WAITS = and_(
    _J.state == JobState.PROCESSING,
    _J.started_at.is_(None),
    _J.hand_back_at.is_(None),
    _J.cancel_requested_at.is_(None),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A server and how many jobs it has, those that wait behind others among them."""

    server: ServerRecord
    jobs: int

    @property
    def is_idle(self) -> bool:
        return self.jobs == 0 and self.server.takes_work


@dataclass(frozen=True, slots=True)
class Scene:
    """What waits for some pools, and the servers there are for it."""

    backlog: Backlog
    servers: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """An attempt that waits behind another at its server."""

    ref: AttemptRef
    lane: Lane


class StandingRows:
    def __init__(self, connection: Connection, clock: Clock, servers: ServerRows) -> None:
        self._connection = connection
        self._clock = clock
        self._servers = servers

    def jobs_at(self, server: str) -> int:
        found = select(func.count()).where(_J.server == server, in_states(RUNNING))
        return int(self._connection.execute(found).scalar_one())

    def of_pools(self, pools: Collection[str]) -> tuple[Standing, ...]:
        """By name."""
        counted = self._connection.execute(
            select(_J.server, func.count())
            .where(in_states(RUNNING), _J.server.is_not(None))
            .group_by(_J.server)
        )
        counts: dict[str, int] = {server: count for server, count in counted}  # noqa: C416 - no pairs
        servers = [server for pool in sorted(pools) for server in self._servers.all(pool=pool)]
        return tuple(Standing(server, counts.get(server.name, 0)) for server in servers)

    def behind(self, pools: Collection[str], server: str) -> tuple[Behind, ...]:
        """What waits behind something at other servers, and nobody has asked for yet; the oldest first."""
        ahead = JOBS.alias("ahead")
        has_begun = exists().where(
            ahead.c.server == _J.server, in_states(RUNNING, ahead.c.state), ahead.c.started_at.is_not(None)
        )
        rows = self._connection.execute(
            select(_J.id, _J.attempt, *LANE_COLUMNS)
            .where(
                _J.pool.in_(pools),
                _J.server != server,
                func.coalesce(_J.avoid, "") != server,
                _ONLY_WAITS,
                has_begun,
            )
            .order_by(_J.queued_at, _J.number)
        )
        return tuple(Behind(AttemptRef(row.id, row.attempt), lane_of(row)) for row in rows)

    def ask_back(self, ref: AttemptRef) -> bool:
        """False if it has begun meanwhile, or another was quicker to ask."""
        changed = self._connection.execute(
            update(JOBS)
            .where(_J.id == ref.job_id, _J.attempt == ref.number, _ONLY_WAITS)
            .values(hand_back_at=self._clock.now())
            .returning(_J.id)
        )
        return changed.first() is not None

    def given_up(self, server: str, within: timedelta) -> tuple[str, ...]:
        """Tickets of attempts that ended there without an end of their runs, which nobody waits for: a
        job that was left there, or is there again, may yet adopt its run."""
        is_elsewhere = or_(_J.state.not_in(_OPEN), _J.server.is_(None), _J.server != server)
        rows = self._connection.execute(
            select(_A.ticket)
            .join(JOBS, _J.id == _A.job_id)
            .where(
                _A.server == server,
                _A.end.in_(_WITHOUT_AN_END),
                _A.ended_at > self._clock.now(-within),
                _A.ticket.is_not(None),
                is_elsewhere,
            )
        )
        return tuple(row.ticket for row in rows)
