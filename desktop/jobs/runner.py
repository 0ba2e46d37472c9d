"""Takes the journal's jobs, in order and as many as each engine has room for, to their ends."""

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from desktop.engines.comfy_process import ComfyStarting
from desktop.engines.registry import EngineRegistry, Seat
from desktop.jobs.absence import SourceAway, check_source_folder
from desktop.jobs.bell import Bell
from desktop.jobs.closing import Closing
from desktop.jobs.course import Course, NotJournalled
from desktop.jobs.queue import JobChange, JobQueue
from desktop.jobs.recovery import NextStep, next_step
from desktop.store import jobs as rows
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.store.job import Job, JobError
from shared.engines.base import Engine, EngineUnavailable
from shared.errors import SafelightError
from shared.jobs.state import is_terminal

__all__ = ["JobRunner"]

_log = structlog.get_logger()

_CHUNK = 256
_POLL_S = 0.5
_REDELIVER_S = 10.0
_RETRY_ENGINE_S = 2.0
_RETRY_SOURCE_S = 2.0


@dataclass(slots=True)
class _Lane:
    """Jobs bound for one engine: those that wait, and how many are open there."""

    seat: Seat
    waiting: deque[str] = field(default_factory=deque)
    open: int = 0


@dataclass(slots=True)
class _Absence:
    """An engine that a job waits for: since when, and why, as last told."""

    since: float
    reason: str = ""


