"""Jobs that wait: ended before any worker took them."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, update

from cloud.repositories.lanes import LANE_COLUMNS, Lane, LaneRows, in_lane, lane_of
from cloud.repositories.now import Clock
from cloud.tables.job import JOBS
from shared.jobs.state import JobState

__all__ = ["EndedJob", "WaitingRows"]

_J = JOBS.c


@dataclass(frozen=True, slots=True)
class EndedJob:
    """`attempt` is 0 if no worker ever had it."""

    job_id: str
    attempt: int
    lane: Lane
    price: int
    batch_id: str | None


class WaitingRows:
    def __init__(self, connection: Connection, clock: Clock, lanes: LaneRows) -> None:
        self._connection = connection
        self._clock = clock
        self._lanes = lanes

    def end(self, account_id: str, job_id: str, state: JobState, **values: Any) -> EndedJob | None:
        """None if the job does not wait."""
        return next(
            iter(self._end(_J.id == job_id, _J.account_id == account_id, state=state, **values)), None
        )

    def end_lane(self, lane: Lane, state: JobState, *, limit: int, **values: Any) -> tuple[EndedJob, ...]:
        return self._end(self._some(limit, in_lane(lane)), state=state, **values)

    def end_batch(self, batch_id: str, state: JobState, *, limit: int) -> tuple[EndedJob, ...]:
        return self._end(self._some(limit, _J.batch_id == batch_id), state=state)

    def end_late(self, state: JobState, *, limit: int) -> tuple[EndedJob, ...]:
        """Those that have waited as long as they may."""
        return self._end(self._some(limit, _J.expires_at < self._clock.now()), state=state)

    def end_older(self, age: timedelta, state: JobState, *, limit: int) -> tuple[EndedJob, ...]:
        """Those that do not say how long they may wait, and have waited for longer than this."""
        late = and_(_J.expires_at.is_(None), _J.queued_at < self._clock.now(-age))
        return self._end(self._some(limit, late), state=state)

    def _some(self, limit: int, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        numbers = (
            select(_J.number)
            .where(_J.state == JobState.QUEUED, condition)
            .order_by(_J.number)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return _J.number.in_(numbers)

    def _end(self, *which: ColumnElement[bool], state: JobState, **values: Any) -> tuple[EndedJob, ...]:
        rows = self._connection.execute(
            update(JOBS)
            .where(_J.state == JobState.QUEUED, *which)
            .values(state=state, finished_at=self._clock.now(), **values)
            .returning(_J.id, _J.attempt, _J.price, _J.batch_id, *LANE_COLUMNS)
        ).all()
        ended = tuple(sorted(map(_ended, rows), key=_account_first))
        for lane, count in sorted(Counter(job.lane for job in ended).items(), key=repr):
            self._lanes.leave(lane, count=count)
        return ended


def _ended(row: Row[Any]) -> EndedJob:
    return EndedJob(row.id, row.attempt, lane_of(row), row.price, row.batch_id)


def _account_first(job: EndedJob) -> tuple[str, str, str]:
    """The order in which whoever ends several jobs locks what belongs to their accounts."""
    return (job.lane.account_id, job.batch_id or "", job.job_id)
