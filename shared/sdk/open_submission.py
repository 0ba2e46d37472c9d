"""A job and its files in one request: begun before the job may be submitted, answered with its events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

import httpx
from pydantic import ValidationError

from shared.api.jobs import JobAccepted, JobRequest
from shared.ids import new_id
from shared.sdk.errors import NotTheCloud, Unreachable
from shared.sdk.exchange import Answer, checked
from shared.sdk.transport import unreachable

__all__ = ["OpenSubmission", "SentFile"]

_PATIENCE_S = 20.0  # the server has a little more


@dataclass(frozen=True, slots=True)
class SentFile:
    """Bytes that the request will name by their digest; `input` is what they are for in the preset."""

    input: str
    data: bytes


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
        self._boundary = new_id()
        self._files = files
        self._job: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._begun = asyncio.Event()
        self._response: httpx.Response | None = None
        self._told: AsyncGenerator[str, None] | None = None
        request = client.build_request(
            "POST",
            url,
            headers={
                **key,
                "Accept": "text/event-stream",
                "Content-Type": f"multipart/form-data; boundary={self._boundary}",
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
        self._job.set_result(request.model_dump_json(exclude_defaults=True).encode())
        try:
            response = await self._answering
            self._response = response
            if not _is_stream(response):
                body = await response.aread()
                return _accepted(checked(Answer(response.status_code, response.headers, body)).body)
            self._told = _texts(response)
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
        for file in self._files:
            yield self._head(f'name="{file.input}"; filename="{file.input}"') + file.data + b"\r\n"
        async with asyncio.timeout(_PATIENCE_S):
            job = await self._job
        yield self._head('name="job"') + job + f"\r\n--{self._boundary}--\r\n".encode()

    def _head(self, names: str) -> bytes:
        return f"--{self._boundary}\r\nContent-Disposition: form-data; {names}\r\n\r\n".encode()

    def _answered(self, answering: asyncio.Task[httpx.Response]) -> None:
        self._begun.set()
        if not answering.cancelled():
            answering.exception()  # which `submit` raises, if it is called

    def _unreachable(self) -> Unreachable:
        return unreachable(self._url)


def _is_stream(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return response.is_success and kind.startswith("text/event-stream")


async def _texts(response: httpx.Response) -> AsyncGenerator[str, None]:
    try:
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                yield line.removeprefix("data:").strip()
    except httpx.TransportError:
        return
    finally:
        await response.aclose()


def _accepted(body: bytes) -> JobAccepted:
    try:
        return JobAccepted.model_validate_json(body)
    except ValidationError as error:
        raise NotTheCloud("the server's answer is not one of the Safelight cloud of this version") from error
