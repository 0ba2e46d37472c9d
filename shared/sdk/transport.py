"""Carries requests to one cloud over HTTP: an asynchronous and a blocking carrier.

The API key goes into a header of requests to the API, and nowhere else: signed links of the
artifact store work without it.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from typing import TypeVar

import httpx
from tenacity import AsyncRetrying, Retrying

from shared.errors import SafelightError
from shared.sdk.errors import Unreachable
from shared.sdk.exchange import Answer, Request, checked
from shared.sdk.frames import async_frames, frames, is_frames
from shared.sdk.retry import RETRY, STOP, wait_before_retry

__all__ = ["TIMEOUT", "AsyncTransport", "BlockingTransport", "Steps", "key_headers", "unreachable"]

_T = TypeVar("_T")
_CHUNK_BYTES = 256 * 1024
_SENT_BYTES = 1 << 20
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=16)
_STREAM_LIMITS = httpx.Limits(max_keepalive_connections=16)  # each takes a connection for as long as its job

# One operation of the API: yields requests, is sent their answers, returns the result.
Steps = Generator[Request, Answer, _T]


class AsyncTransport:
    """Long-lived connection pools to one cloud: `streams` for the answers that last."""

    def __init__(self, *, server_url: str, api_key: str) -> None:
        self._server_url = server_url
        self._key = key_headers(api_key)
        self._client = httpx.AsyncClient(timeout=TIMEOUT, limits=_LIMITS)
        self.streams = httpx.AsyncClient(timeout=TIMEOUT, limits=_STREAM_LIMITS)

    async def perform(self, steps: Steps[_T]) -> _T:
        """Carry an operation through to its result; transient failures are tried again."""
        result, _ = await self.perform_followed(steps)
        return result

    async def perform_followed(self, steps: Steps[_T]) -> tuple[_T, AsyncGenerator[str, None] | None]:
        """And the further frames of the stream that a followed request was answered by, if it was."""
        async with contextlib.AsyncExitStack() as streams:
            told = None
            try:
                request = next(steps)
                while True:
                    try:
                        answer, told = await self._send_again(request)
                    except SafelightError as error:
                        request = steps.throw(error)
                    else:
                        if told is not None:
                            streams.push_async_callback(told.aclose)
                        request = steps.send(answer)
            except StopIteration as end:
                streams.pop_all()
                result: _T = end.value
                return result, told

    async def aclose(self) -> None:
        await self.streams.aclose()
        await self._client.aclose()

    async def _send_again(self, request: Request) -> tuple[Answer, AsyncGenerator[str, None] | None]:
        start = _position(request)
        async for attempt in AsyncRetrying(retry=RETRY, stop=STOP, wait=wait_before_retry, reraise=True):
            with attempt:
                _rewind(request, start)
                return await self._send(request)
        raise AssertionError("a retry either returns or raises")

    async def _send(self, request: Request) -> tuple[Answer, AsyncGenerator[str, None] | None]:
        client = self.streams if request.followed else self._client
        built = _built(client, request, _async_content(request), self._server_url, self._key)
        try:
            response = await client.send(built, stream=True, follow_redirects=_goes_on(request))
            if request.followed and is_frames(response):
                told = async_frames(response)
                return _first(await anext(told, None), response, self._server_url), told
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
        return checked(Answer(response.status_code, response.headers, body, digest)), None


class BlockingTransport:
    """The same for callers without an event loop."""

    def __init__(self, *, server_url: str, api_key: str) -> None:
        self._server_url = server_url
        self._key = key_headers(api_key)
        self._client = httpx.Client(timeout=TIMEOUT, limits=_LIMITS)
        self._streams = httpx.Client(timeout=TIMEOUT, limits=_STREAM_LIMITS)

    def perform(self, steps: Steps[_T]) -> _T:
        result, _ = self.perform_followed(steps)
        return result

    def perform_followed(self, steps: Steps[_T]) -> tuple[_T, Generator[str, None, None] | None]:
        with contextlib.ExitStack() as streams:
            told = None
            try:
                request = next(steps)
                while True:
                    try:
                        answer, told = self._send_again(request)
                    except SafelightError as error:
                        request = steps.throw(error)
                    else:
                        if told is not None:
                            streams.callback(told.close)
                        request = steps.send(answer)
            except StopIteration as end:
                streams.pop_all()
                result: _T = end.value
                return result, told

    def close(self) -> None:
        self._streams.close()
        self._client.close()

    def _send_again(self, request: Request) -> tuple[Answer, Generator[str, None, None] | None]:
        start = _position(request)
        for attempt in Retrying(retry=RETRY, stop=STOP, wait=wait_before_retry, reraise=True):
            with attempt:
                _rewind(request, start)
                return self._send(request)
        raise AssertionError("a retry either returns or raises")

    def _send(self, request: Request) -> tuple[Answer, Generator[str, None, None] | None]:
        client = self._streams if request.followed else self._client
        built = _built(client, request, _content(request), self._server_url, self._key)
        try:
            response = client.send(built, stream=True, follow_redirects=_goes_on(request))
            if request.followed and is_frames(response):
                told = frames(response)
                return _first(next(told, None), response, self._server_url), told
            with contextlib.closing(response):
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
        return checked(Answer(response.status_code, response.headers, body, digest)), None


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
    elif request.parts:
        headers["Content-Length"] = str(sum(len(part) for part, _ in request.parts))
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


def _first(frame: str | None, response: httpx.Response, server_url: str) -> Answer:
    """Raises Unreachable where the stream broke before it said anything."""
    if frame is None:
        raise unreachable(server_url)
    return Answer(response.status_code, response.headers, frame.encode())


def _content(request: Request) -> Iterator[bytes] | None:
    return _chunks(request) if request.upload is not None or request.parts else None


def _chunks(request: Request) -> Iterator[bytes]:
    for part, counted in request.parts:
        yield part
        _tell(request, counted)
    if request.upload is not None:
        with request.upload.open("rb") as file:
            while chunk := file.read(_SENT_BYTES):
                yield chunk
                _tell(request, len(chunk))


def _async_content(request: Request) -> AsyncIterator[bytes] | None:
    return _async_chunks(request) if request.upload is not None or request.parts else None


async def _async_chunks(request: Request) -> AsyncIterator[bytes]:
    for part, counted in request.parts:
        yield part
        _tell(request, counted)
    if request.upload is not None:
        with request.upload.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, _SENT_BYTES):
                yield chunk
                _tell(request, len(chunk))


def _tell(request: Request, sent: int) -> None:
    if request.on_sent is not None and sent:
        request.on_sent(sent)
