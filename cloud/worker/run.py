"""One attempt from its claim to its end, on one engine.

What may happen is written down before it happens: the ticket before the engine is asked, so that
whoever comes after a crash finds the run; the end in one transaction, once every output is stored.
"""

import asyncio
from typing import assert_never

import structlog

from cloud.clients.telemetry import report
from cloud.errors import Fenced, is_exhaustion
from cloud.repositories.attempt import AttemptRef, Claim
from cloud.services.attempts import Attempts
from cloud.worker.clerk import Clerk
from cloud.worker.following import Course, RunFollower
from cloud.worker.hang import EngineHung, RunTimedOut
from cloud.worker.inputs import InputFiles
from cloud.worker.persisting import persisted
from cloud.worker.saving import OutputSaver
from cloud.worker.seat import Seat
from cloud.worker.signals import Reason, Signals
from shared.engines.base import EngineUnavailable, InputsGone, RunLost, Ticket
from shared.errors import FatalError, TransientError, UsageError
from shared.failpoints import failpoint
from shared.jobs.events import Cancelled, Completed, Expired, Failed, Output

__all__ = ["AttemptRunner"]

_log = structlog.get_logger(__name__)

_MOST_TRIES_OF_A_FAILURE = 3
_MOST_TRIES = {"out_of_memory": 2}  # a smaller picture is needed, not more patience
_DRAINED = "the worker was stopped"
_ELSEWHERE = "another server was free"
_EXHAUSTED = "the worker's machine had no room left"
_EXHAUSTED_PAUSE_S = 5.0
_FULL_DISK = "disk_full"  # the built-in engine's word for it


