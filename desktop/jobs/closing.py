"""The ends of jobs: journalled first, then cleared up behind, then told."""

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime

from desktop.jobs.delivery import Deliverer
from desktop.jobs.endings import ending_of
from desktop.jobs.queue import JobChange, JobQueue
from desktop.store import jobs as rows
from desktop.store import ledger
from desktop.store.database import Database
from desktop.store.job import Delivery, Job, JobError
from shared.engines.base import Engine
from shared.errors import SafelightError
from shared.failpoints import failpoint
from shared.jobs.state import JobState

__all__ = ["Closing"]


class Closing:
    """Who hears of an end may take the files and leave: nothing of the job is left to do.

    A job that has ended keeps its ticket until it is cleared up, so that a later process can do
    it where this one dies.
    """

    def __init__(self, *, database: Database, queue: JobQueue, deliverer: Deliverer) -> None:
        self._database = database
        self._queue = queue
        self._deliverer = deliverer

    async def delivered(self, job: Job, engine: Engine) -> None:
        await self._close(job, engine, lambda c: _record_delivery(c, job, Delivery.DELIVERED, None))

    async def blocked(self, job: Job, reason: str) -> None:
        """Completed, but the outputs stay with the engine until the folder takes them."""
        moved = await self._move(job, lambda c: _record_delivery(c, job, Delivery.BLOCKED, reason))
        self._tell(job, moved)

    async def failed(self, job: Job, error: JobError, engine: Engine | None = None) -> None:
        await self._close(job, engine, lambda c: rows.fail_job(c, job.id, error=error, now=_now()))

    async def cancelled(self, job: Job, engine: Engine | None = None) -> None:
        await self._close(job, engine, lambda c: rows.cancel_job(c, job.id, now=_now()))

    async def called_off(self, job: Job, engine: Engine | None = None) -> None:
        """A hot folder's job whose file is not there, or another one: that may come again."""

        def record(connection: sqlite3.Connection) -> None:
            if job.order.ledger_key is not None:
                ledger.set_withdrawn(connection, job.order.ledger_key, withdrawn=True)
            rows.cancel_job(connection, job.id, now=_now())

        await self._close(job, engine, record)

    async def clear_up(self, job: Job, engine: Engine | None) -> None:
        """What a dead process left undone. An engine that does not answer is asked again another time."""
        await self._deliverer.tidy(job)
        if job.ticket is None or engine is None:
            return
        with contextlib.suppress(SafelightError):
            await engine.forget(job.ticket)
            await self._database.write(lambda c: rows.clear_ticket(c, job.id))

    async def _close(
        self, job: Job, engine: Engine | None, record: Callable[[sqlite3.Connection], None]
    ) -> None:
        moved = await self._move(job, record)
        failpoint("job.closed")
        await self.clear_up(moved, engine)
        self._tell(job, moved)

    async def _move(self, job: Job, record: Callable[[sqlite3.Connection], None]) -> Job:
        def act(connection: sqlite3.Connection) -> Job:
            record(connection)
            return rows.find_job(connection, job.id)

        return await self._database.write(act)

    def _tell(self, before: Job, after: Job) -> None:
        """A job ends once: what is delivered later is no event any more."""
        event = None if before.state is JobState.COMPLETED else ending_of(after)
        self._queue.tell(JobChange(after, event))


def _record_delivery(
    connection: sqlite3.Connection, job: Job, delivery: Delivery, reason: str | None
) -> None:
    if job.state is JobState.COMPLETED:
        rows.record_delivery(connection, job.id, delivery=delivery, reason=reason)
    else:
        rows.complete_job(connection, job.id, delivery=delivery, reason=reason, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)