class JobRunner:
    """`patience_s` is how long a job waits for an engine that cannot be reached; None: for ever."""

    def __init__(
        self,
        *,
        database: Database,
        holder: Holder,
        queue: JobQueue,
        engines: EngineRegistry,
        course: Course,
        closing: Closing,
        bell: Bell,
        patience_s: float | None,
    ) -> None:
        self._database = database
        self._holder = holder
        self._queue = queue
        self._engines = engines
        self._course = course
        self._closing = closing
        self._bell = bell
        self._patience_s = patience_s
        self._lanes: dict[str, _Lane] = {}
        self._known: set[str] = set()
        self._untouched: dict[str, Job] = {}  # as the journal has them
        self._journalling: dict[str, asyncio.Future[bool]] = {}  # what the disk has yet to confirm
        self._cancels: dict[str, asyncio.Event] = {}
        self._absences: dict[str, _Absence] = {}
        self._put_off: deque[tuple[float, str]] = deque()
        self._held: dict[str, list[str]] = {}  # hot folder that is away → its jobs
        self._look_at_held = 0.0
        self._after = 0
        self._seen_changes = -1
        self._redeliver_at = 0.0

    async def run(self) -> None:
        """Until cancelled. What is open then stays in the journal, for the next process."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                call = self._bell.answer()
                if call.rescan:
                    self._after, self._redeliver_at = 0, 0.0
                looks = call.look or call.rescan or (not call.jobs and await self._changed_by_others())
                if looks:
                    await self._take_cancels()
                    await self._take_new()
                self._journalling |= call.journalling
                await self._take_handed_over(call.jobs, untouched=not looks)
                await self._take_put_off()
                await self._take_held()
                await self._take_unfinished()
                self._fill(tasks)
                await self._bell.wait(_POLL_S)

    async def _changed_by_others(self) -> bool:
        changes = await self._database.changes_by_others()
        seen, self._seen_changes = self._seen_changes, changes
        return changes != seen

    async def _take_new(self) -> None:
        while True:
            found = await self._database.read(
                lambda connection: rows.open_jobs(
                    connection, holder=self._holder.name, after=self._after, limit=_CHUNK
                )
            )
            for job in found:
                self._after = job.seq
                if job.id not in self._known:
                    self._known.add(job.id)
                    await self._route(job)
            if len(found) < _CHUNK:
                return

    async def _take_handed_over(self, jobs: tuple[Job, ...], *, untouched: bool) -> None:
        for job in jobs:
            if job.id not in self._known and job.seq > self._after:  # else they were found already
                self._known.add(job.id)
                if untouched:
                    self._untouched[job.id] = job
                await self._route(job)

    async def _take_unfinished(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._redeliver_at:
            return
        self._redeliver_at = now + _REDELIVER_S
        found = await self._database.read(
            lambda connection: rows.unfinished_jobs(connection, holder=self._holder.name)
        )
        for job in found:
            if job.id not in self._known:
                self._known.add(job.id)
                await self._route(job)

    async def _take_put_off(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._put_off and self._put_off[0][0] <= now:
            _, job_id = self._put_off.popleft()
            job = await self._queue.get(job_id)
            if next_step(job) is not NextStep.NONE:
                await self._route(job)

    async def _take_held(self) -> None:
        """Of each folder that was away one job tells whether it is back."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at_held:
            return
        self._look_at_held = now + _RETRY_SOURCE_S
        for folder, job_ids in tuple(self._held.items()):
            try:
                await check_source_folder(self._database, await self._queue.get(job_ids[0]))
            except SourceAway:
                continue
            del self._held[folder]
            for job_id in job_ids:
                job = await self._queue.get(job_id)
                if next_step(job) is not NextStep.NONE:
                    await self._route(job)

    async def _take_cancels(self) -> None:
        asked = await self._database.read(
            lambda connection: rows.cancel_requests(connection, holder=self._holder.name)
        )
        for job_id in asked:
            if job_id in self._cancels:
                self._cancels[job_id].set()
                continue
            job = await self._queue.get(job_id)
            step = next_step(job)
            unreachable = any(job_id == put_off for _, put_off in self._put_off)
            if step is NextStep.PREPARE or (step is NextStep.FOLLOW and unreachable):
                await self._closing.cancelled(job)

    async def _route(self, job: Job) -> None:
        """Put the job into the lane of the engine that suits it, or off, or let it fail."""
        try:
            preset = None if is_terminal(job.state) else await self._course.preset_of(job)
            seat = await self._engines.seat_for(job, preset)
        except EngineUnavailable as error:
            if await self._is_journalled(job.id):
                await self._put_off_or_fail(job.id, error)
        except SafelightError as error:
            if await self._is_journalled(job.id):
                await self._fail(job.id, JobError(error.code, error.message, error.retryable))
            self._known.discard(job.id)
        else:
            self._lanes.setdefault(seat.key, _Lane(seat)).waiting.append(job.id)

    async def _is_journalled(self, job_id: str) -> bool:
        """False for a job that is none, because the journal could not be written."""
        journalled = self._journalling.pop(job_id, None)
        if journalled is None or await journalled:
            return True
        self._known.discard(job_id)
        return False

    async def _put_off_or_fail(self, job_id: str, error: EngineUnavailable) -> None:
        now = asyncio.get_running_loop().time()
        absence = self._absences.setdefault(job_id, _Absence(now))
        if isinstance(error, ComfyStarting):
            absence.since = now
        if self._patience_s is not None and now - absence.since >= self._patience_s:
            del self._absences[job_id]
            await self._fail(job_id, JobError(error.code, error.message, error.retryable))
            self._known.discard(job_id)
            return
        insort(self._put_off, (now + max(_RETRY_ENGINE_S, _asked_pause_s(error)), job_id))
        if absence.reason != error.message:
            absence.reason = error.message
            self._queue.tell(JobChange(await self._queue.get(job_id), None, waits_for=error.message))

    def _fill(self, tasks: asyncio.TaskGroup) -> None:
        for lane in self._lanes.values():
            while lane.waiting and lane.open < lane.seat.capacity:
                job_id = lane.waiting.popleft()
                lane.open += 1
                self._cancels[job_id] = asyncio.Event()
                tasks.create_task(self._run_one(job_id, lane, self._untouched.get(job_id)))
        self._untouched.clear()  # whoever waits may be cancelled meanwhile

    async def _run_one(self, job_id: str, lane: _Lane, untouched: Job | None) -> None:
        at_engine = True

        def left_engine() -> None:
            nonlocal at_engine
            lane.open -= at_engine
            at_engine = False
            self._bell.wake()

        try:
            if untouched is not None and job_id in self._journalling:
                await self._run_guarded(untouched, lane, left_engine, self._journalling.pop(job_id))
            elif await self._is_journalled(job_id):
                job = untouched or await self._queue.get(job_id)
                await self._run_guarded(job, lane, left_engine)
        finally:
            left_engine()
            del self._cancels[job_id]

    async def _run_guarded(
        self,
        job: Job,
        lane: _Lane,
        left_engine: Callable[[], None],
        journalled: asyncio.Future[bool] | None = None,
    ) -> None:
        job_id = job.id
        with structlog.contextvars.bound_contextvars(job=job_id, engine=lane.seat.key):
            try:
                await self._course.run(
                    job, lane.seat.engine, self._cancels[job_id], left_engine, journalled=journalled
                )
            except NotJournalled:
                self._known.discard(job_id)
                return
            except EngineUnavailable as error:
                _log.warning("engine_unavailable", reason=error.message)
                await self._put_off_or_fail(job_id, error)
                return
            except SourceAway as error:
                self._held.setdefault(job.order.batch, []).append(job_id)
                self._queue.tell(JobChange(await self._queue.get(job_id), None, waits_for=error.message))
                return
            except SafelightError as error:
                _log.info("job_failed", code=error.code)
                await self._fail(
                    job_id, JobError(error.code, error.message, error.retryable), lane.seat.engine
                )
            except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the others
                _log.exception("job_failed_unexpectedly")
                message = f"something unexpected happened ({type(error).__name__}: {error}); the log has more"
                await self._fail(job_id, JobError("internal", message, retryable=True), lane.seat.engine)
        self._absences.pop(job_id, None)
        self._known.discard(job_id)
        if next_step(await self._queue.get(job_id)) is NextStep.PREPARE:  # its run was lost
            self._known.add(job_id)
            lane.waiting.append(job_id)

    async def _fail(self, job_id: str, error: JobError, engine: Engine | None = None) -> None:
        """One bad job never stops the others, whatever state it is in."""
        job = await self._queue.get(job_id)
        if not is_terminal(job.state):
            await self._closing.failed(job, error, engine)


def _asked_pause_s(error: EngineUnavailable) -> float:
    """How long the engine asked to be left alone."""
    asked = error.details.get("retry_after_s")
    return float(asked) if isinstance(asked, int | float) else 0.0