class AttemptRunner:
    def __init__(
        self,
        *,
        seat: Seat,
        attempts: Attempts,
        clerk: Clerk,
        inputs: InputFiles,
        saver: OutputSaver,
        follower: RunFollower,
    ) -> None:
        self._seat = seat
        self._engine = seat.engine
        self._attempts = attempts
        self._clerk = clerk
        self._inputs = inputs
        self._saver = saver
        self._follower = follower

    async def run(self, claim: Claim, signals: Signals, course: Course) -> None:
        """Returns once the attempt has ended or was given back; what is left then is to be tidied.

        Raises EngineUnavailable or RunLost after giving it back for that, and Fenced when it was no
        longer ours.
        """
        ref = claim.ref
        try:
            await self._run(claim, signals, course)
        except Fenced:
            raise
        except InputsGone as error:  # which is not held against its server
            gone = (error.code, error.message)
            await persisted(lambda: self._attempts.break_off(ref, code=gone[0], reason=gone[1]))
        except (EngineUnavailable, RunLost) as error:
            code, hung = error.code, isinstance(error, EngineHung)
            reason = error.message if self._seat.server is None else _let_down(self._seat.server, hung=hung)
            avoid = self._seat.server if hung else None
            await persisted(lambda: self._attempts.break_off(ref, code=code, reason=reason, avoid=avoid))
            raise
        except (UsageError, FatalError) as error:
            failure = (error.code, error.message)
            await persisted(lambda: self._fail(ref, *failure, retryable=False))
        except TransientError as error:
            trouble = (error.code, error.message)
            await persisted(lambda: self._attempts.break_off(ref, code=trouble[0], reason=trouble[1]))
        except Exception as error:  # noqa: BLE001 - the job runner: a fault of ours ends the job, not the worker
            report(error)
            if isinstance(error, OSError) and is_exhaustion(error):
                await self._give_back_exhausted(ref)
                return
            _log.exception("attempt_broken", job=ref.job_id, attempt=ref.number)
            message = "something went wrong on our side; try it again later"
            await persisted(lambda: self._fail(ref, "internal", message, retryable=True))

    async def tidy(self, course: Course) -> None:
        """Once the end is written, which needs no lease any more."""
        if course.untidied is not None:
            await self._forget(course.untidied)

    async def _run(self, claim: Claim, signals: Signals, course: Course) -> None:
        ticket = self._left_behind(claim)
        if ticket is not None:
            await self._store(claim.ref, ticket)
            try:
                await self._see_through(claim, ticket, signals, course, left=True)
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
        await self._store(claim.ref, ticket)
        failpoint("attempt.ticket_stored")
        return ticket

    async def _store(self, ref: AttemptRef, ticket: Ticket) -> None:
        seat = self._seat
        await persisted(
            lambda: self._clerk.store_ticket(ref, ticket, server=seat.server, version=seat.version)
        )

    async def _see_through(
        self, claim: Claim, ticket: Ticket, signals: Signals, course: Course, *, left: bool = False
    ) -> None:
        """A run that was `left` behind and stopped counts as lost: whoever died may have stopped it, to
        hand the job back."""
        limit_s = self._inputs.limit_s(claim)
        try:
            end = await self._follower.end_of(claim, ticket, signals, course, limit_s=limit_s)
        except RunTimedOut as error:
            await self._follower.call_off(ticket)
            failpoint("attempt.timed_out")
            late = (error.code, error.message)
            course.ending = True
            await persisted(lambda: self._fail(claim.ref, *late, retryable=True))
            course.ended, course.untidied = True, ticket
            return
        match end:
            case Completed():
                await self._complete(claim.ref, claim, ticket, end, course)
            case Failed():
                course.ending = True
                await self._failed(claim, end)
            case Cancelled() | Expired():
                if left and not signals.any():
                    await self._forget(ticket)
                    raise RunLost("the run was stopped", run=ticket.run_id)
                course.ending = True
                await self._stopped(claim, signals)
            case _:
                assert_never(end)
        course.ended, course.untidied = True, ticket

    async def _complete(
        self, ref: AttemptRef, claim: Claim, ticket: Ticket, end: Completed, course: Course
    ) -> None:
        failpoint("attempt.run_ended")
        unchanged = self._saver.unchanged(self._engine, end.outputs)
        await persisted(lambda: self._clerk.begin_saving(ref, unchanged))
        failpoint("attempt.saving")

        async def announce(output: Output) -> None:
            await persisted(lambda: self._attempts.announce(ref, output))

        stored = [
            await self._saver.save(self._engine, claim, ticket, output, announce=announce)
            for output in end.outputs
        ]
        failpoint("attempt.saved")
        making = self._inputs.making(claim)
        course.ending = True
        await persisted(lambda: self._clerk.complete(ref, stored, making=making))
        failpoint("attempt.completed")

    async def _failed(self, claim: Claim, end: Failed) -> None:
        """What may go better elsewhere is tried again, but not for ever."""
        ref = claim.ref
        if end.code == _FULL_DISK:
            await self._give_back_exhausted(ref)
            return
        tries = 1 + sum(attempt.reason == end.code for attempt in claim.previous)
        if end.retryable and tries < _MOST_TRIES.get(end.code, _MOST_TRIES_OF_A_FAILURE):
            await persisted(
                lambda: self._attempts.break_off(
                    ref, code=end.code, reason=end.message, avoid=self._seat.server
                )
            )
        else:
            await persisted(lambda: self._fail(ref, end.code, end.message, retryable=end.retryable))

    async def _stopped(self, claim: Claim, signals: Signals) -> None:
        """The run was stopped: by the user, by us, or by somebody at the engine itself."""
        ref = claim.ref
        if Reason.UNWANTED in signals:
            await persisted(lambda: self._attempts.cancelled(ref))
        elif Reason.DRAINED in signals:
            await persisted(lambda: self._attempts.release(ref, reason=_DRAINED))
        elif Reason.ELSEWHERE in signals:
            failpoint("attempt.handed_back")
            await persisted(lambda: self._attempts.release(ref, reason=_ELSEWHERE))
        elif Reason.LOST in signals:
            raise EngineUnavailable("the server stopped answering")
        else:
            message = "the run was stopped at the server; try it again"
            await persisted(lambda: self._fail(ref, "interrupted", message, retryable=True))

    async def _fail(self, ref: AttemptRef, code: str, message: str, *, retryable: bool) -> None:
        await self._attempts.fail(ref, code=code, message=message, retryable=retryable)

    async def _give_back_exhausted(self, ref: AttemptRef) -> None:
        """For another worker, or for when there is room again; not at once, lest it comes right back."""
        _log.error("machine_exhausted", job=ref.job_id, attempt=ref.number)
        await asyncio.sleep(_EXHAUSTED_PAUSE_S)
        await persisted(lambda: self._attempts.release(ref, reason=_EXHAUSTED))

    async def _forget(self, ticket: Ticket) -> None:
        """Its outputs are safe; what stays behind if the engine is away is swept there."""
        try:
            await self._engine.forget(ticket)
        except TransientError as error:
            _log.warning("run_not_forgotten", run=ticket.run_id, error=error.code)
        failpoint("attempt.forgotten")


def _let_down(server: str, *, hung: bool) -> str:
    """Without addresses: users read it."""
    return f"the server {server} hung" if hung else f"the server {server} stopped answering"
