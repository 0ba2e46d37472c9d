"""New jobs with their first events, in their lanes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.dialects import postgresql

from cloud.repositories.events import EventRows, new_event_row
from cloud.repositories.jobs import JobRows, NewJob, new_job_row
from cloud.repositories.lanes import LaneRows, new_lane_row
from cloud.repositories.now import LATER, NOW, Clock
from cloud.tables.event import EVENTS
from cloud.tables.job import JOBS, LANES
from shared.jobs.events import Queued

__all__ = ["IntakeRows"]


class IntakeRows:
    def __init__(
        self, connection: Connection, clock: Clock, jobs: JobRows, events: EventRows, lanes: LaneRows
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._jobs = jobs
        self._events = events
        self._lanes = lanes

    def add(self, jobs: Sequence[NewJob], events: Sequence[Queued]) -> None:
        """Of one account, in this order, each with its event. Among the last of a transaction: it locks
        the lanes."""
        if len(jobs) == 1 and self._connection.dialect.name == "postgresql":
            self._add_at_once(jobs[0], events[0])
            return
        self._jobs.add_all(jobs)
        self._events.add_all(jobs[0].lane.account_id, events)
        for lane, count in sorted(Counter(job.lane for job in jobs).items(), key=repr):
            self._lanes.enter(lane, count=count)

    def _add_at_once(self, job: NewJob, event: Queued) -> None:
        """Where each statement is a way to another machine and back, one is sent instead of three."""
        expires_in = job.expires_in
        stamps = self._clock.stamps if expires_in is None else self._clock.stamps_until(expires_in)
        values = {
            **_named("job", new_job_row(job)),
            **_named("event", new_event_row(job.lane.account_id, event)),
            **_named("lane", new_lane_row(job.lane, 1)),
        }
        add = _at_once(expires=expires_in is not None, names=tuple(values))
        self._connection.execute(add, values | stamps)


@cache
def _at_once(*, expires: bool, names: tuple[str, ...]) -> postgresql.Insert:
    """Built once: this is asked with every submission. The rows are checked at its end, the lane is
    locked by its last part."""
    times = {"created_at": NOW, "queued_at": NOW, **({"expires_at": LATER} if expires else {})}
    job = postgresql.insert(JOBS).values({**_places(JOBS, "job", names), **times})
    event = postgresql.insert(EVENTS).values({**_places(EVENTS, "event", names), "at": NOW})
    lane = postgresql.insert(LANES).values({**_places(LANES, "lane", names), "oldest_at": NOW})
    waiting = LANES.c.waiting + lane.excluded.waiting
    return lane.on_conflict_do_update(
        index_elements=list(LANES.primary_key), set_={"waiting": waiting}
    ).add_cte(job.cte("job"), event.cte("event"))


def _named(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{table}_{name}": value for name, value in row.items()}


def _places(table: Table, prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    """What goes into each column of the table that was named."""
    return {
        column.name: bindparam(f"{prefix}_{column.name}", type_=column.type)
        for column in table.columns
        if f"{prefix}_{column.name}" in names
    }
