"""The two faces of the client."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from shared.api.artifacts import Artifact
from shared.api.jobs import Job, JobAccepted, JobPage, JobRequest
from shared.api.presets import PresetDetail, PresetSummary
from shared.api.recipes import Recipe
from shared.jobs.events import JobEvent
from shared.sdk import operations
from shared.sdk.operations import Download
from shared.sdk.polling import poll_job
from shared.sdk.streams import follow_job
from shared.sdk.transport import AsyncTransport, BlockingTransport

__all__ = ["BlockingCloudClient", "CloudClient"]


class CloudClient:
    """For callers with an event loop. Raises the errors of shared/sdk/errors."""

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

    async def upload_artifact(self, path: Path, digest: str) -> Artifact:
        return await self._transport.perform(operations.upload_artifact(path, digest))

    async def submit_job(self, request: JobRequest, *, idempotency_key: str) -> JobAccepted:
        return await self._transport.perform(operations.submit_job(request, idempotency_key))

    async def get_job(self, job_id: str) -> Job:
        return await self._transport.perform(operations.get_job(job_id))

    async def get_recipe(self, job_id: str, position: int = 0) -> Recipe:
        return await self._transport.perform(operations.get_recipe(job_id, position))

    async def find_job(self, *, idempotency_key: str) -> Job | None:
        return await self._transport.perform(operations.find_job(idempotency_key))

    async def list_jobs(self, *, cursor: str | None = None) -> JobPage:
        return await self._transport.perform(operations.list_jobs({"cursor": cursor} if cursor else {}))

    async def cancel_job(self, job_id: str) -> Job:
        return await self._transport.perform(operations.cancel_job(job_id))

    async def retry_job(self, job_id: str, *, idempotency_key: str) -> JobAccepted:
        return await self._transport.perform(operations.retry_job(job_id, idempotency_key))

    async def list_presets(self) -> Sequence[PresetSummary]:
        return await self._transport.perform(operations.list_presets())

    async def get_preset(self, preset_id: str) -> PresetDetail:
        return await self._transport.perform(operations.get_preset(preset_id))

    async def download(self, wanted: Download, sink: BinaryIO) -> None:
        await self._transport.perform(operations.download(wanted, sink))

    def events(self, job_id: str) -> AsyncIterator[JobEvent]:
        """The job's events from its first, to exactly one terminal one; by whatever road is open."""
        return follow_job(self, job_id, server_url=self._server_url, api_key=self._api_key)


class BlockingCloudClient:
    """For callers without one."""

    def __init__(self, *, server_url: str, api_key: str) -> None:
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

    def upload_artifact(self, path: Path, digest: str) -> Artifact:
        return self._transport.perform(operations.upload_artifact(path, digest))

    def submit_job(self, request: JobRequest, *, idempotency_key: str) -> JobAccepted:
        return self._transport.perform(operations.submit_job(request, idempotency_key))

    def get_job(self, job_id: str) -> Job:
        return self._transport.perform(operations.get_job(job_id))

    def get_recipe(self, job_id: str, position: int = 0) -> Recipe:
        return self._transport.perform(operations.get_recipe(job_id, position))

    def find_job(self, *, idempotency_key: str) -> Job | None:
        return self._transport.perform(operations.find_job(idempotency_key))

    def list_jobs(self, *, cursor: str | None = None) -> JobPage:
        return self._transport.perform(operations.list_jobs({"cursor": cursor} if cursor else {}))

    def cancel_job(self, job_id: str) -> Job:
        return self._transport.perform(operations.cancel_job(job_id))

    def retry_job(self, job_id: str, *, idempotency_key: str) -> JobAccepted:
        return self._transport.perform(operations.retry_job(job_id, idempotency_key))

    def list_presets(self) -> Sequence[PresetSummary]:
        return self._transport.perform(operations.list_presets())

    def get_preset(self, preset_id: str) -> PresetDetail:
        return self._transport.perform(operations.get_preset(preset_id))

    def download(self, wanted: Download, sink: BinaryIO) -> None:
        self._transport.perform(operations.download(wanted, sink))

    def wait(self, job_id: str) -> Iterator[Job]:
        """The job each time it has changed, until it has ended."""
        return poll_job(self.get_job, job_id)
