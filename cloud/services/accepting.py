"""Taking jobs in: one transaction for the answer, the jobs, their events and lanes, and the money."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cloud.clients.queue import Bell, Queue
from cloud.clients.telemetry import traceparent
from cloud.errors import DatabaseBusy, InFlight, KeyReused
from cloud.repositories.batches import NewBatch
from cloud.repositories.database import Database
from cloud.repositories.idempotency import StoredAnswer
from cloud.repositories.jobs import NewJob, Origin
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller
from cloud.services.credits import Credits
from shared.errors import UsageError
from shared.failpoints import failpoint
from shared.jobs.events import Queued
from shared.logs import request_id

__all__ = ["Accepting", "Submission", "Submitted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a request comes to: at least one job, with the body of the 202."""

    jobs: tuple[NewJob, ...]
    answer: str
    batch: NewBatch | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """`answer` is the body of the 202; `replayed` is true if it was given before,
    `fetches` if files are to be fetched first."""

    answer: str
    replayed: bool
    fetches: bool = False


class Accepting:
    def __init__(
        self, *, database: Database, queue: Queue, credits: Credits, utcnow: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._queue = queue
        self._credits = credits
        self._utcnow = utcnow

    async def accept(
        self, caller: Caller, submission: Callable[[Unit], Submission], *, key: str | None, digest: str
    ) -> Submitted:
        """Once, however often the same `key` and `digest` of the request come.

        Raises KeyReused, InFlight, NeedsCredits, PlanLimit, and what `submission` raises.
        """

        origin = Origin(request_id(), traceparent())

        def work(unit: Unit) -> Submitted:
            return self._accepted(unit, caller, submission, key, digest, origin)

        try:
            submitted = await self._database.write(work)
        except DatabaseBusy as error:
            if key is None:
                raise
            raise InFlight("the first request with this Idempotency-Key has not ended yet") from error
        if not submitted.replayed:
            failpoint("submit.committed")
            await self._queue.ring(Bell.JOBS)
            await self._queue.ring(Bell.EVENTS)
            if submitted.fetches:
                await self._queue.ring(Bell.FETCHES)
        return submitted

    def _accepted(
        self,
        unit: Unit,
        caller: Caller,
        submission: Callable[[Unit], Submission],
        key: str | None,
        digest: str,
        origin: Origin,
    ) -> Submitted:
        try:
            made = submission(unit)
        except UsageError:
            stored = unit.idempotency.find(caller.account_id, key) if key else None
            if stored is None:
                raise
            return _replayed(stored, digest)
        stored = unit.idempotency.take(caller.account_id, key, digest, made.answer) if key else None
        if stored is not None:
            return _replayed(stored, digest)
        self._write(unit, caller, made, origin)
        failpoint("submit.written")
        return Submitted(made.answer, replayed=False, fetches=any(job.enters for job in made.jobs))

    def _write(self, unit: Unit, caller: Caller, made: Submission, origin: Origin) -> None:
        """Lanes and then credits last, in the order in which whoever ends jobs locks them."""
        if made.batch is not None:
            unit.batches.add(made.batch)
        now = self._utcnow()
        jobs = [replace(job, origin=origin) for job in made.jobs]
        unit.intake.add(jobs, [Queued(job_id=job.id, attempt=0, at=now) for job in made.jobs])
        unit.fetches.add([job for job in made.jobs if job.enters is not None])
        self._credits.take(unit, caller, {job.id: job.price for job in made.jobs})


def _replayed(stored: StoredAnswer, digest: str) -> Submitted:
    if stored.request_digest != digest:
        raise KeyReused("this Idempotency-Key was used for another request; choose a new one")
    return Submitted(stored.answer, replayed=True)
