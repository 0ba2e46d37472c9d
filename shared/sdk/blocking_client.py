"""The client for callers without an event loop.

Whatever may be sent twice is sent with an Idempotency-Key: the caller's, or one made for the call.
"""

import time
from collections.abc import Callable, Iterator, Sequence
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
from shared.sdk.blocking_stream import follow_job_blocking
from shared.sdk.files import (
    FileInputs,
    Values,
    files_of_job,
    named_files,
    save_outputs,
    submit_file_batch,
    submit_files,
)
from shared.sdk.operations import Download, Sent, page_params
from shared.sdk.pauses import Pauses
from shared.sdk.stream_place import StreamPlace
from shared.sdk.transport import BlockingTransport

__all__ = ["BlockingCloudClient"]

_DEFAULTS: Values = MappingProxyType({})
_Heard = Callable[[JobEvent], object]


class BlockingCloudClient:
    """Raises the errors of shared/sdk/errors."""

    def __init__(self, *, server_url: str, api_key: str) -> None:
        self._server_url = server_url
        self._api_key = api_key
        self._transport = BlockingTransport(server_url=server_url, api_key=api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def upload_artifact(
        self, path: Path, digest: str | None = None, *, on_sent: Sent | None = None
    ) -> Artifact:
        """Bytes that the cloud has are not sent again. Raises RequestRefused where it will not have them."""
        digest = digest or digest_file(path)
        return self._transport.perform(operations.upload_artifact(path, digest, on_sent))

    def submit_job(self, request: JobRequest, *, idempotency_key: str | None = None) -> JobAccepted:
        return self._transport.perform(operations.submit_job(request, idempotency_key or new_id()))

    def submit_files(
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
        key = idempotency_key or new_id()
        return self._transport.perform(submit_files(preset, files_of_job(files), values, key, on_sent))

    def develop(
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
        key = idempotency_key or new_id()
        steps = submit_files(preset, files_of_job(files), values, key, followed=True)
        accepted, told = self._transport.perform_followed(steps)
        for event in follow_job_blocking(self.get_job, accepted.id, self._place(accepted.id), told):
            if on_event is not None:
                on_event(event)
        return self.get_job(accepted.id)

    def submit_file_batch(
        self,
        preset: str,
        items: Sequence[FileInputs],
        values: Values = _DEFAULTS,
        *,
        idempotency_key: str | None = None,
        on_sent: Sent | None = None,
    ) -> BatchAccepted:
        """Upload the files and submit one batch, with a job for each item."""
        named = [named_files(files) for files in items]
        key = idempotency_key or new_id()
        return self._transport.perform(submit_file_batch(preset, named, values, key, on_sent))

    def wait_for_batch(self, batch_id: str) -> Batch:
        """As it is once the last of its jobs has ended."""
        pauses = Pauses()
        while (batch := self.get_batch(batch_id)).finished_at is None:
            time.sleep(pauses.next_s())
        return batch

    def get_job(self, job_id: str) -> Job:
        return self._transport.perform(operations.get_job(job_id))

    def get_recipe(self, job_id: str, position: int = 0) -> Recipe:
        return self._transport.perform(operations.get_recipe(job_id, position))

    def find_job(self, *, idempotency_key: str) -> Job | None:
        return self._transport.perform(operations.find_job(idempotency_key))

    def list_jobs(
        self,
        *,
        state: JobState | None = None,
        preset: str | None = None,
        batch: str | None = None,
        cursor: str | None = None,
    ) -> JobPage:
        params = page_params(cursor, state=state, preset=preset, batch=batch)
        return self._transport.perform(operations.list_jobs(params))

    def jobs(
        self, *, state: JobState | None = None, preset: str | None = None, batch: str | None = None
    ) -> Iterator[Job]:
        """All of them, the newest first, page by page as they are taken."""
        page = self.list_jobs(state=state, preset=preset, batch=batch)
        while True:
            yield from page.jobs
            if page.next_cursor is None:
                return
            page = self.list_jobs(state=state, preset=preset, batch=batch, cursor=page.next_cursor)

    def cancel_job(self, job_id: str) -> Job:
        return self._transport.perform(operations.cancel_job(job_id))

    def retry_job(self, job_id: str, *, idempotency_key: str | None = None) -> JobAccepted:
        return self._transport.perform(operations.retry_job(job_id, idempotency_key or new_id()))

    def show_job(self, job_id: str) -> JobDetail:
        """With its attempts and its receipt."""
        return self._transport.perform(operations.show_job(job_id))

    def why_waiting(self, job_id: str) -> JobWaiting:
        """What a job waits for, in words."""
        return self._transport.perform(operations.why_waiting(job_id))

    def submit_batch(self, request: BatchRequest, *, idempotency_key: str | None = None) -> BatchAccepted:
        return self._transport.perform(operations.submit_batch(request, idempotency_key or new_id()))

    def get_batch(self, batch_id: str) -> Batch:
        return self._transport.perform(operations.get_batch(batch_id))

    def list_batches(self, *, cursor: str | None = None) -> BatchPage:
        return self._transport.perform(operations.list_batches(page_params(cursor)))

    def cancel_batch(self, batch_id: str) -> Batch:
        return self._transport.perform(operations.cancel_batch(batch_id))

    def retry_batch(self, batch_id: str, *, idempotency_key: str | None = None) -> BatchAccepted:
        """A new batch of the jobs that did not complete."""
        return self._transport.perform(operations.retry_batch(batch_id, idempotency_key or new_id()))

    def get_artifact(self, digest: str) -> Artifact:
        return self._transport.perform(operations.get_artifact(digest))

    def get_account(self) -> Account:
        return self._transport.perform(operations.get_account())

    def get_credits(self) -> CreditBalance:
        return self._transport.perform(operations.get_credits())

    def list_credit_entries(self, *, cursor: str | None = None) -> CreditEntryPage:
        return self._transport.perform(operations.list_credit_entries(page_params(cursor)))

    def get_quote(self, preset_id: str) -> Quote:
        """What one job would cost now, and how long its run should take."""
        return self._transport.perform(operations.get_quote(preset_id))

    def save_outputs(self, job: Job, folder: Path) -> tuple[Path, ...]:
        """The job's outputs, but no previews, as new files. Raises DownloadBroken."""
        return self._transport.perform(save_outputs(job, folder))

    def list_presets(self) -> Sequence[PresetSummary]:
        return self._transport.perform(operations.list_presets())

    def get_preset(self, preset_id: str) -> PresetDetail:
        return self._transport.perform(operations.get_preset(preset_id))

    def download(self, wanted: Download, sink: BinaryIO) -> None:
        self._transport.perform(operations.download(wanted, sink))

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """The job's events from its first, to exactly one terminal one."""
        return follow_job_blocking(self.get_job, job_id, self._place(job_id))

    def _place(self, job_id: str) -> StreamPlace:
        return StreamPlace(job_id, server_url=self._server_url, api_key=self._api_key)
