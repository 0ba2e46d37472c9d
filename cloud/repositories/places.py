"""Where a job is on its way to a server."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, or_, select

from cloud.repositories.lanes import Lane, in_lane, lane_of
from cloud.repositories.states import RUNNING, in_states
from cloud.tables.account import ACCOUNTS
from cloud.tables.job import ATTEMPTS, JOBS
from shared.api.accounts import Plan
from shared.api.jobs import AttemptEnd
from shared.jobs.state import JobState

__all__ = ["JobPlace", "PlaceRows"]

_J = JOBS.c
_A = ATTEMPTS.c


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlace:
    """`ahead` jobs of its lane come first, and its account has `at_work` jobs running. `server` has it,
    or was left with a run of it; `last_end` is how its last attempt ended."""

    job_id: str
    lane: Lane
    state: JobState
    attempt: int
    started_at: datetime | None
    server: str | None
    avoid: str | None
    alone: bool
    ahead: int
    at_work: int
    plan: Plan
    last_end: AttemptEnd | None


class PlaceRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, job_id: str, *, account_id: str | None = None) -> JobPlace | None:
        """With an account, only of that account."""
        query = select(JOBS, ACCOUNTS.c.plan).join(ACCOUNTS, ACCOUNTS.c.id == _J.account_id)
        query = query.where(_J.id == job_id)
        row = self._connection.execute(
            query if account_id is None else query.where(_J.account_id == account_id)
        ).one_or_none()
        if row is None:
            return None
        lane = lane_of(row)
        return JobPlace(
            job_id=row.id,
            lane=lane,
            state=JobState(row.state),
            attempt=row.attempt,
            started_at=row.started_at,
            server=row.server,
            avoid=row.avoid,
            alone=row.alone,
            ahead=self._ahead(lane, row.queued_at, row.number) if row.state == JobState.QUEUED else 0,
            at_work=self._at_work(row.account_id),
            plan=Plan(row.plan),
            last_end=self._last_end(row.id),
        )

    def _ahead(self, lane: Lane, queued_at: datetime, number: int) -> int:
        before = or_(_J.queued_at < queued_at, and_(_J.queued_at == queued_at, _J.number < number))
        return int(self._connection.execute(select(func.count()).where(in_lane(lane), before)).scalar_one())

    def _at_work(self, account_id: str) -> int:
        found = select(func.count()).where(_J.account_id == account_id, in_states(RUNNING))
        return int(self._connection.execute(found).scalar_one())

    def _last_end(self, job_id: str) -> AttemptEnd | None:
        end = self._connection.execute(
            select(_A.end).where(_A.job_id == job_id).order_by(_A.attempt.desc()).limit(1)
        ).scalar()
        return None if end is None else AttemptEnd(end)
