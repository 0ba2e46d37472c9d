"""The queue of this process: what is journalled, asked for and told about jobs."""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from desktop.jobs.bell import Bell
from desktop.jobs.reprieves import Reprieves
from desktop.jobs.sources import describe_input, source_digest
from desktop.store import jobs as rows
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.store.job import Job, JobError, JobInput, NewJob
from desktop.store.waiting import WaitingFile, waiting_files
from shared.errors import UsageError
from shared.failpoints import failpoint
from shared.ids import new_id
from shared.jobs.events import Failed, JobEvent, Queued
from shared.jobs.state import JobState, is_terminal

__all__ = ["JobChange", "JobQueue", "Listener", "NewJob", "NotRetryable"]


class NotRetryable(UsageError):
    code = "not_retryable"


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job as it now stands, and the event that made it so; None for a change of delivery.

    `waits_for` says why a job cannot begin yet; that is no event either.
    """

    job: Job
    event: JobEvent | None
    waits_for: str | None = None


Listener = Callable[[JobChange], None]
_Inserted = tuple[list[tuple[str, bool]], list[Job]]  # each job's id and whether it is new; the new jobs


class JobQueue:
    """All methods belong to one event loop. Listeners are called on it, in order, and must be quick."""

    def __init__(self, *, database: Database, holder: Holder, bell: Bell) -> None:
        self._database = database
        self._holder = holder
        self._bell = bell
        self._listeners: list[Listener] = []
        self.reprieves = Reprieves()

    async def submit(
        self, new: NewJob, *, also: Callable[[sqlite3.Connection, str], None] | None = None
    ) -> str:
        """Journal the job and return its id; a known key returns its job's id, adopted if orphaned.

        `also` is run in the same transaction, with the job's id.
        """
        return (await self.submit_all([new], also=also))[0]

    async def submit_all(
        self,
        new_jobs: Sequence[NewJob],
        *,
        also: Callable[[sqlite3.Connection, str], None] | None = None,
        renew: bool = False,
    ) -> tuple[str, ...]:
        """Like `submit`, in one transaction. With `renew`, a job that failed or was cancelled counts
        no longer under its key."""
        answers, added = await self._database.write(self._insertion(new_jobs, also, renew=renew))
        failpoint("job.journalled")
        await self._adopt_known(new_jobs, answers)
        self._bell.hand_over(added)
        self._tell_queued(added)
        return tuple(job_id for job_id, _ in answers)

    async def submit_first(
        self, new: NewJob, *, also: Callable[[sqlite3.Connection, str], None] | None = None
    ) -> str:
        """Like `submit_all` with `renew`, where no other job can have made the same: its run is prepared
        while the disk takes the journal."""
        journalled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def hand_over(inserted: _Inserted) -> None:
            self._bell.hand_over(inserted[1], journalled=journalled)

        try:
            answers, added = await self._database.write(
                self._insertion([new], also, renew=True), early=hand_over
            )
            failpoint("job.journalled")
            await self._adopt_known([new], answers)
            self._tell_queued(added)
            journalled.set_result(True)
        finally:
            if not journalled.done():
                journalled.set_result(False)
        return answers[0][0]

    def _insertion(
        self,
        new_jobs: Sequence[NewJob],
        also: Callable[[sqlite3.Connection, str], None] | None,
        *,
        renew: bool,
    ) -> Callable[[sqlite3.Connection], _Inserted]:
        now = datetime.now(UTC)

        def insert(connection: sqlite3.Connection) -> _Inserted:
            if renew:
                rows.release_failed(connection, [new.key for new in new_jobs])
            answers = [
                rows.insert_job(connection, new, holder=self._holder.name, now=now) for new in new_jobs
            ]
            if also is not None:
                for job_id, _ in answers:
                    also(connection, job_id)
            new_ids = [job_id for job_id, inserted in answers if inserted]
            return answers, [rows.find_job(connection, job_id) for job_id in new_ids]

        return insert

    async def _adopt_known(self, new_jobs: Sequence[NewJob], answers: Sequence[tuple[str, bool]]) -> None:
        known = frozenset(
            new.key for new, (_, inserted) in zip(new_jobs, answers, strict=True) if not inserted
        )
        if known:
            await self.adopt(keys=known)

    def _tell_queued(self, added: Sequence[Job]) -> None:
        for job in added:
            self.tell(JobChange(job, Queued(job_id=job.id, attempt=1, at=job.created_at)))

    async def refuse(
        self,
        new: NewJob,
        error: JobError,
        *,
        also: Callable[[sqlite3.Connection, str], None] | None = None,
    ) -> str:
        """Journal a job that cannot be run as failed: it stands in the error list, and can be retried."""
        now = datetime.now(UTC)

        def insert(connection: sqlite3.Connection) -> tuple[Job, bool]:
            job_id, inserted = rows.insert_job(connection, new, holder=self._holder.name, now=now)
            if inserted:
                rows.fail_job(connection, job_id, error=error, now=now)
            if also is not None:
                also(connection, job_id)
            return rows.find_job(connection, job_id), inserted

        job, inserted = await self._database.write(insert)
        if inserted:
            told = Failed(
                job_id=job.id,
                attempt=1,
                at=now,
                code=error.code,
                message=error.message,
                retryable=error.retryable,
            )
            self.tell(JobChange(job, told))
        return job.id

    async def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        return await self._database.read(lambda connection: rows.find_job(connection, job_id))

    async def with_keys(self, keys: Collection[str]) -> tuple[Job, ...]:
        """The jobs that hold these keys."""
        return await self._database.read(lambda connection: rows.jobs_with_keys(connection, keys))

    async def find(self, beginning: str) -> Job:
        """The one job whose id begins so. Raises UnknownJob."""
        return await self._database.read(lambda connection: rows.find_job_by_prefix(connection, beginning))

    async def latest(self, limit: int, *, state: JobState | None = None) -> tuple[Job, ...]:
        """Newest first."""
        return await self._database.read(lambda connection: rows.latest_jobs(connection, limit, state))

    async def waiting_files(self) -> tuple[WaitingFile, ...]:
        """Files of hot folders that are no jobs yet, because another one is missing."""
        return await self._database.read(waiting_files)

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
        self._bell.ring(rescan=True)
        return adopted

    async def cancel(self, job_id: str) -> None:
        """Ask for the end of a job, whoever runs it. Raises UnknownJob; an ended job stays as it is."""
        job = await self.get(job_id)
        if is_terminal(job.state):
            return
        await self._database.write(lambda connection: rows.request_cancel(connection, job_id))
        await self.adopt(keys={job.order.key})
        self._bell.ring()

    async def retry(self, job_id: str) -> str:
        """Journal a new job for the same work. Raises UnknownJob, NotRetryable, SourceUnreadable."""
        return await self.submit(await self.again(await self.get(job_id)))

    async def again(self, job: Job, *, batch: str | None = None) -> NewJob:
        """The same work as a new job with `retry_of`, on the files as they are now.

        Raises NotRetryable, SourceUnreadable.
        """
        if not is_terminal(job.state):
            raise NotRetryable(f"job {job.id} is still {job.state}; cancel it first", job=job.id)
        if job.state is JobState.COMPLETED:
            raise NotRetryable(f"job {job.id} is done: there is nothing to retry", job=job.id)
        inputs = await asyncio.to_thread(_described_again, job.order.inputs)
        return replace(
            job.order,
            key=f"retry#{new_id()}",
            retry_of=job.id,
            batch=batch or job.order.batch,
            inputs=inputs,
            source_digest=source_digest(inputs) if inputs else job.order.source_digest,
        )

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


def _described_again(inputs: Sequence[JobInput]) -> tuple[JobInput, ...]:
    return tuple(describe_input(item.path, slot=item.slot, field=item.field) for item in inputs)
