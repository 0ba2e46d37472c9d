"""Following a run to its end: its events are stored or passed on, and it is stopped when it must be."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import assert_never

from cloud.repositories.attempt import AttemptRef, Claim
from cloud.services.attempts import Attempts
from cloud.worker.clerk import Clerk
from cloud.worker.hang import EngineHung, RunTimedOut
from cloud.worker.passing import PassingEvent, PassingEvents, thinned
from cloud.worker.persisting import persisted
from cloud.worker.seat import Seat
from cloud.worker.signals import Reason, Signals
from shared.engines.base import EngineUnavailable, RunLost, Ticket
from shared.failpoints import failpoint
from shared.jobs.events import (
    Cancelled,
    JobEvent,
    Preview,
    Progress,
    Queued,
    Requeued,
    Stage,
    Started,
    TerminalEvent,
)

__all__ = ["Course", "RunFollower"]


@dataclass(slots=True)
class Course:
    """How far an attempt got, in readings of time.monotonic(). Its start is told once, also where it
    first finds only the trace of a run. `ending`: its end is being written; `ended`: it is, and only
    what the run left at its engine is to be tidied. `not_stopped` is what came of stopping it instead."""

    begun_at: float | None = None
    first_progress_at: float | None = None
    not_stopped: BaseException | None = None
    ending: bool = False
    ended: bool = False
    untidied: Ticket | None = None

    @property
    def to_progress_s(self) -> float | None:
        if self.begun_at is None or self.first_progress_at is None:
            return None
        return self.first_progress_at - self.begun_at


class RunFollower:
    """`hang_s` is how long a run may take to stop before its engine counts as hung."""

    def __init__(
        self,
        *,
        seat: Seat,
        attempts: Attempts,
        clerk: Clerk,
        tell: Callable[[Claim, PassingEvent], Awaitable[None]],
        hang_s: float,
    ) -> None:
        self._seat = seat
        self._engine = seat.engine
        self._attempts = attempts
        self._clerk = clerk
        self._tell = tell
        self._hang_s = hang_s

    async def end_of(
        self, claim: Claim, ticket: Ticket, signals: Signals, course: Course, *, limit_s: float
    ) -> TerminalEvent:
        """The run's end; it may take `limit_s` from its start.

        Raises RunTimedOut, RunLost, EngineHung, and EngineUnavailable once nobody answers; and whatever
        kept the run from being stopped.
        """
        try:
            async with (
                thinned(lambda event: self._tell(claim, event)) as passing,
                asyncio.timeout(None) as limit,
                self._stopping(ticket, signals, course, limit),
            ):
                end = await self._followed(claim, ticket, passing, course, limit, limit_s)
                await passing.flush()
                return end
        except TimeoutError as error:
            if course.not_stopped is not None:
                raise course.not_stopped from error
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
                    await persisted(
                        lambda: self._clerk.mark_running(
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
                await persisted(lambda: self._attempts.set_stage(ref, name))
            case Progress() | Preview():
                passing.put(replace(event, job_id=ref.job_id, attempt=ref.number))
            case Queued() | Started() | Requeued():
                pass
            case _:
                assert_never(event)

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
            await self.call_off(ticket)

        def cut_short(stopping: asyncio.Task[None]) -> None:
            """There is no use in following what nobody can stop."""
            if not stopping.cancelled() and not limit.expired() and (error := stopping.exception()):
                course.not_stopped = error
                limit.reschedule(asyncio.get_running_loop().time())

        task = asyncio.create_task(stop(), name="stop-run")
        task.add_done_callback(cut_short)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def call_off(self, ticket: Ticket) -> None:
        """Raises EngineHung if the run goes on all the same."""
        try:
            async with asyncio.timeout(self._hang_s):
                await self._engine.cancel(ticket)
        except TimeoutError as error:
            failpoint("attempt.hung")
            raise EngineHung(ticket.run_id) from error


async def _closable(events: AsyncIterator[JobEvent]) -> AsyncGenerator[JobEvent, None]:
    """The engine stops watching the run when we do."""
    try:
        async for event in events:
            yield event
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
