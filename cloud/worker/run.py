"""One attempt from its claim to its end, on one engine.

What may happen is written down before it happens: the ticket before the engine is asked, so that
whoever comes after a crash finds the run; the end in one transaction, once every output is stored.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar, assert_never

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from cloud.errors import DatabaseBusy, DatabaseUnavailable, Fenced
from cloud.repositories.claims import AttemptRef, Claim
from cloud.services.attempts import Attempts
from cloud.worker.inputs import InputFiles
from cloud.worker.passing import PassingEvent, PassingEvents, thinned
from cloud.worker.saving import OutputSaver
from cloud.worker.seat import Seat
from shared.engines.base import EngineUnavailable, RunLost, Ticket
from shared.errors import FatalError, TransientError, UsageError
from shared.failpoints import failpoint
from shared.jobs.events import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobEvent,
    Preview,
    Progress,
    Queued,
    Requeued,
    Stage,
    Started,
    TerminalEvent,
)

__all__ = ["AttemptRunner", "Signals"]

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

_MOST_TRIES_OF_A_FAILURE = 3
_DRAINED = "the worker was stopped"


@dataclass(frozen=True, slots=True)
class Signals:
    """`unwanted`: the user cancelled the job. `drained`: this worker must let go of it."""

    unwanted: asyncio.Event
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self.unwanted, self.drained)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def any(self) -> bool:
        return self.unwanted.is_set() or self.drained.is_set()


@dataclass(slots=True)
class _Begun:
    """Whether this attempt's start was told: once, also where it first finds only the trace of a run."""

    told: bool = False


class AttemptRunner:
    def __init__(
        self,
        *,
        seat: Seat,
        attempts: Attempts,
        inputs: InputFiles,
        saver: OutputSaver,
        tell: Callable[[Claim, PassingEvent], Awaitable[None]],
    ) -> None:
        self._seat = seat
        self._engine = seat.engine
        self._attempts = attempts
        self._inputs = inputs
        self._saver = saver
        self._tell = tell

    async def run(self, claim: Claim, signals: Signals) -> None:
        """Returns once the attempt has ended or was given back.

        Raises EngineUnavailable after giving it back, and Fenced when it was no longer ours.
        """
        ref = claim.ref
        try:
            await self._run(claim, signals)
        except Fenced:
            raise
        except EngineUnavailable as error:
            away = error.message
            await self._persist(lambda: self._attempts.release(ref, reason=away))
            raise
        except (UsageError, FatalError) as error:
            failure = (error.code, error.message)
            await self._persist(lambda: self._fail(ref, *failure, retryable=False))
        except TransientError as error:
            reason = error.message
            await self._persist(lambda: self._attempts.release(ref, reason=reason))
        except Exception:  # noqa: BLE001 - the job runner: a fault of ours ends the job, not the worker
            _log.exception("attempt_broken", job=ref.job_id, attempt=ref.number)
            message = "something went wrong on our side; try it again later"
            await self._persist(lambda: self._fail(ref, "internal", message, retryable=True))

    async def _run(self, claim: Claim, signals: Signals) -> None:
        begun = _Begun()
        ticket = self._left_behind(claim)
        if ticket is not None:
            try:
                await self._see_through(claim, ticket, signals, begun)
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
        await self._see_through(claim, ticket, signals, begun)

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

    async def _see_through(self, claim: Claim, ticket: Ticket, signals: Signals, begun: _Begun) -> None:
        async with (
            thinned(lambda event: self._tell(claim, event)) as passing,
            self._stopping(ticket, signals),
        ):
            end = await self._followed(claim, ticket, passing, begun)
            await passing.flush()
        match end:
            case Completed():
                await self._complete(claim.ref, claim, ticket, end)
            case Failed():
                await self._failed(claim.ref, end)
            case Cancelled() | Expired():
                await self._stopped(claim, signals)
            case _:
                assert_never(end)
        await self._forget(ticket)

    async def _followed(
        self, claim: Claim, ticket: Ticket, passing: PassingEvents, begun: _Begun
    ) -> TerminalEvent:
        """The run's end; until then its events are stored, or passed on."""
        async with contextlib.aclosing(_closable(self._engine.follow(ticket))) as events:
            async for event in events:
                if not begun.told and not isinstance(event, Queued | Cancelled):
                    begun.told = True
                    await self._persist(
                        lambda: self._attempts.mark_running(
                            claim.ref, engine=self._engine.name, server=self._seat.server
                        )
                    )
                if isinstance(event, TerminalEvent):
                    return event
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
        await self._persist(lambda: self._attempts.begin_saving(ref))
        for output in end.outputs:
            await self._saver.save(self._engine, claim, ticket, output)
        failpoint("attempt.saved")
        await self._persist(lambda: self._attempts.complete(ref, end.outputs))
        failpoint("attempt.completed")

    async def _failed(self, ref: AttemptRef, end: Failed) -> None:
        """What may go better elsewhere is tried again, but not for ever."""
        if end.retryable and ref.number < _MOST_TRIES_OF_A_FAILURE:
            await self._persist(lambda: self._attempts.release(ref, reason=end.message))
        else:
            await self._persist(lambda: self._fail(ref, end.code, end.message, retryable=end.retryable))

    async def _stopped(self, claim: Claim, signals: Signals) -> None:
        """The run was stopped: by the user, by us, or by somebody at the engine itself."""
        ref = claim.ref
        if signals.unwanted.is_set():
            await self._persist(lambda: self._attempts.cancelled(ref))
        elif signals.drained.is_set():
            await self._persist(lambda: self._attempts.release(ref, reason=_DRAINED))
        else:
            message = "the run was stopped at the server; try it again"
            await self._persist(lambda: self._fail(ref, "interrupted", message, retryable=True))

    async def _fail(self, ref: AttemptRef, code: str, message: str, *, retryable: bool) -> None:
        await self._attempts.fail(ref, code=code, message=message, retryable=retryable)

    @contextlib.asynccontextmanager
    async def _stopping(self, ticket: Ticket, signals: Signals) -> AsyncIterator[None]:
        """Cancels the run at the engine as soon as a signal says so."""

        async def stop() -> None:
            await signals.wait()
            await self._engine.cancel(ticket)

        task = asyncio.create_task(stop(), name="stop-run")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _forget(self, ticket: Ticket) -> None:
        """Its outputs are safe; what stays behind if the engine is away is swept there."""
        try:
            await self._engine.forget(ticket)
        except TransientError as error:
            _log.warning("run_not_forgotten", run=ticket.run_id, error=error.code)

    async def _persist(self, write: Callable[[], Awaitable[_T]]) -> _T:
        """Until the database took it; the fence of the lease bounds the wait."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((DatabaseBusy, DatabaseUnavailable)),
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
