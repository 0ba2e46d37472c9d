"""One job on its way: prepared, started, followed, delivered; every step journalled before it is taken."""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import assert_never

from desktop.catalog import Catalog
from desktop.jobs.delivery import Deliverer
from desktop.jobs.endings import ending_of
from desktop.jobs.placing import DeliveryBlocked
from desktop.jobs.queue import JobChange, JobQueue
from desktop.jobs.recovery import NextStep, may_run_again, next_step
from desktop.jobs.sources import checked_input
from desktop.store import jobs as rows
from desktop.store.database import Database
from desktop.store.job import DeliveredOutput, Delivery, GraphRecipe, Job, JobError, PresetRecipe
from shared.engines.base import (
    Engine,
    GraphInput,
    GraphWork,
    InputFile,
    PresetWork,
    RunLost,
    Ticket,
    Work,
)
from shared.errors import FatalError, TransientError
from shared.failpoints import failpoint
from shared.jobs.events import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobEvent,
    Requeued,
    Stage,
    StageName,
    Started,
    TerminalEvent,
)
from shared.jobs.state import JobState
from shared.presets.bundle import Preset

__all__ = ["Course", "RunTimedOut"]


_DELIVERED_AT_ONCE = 4


class RunTimedOut(TransientError):
    code = "timeout"


class _NoTicket(FatalError):
    code = "internal"


class Course:
    def __init__(
        self, *, database: Database, queue: JobQueue, catalog: Catalog, deliverer: Deliverer
    ) -> None:
        self._database = database
        self._queue = queue
        self._catalog = catalog
        self._deliverer = deliverer
        self._delivering = asyncio.Semaphore(_DELIVERED_AT_ONCE)

    async def run(
        self, job: Job, engine: Engine, cancel: asyncio.Event, left_engine: Callable[[], None]
    ) -> None:
        """Take the job on from where the journal says it is, to its end.

        `left_engine` is called once the engine has room for another one.
        Raises EngineUnavailable with the job as it was, and whatever makes the job fail.
        """
        preset = await self.preset_of(job)
        step = next_step(job)
        if step is NextStep.PREPARE:
            job = await self._prepare(job, preset, engine)
        if step in {NextStep.PREPARE, NextStep.FOLLOW}:
            job = await self._follow(job, preset, engine, cancel)
        if next_step(job) is NextStep.DELIVER:
            async with self._delivering:
                left_engine()
                await self._deliver(job, preset, engine, cancel)

    async def preset_of(self, job: Job) -> Preset | None:
        """Raises PresetGone."""
        match job.order.recipe:
            case PresetRecipe() as recipe:
                return await self._catalog.find(recipe.preset_id, digest=recipe.digest)
            case GraphRecipe():
                return None
            case _:
                assert_never(job.order.recipe)

    async def fail(self, job_id: str, error: JobError) -> None:
        job = await self._move(job_id, lambda c: rows.fail_job(c, job_id, error=error, now=_now()))
        self._tell(job, ending_of(job))

    async def end_cancelled(self, job_id: str) -> None:
        job = await self._move(job_id, lambda c: rows.cancel_job(c, job_id, now=_now()))
        self._tell(job, ending_of(job))

    async def _prepare(self, job: Job, preset: Preset | None, engine: Engine) -> Job:
        attempt = job.attempt + 1
        self._tell(job, Stage(job_id=job.id, attempt=attempt, at=_now(), name=StageName.PREPARING))
        files = [await asyncio.to_thread(checked_input, item) for item in job.order.inputs]
        ticket = await engine.prepare(_work(job, preset, files, attempt))
        failpoint("job.prepared")
        job = await self._move(
            job.id, lambda c: rows.begin_attempt(c, job.id, ticket=ticket, server=None, now=_now())
        )
        failpoint("job.ticket_stored")
        return job

    async def _follow(self, job: Job, preset: Preset | None, engine: Engine, cancel: asyncio.Event) -> Job:
        ticket = _ticket(job)
        if cancel.is_set() or job.cancel_requested:
            await engine.cancel(ticket)
            return await self._end_cancelled_run(job, engine)
        try:
            await engine.start(ticket)
            failpoint("job.started")
            end = await self._end_of_run(job, ticket, preset, engine, cancel)
        except RunLost as error:
            return await self._requeue(job, error)
        failpoint("job.run_ended")
        if cancel.is_set():
            return await self._end_cancelled_run(job, engine)
        match end:
            case Completed():
                outputs = tuple(DeliveredOutput(output=output) for output in end.outputs)
                return await self._move(job.id, lambda c: rows.begin_saving(c, job.id, outputs))
            case Failed():
                await self.fail(job.id, JobError(end.code, end.message, end.retryable))
                await engine.forget(ticket)
            case Cancelled():
                return await self._end_cancelled_run(job, engine)
            case Expired():
                await self.fail(job.id, JobError("expired", "the engine gave the job up unstarted", True))
            case _:
                assert_never(end)
        return await self._queue.get(job.id)

    async def _end_of_run(
        self, job: Job, ticket: Ticket, preset: Preset | None, engine: Engine, cancel: asyncio.Event
    ) -> TerminalEvent:
        limit_s = None if preset is None else preset.manifest.timeout_s
        end: TerminalEvent | None = None
        async with _cancelling(engine, ticket, cancel):
            try:
                async with asyncio.timeout(None) as deadline:
                    async for event in engine.follow(ticket):
                        if isinstance(event, TerminalEvent):
                            end = event
                            continue
                        if isinstance(event, Started) and limit_s is not None and deadline.when() is None:
                            deadline.reschedule(asyncio.get_running_loop().time() + limit_s)
                        self._tell(job, event)
            except TimeoutError as error:
                await engine.cancel(ticket)
                raise RunTimedOut(
                    f"the run was stopped after {limit_s:.0f} s; retry it, or use a smaller file"
                ) from error
        if end is None:
            raise RunLost("the engine stopped telling about the run", job=job.id)
        return end

    async def _requeue(self, job: Job, error: RunLost) -> Job:
        if not may_run_again(job):
            await self.fail(
                job.id,
                JobError(error.code, f"the engine lost the run {job.attempt} times; retry it later", True),
            )
            return await self._queue.get(job.id)
        moved = await self._move(job.id, lambda c: rows.requeue_job(c, job.id))
        self._tell(moved, Requeued(job_id=job.id, attempt=job.attempt, at=_now(), reason=error.message))
        return moved

    async def _end_cancelled_run(self, job: Job, engine: Engine) -> Job:
        await self.end_cancelled(job.id)
        await engine.forget(_ticket(job))
        return await self._queue.get(job.id)

    async def _deliver(self, job: Job, preset: Preset | None, engine: Engine, cancel: asyncio.Event) -> None:
        ticket = _ticket(job)
        if job.state is JobState.SAVING and (cancel.is_set() or job.cancel_requested):
            await self._deliverer.tidy(job, preset)
            await self._end_cancelled_run(job, engine)
            return
        try:
            await self._deliverer.deliver(job, preset, engine, ticket)
        except DeliveryBlocked as error:
            await self._end_blocked(job, error)
            return
        except RunLost as error:
            if job.state is JobState.SAVING:
                await self._requeue(job, error)
            else:
                await self._end_blocked(job, error)
            return
        await self._end_delivered(job)
        failpoint("job.completed")
        await self._deliverer.tidy(job, preset)
        await engine.forget(ticket)

    async def _end_delivered(self, job: Job) -> None:
        def record(connection: sqlite3.Connection) -> None:
            if job.state is JobState.SAVING:
                rows.complete_job(connection, job.id, delivery=Delivery.DELIVERED, reason=None, now=_now())
            else:
                rows.record_delivery(connection, job.id, delivery=Delivery.DELIVERED, reason=None)

        moved = await self._move(job.id, record)
        self._tell(moved, ending_of(moved) if job.state is JobState.SAVING else None)

    async def _end_blocked(self, job: Job, error: TransientError) -> None:
        def record(connection: sqlite3.Connection) -> None:
            if job.state is JobState.SAVING:
                rows.complete_job(
                    connection, job.id, delivery=Delivery.BLOCKED, reason=error.message, now=_now()
                )
            else:
                rows.record_delivery(connection, job.id, delivery=Delivery.BLOCKED, reason=error.message)

        moved = await self._move(job.id, record)
        self._tell(moved, ending_of(moved) if job.state is JobState.SAVING else None)

    async def _move(self, job_id: str, action: Callable[[sqlite3.Connection], None]) -> Job:
        def act(connection: sqlite3.Connection) -> Job:
            action(connection)
            return rows.find_job(connection, job_id)

        return await self._database.write(act)

    def _tell(self, job: Job, event: JobEvent | None) -> None:
        self._queue.tell(JobChange(job, event))


