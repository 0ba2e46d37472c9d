"""Batches as their account sees and changes them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain

from cloud.clients.queue import Bell, Queue
from cloud.errors import Conflict, InvalidRequest, NotFound
from cloud.repositories.batches import BatchRecord, NewBatch
from cloud.repositories.database import Database
from cloud.repositories.jobs import InputName, NewJob
from cloud.repositories.unit import Unit
from cloud.services.accepting import Accepting, Submission, Submitted
from cloud.services.callers import Caller, Scope
from cloud.services.cursors import cut_page, read_cursor
from cloud.services.drafts import Drafts, Item, Terms, Wanted, given_files
from cloud.services.endings import Ending, Endings
from cloud.services.links import Links
from cloud.services.request_digest import request_digest
from shared.api.batches import Batch, BatchAccepted, BatchPage, BatchRequest
from shared.errors import UsageError
from shared.failpoints import failpoint
from shared.ids import derived_key, new_id
from shared.jobs.events import Cancelled
from shared.jobs.state import JobState
from shared.presets.bundle import Preset

__all__ = ["Batches"]

_CANCELLED_AT_ONCE = 200
_MOST_FILES = 10_000
_TO_RETRY = (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED)


class Batches:
    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        endings: Endings,
        accepting: Accepting,
        drafts: Drafts,
        links: Links,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._queue = queue
        self._endings = endings
        self._accepting = accepting
        self._drafts = drafts
        self._links = links
        self._utcnow = utcnow

    async def submit(self, caller: Caller, request: BatchRequest, *, key: str | None) -> Submitted:
        """All jobs or none, however often the same key and request come. Raises KeyReused, InFlight,
        NeedsCredits, PlanLimit, and UsageErrors that name the item and the field."""
        caller.require(Scope.WRITE)
        batch_id, ids = new_id(), [new_id() for _ in request.items]

        def submission(unit: Unit) -> Submission:
            preset = self._drafts.chosen(request.preset, request.preset_version)
            wanted = Wanted(
                priority=request.priority,
                expires_in_s=request.expires_in_s,
                max_price=request.max_price,
                labels=request.labels,
            )
            terms = self._terms(unit, caller, preset, wanted)
            items = [
                Item(job_id, {**request.values, **item.values}, given_files(item.inputs))
                for job_id, item in zip(ids, request.items, strict=True)
            ]
            jobs = self._jobs(unit, caller, preset, terms, items, batch_id)
            return self._answered(caller, preset, terms, jobs, batch_id, name=request.name)

        return await self._accepting.accept(
            caller, submission, key=key, digest=request_digest("batch", request)
        )

    async def retry(self, caller: Caller, batch_id: str, *, key: str | None) -> Submitted:
        """A new batch of the jobs that came to nothing, at today's price. Raises Conflict if there are
        none."""
        caller.require(Scope.WRITE)
        retry_id = new_id()

        def submission(unit: Unit) -> Submission:
            batch = _found(unit, caller, batch_id)
            failed = unit.jobs.of_batch(batch_id, _TO_RETRY)
            if not failed:
                raise Conflict("no job of this batch has failed, was cancelled or expired", batch=batch_id)
            preset = self._drafts.chosen(batch.preset_id, None)
            terms = self._terms(unit, caller, preset, Wanted.again(caller, failed[0]))
            items = [Item(new_id(), job.values, job.inputs, retry_of=job.id) for job in failed]
            jobs = self._jobs(unit, caller, preset, terms, items, retry_id)
            return self._answered(caller, preset, terms, jobs, retry_id, name=batch.name, retry_of=batch_id)

        return await self._accepting.accept(
            caller, submission, key=key, digest=derived_key("retry-batch", batch_id)
        )

    async def show(self, caller: Caller, batch_id: str) -> Batch:
        caller.require(Scope.READ)
        return self._view(await self._database.read(lambda unit: _found(unit, caller, batch_id)))

    async def page(self, caller: Caller, *, cursor: str | None, limit: int) -> BatchPage:
        """Newest first."""
        caller.require(Scope.READ)
        before = read_cursor(cursor)
        found = await self._database.read(
            lambda unit: unit.batches.page(caller.account_id, before=before, limit=limit + 1)
        )
        page, next_cursor = cut_page(found, limit, lambda batch: batch.number)
        return BatchPage(batches=[self._view(batch) for batch in page], next_cursor=next_cursor)

    async def cancel(self, caller: Caller, batch_id: str) -> Batch:
        """Its waiting jobs end at once, its running ones soon; those that have ended stay as they are."""
        caller.require(Scope.WRITE)
        await self._database.read(lambda unit: _found(unit, caller, batch_id))

        def end_some(unit: Unit) -> int:
            ended = unit.waiting.end_batch(batch_id, JobState.CANCELLED, limit=_CANCELLED_AT_ONCE)
            now = self._utcnow()
            self._endings.note_all(
                unit,
                [Ending.of(job, Cancelled(job_id=job.job_id, attempt=job.attempt, at=now)) for job in ended],
            )
            return len(ended)

        while await self._database.write(end_some):
            pass
        failpoint("batch_cancel.waiting_ended")
        asked = await self._database.write(lambda unit: unit.claims.request_cancel_of_batch(batch_id))
        failpoint("batch_cancel.asked")
        if asked:
            await self._queue.ring(Bell.CANCELS)
        await self._queue.ring(Bell.EVENTS)
        return self._view(await self._database.read(lambda unit: _found(unit, caller, batch_id)))

    def _terms(self, unit: Unit, caller: Caller, preset: Preset, wanted: Wanted) -> Terms:
        place = self._drafts.place(unit, caller, preset, wanted)
        return self._drafts.terms(caller, self._drafts.price(unit, preset), place, wanted)

    def _jobs(
        self,
        unit: Unit,
        caller: Caller,
        preset: Preset,
        terms: Terms,
        items: Sequence[Item],
        batch_id: str,
    ) -> tuple[NewJob, ...]:
        """Raises what names the item and the field."""
        digests = _digests(items)
        artifacts = {
            artifact.digest: artifact for artifact in unit.artifacts.for_use(caller.account_id, digests)
        }
        jobs = []
        for index, item in enumerate(items):
            try:
                job = self._drafts.job(
                    caller, preset, terms, item, artifacts, batch_id=batch_id, batch_index=index
                )
            except UsageError as error:
                raise _at_item(error, index) from error
            jobs.append(job)
        return tuple(jobs)

    def _answered(
        self,
        caller: Caller,
        preset: Preset,
        terms: Terms,
        jobs: tuple[NewJob, ...],
        batch_id: str,
        *,
        name: str | None,
        retry_of: str | None = None,
    ) -> Submission:
        batch = NewBatch(
            id=batch_id,
            account_id=caller.account_id,
            name=name,
            preset_id=preset.manifest.id,
            preset_version=preset.manifest.version,
            price=terms.price.credits * len(jobs),
            total=len(jobs),
            retry_of=retry_of,
        )
        accepted = BatchAccepted(
            id=batch_id,
            total=batch.total,
            price=batch.price,
            jobs=[job.id for job in jobs],
            status_url=self._links.batch(batch_id),
            jobs_url=self._links.batch_jobs(batch_id),
        )
        return Submission(jobs=jobs, answer=accepted.model_dump_json(), batch=batch)

    def _view(self, batch: BatchRecord) -> Batch:
        return Batch(
            id=batch.id,
            name=batch.name,
            preset=batch.preset_id,
            preset_version=batch.preset_version,
            price=batch.price,
            total=batch.total,
            remaining=batch.total - sum(batch.ended.values()),
            completed=batch.ended[JobState.COMPLETED],
            failed=batch.ended[JobState.FAILED],
            cancelled=batch.ended[JobState.CANCELLED],
            expired=batch.ended[JobState.EXPIRED],
            retry_of=batch.retry_of,
            created_at=batch.created_at,
            finished_at=batch.finished_at,
            status_url=self._links.batch(batch.id),
            jobs_url=self._links.batch_jobs(batch.id),
        )


def _digests(items: Sequence[Item]) -> set[str]:
    """Raises InvalidRequest if there are more files than one statement can ask for."""
    files = set(chain.from_iterable(chain.from_iterable(item.inputs.values()) for item in items))
    if len(files) > _MOST_FILES:
        raise InvalidRequest(
            f"a batch names at most {_MOST_FILES} files, not {len(files)}; make several batches",
            field="items",
        )
    return {file.digest for file in files if isinstance(file, InputName)}


def _at_item(error: UsageError, index: int) -> UsageError:
    """The same refusal, with the item named."""
    field = error.details.get("field")
    named = f"items.{index}" if field is None else f"items.{index}.{field}"
    return type(error)(f"item {index}: {error.message}", **{**error.details, "field": named, "index": index})


def _found(unit: Unit, caller: Caller, batch_id: str) -> BatchRecord:
    batch = unit.batches.find(caller.account_id, batch_id)
    if batch is None:
        raise NotFound("there is no such batch", batch=batch_id)
    return batch
