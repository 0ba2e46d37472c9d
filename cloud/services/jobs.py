"""Jobs as their account sees and changes them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cloud.clients.queue import Bell, Queue
from cloud.errors import DatabaseBusy, InFlight, InvalidRequest, KeyReused, NotFound
from cloud.repositories.database import Database
from cloud.repositories.jobs import InputName, JobFilter, JobRecord, NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Scope
from cloud.services.cursors import read_cursor, write_cursor
from cloud.services.endings import Ending, Endings
from cloud.services.inputs import check_inputs
from cloud.services.links import Links
from cloud.services.model_choices import model_choices
from cloud.services.presets import BUILTIN_POOL, Presets
from cloud.services.views import job_view
from shared.api.jobs import Job, JobAccepted, JobPage, JobRequest
from shared.errors import JsonValue
from shared.failpoints import failpoint
from shared.ids import derived_key, new_id
from shared.jobs.events import Cancelled, Queued
from shared.jobs.state import JobState
from shared.presets.bundle import Preset
from shared.presets.values import resolve_values

__all__ = ["Jobs", "Submitted"]

_PRIORITY = 0


@dataclass(frozen=True, slots=True)
class Submitted:
    """`answer` is the body of the 202; `replayed` is true if it was given before."""

    answer: str
    replayed: bool


class Jobs:
    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        endings: Endings,
        presets: Presets,
        links: Links,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._queue = queue
        self._endings = endings
        self._presets = presets
        self._links = links
        self._utcnow = utcnow

    async def submit(self, caller: Caller, request: JobRequest, *, key: str | None) -> Submitted:
        """One job, however often the same key and request come. Raises KeyReused, InFlight, and
        UsageErrors that name the field."""
        caller.require(Scope.WRITE)
        job_id = new_id()
        digest = derived_key("submit", json.dumps(request.model_dump(mode="json"), sort_keys=True))

        def job(unit: Unit) -> NewJob:
            return self._new_job(unit, caller, request, job_id, key)

        return await self._accept(caller, job_id, digest, key, job)

    async def retry(self, caller: Caller, job_id: str, *, key: str | None) -> Submitted:
        """A new job like this one, whatever became of it."""
        caller.require(Scope.WRITE)
        retry_id = new_id()

        def job(unit: Unit) -> NewJob:
            return self._retry_of(unit, _found(unit, caller, job_id), retry_id, key)

        return await self._accept(caller, retry_id, derived_key("retry", job_id), key, job)

    async def show(self, caller: Caller, job_id: str) -> Job:
        caller.require(Scope.READ)
        job = await self._database.read(lambda unit: _found(unit, caller, job_id))
        return job_view(job, self._links)

    async def page(self, caller: Caller, wanted: JobFilter, *, cursor: str | None, limit: int) -> JobPage:
        """Newest first."""
        caller.require(Scope.READ)
        if cursor is not None:
            wanted = replace(wanted, before=read_cursor(cursor))
        jobs = await self._database.read(lambda unit: unit.jobs.page(caller.account_id, wanted, limit + 1))
        more = len(jobs) > limit
        return JobPage(
            jobs=[job_view(job, self._links) for job in jobs[:limit]],
            next_cursor=write_cursor(jobs[limit - 1].number) if more else None,
        )

    async def cancel(self, caller: Caller, job_id: str) -> Job:
        """A waiting job ends at once, a running one soon; for one that has ended nothing changes."""
        caller.require(Scope.WRITE)

        def work(unit: Unit) -> tuple[JobRecord, bool]:
            ended = unit.waiting.end(caller.account_id, job_id, JobState.CANCELLED)
            asked = ended is None and unit.claims.request_cancel(caller.account_id, job_id)
            job = _found(unit, caller, job_id)
            if ended is not None:
                event = Cancelled(job_id=job_id, attempt=job.attempt, at=self._utcnow())
                self._endings.note(unit, Ending.of(ended, event))
            return job, asked

        job, asked = await self._database.write(work)
        await self._queue.ring(Bell.CANCELS if asked else Bell.EVENTS)
        return job_view(job, self._links)

    async def _accept(
        self, caller: Caller, job_id: str, digest: str, key: str | None, job: Callable[[Unit], NewJob]
    ) -> Submitted:
        answer = self._answer(job_id)

        def work(unit: Unit) -> Submitted:
            stored = unit.idempotency.take(caller.account_id, key, digest, answer) if key else None
            if stored is not None:
                if stored.request_digest != digest:
                    raise KeyReused("this Idempotency-Key was used for another request; choose a new one")
                return Submitted(stored.answer, replayed=True)
            new = job(unit)
            unit.jobs.add(new)
            unit.events.add(caller.account_id, Queued(job_id=job_id, attempt=0, at=self._utcnow()))
            unit.lanes.enter(new.lane)
            failpoint("submit.written")
            return Submitted(answer, replayed=False)

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
        return submitted

    def _answer(self, job_id: str) -> str:
        accepted = JobAccepted(
            id=job_id,
            state=JobState.QUEUED,
            status_url=self._links.job(job_id),
            events_url=self._links.events(job_id),
        )
        return accepted.model_dump_json()

    def _new_job(
        self, unit: Unit, caller: Caller, request: JobRequest, job_id: str, key: str | None
    ) -> NewJob:
        preset = self._runnable(unit, request.preset, request.preset_version)
        values = resolve_values(preset.manifest, request.values)
        inputs = {
            name: tuple(InputName(file.digest, file.name) for file in files)
            for name, files in request.inputs.items()
        }
        digests = {file.digest for files in inputs.values() for file in files}
        check_inputs(preset.manifest, inputs, unit.artifacts.find_all(caller.account_id, digests))
        return NewJob(
            id=job_id,
            lane=self._lane(caller.account_id, preset, values),
            preset_version=preset.manifest.version,
            preset_digest=preset.digest,
            values=values,
            inputs=inputs,
            idempotency_key=key,
        )

    def _retry_of(self, unit: Unit, job: JobRecord, job_id: str, key: str | None) -> NewJob:
        preset = self._runnable(unit, job.preset_id, None)
        values = resolve_values(preset.manifest, job.values)
        return NewJob(
            id=job_id,
            lane=self._lane(job.account_id, preset, values),
            preset_version=preset.manifest.version,
            preset_digest=preset.digest,
            values=values,
            inputs=job.inputs,
            idempotency_key=key,
            retry_of=job.id,
        )

    def _runnable(self, unit: Unit, preset_id: str, version: str | None) -> Preset:
        """A preset for which there is something to run it on. Raises InvalidRequest."""
        preset = self._presets.chosen(preset_id, version)
        pool = self._presets.pool_of(preset)
        if pool != BUILTIN_POOL and not unit.servers.has_pool(pool):
            raise InvalidRequest(
                f"{preset.manifest.name} needs a GPU server, and there is none here; choose another preset",
                field="preset",
            )
        return preset

    def _lane(self, account_id: str, preset: Preset, values: Mapping[str, JsonValue]) -> Lane:
        pool, models = self._presets.pool_of(preset), model_choices(preset, values)
        return Lane(pool, _PRIORITY, account_id, preset.manifest.id, models)


def _found(unit: Unit, caller: Caller, job_id: str) -> JobRecord:
    job = unit.jobs.find(caller.account_id, job_id)
    if job is None:
        raise NotFound("there is no such job", job=job_id)
    return job
