"""One attempt from its claim to its end, on one engine.

What may happen is written down before it happens: the ticket before the engine is asked, so that
whoever comes after a crash finds the run; the end in one transaction, once every output is stored.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import TypeVar, assert_never

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from cloud.errors import BeingDeleted, DatabaseBusy, DatabaseUnavailable, Fenced
from cloud.repositories.claims import AttemptRef, Claim
from cloud.services.attempts import Attempts
from cloud.worker.hang import EngineHung, RunTimedOut
from cloud.worker.inputs import InputFiles
from cloud.worker.passing import PassingEvent, PassingEvents, thinned
from cloud.worker.saving import OutputSaver
from cloud.worker.seat import Seat
from cloud.worker.signals import Reason, Signals
from shared.engines.base import EngineUnavailable, RunLost, Ticket
from shared.errors import FatalError, TransientError, UsageError
from shared.failpoints import failpoint
from shared.jobs.events import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobEvent,
    Output,
    Preview,
    Progress,
    Queued,
    Requeued,
    Stage,
    Started,
    TerminalEvent,
)

__all__ = ["AttemptRunner", "Course"]

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

_MOST_TRIES_OF_A_FAILURE = 3
_MOST_TRIES = {"out_of_memory": 2}  # a smaller picture is needed, not more patience
_DRAINED = "the worker was stopped"
_ELSEWHERE = "another server was free"


@dataclass(slots=True)
class Course:
    """How far an attempt got, in readings of time.monotonic(). Its start is told once, also where it
    first finds only the trace of a run. `ended`: its end is written, and only tidying is left."""

    begun_at: float | None = None
    first_progress_at: float | None = None
    hung: bool = False
    ended: bool = False

    @property
    def to_progress_s(self) -> float | None:
        if self.begun_at is None or self.first_progress_at is None:
            return None
        return self.first_progress_at - self.begun_at


class AttemptRunner:
    """`hang_s` is how long a run may take to stop before its engine counts as hung."""

    def __init__(
        self,
        *,
        seat: Seat,
        attempts: Attempts,
        inputs: InputFiles,
        saver: OutputSaver,
        tell: Callable[[Claim, PassingEvent], Awaitable[None]],
        hang_s: float = 30.0,
    ) -> None:
        self._seat = seat
        self._engine = seat.engine
        self._attempts = attempts
        self._inputs = inputs
        self._saver = saver
        self._tell = tell
        self._hang_s = hang_s

    async def run(self, claim: Claim, signals: Signals, course: Course) -> None:
        """Returns once the attempt has ended or was given back.

        Raises EngineUnavailable or RunLost after giving it back for that, and Fenced when it was no
        longer ours.
        """
        ref = claim.ref
        try:
            await self._run(claim, signals, course)
        except Fenced:
            raise
        except (EngineUnavailable, RunLost) as error:
            code, hung = error.code, isinstance(error, EngineHung)
            reason = error.message if self._seat.server is None else _let_down(self._seat.server, hung=hung)
            avoid = self._seat.server if hung else None
            await self._persist(lambda: self._attempts.break_off(ref, code=code, reason=reason, avoid=avoid))
            raise
        except (UsageError, FatalError) as error:
            failure = (error.code, error.message)
            await self._persist(lambda: self._fail(ref, *failure, retryable=False))
        except TransientError as error:
            trouble = (error.code, error.message)
            await self._persist(lambda: self._attempts.break_off(ref, code=trouble[0], reason=trouble[1]))
        except Exception:  # noqa: BLE001 - the job runner: a fault of ours ends the job, not the worker
            _log.exception("attempt_broken", job=ref.job_id, attempt=ref.number)
            message = "something went wrong on our side; try it again later"
            await self._persist(lambda: self._fail(ref, "internal", message, retryable=True))

    async def _run(self, claim: Claim, signals: Signals, course: Course) -> None:
        ticket = self._left_behind(claim)
        if ticket is not None:
            try:
                await self._see_through(claim, ticket, signals, course)
            except RunLost:
                _log.info("nothing_left_behind", job=claim.ref.job_id, attempt=claim.ref.number)
            else:
                return
        ticket = await self._prepared(claim)
        if signals.any():
            await self._stopped(claim, signals)
            return
        await self._engine.start(ticket)
        failpoint("attempt.started")
        await self._see_through(claim, ticket, signals, course)

    def _left_behind(self, claim: Claim) -> Ticket | None:
        """What an earlier attempt may have left running or finished here."""
        for previous in claim.previous:
            if previous.ticket is None or previous.server != self._seat.server:
                continue
            ticket = Ticket.from_json(previous.ticket)
            if ticket.engine == self._engine.name:
                return ticket
        return None

    async def _prepared(self, claim: Claim) -> Ticket:
        async with self._inputs.work(claim) as work:
            ticket = await self._engine.prepare(work)
        await self._persist(lambda: self._attempts.store_ticket(claim.ref, ticket, server=self._seat.server))
        failpoint("attempt.ticket_stored")
        return ticket

    async def _see_through(self, claim: Claim, ticket: Ticket, signals: Signals, course: Course) -> None:
        try:
            async with thinned(lambda event: self._tell(claim, event)) as passing:
                end = await self._within_limits(claim, ticket, signals, course, passing)
                await passing.flush()
        except RunTimedOut as error:
            await self._call_off(ticket)
            failpoint("attempt.timed_out")
            late = (error.code, error.message)
            await self._persist(lambda: self._fail(claim.ref, *late, retryable=True))
            course.ended = True
            await self._forget(ticket)
            return
        match end:
            case Completed():
                await self._complete(claim.ref, claim, ticket, end)
            case Failed():
                await self._failed(claim, end)
            case Cancelled() | Expired():
                await self._stopped(claim, signals)
            case _:
                assert_never(end)
        course.ended = True
        await self._forget(ticket)

    async def _within_limits(
        self, claim: Claim, ticket: Ticket, signals: Signals, course: Course, passing: PassingEvents
    ) -> TerminalEvent:
        """The run's end. Raises RunTimedOut, EngineHung, and EngineUnavailable once nobody answers."""
        limit_s = self._inputs.limit_s(claim)
        try:
            async with asyncio.timeout(None) as limit, self._stopping(ticket, signals, course, limit):
                return await self._followed(claim, ticket, passing, course, limit, limit_s)
        except TimeoutError as error:
            if course.hung:
                raise EngineHung(ticket.run_id) from error
            if Reason.LOST in signals:
                raise EngineUnavailable("the server stopped answering") from error
            raise RunTimedOut(
                f"the run was stopped after {limit_s:.0f} s, the most that its preset allows; "
                "retry it, or use a smaller file"
            ) from error

    async def _followed(
        self,
        claim: Claim,
        ticket: Ticket,
        passing: PassingEvents,
        course: Course,
        limit: asyncio.Timeout,
        limit_s: float,
    ) -> TerminalEvent:
        """The run's end; until then its events are stored, or passed on. The limit counts from the start."""
        async with contextlib.aclosing(_closable(self._engine.follow(ticket))) as events:
            async for event in events:
                if course.begun_at is None and not isinstance(event, Queued | Cancelled):
                    course.begun_at = monotonic()
                    if not isinstance(event, TerminalEvent):
                        limit.reschedule(asyncio.get_running_loop().time() + limit_s)
                    await self._persist(
                        lambda: self._attempts.mark_running(
                            claim.ref, engine=self._engine.name, server=self._seat.server
                        )
                    )
                if isinstance(event, TerminalEvent):
                    return event
                if course.first_progress_at is None and isinstance(event, Progress) and event.step:
                    course.first_progress_at = monotonic()
                await self._pass_on(claim.ref, event, passing)
        raise RunLost("the engine stopped telling about the run", job=claim.ref.job_id)

    async def _pass_on(
        self,
        ref: AttemptRef,
        event: Queued | Started | Requeued | Stage | Progress | Preview,
        passing: PassingEvents,
    ) -> None:
        match event:
            case Stage():
                name = event.name
                await self._persist(lambda: self._attempts.set_stage(ref, name))
            case Progress() | Preview():
                passing.put(replace(event, job_id=ref.job_id, attempt=ref.number))
            case Queued() | Started() | Requeued():
                pass
            case _:
                assert_never(event)

    async def _complete(self, ref: AttemptRef, claim: Claim, ticket: Ticket, end: Completed) -> None:
        failpoint("attempt.run_ended")
        unchanged = self._saver.unchanged(self._engine, end.outputs)
        await self._persist(lambda: self._attempts.begin_saving(ref, unchanged))
        failpoint("attempt.saving")

        async def announce(output: Output) -> None:
            await self._persist(lambda: self._attempts.announce(ref, output))

        stored = [
            await self._saver.save(self._engine, claim, ticket, output, announce=announce)
            for output in end.outputs
        ]
        failpoint("attempt.saved")
        making = self._inputs.making(claim)
        await self._persist(lambda: self._attempts.complete(ref, stored, making=making))
        failpoint("attempt.completed")

    async def _failed(self, claim: Claim, end: Failed) -> None:
        """What may go better elsewhere is tried again, but not for ever."""
        ref = claim.ref
        tries = 1 + sum(attempt.reason == end.code for attempt in claim.previous)
        if end.retryable and tries < _MOST_TRIES.get(end.code, _MOST_TRIES_OF_A_FAILURE):
            await self._persist(
                lambda: self._attempts.break_off(
                    ref, code=end.code, reason=end.message, avoid=self._seat.server
                )
            )
        else:
            await self._persist(lambda: self._fail(ref, end.code, end.message, retryable=end.retryable))

    async def _stopped(self, claim: Claim, signals: Signals) -> None:
        """The run was stopped: by the user, by us, or by somebody at the engine itself."""
        ref = claim.ref
        if Reason.UNWANTED in signals:
            await self._persist(lambda: self._attempts.cancelled(ref))
        elif Reason.DRAINED in signals:
            await self._persist(lambda: self._attempts.release(ref, reason=_DRAINED))
        elif Reason.ELSEWHERE in signals:
            failpoint("attempt.handed_back")
            await self._persist(lambda: self._attempts.release(ref, reason=_ELSEWHERE))
        elif Reason.LOST in signals:
            raise EngineUnavailable("the server stopped answering")
        else:
            message = "the run was stopped at the server; try it again"
            await self._persist(lambda: self._fail(ref, "interrupted", message, retryable=True))

    async def _fail(self, ref: AttemptRef, code: str, message: str, *, retryable: bool) -> None:
        await self._attempts.fail(ref, code=code, message=message, retryable=retryable)

    @contextlib.asynccontextmanager
    async def _stopping(
        self, ticket: Ticket, signals: Signals, course: Course, limit: asyncio.Timeout
    ) -> AsyncIterator[None]:
        """Cancels the run at the engine as soon as a signal says so. A run that has begun is not
        handed back, and a server that is lost is not asked."""

        async def stop() -> None:
            await signals.wait()
            if course.begun_at is not None:
                await signals.wait({Reason.ELSEWHERE})
            if Reason.LOST in signals:
                limit.reschedule(asyncio.get_running_loop().time())
                return
            try:
                await self._call_off(ticket)
            except EngineHung:
                course.hung = True
                limit.reschedule(asyncio.get_running_loop().time())

        task = asyncio.create_task(stop(), name="stop-run")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _call_off(self, ticket: Ticket) -> None:
        """Raises EngineHung if the run goes on all the same."""
        try:
            async with asyncio.timeout(self._hang_s):
                await self._engine.cancel(ticket)
        except TimeoutError as error:
            failpoint("attempt.hung")
            raise EngineHung(ticket.run_id) from error

    async def _forget(self, ticket: Ticket) -> None:
        """Its outputs are safe; what stays behind if the engine is away is swept there."""
        try:
            await self._engine.forget(ticket)
        except TransientError as error:
            _log.warning("run_not_forgotten", run=ticket.run_id, error=error.code)
        failpoint("attempt.forgotten")

    async def _persist(self, write: Callable[[], Awaitable[_T]]) -> _T:
        """Until the database took it; the fence of the lease bounds the wait."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((DatabaseBusy, DatabaseUnavailable, BeingDeleted)),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            reraise=True,
        ):
            with attempt:
                return await write()
        raise AssertionError("a retry either returns or raises")


async def _closable(events: AsyncIterator[JobEvent]) -> AsyncGenerator[JobEvent, None]:
    """The engine stops watching the run when we do."""
    try:
        async for event in events:
            yield event
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _let_down(server: str, *, hung: bool) -> str:
    """Without addresses: users read it."""
    return f"the server {server} hung" if hung else f"the server {server} stopped answering"
