"""The client for callers with an event loop.

Whatever may be sent twice is sent with an Idempotency-Key: the caller's, or one made for the call.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Self

from shared.api.accounts import Account
from shared.api.artifacts import Artifact
from shared.api.batches import Batch, BatchAccepted, BatchPage, BatchRequest
from shared.api.credits import CreditBalance, CreditEntryPage, Quote
from shared.api.jobs import Job, JobAccepted, JobDetail, JobPage, JobRequest
from shared.api.presets import PresetDetail, PresetSummary
from shared.api.recipes import Recipe
from shared.api.waiting import JobWaiting
from shared.files import digest_file
from shared.ids import new_id
from shared.jobs.events import JobEvent
from shared.jobs.state import JobState
from shared.sdk import operations
from shared.sdk.files import (
    FileInputs,
    Values,
    files_of_job,
    named_files,
    save_outputs,
    submit_file_batch,
    submit_files,
)
from shared.sdk.forms import SentFile
from shared.sdk.open_submission import OpenSubmission
from shared.sdk.operations import Download, Sent, page_params
from shared.sdk.pauses import Pauses
from shared.sdk.stream_place import StreamPlace
from shared.sdk.streams import follow_job
from shared.sdk.transport import AsyncTransport, key_headers

__all__ = ["CloudClient"]

_DEFAULTS: Values = MappingProxyType({})
_Heard = Callable[[JobEvent], object]


class CloudClient:
    """Raises the errors of shared/sdk/errors."""

    def __init__(self, *, server_url: str, api_key: str) -> None:
        self._server_url = server_url
        self._api_key = api_key
        self._transport = AsyncTransport(server_url=server_url, api_key=api_key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def upload_artifact(
        self, path: Path, digest: str | None = None, *, on_sent: Sent | None = None
    ) -> Artifact:
        """Bytes that the cloud has are not sent again. Raises RequestRefused where it will not have them."""
        if digest is None:
            digest = await asyncio.to_thread(digest_file, path)
        return await self._transport.perform(operations.upload_artifact(path, digest, on_sent))

    async def submit_job(self, request: JobRequest, *, idempotency_key: str | None = None) -> JobAccepted:
        return await self._transport.perform(operations.submit_job(request, idempotency_key or new_id()))

    def open_submission(self, files: Sequence[SentFile], *, idempotency_key: str) -> OpenSubmission:
        """A job and its files in one request, of which the files are sent now. For few and small ones."""
        return OpenSubmission(
            self._transport.streams,
            url=self._server_url.rstrip("/") + operations.WITH_FILES,
            key=key_headers(self._api_key),
            idempotency_key=idempotency_key,
            files=files,
        )

    async def submit_files(
        self,
        preset: str,
        files: FileInputs,
        values: Values = _DEFAULTS,
        *,
        idempotency_key: str | None = None,
        on_sent: Sent | None = None,
    ) -> JobAccepted:
        """Submit one job on the files, which are named by the inputs of the preset: small ones go out with
        it, and others ahead of it if the cloud has not got them."""
        named = await asyncio.to_thread(files_of_job, files)
        key = idempotency_key or new_id()
        return await self._transport.perform(submit_files(preset, named, values, key, on_sent))

    async def develop(
        self,
        preset: str,
        files: FileInputs,
        values: Values = _DEFAULTS,
        *,
        on_event: _Heard | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit one job on the files and wait for its end, however it ends; its events are told
        meanwhile."""
        named = await asyncio.to_thread(files_of_job, files)
        steps = submit_files(preset, named, values, idempotency_key or new_id(), followed=True)
        accepted, told = await self._transport.perform_followed(steps)
        async for event in self._followed(accepted.id, told):
            if on_event is not None:
                on_event(event)
        return await self.get_job(accepted.id)

    async def submit_file_batch(
        self,
        preset: str,
        items: Sequence[FileInputs],
        values: Values = _DEFAULTS,
        *,
        idempotency_key: str | None = None,
        on_sent: Sent | None = None,
    ) -> BatchAccepted:
        """Upload the files and submit one batch, with a job for each item."""
        named = [await asyncio.to_thread(named_files, files) for files in items]
        key = idempotency_key or new_id()
        return await self._transport.perform(submit_file_batch(preset, named, values, key, on_sent))

    async def wait_for_batch(self, batch_id: str) -> Batch:
        """As it is once the last of its jobs has ended."""
        pauses = Pauses()
        while (batch := await self.get_batch(batch_id)).finished_at is None:  # noqa: ASYNC110
            await asyncio.sleep(pauses.next_s())
        return batch

    async def get_job(self, job_id: str) -> Job:
        return await self._transport.perform(operations.get_job(job_id))

    async def get_recipe(self, job_id: str, position: int = 0) -> Recipe:
        return await self._transport.perform(operations.get_recipe(job_id, position))

    async def find_job(self, *, idempotency_key: str) -> Job | None:
        return await self._transport.perform(operations.find_job(idempotency_key))

    async def list_jobs(
        self,
        *,
        state: JobState | None = None,
        preset: str | None = None,
        batch: str | None = None,
        cursor: str | None = None,
    ) -> JobPage:
        params = page_params(cursor, state=state, preset=preset, batch=batch)
        return await self._transport.perform(operations.list_jobs(params))

    async def jobs(
        self, *, state: JobState | None = None, preset: str | None = None, batch: str | None = None
    ) -> AsyncIterator[Job]:
        """All of them, the newest first, page by page as they are taken."""
        page = await self.list_jobs(state=state, preset=preset, batch=batch)
        while True:
            for job in page.jobs:
                yield job
            if page.next_cursor is None:
                return
            page = await self.list_jobs(state=state, preset=preset, batch=batch, cursor=page.next_cursor)

    async def cancel_job(self, job_id: str) -> Job:
        return await self._transport.perform(operations.cancel_job(job_id))

    async def retry_job(self, job_id: str, *, idempotency_key: str | None = None) -> JobAccepted:
        return await self._transport.perform(operations.retry_job(job_id, idempotency_key or new_id()))

    async def show_job(self, job_id: str) -> JobDetail:
        """With its attempts and its receipt."""
        return await self._transport.perform(operations.show_job(job_id))

    async def why_waiting(self, job_id: str) -> JobWaiting:
        """What a job waits for, in words."""
        return await self._transport.perform(operations.why_waiting(job_id))

    async def submit_batch(
        self, request: BatchRequest, *, idempotency_key: str | None = None
    ) -> BatchAccepted:
        return await self._transport.perform(operations.submit_batch(request, idempotency_key or new_id()))

    async def get_batch(self, batch_id: str) -> Batch:
        return await self._transport.perform(operations.get_batch(batch_id))

    async def list_batches(self, *, cursor: str | None = None) -> BatchPage:
        return await self._transport.perform(operations.list_batches(page_params(cursor)))

    async def cancel_batch(self, batch_id: str) -> Batch:
        return await self._transport.perform(operations.cancel_batch(batch_id))

    async def retry_batch(self, batch_id: str, *, idempotency_key: str | None = None) -> BatchAccepted:
        """A new batch of the jobs that did not complete."""
        return await self._transport.perform(operations.retry_batch(batch_id, idempotency_key or new_id()))

    async def get_artifact(self, digest: str) -> Artifact:
        return await self._transport.perform(operations.get_artifact(digest))

    async def get_account(self) -> Account:
        return await self._transport.perform(operations.get_account())

    async def get_credits(self) -> CreditBalance:
        return await self._transport.perform(operations.get_credits())

    async def list_credit_entries(self, *, cursor: str | None = None) -> CreditEntryPage:
        return await self._transport.perform(operations.list_credit_entries(page_params(cursor)))

    async def get_quote(self, preset_id: str) -> Quote:
        """What one job would cost now, and how long its run should take."""
        return await self._transport.perform(operations.get_quote(preset_id))

    async def save_outputs(self, job: Job, folder: Path) -> tuple[Path, ...]:
        """The job's outputs, but no previews, as new files. Raises DownloadBroken."""
        return await self._transport.perform(save_outputs(job, folder))

    async def list_presets(self) -> Sequence[PresetSummary]:
        return await self._transport.perform(operations.list_presets())

    async def get_preset(self, preset_id: str) -> PresetDetail:
        return await self._transport.perform(operations.get_preset(preset_id))

    async def download(self, wanted: Download, sink: BinaryIO) -> None:
        await self._transport.perform(operations.download(wanted, sink))

    def events(self, job_id: str, opened: OpenSubmission | None = None) -> AsyncIterator[JobEvent]:
        """The job's events from its first, to exactly one terminal one; by whatever road is open, first of
        all by the answer to its submission."""
        return self._followed(job_id, None if opened is None else opened.texts())

    def _followed(self, job_id: str, told: AsyncGenerator[str, None] | None) -> AsyncIterator[JobEvent]:
        place = StreamPlace(job_id, server_url=self._server_url, api_key=self._api_key)
        return follow_job(self.get_job, job_id, place, told)
