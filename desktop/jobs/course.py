"""One job on its way: prepared, started, followed, delivered; every step journalled before it is taken."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import assert_never

from desktop.catalog import Catalog
from desktop.jobs.absence import check_source_folder
from desktop.jobs.cancelling import cancelling, dropped_on_error, unless_cancelled
from desktop.jobs.causes import plain_cause
from desktop.jobs.closing import Closing
from desktop.jobs.delivery import Deliverer
from desktop.jobs.placing import DeliveryBlocked
from desktop.jobs.preparing import prepared_run
from desktop.jobs.queue import JobChange, JobQueue
from desktop.jobs.recovery import NextStep, may_run_again, next_step
from desktop.jobs.reuse import made_before
from desktop.jobs.sources import SourceChanged, SourceUnreadable, checked_input, given_inputs
from desktop.store import jobs as rows
from desktop.store.database import Database
from desktop.store.job import DeliveredOutput, GraphRecipe, Job, JobError, PresetRecipe
from desktop.store.twins import begin_copy
from shared.engines.base import (
    Engine,
    EngineUnavailable,
    InputFile,
    RunLost,
    Ticket,
)
from shared.errors import FatalError, SafelightError, TransientError
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
from shared.media import BrokenMedia
from shared.presets.bundle import Preset

__all__ = ["Course", "NotJournalled", "RunTimedOut"]

_DELIVERED_AT_ONCE = 4


class RunTimedOut(TransientError):
    code = "timeout"


class NotJournalled(Exception):
    """The job that was to be run never came into the journal."""


class _NoTicket(FatalError):
    code = "internal"


class Course:
    def __init__(
        self,
        *,
        database: Database,
        queue: JobQueue,
        catalog: Catalog,
        deliverer: Deliverer,
        closing: Closing,
    ) -> None:
        self._database = database
        self._queue = queue
        self._catalog = catalog
        self._deliverer = deliverer
        self._closing = closing
        self._delivering = asyncio.Semaphore(_DELIVERED_AT_ONCE)

    async def run(
        self,
        job: Job,
        engine: Engine,
        cancel: asyncio.Event,
        left_engine: Callable[[], None],
        *,
        journalled: asyncio.Future[bool] | None = None,
    ) -> None:
        """Take the job on from where the journal says it is, to its end.

        `left_engine` is called once the engine has room for another one. A job with `journalled`
        was just submitted, the first of its content: until that is True it is prepared, and no more.
        Raises EngineUnavailable or SourceAway with the job as it was, and whatever makes it fail.
        """
        step = next_step(job)
        if step is NextStep.CLEAR_UP:
            await self._closing.clear_up(job, engine)
            return
        preset = await self.preset_of(job)
        if step is NextStep.PREPARE:
            try:
                job = await self._begin(job, preset, engine, cancel, journalled)
            except (SourceChanged, SourceUnreadable):
                if job.order.ledger_key is None:
                    raise
                await check_source_folder(self._database, job)
                await self._closing.called_off(job)  # its hot folder takes the file up again
                return
            except BrokenMedia as error:
                cause = JobError(error.code, error.message, retryable=False)
                await self._fail(job, cause, engine, cancel, left_engine)
                return
        if next_step(job) is NextStep.FOLLOW:
            job = await self._follow(job, preset, engine, cancel, left_engine)
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

    async def _begin(
        self,
        job: Job,
        preset: Preset | None,
        engine: Engine,
        cancel: asyncio.Event,
        journalled: asyncio.Future[bool] | None,
    ) -> Job:
        try:
            if journalled is not None:
                return await self._prepare(job, preset, given_inputs(job), engine, cancel, journalled)
            made, files = await asyncio.gather(made_before(self._database, job), _checked_inputs(job))
            if made is not None:
                return await self._adopt_result(job, made)
            return await self._prepare(job, preset, files, engine, cancel)
        except EngineUnavailable:
            raise
        except (SafelightError, OSError):
            await _checked_inputs(job, thoroughly=True)  # perhaps a file changed while it was taken
            raise

    async def _prepare(
        self,
        job: Job,
        preset: Preset | None,
        files: Sequence[InputFile],
        engine: Engine,
        cancel: asyncio.Event,
        journalled: asyncio.Future[bool] | None = None,
    ) -> Job:
        preparing = asyncio.create_task(prepared_run(job, preset, files, engine))
        async with dropped_on_error(preparing):
            if journalled is not None and not await journalled:
                raise NotJournalled
            attempt = job.attempt + 1
            self._tell(job, Stage(job_id=job.id, attempt=attempt, at=_now(), name=StageName.PREPARING))
            ticket = await unless_cancelled(preparing, cancel)
        if ticket is None:
            await self._closing.cancelled(job)
            return await self._queue.get(job.id)
        failpoint("job.prepared")
        job = await self._move(job.id, lambda c: rows.begin_attempt(c, job.id, ticket=ticket, now=_now()))
        failpoint("job.ticket_stored")
        return job

    async def _adopt_result(self, job: Job, made: tuple[DeliveredOutput, ...]) -> Job:
        """Another name of content that was developed already: nothing to run, only to deliver."""
        outputs = tuple(DeliveredOutput(output=item.output) for item in made)
        return await self._move(job.id, lambda c: begin_copy(c, job.id, outputs))

    async def _follow(
        self,
        job: Job,
        preset: Preset | None,
        engine: Engine,
        cancel: asyncio.Event,
        left_engine: Callable[[], None],
    ) -> Job:
        ticket = _ticket(job)
        try:
            if cancel.is_set() or job.cancel_requested:
                await engine.cancel(ticket)
                end: TerminalEvent = Cancelled(job_id=job.id, attempt=job.attempt, at=_now())
            else:
                try:
                    await engine.start(ticket)
                except BrokenMedia as error:
                    cause = JobError(error.code, error.message, retryable=False)
                    await self._fail(job, cause, engine, cancel, left_engine)
                    return await self._queue.get(job.id)
                failpoint("job.started")
                end = await self._end_of_run(job, ticket, preset, engine, cancel)
        except RunLost as error:
            return await self._requeue(job, engine, error)
        failpoint("job.run_ended")
        match end:
            case Completed() if not cancel.is_set():
                outputs = tuple(DeliveredOutput(output=output) for output in end.outputs)
                return await self._move(job.id, lambda c: rows.begin_saving(c, job.id, outputs))
            case Completed() | Cancelled():
                await self._closing.cancelled(job, engine)
            case Failed():
                cause = await asyncio.to_thread(plain_cause, job, end)
                await self._fail(job, cause, engine, cancel, left_engine)
            case Expired():
                cause = JobError("expired", "the engine gave the job up before it began; retry it", True)
                await self._closing.failed(job, cause, engine)
            case _:
                assert_never(end)
        return await self._queue.get(job.id)

    async def _fail(
        self,
        job: Job,
        cause: JobError,
        engine: Engine,
        cancel: asyncio.Event,
        left_engine: Callable[[], None],
    ) -> None:
        """A hot folder's picture that does not decode may be unfinished: it gets time to change."""
        if cause.code != BrokenMedia.code or job.order.ledger_key is None:
            await self._closing.failed(job, cause, engine)
            return
        left_engine()
        waiting = self._queue.reprieves.ends_well(
            job, cause, has_changed=lambda: _source_changed(self._database, job)
        )
        changed = await unless_cancelled(waiting, cancel)
        if changed is None:
            await self._closing.cancelled(job, engine)
        elif changed:
            await self._closing.called_off(job, engine)
        else:
            await self._closing.failed(job, cause, engine)

    async def _end_of_run(
        self, job: Job, ticket: Ticket, preset: Preset | None, engine: Engine, cancel: asyncio.Event
    ) -> TerminalEvent:
        limit_s = None if preset is None else preset.manifest.timeout_s
        end: TerminalEvent | None = None
        async with cancelling(engine, ticket, cancel):
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

    async def _requeue(self, job: Job, engine: Engine, lost: RunLost) -> Job:
        if not may_run_again(job):
            error = JobError(lost.code, f"the engine lost the run {job.attempt} times; retry it later", True)
            await self._closing.failed(job, error, engine)
            return await self._queue.get(job.id)
        with contextlib.suppress(SafelightError):
            await engine.forget(_ticket(job))
        moved = await self._move(job.id, lambda c: rows.requeue_job(c, job.id))
        self._tell(moved, Requeued(job_id=job.id, attempt=job.attempt, at=_now(), reason=lost.message))
        return moved

    async def _deliver(self, job: Job, preset: Preset | None, engine: Engine, cancel: asyncio.Event) -> None:
        if job.state is JobState.SAVING and (cancel.is_set() or job.cancel_requested):
            await self._closing.cancelled(job, engine)
            return
        try:
            if job.ticket is None:
                made = await made_before(self._database, job)
                await self._deliverer.copy(job, preset, made or ())
            else:
                await self._deliverer.deliver(job, preset, engine, job.ticket)
        except DeliveryBlocked as error:
            await self._closing.blocked(job, error.message)
        except RunLost as error:
            if job.state is JobState.SAVING:
                await self._requeue(job, engine, error)
            else:
                await self._closing.blocked(job, f"{error.message}; retry the job")
        else:
            await self._closing.delivered(await self._queue.get(job.id), engine)

    async def _move(self, job_id: str, action: Callable[[sqlite3.Connection], None]) -> Job:
        def act(connection: sqlite3.Connection) -> Job:
            action(connection)
            return rows.find_job(connection, job_id)

        return await self._database.write(act)

    def _tell(self, job: Job, event: JobEvent | None) -> None:
        self._queue.tell(JobChange(job, event))


async def _checked_inputs(job: Job, *, thoroughly: bool = False) -> list[InputFile]:
    """Raises SourceUnreadable, SourceChanged."""

    def check() -> list[InputFile]:
        return [checked_input(item, thoroughly=thoroughly) for item in job.order.inputs]

    return await asyncio.to_thread(check)


async def _source_changed(database: Database, job: Job) -> bool:
    """Raises SourceAway."""
    try:
        await _checked_inputs(job, thoroughly=True)
    except (SourceChanged, SourceUnreadable):
        await check_source_folder(database, job)
        return True
    return False


def _ticket(job: Job) -> Ticket:
    if job.ticket is None:
        raise _NoTicket(f"job {job.id} is {job.state} and has no ticket; retry it", job=job.id)
    return job.ticket


def _now() -> datetime:
    return datetime.now(UTC)
