"""Jobs that one command submits, waits for and reports."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from desktop.cli.report import Report, undelivered
from desktop.jobs.endings import ending_of
from desktop.jobs.queue import JobChange
from desktop.runtime import Runtime
from desktop.store.job import Job, NewJob
from shared.ids import new_id
from shared.jobs.state import is_terminal

__all__ = ["CommandBatch"]

_LOOK_AGAIN_S = 0.5
_CANCEL_WAIT_S = 10.0
_LOOKS_FOR_CLEARING = 10


class CommandBatch:
    """Use as a context manager round submitting and waiting.

    A command that was killed and is given again finds its jobs by their keys: those that are done
    are reported, not run again. The keys are freed once all was reported. When the command is
    interrupted, its jobs are cancelled.
    """

    def __init__(self, runtime: Runtime, report: Report) -> None:
        self.id = new_id()
        self._runtime = runtime
        self._report = report
        self._open: dict[str, str] = {}  # job id → name of its source
        self._ended: dict[str, None] = {}  # in the order of their ends
        self._changed = asyncio.Event()
        self.waiting = 0  # completed, but not delivered

    def __enter__(self) -> Self:
        self._unsubscribe = self._runtime.queue.subscribe(self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unsubscribe()

    async def submit(self, groups: AsyncIterator[Sequence[NewJob]]) -> None:
        async for group in groups:
            await self._release_what_is_gone(group)
            for new, job_id in zip(
                group, await self._runtime.queue.submit_all(group, renew=True), strict=True
            ):
                self._add(job_id, new.source_name)

    async def wait(self) -> None:
        """Until every job has ended; cancels them when interrupted."""
        try:
            await self._wait()
            await self._runtime.queue.release(tuple(self._ended))
        except asyncio.CancelledError:
            await self._cancel_all()
            raise

    async def _wait(self) -> None:
        looks = 0
        await self._look_at_journal()
        while self._open:
            self._changed.clear()
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._changed.wait()
            except TimeoutError:
                looks += 1
                await self._look_at_journal(impatient=looks > _LOOKS_FOR_CLEARING)

    async def _cancel_all(self) -> None:
        for job_id in tuple(self._open):
            await self._runtime.queue.cancel(job_id)
        try:
            async with asyncio.timeout(_CANCEL_WAIT_S):
                await self._wait()
        except TimeoutError:
            return
        await self._runtime.queue.release(tuple(self._ended))

    async def _look_at_journal(self, *, impatient: bool = False) -> None:
        """For jobs that ended before this command, or that another process runs.

        One that has a ticket is still being delivered or cleared up, which is waited for a while.
        """
        for job_id in tuple(self._open):
            job = await self._runtime.queue.get(job_id)
            event = ending_of(job)
            at_rest = job.ticket is None or impatient
            if event is not None and at_rest and job_id in self._open:
                self._take(JobChange(job, event))

    async def _release_what_is_gone(self, group: Sequence[NewJob]) -> None:
        """A job that was done counts no longer once its files were taken away."""
        known = await self._runtime.queue.with_keys([new.key for new in group])
        gone = [job.id for job in known if is_terminal(job.state) and not _files_are_there(job)]
        await self._runtime.queue.release(gone)

    def _add(self, job_id: str, source_name: str) -> None:
        if job_id not in self._open and job_id not in self._ended:
            self._open[job_id] = source_name
            self._report.add()

    def _take(self, change: JobChange) -> None:
        job = change.job
        event = change.event or ending_of(job)  # a late delivery is no event, but ends the waiting
        if job.order.batch == self.id:  # perhaps told before `submit` has returned
            self._add(job.id, job.order.source_name)
        if event is None or job.id not in self._open:
            return
        self._report.tell(self._open[job.id], event, problem=undelivered(job, event))
        if is_terminal(job.state):
            del self._open[job.id]
            self._ended[job.id] = None
            self.waiting += undelivered(job, event) is not None
            self._changed.set()


def _files_are_there(job: Job) -> bool:
    return all(item.path is None or item.path.exists() for item in job.outputs)
