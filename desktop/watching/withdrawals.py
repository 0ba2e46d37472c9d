"""Runs called off because their file changed or went before they began, and what then becomes of it."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Collection

from desktop.jobs.queue import JobChange, JobQueue
from desktop.store import jobs as job_rows
from desktop.store import ledger as rows
from desktop.store.database import Database
from desktop.store.job import Job
from shared.jobs.events import Cancelled, Completed, Expired, Failed
from shared.jobs.state import JobState, is_terminal

__all__ = ["Withdrawals"]


class Withdrawals:
    """A version that is called off leaves the ledger only once its run has certainly not happened.

    `come_back` is told the path then, because the file may be there again. `heard` is a listener
    of the queue; `run` acts on what it heard.
    """

    def __init__(
        self, *, folder: str, database: Database, queue: JobQueue, come_back: Callable[[str], Awaitable[None]]
    ) -> None:
        self._folder = folder
        self._database = database
        self._queue = queue
        self._come_back = come_back
        self._called_off: set[str] = set()
        self._ended: asyncio.Queue[tuple[Job, bool]] = asyncio.Queue()

    @property
    def is_busy(self) -> bool:
        return bool(self._called_off) or not self._ended.empty()

    async def queued(self, keys: Collection[str]) -> frozenset[str]:
        """Those of the ledger keys whose job has not begun, or waits for its file to change."""
        not_begun = await self._database.read(
            lambda c: frozenset(key for key in keys if _state(c, key) is JobState.QUEUED)
        )
        return not_begun | frozenset(filter(self._queue.reprieves.has, keys))

    async def withdraw_queued(self, key: str) -> None:
        """Call the version's job off if it has not begun, or waits for its file to change."""

        def mark(connection: sqlite3.Connection) -> str | None:
            job = rows.latest_job(connection, key)
            if job is None or job[1] is not JobState.QUEUED:
                return None
            rows.set_withdrawn(connection, key, withdrawn=True)
            return job[0]

        self._called_off.add(key)
        if self._queue.reprieves.end(key):
            return
        job_id = await self._database.write(mark)
        if job_id is None:
            self._called_off.discard(key)
        else:
            await self._queue.cancel(job_id)

    async def resume(self) -> None:
        """Finish what a dead process began to call off."""
        for key, job_id in (await self._database.read(self._marked)).items():
            self._called_off.add(key)
            job = await self._queue.get(job_id)
            if is_terminal(job.state):
                await self._settle(job, never_ran=job.state is JobState.CANCELLED)
            else:
                await self._queue.cancel(job_id)

    def _marked(self, connection: sqlite3.Connection) -> dict[str, str]:
        """Ledger key → job of every version that was being called off."""
        latest = {
            key: rows.latest_job(connection, key) for key in rows.withdrawn_keys(connection, self._folder)
        }
        return {key: job[0] for key, job in latest.items() if job is not None}

    def heard(self, change: JobChange) -> None:
        if change.job.order.batch != self._folder:
            return
        key = change.job.order.ledger_key or ""
        called_off = key in self._called_off
        match change.event:
            case Cancelled():  # the journal knows whether the folder or the user wanted that
                self._called_off.add(key)
                self._ended.put_nowait((change.job, True))
            case Completed() | Failed() | Expired() if called_off:
                self._ended.put_nowait((change.job, False))
            case _:
                pass

    async def run(self) -> None:
        while True:
            job, never_ran = await self._ended.get()
            await self._settle(job, never_ran=never_ran)

    async def _settle(self, job: Job, *, never_ran: bool) -> None:
        key = job.order.ledger_key or ""

        def write(connection: sqlite3.Connection) -> bool:
            forget = never_ran and rows.is_withdrawn(connection, key)
            if forget:
                rows.forget_version(connection, self._folder, key)
                job_rows.release_keys(connection, [job.id])
            else:
                rows.set_withdrawn(connection, key, withdrawn=False)
            return forget

        forgotten = await self._database.write(write)
        self._called_off.discard(key)
        if forgotten:
            await self._come_back(job.order.relative_path.as_posix())


def _state(connection: sqlite3.Connection, key: str) -> JobState | None:
    job = rows.latest_job(connection, key)
    return None if job is None else job[1]
