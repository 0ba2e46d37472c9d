"""A job and its files in one request: begun before the job may be submitted, answered with its events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import httpx
from pydantic import ValidationError

from shared.api.jobs import JobAccepted, JobRequest
from shared.sdk.errors import NotTheCloud, Unreachable
from shared.sdk.exchange import Answer, checked
from shared.sdk.forms import JobForm, SentFile
from shared.sdk.frames import async_frames, is_frames
from shared.sdk.transport import unreachable

__all__ = ["OpenSubmission"]

_PATIENCE_S = 20.0  # the server has a little more


class OpenSubmission:
    """The files go out at once, and are looked at there meanwhile. What is not submitted soon is given up."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        url: str,
        key: dict[str, str],
        idempotency_key: str,
        files: Sequence[SentFile],
    ) -> None:
        self._url = url
        self._form = JobForm(files)
        self._job: asyncio.Future[JobRequest] = asyncio.get_running_loop().create_future()
        self._begun = asyncio.Event()
        self._response: httpx.Response | None = None
        self._told: AsyncGenerator[str, None] | None = None
        request = client.build_request(
            "POST",
            url,
            headers={
                **key,
                "Accept": "text/event-stream",
                "Content-Type": self._form.content_type,
                "Idempotency-Key": idempotency_key,
            },
            content=self._body(),
        )
        self._answering = asyncio.create_task(client.send(request, stream=True), name="open-submission")
        self._answering.add_done_callback(self._answered)

    @property
    def is_submitted(self) -> bool:
        """Or was tried to."""
        return self._job.done()

    async def reach(self) -> None:
        """Returns once there is a connection to the server. Raises Unreachable."""
        await self._begun.wait()
        if self._answering.done() and isinstance(self._answering.exception(), httpx.ConnectError):
            raise self._unreachable()

    async def submit(self, request: JobRequest) -> JobAccepted:
        """The request names every file by its digest. Raises the errors of shared/sdk/errors, of which
        none says that the job was not accepted unless it is a CloudRefusal."""
        self._job.set_result(request)
        try:
            response = await self._answering
            self._response = response
            if not is_frames(response):
                body = await response.aread()
                return _accepted(checked(Answer(response.status_code, response.headers, body)).body)
            self._told = async_frames(response)
            return _accepted((await anext(self._told)).encode())
        except (httpx.TransportError, TimeoutError, StopAsyncIteration) as error:
            raise self._unreachable() from error

    def texts(self) -> AsyncGenerator[str, None] | None:
        """The frames of the events, once: they end early where the stream does. None where there is none."""
        told, self._told = self._told, None
        return told

    async def aclose(self) -> None:
        self._answering.cancel()
        await asyncio.gather(self._answering, return_exceptions=True)
        if self._response is not None:
            await self._response.aclose()

    async def _body(self) -> AsyncIterator[bytes]:
        """The job as the last part."""
        self._begun.set()
        for file in self._form.files:
            yield self._form.file_part(file)
        async with asyncio.timeout(_PATIENCE_S):
            request = await self._job
        yield self._form.job_part(request)

    def _answered(self, answering: asyncio.Task[httpx.Response]) -> None:
        self._begun.set()
        if not answering.cancelled():
            answering.exception()  # which `submit` raises, if it is called

    def _unreachable(self) -> Unreachable:
        return unreachable(self._url)


def _accepted(body: bytes) -> JobAccepted:
    try:
        return JobAccepted.model_validate_json(body)
    except ValidationError as error:
        raise NotTheCloud("the server's answer is not one of the Safelight cloud of this version") from error