@asynccontextmanager
async def _cancelling(engine: Engine, ticket: Ticket, cancel: asyncio.Event) -> AsyncIterator[None]:
    """While inside, a cancel asked for is passed on to the engine."""

    async def pass_on() -> None:
        await cancel.wait()
        await engine.cancel(ticket)

    task = asyncio.create_task(pass_on())
    try:
        yield
    finally:
        if not cancel.is_set():
            task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def _work(job: Job, preset: Preset | None, files: list[InputFile], attempt: int) -> Work:
    match job.order.recipe:
        case PresetRecipe() as recipe if preset is not None:
            by_slot: defaultdict[str, tuple[InputFile, ...]] = defaultdict(tuple)
            for item, file in zip(job.order.inputs, files, strict=True):
                by_slot[item.slot] += (file,)
            return PresetWork(
                job_id=job.id, attempt=attempt, preset=preset, values=recipe.values, inputs=dict(by_slot)
            )
        case GraphRecipe() as recipe:
            placed = zip(job.order.inputs, files, strict=True)
            return GraphWork(
                job_id=job.id,
                attempt=attempt,
                graph=recipe.graph,
                inputs=tuple(GraphInput(item.slot, item.field or "image", file) for item, file in placed),
            )
        case _:
            raise _NoTicket(f"job {job.id} names a preset that was not loaded")


def _ticket(job: Job) -> Ticket:
    if job.ticket is None:
        raise _NoTicket(f"job {job.id} is {job.state} and has no ticket; retry it", job=job.id)
    return job.ticket


def _now() -> datetime:
    return datetime.now(UTC)
