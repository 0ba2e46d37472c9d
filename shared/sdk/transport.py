"""Carries requests to one cloud over HTTP: an asynchronous and a blocking carrier.

The API key goes into a header of requests to the API, and nowhere else: signed links of the
artifact store work without it.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import httpx
from tenacity import AsyncRetrying, Retrying

from shared.errors import SafelightError
from shared.sdk.errors import Unreachable
from shared.sdk.exchange import Answer, Request, checked
from shared.sdk.retry import RETRY, STOP, wait_before_retry

__all__ = ["TIMEOUT", "AsyncTransport", "BlockingTransport", "Steps", "key_headers", "unreachable"]

_T = TypeVar("_T")
_CHUNK_BYTES = 256 * 1024
_SENT_BYTES = 1 << 20
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=16)

# One operation of the API: yields requests, is sent their answers, returns the result.
Steps = Generator[Request, Answer, _T]


class AsyncTransport:
    """One long-lived connection pool to one cloud."""

    def __init__(self, *, server_url: str, api_key: str) -> None:
        self._server_url = server_url
        self._key = key_headers(api_key)
        self._client = httpx.AsyncClient(timeout=TIMEOUT, limits=_LIMITS)

    async def perform(self, steps: Steps[_T]) -> _T:
        """Carry an operation through to its result; transient failures are tried again."""
        try:
            request = next(steps)
            while True:
                try:
                    answer = await self._send_again(request)
                except SafelightError as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as end:
            result: _T = end.value
            return result

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _send_again(self, request: Request) -> Answer:
        start = _position(request)
        async for attempt in AsyncRetrying(retry=RETRY, stop=STOP, wait=wait_before_retry, reraise=True):
            with attempt:
                _rewind(request, start)
                return await self._send(request)
        raise AssertionError("a retry either returns or raises")

    async def _send(self, request: Request) -> Answer:
        content = _async_chunks(request.upload, request.on_sent) if request.upload is not None else None
        built = _built(self._client, request, content, self._server_url, self._key)
        try:
            response = await self._client.send(built, stream=True, follow_redirects=_goes_on(request))
            async with contextlib.aclosing(response):
                digest = None
                if request.sink is not None and response.is_success:
                    hasher = hashlib.sha256()
                    async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                        hasher.update(chunk)
                        request.sink.write(chunk)
                    body, digest = b"", hasher.hexdigest()
                else:
                    body = await response.aread()
        except httpx.TransportError as error:
            raise unreachable(self._server_url) from error
        return checked(Answer(response.status_code, response.headers, body, digest))


class BlockingTransport:
    """The same for callers without an event loop."""

    def __init__(self, *, server_url: str, api_key: str) -> None:
        self._server_url = server_url
        self._key = key_headers(api_key)
        self._client = httpx.Client(timeout=TIMEOUT, limits=_LIMITS)

    def perform(self, steps: Steps[_T]) -> _T:
        try:
            request = next(steps)
            while True:
                try:
                    answer = self._send_again(request)
                except SafelightError as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as end:
            result: _T = end.value
            return result

    def close(self) -> None:
        self._client.close()

    def _send_again(self, request: Request) -> Answer:
        start = _position(request)
        for attempt in Retrying(retry=RETRY, stop=STOP, wait=wait_before_retry, reraise=True):
            with attempt:
                _rewind(request, start)
                return self._send(request)
        raise AssertionError("a retry either returns or raises")

    def _send(self, request: Request) -> Answer:
        content = _chunks(request.upload, request.on_sent) if request.upload is not None else None
        built = _built(self._client, request, content, self._server_url, self._key)
        try:
            with contextlib.closing(
                self._client.send(built, stream=True, follow_redirects=_goes_on(request))
            ) as response:
                digest = None
                if request.sink is not None and response.is_success:
                    hasher = hashlib.sha256()
                    for chunk in response.iter_bytes(_CHUNK_BYTES):
                        hasher.update(chunk)
                        request.sink.write(chunk)
                    body, digest = b"", hasher.hexdigest()
                else:
                    body = response.read()
        except httpx.TransportError as error:
            raise unreachable(self._server_url) from error
        return checked(Answer(response.status_code, response.headers, body, digest))


def key_headers(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"}


def _built(
    client: httpx.Client | httpx.AsyncClient,
    request: Request,
    content: Iterator[bytes] | AsyncIterator[bytes] | None,
    server_url: str,
    key: Mapping[str, str],
) -> httpx.Request:
    return client.build_request(
        request.method,
        _url(request, server_url),
        params=request.params or None,
        json=request.json,
        content=content,
        headers=_headers(request, key),
    )


def _url(request: Request, server_url: str) -> str:
    return request.url if request.signed else server_url.rstrip("/") + request.url


def _goes_on(request: Request) -> bool:
    """Signed links to bytes may lead on to the store that has them; nothing else leads anywhere."""
    return request.signed and request.sink is not None


def _headers(request: Request, key: Mapping[str, str]) -> httpx.Headers:
    headers = httpx.Headers(request.headers)
    if not request.signed:
        headers.update(key)
    if request.upload is not None:
        headers["Content-Length"] = str(request.upload.stat().st_size)
    return headers


def _position(request: Request) -> int:
    return request.sink.tell() if request.sink is not None else 0


def _rewind(request: Request, position: int) -> None:
    if request.sink is not None and request.sink.tell() != position:
        request.sink.seek(position)
        request.sink.truncate()


def unreachable(server_url: str) -> Unreachable:
    return Unreachable(
        f"the Safelight cloud at {httpx.URL(server_url).host} does not answer; check the network connection"
    )


def _chunks(path: Path, on_sent: Callable[[int], None] | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_SENT_BYTES):
            yield chunk
            if on_sent is not None:
                on_sent(len(chunk))


async def _async_chunks(path: Path, on_sent: Callable[[int], None] | None) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _SENT_BYTES):
            yield chunk
            if on_sent is not None:
                on_sent(len(chunk))
