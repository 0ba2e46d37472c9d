"""The queue of this process: what is journalled, asked for and told about jobs."""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from desktop.store import jobs as rows
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.store.job import Delivery, Job, NewJob
from shared.errors import UsageError
from shared.ids import new_id
from shared.jobs.events import JobEvent, Queued
from shared.jobs.state import JobState, is_terminal

__all__ = ["JobChange", "JobQueue", "Listener", "NewJob", "NotRetryable"]


class NotRetryable(UsageError):
    code = "not_retryable"


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job as it now stands, and the event that made it so; None for a change of delivery."""

    job: Job
    event: JobEvent | None


Listener = Callable[[JobChange], None]


class JobQueue:
    """All methods belong to one event loop. Listeners are called on it, in order, and must be quick.

    `bell` is rung when there may be work: jobs submitted, adopted, or asked to end.
    """

    def __init__(self, *, database: Database, holder: Holder, bell: Callable[[], None]) -> None:
        self._database = database
        self._holder = holder
        self._bell = bell
        self._listeners: list[Listener] = []

    async def submit(
        self, new: NewJob, *, also: Callable[[sqlite3.Connection, str], None] | None = None
    ) -> str:
        """Journal the job and return its id; a known key returns its job's id, adopted if orphaned.

        `also` is run in the same transaction, with the job's id.
        """
        return (await self.submit_all([new], also=also))[0]

    async def submit_all(
        self, new_jobs: Sequence[NewJob], *, also: Callable[[sqlite3.Connection, str], None] | None = None
    ) -> tuple[str, ...]:
        now = datetime.now(UTC)

        def insert(connection: sqlite3.Connection) -> list[tuple[str, bool]]:
            answers = [
                rows.insert_job(connection, new, holder=self._holder.name, now=now) for new in new_jobs
            ]
            if also is not None:
                for job_id, _ in answers:
                    also(connection, job_id)
            return answers

        answers = await self._database.write(insert)
        known = frozenset(
            new.key for new, (_, inserted) in zip(new_jobs, answers, strict=True) if not inserted
        )
        if known:
            await self.adopt(keys=known)
        if self._listeners:
            await self._tell_queued([job_id for job_id, inserted in answers if inserted])
        self._bell()
        return tuple(job_id for job_id, _ in answers)

    async def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        return await self._database.read(lambda connection: rows.find_job(connection, job_id))

    async def latest(self, limit: int) -> tuple[Job, ...]:
        return await self._database.read(lambda connection: rows.latest_jobs(connection, limit))

    async def adopt(self, *, batch: str | None = None, keys: Collection[str] | None = None) -> int:
        """Take over the open jobs of dead processes: all, those of a batch, or those with a key."""
        holders = await self._database.read(rows.holders_of_open_jobs)
        dead = self._holder.dead(holders)
        if not dead:
            return 0
        adopted = await self._database.write(
            lambda connection: rows.adopt_jobs(
                connection, holder=self._holder.name, dead=dead, batch=batch, keys=keys
            )
        )
        self._bell()
        return adopted

    async def cancel(self, job_id: str) -> None:
        """Ask for the end of a job, whoever runs it. Raises UnknownJob; an ended job stays as it is."""
        job = await self.get(job_id)
        if is_terminal(job.state):
            return
        await self._database.write(lambda connection: rows.request_cancel(connection, job_id))
        await self.adopt(keys={job.order.key})
        self._bell()

    async def retry(self, job_id: str) -> str:
        """Journal a new job for the same work. Raises UnknownJob, NotRetryable."""
        job = await self.get(job_id)
        if not is_terminal(job.state):
            raise NotRetryable(f"job {job_id} is still {job.state}; cancel it first", job=job_id)
        if job.state is JobState.COMPLETED and job.delivery is Delivery.DELIVERED:
            raise NotRetryable(f"job {job_id} is done: there is nothing to retry", job=job_id)
        return await self.submit(replace(job.order, key=f"retry:{new_id()}", retry_of=job_id))

    async def release(self, job_ids: Sequence[str]) -> None:
        """Free the keys of ended jobs once their results were reported: asking again runs again."""
        await self._database.write(lambda connection: rows.release_keys(connection, job_ids))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for each change of a job that this process holds."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def tell(self, change: JobChange) -> None:
        for listener in tuple(self._listeners):
            listener(change)

    async def _tell_queued(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            job = await self.get(job_id)
            self.tell(JobChange(job, Queued(job_id=job_id, attempt=1, at=job.created_at)))
