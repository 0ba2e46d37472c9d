"""Jobs as their account sees and changes them."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

from cloud.clients.queue import Bell, Queue
from cloud.errors import NotFound
from cloud.repositories.artifacts import ArtifactRecord
from cloud.repositories.database import Database
from cloud.repositories.jobs import InputName, JobFilter, JobRecord, NewJob
from cloud.repositories.unit import Unit
from cloud.services.accepting import Accepting, Submission, Submitted
from cloud.services.arrivals import Fresh
from cloud.services.callers import Caller, Scope
from cloud.services.cursors import cut_page, read_cursor
from cloud.services.drafts import Drafts, Item, Wanted, given_files
from cloud.services.endings import Ending, Endings
from cloud.services.graph_drafts import GraphDrafts
from cloud.services.lane_needs import GRAPH
from cloud.services.links import Links
from cloud.services.request_digest import request_digest
from cloud.services.views import job_detail, job_view
from shared.api.jobs import Job, JobAccepted, JobDetail, JobPage, JobRequest
from shared.errors import JsonValue
from shared.failpoints import failpoint
from shared.ids import derived_key, new_id
from shared.jobs.events import Cancelled
from shared.jobs.state import JobState
from shared.presets.bundle import Preset

__all__ = ["Jobs"]


class Jobs:
    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        endings: Endings,
        accepting: Accepting,
        drafts: Drafts,
        graphs: GraphDrafts,
        links: Links,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._queue = queue
        self._endings = endings
        self._accepting = accepting
        self._drafts = drafts
        self._graphs = graphs
        self._links = links
        self._utcnow = utcnow

    async def submit(
        self, caller: Caller, request: JobRequest, *, key: str | None, fresh: Collection[Fresh] = ()
    ) -> Submitted:
        """One job, however often the same key and request come; `fresh` files become artifacts with it.
        Raises KeyReused, InFlight, NeedsCredits, PlanLimit, and UsageErrors that name the field."""
        caller.require(Scope.WRITE)
        job_id = new_id()

        def submission(unit: Unit) -> Submission:
            for file in fresh:
                unit.artifacts.accept(caller.account_id, file.digest, file.facts)
            return self._answered(self._new_job(unit, caller, request, job_id, key))

        return await self._accepting.accept(
            caller, submission, key=key, digest=request_digest("submit", request)
        )

    async def retry(self, caller: Caller, job_id: str, *, key: str | None) -> Submitted:
        """A new job like this one, whatever became of it, at today's price."""
        caller.require(Scope.WRITE)
        retry_id = new_id()

        def submission(unit: Unit) -> Submission:
            return self._answered(self._retry_of(unit, caller, _found(unit, caller, job_id), retry_id, key))

        return await self._accepting.accept(caller, submission, key=key, digest=derived_key("retry", job_id))

    async def show(self, caller: Caller, job_id: str) -> JobDetail:
        caller.require(Scope.READ)

        def work(unit: Unit) -> JobDetail:
            job = _found(unit, caller, job_id)
            entries = unit.credits.of_job(job_id) if job.price else ()
            return job_detail(job, unit.jobs.attempts(job_id), entries, self._links)

        return await self._database.read(work)

    async def page(self, caller: Caller, wanted: JobFilter, *, cursor: str | None, limit: int) -> JobPage:
        """Newest first."""
        caller.require(Scope.READ)
        wanted = replace(wanted, before=read_cursor(cursor))
        found = await self._database.read(lambda unit: unit.jobs.page(caller.account_id, wanted, limit + 1))
        page, next_cursor = cut_page(found, limit, lambda job: job.number)
        return JobPage(jobs=[job_view(job, self._links) for job in page], next_cursor=next_cursor)

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
        failpoint("cancel.committed")
        await self._queue.ring(Bell.CANCELS if asked else Bell.EVENTS)
        return job_view(job, self._links)

    def _answered(self, job: NewJob) -> Submission:
        accepted = JobAccepted(
            id=job.id,
            state=JobState.QUEUED,
            price=job.price,
            expected_s=job.expected_s,
            status_url=self._links.job(job.id),
            events_url=self._links.events(job.id),
        )
        return Submission(jobs=(job,), answer=accepted.model_dump_json())

    def _new_job(
        self, unit: Unit, caller: Caller, request: JobRequest, job_id: str, key: str | None
    ) -> NewJob:
        wanted = Wanted(
            priority=request.priority,
            expires_in_s=request.expires_in_s,
            max_price=request.max_price,
            labels=request.labels,
        )
        item = Item(job_id, request.values, given_files(request.inputs))
        if request.graph is not None:
            return self._graph_job(unit, caller, request.graph, item, wanted, key)
        preset = self._drafts.chosen(request.preset or "", request.preset_version)
        return self._preset_job(unit, caller, preset, item, wanted, key)

    def _retry_of(self, unit: Unit, caller: Caller, job: JobRecord, job_id: str, key: str | None) -> NewJob:
        item, wanted = Item(job_id, job.values, job.inputs, retry_of=job.id), Wanted.again(caller, job)
        if job.preset_id == GRAPH:
            graph = json.loads(unit.jobs.graph_of(job.id) or "{}")
            return self._graph_job(unit, caller, graph, item, wanted, key)
        preset = self._drafts.chosen(job.preset_id, None)
        return self._preset_job(unit, caller, preset, item, wanted, key)

    def _preset_job(
        self, unit: Unit, caller: Caller, preset: Preset, item: Item, wanted: Wanted, key: str | None
    ) -> NewJob:
        place = self._drafts.place(unit, caller, preset, wanted)
        terms = self._drafts.terms(caller, self._drafts.price(unit, preset), place, wanted)
        return self._drafts.job(caller, preset, terms, item, _artifacts(unit, caller, item), key=key)

    def _graph_job(
        self,
        unit: Unit,
        caller: Caller,
        data: Mapping[str, JsonValue],
        item: Item,
        wanted: Wanted,
        key: str | None,
    ) -> NewJob:
        graph = self._graphs.graph(caller, data, item)
        place = self._graphs.place(unit, caller, graph, wanted)
        terms = self._drafts.terms(caller, self._graphs.price(unit, graph), place, wanted)
        return self._graphs.job(caller, graph, terms, item, _artifacts(unit, caller, item), key=key)


def _artifacts(unit: Unit, caller: Caller, item: Item) -> dict[str, ArtifactRecord]:
    given = [file for files in item.inputs.values() for file in files]
    digests = {file.digest for file in given if isinstance(file, InputName)}
    return {artifact.digest: artifact for artifact in unit.artifacts.for_use(caller.account_id, digests)}


def _found(unit: Unit, caller: Caller, job_id: str) -> JobRecord:
    job = unit.jobs.find(caller.account_id, job_id)
    if job is None:
        raise NotFound("there is no such job", job=job_id)
    return job
