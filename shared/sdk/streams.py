"""Following a job as it happens: by WebSocket, else by server-sent events, else by asking.

Asking is the truth: whenever a stream breaks or is silent, the job itself is asked. Frames of
both streams are events in their JSON form; lasting ones carry `number`, by which a stream is
taken up again where it broke off.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator
from enum import StrEnum
from typing import Protocol, assert_never

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from shared.api.jobs import Job
from shared.jobs.events import Cancelled, Completed, Expired, Failed, JobEvent
from shared.sdk.polling import Seen
from shared.sdk.stream_place import StreamPlace

__all__ = ["follow_job"]

_SILENCE_S = 30.0
_OPEN_S = 5.0
_LARGEST_FRAME_BYTES = 8 * 1024 * 1024
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 3.0


class _Road(StrEnum):
    SOCKET = "socket"
    SERVER_EVENTS = "server_events"
    ASKING = "asking"


class _Closed(Exception):
    """This road is not open here, though the cloud may be reached by another."""


class _JobSource(Protocol):
    async def get_job(self, job_id: str) -> Job: ...


class _Broken(Exception):
    """The stream ended early; it may be taken up again."""


async def follow_job(
    jobs: _JobSource, job_id: str, *, server_url: str, api_key: str
) -> AsyncIterator[JobEvent]:
    """Events from the job's first to exactly one terminal one. Raises what asking for the job raises."""
    stream = _Stream(StreamPlace(job_id, server_url=server_url, api_key=api_key))
    seen = Seen()
    road, pause_s = _Road.SOCKET, _FIRST_PAUSE_S
    while True:
        try:
            async with contextlib.aclosing(stream.frames(road)) as events:
                async for event in events:
                    pause_s = _FIRST_PAUSE_S
                    if seen.admits(event):
                        yield event
                    if isinstance(event, Completed | Failed | Cancelled | Expired):
                        return
        except _Closed:
            road = _next(road)
            continue
        except _Broken:
            pass
        for event in seen.events_of(await jobs.get_job(job_id)):
            yield event
            if isinstance(event, Completed | Failed | Cancelled | Expired):
                return
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def _next(road: _Road) -> _Road:
    match road:
        case _Road.SOCKET:
            return _Road.SERVER_EVENTS
        case _Road.SERVER_EVENTS | _Road.ASKING:
            return _Road.ASKING
        case _:
            assert_never(road)


class _Stream:
    """The stream of one job, and the roads to it."""

    def __init__(self, place: StreamPlace) -> None:
        self._place = place

    async def frames(self, road: _Road) -> AsyncGenerator[JobEvent, None]:
        """Events from where the last frame left off. Raises _Closed, or _Broken at the early end."""
        match road:
            case _Road.SOCKET:
                texts = self._socket()
            case _Road.SERVER_EVENTS:
                texts = self._server_events()
            case _Road.ASKING:
                raise _Broken
            case _:
                assert_never(road)
        async with contextlib.aclosing(texts):
            while True:
                try:
                    async with asyncio.timeout(_SILENCE_S):
                        text = await anext(texts)
                except (TimeoutError, StopAsyncIteration) as error:
                    raise _Broken from error
                for event in self._place.parsed(text):
                    yield event

    async def _socket(self) -> AsyncGenerator[str, None]:
        try:
            async with connect(
                "ws" + self._place.url.removeprefix("http"),
                additional_headers=self._place.headers,
                compression=None,
                open_timeout=_OPEN_S,
                max_size=_LARGEST_FRAME_BYTES,
            ) as socket:
                async for frame in socket:
                    if isinstance(frame, str):
                        yield frame
        except (InvalidHandshake, InvalidURI) as error:
            raise _Closed from error
        except (WebSocketException, OSError) as error:
            raise _Broken from error

    async def _server_events(self) -> AsyncGenerator[str, None]:
        headers = {**self._place.headers, "Accept": "text/event-stream"}
        timeout = httpx.Timeout(_OPEN_S, read=_SILENCE_S)
        try:
            async with (
                httpx.AsyncClient(timeout=timeout) as client,
                client.stream("GET", self._place.url, headers=headers) as response,
            ):
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise _Closed
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        yield line.removeprefix("data:").strip()
        except httpx.TransportError as error:
            raise _Broken from error
