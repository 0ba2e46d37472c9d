"""Following a job as it happens: by WebSocket, else by server-sent events, else by asking.

Asking is the truth: whenever a stream breaks or is silent, the job itself is asked. Frames of
both streams are events in their JSON form; lasting ones carry `number`, by which a stream is
taken up again where it broke off.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import assert_never

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from shared.api.jobs import Job
from shared.jobs.events import JobEvent, TerminalEvent
from shared.sdk.frames import async_frames, is_frames
from shared.sdk.pauses import Pauses
from shared.sdk.seen import Seen
from shared.sdk.stream_place import StreamPlace

__all__ = ["follow_job"]

_SILENCE_S = 30.0
_OPEN_S = 5.0
_LARGEST_FRAME_BYTES = 8 * 1024 * 1024


class _Road(StrEnum):
    SOCKET = "socket"
    SERVER_EVENTS = "server_events"
    ASKING = "asking"


class _Closed(Exception):
    """This road is not open here, though the cloud may be reached by another."""


class _Broken(Exception):
    """The stream ended early; it may be taken up again."""


async def follow_job(
    get_job: Callable[[str], Awaitable[Job]],
    job_id: str,
    place: StreamPlace,
    opened: AsyncGenerator[str, None] | None = None,
) -> AsyncIterator[JobEvent]:
    """Events from the job's first to exactly one terminal one; `opened` is a stream of their frames that
    is there already. Raises what asking for the job raises."""
    stream, road = _Stream(place, opened), _Road.SOCKET
    seen, pauses = Seen(), Pauses()
    while True:
        try:
            async with contextlib.aclosing(stream.frames(road)) as events:
                async for event in events:
                    pauses.begin_anew()
                    if seen.admits(event):
                        yield event
                    if isinstance(event, TerminalEvent):
                        return
        except _Closed:
            road = _next(road)
            continue
        except _Broken:
            pass
        for event in seen.events_of(await get_job(job_id)):
            yield event
            if isinstance(event, TerminalEvent):
                return
        await asyncio.sleep(pauses.next_s())


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

    def __init__(self, place: StreamPlace, opened: AsyncGenerator[str, None] | None) -> None:
        self._place = place
        self._opened = opened

    async def frames(self, road: _Road) -> AsyncGenerator[JobEvent, None]:
        """Events from where the last frame left off. Raises _Closed, or _Broken at the early end."""
        texts, self._opened = self._opened or self._texts(road), None
        async with contextlib.aclosing(texts):
            while True:
                try:
                    async with asyncio.timeout(_SILENCE_S):
                        text = await anext(texts)
                except (TimeoutError, StopAsyncIteration) as error:
                    raise _Broken from error
                for event in self._place.parsed(text):
                    yield event

    def _texts(self, road: _Road) -> AsyncGenerator[str, None]:
        match road:
            case _Road.SOCKET:
                return self._socket()
            case _Road.SERVER_EVENTS:
                return self._server_events()
            case _Road.ASKING:
                raise _Broken
            case _:
                assert_never(road)

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
                if not is_frames(response):
                    raise _Closed
                async with contextlib.aclosing(async_frames(response)) as texts:
                    async for text in texts:
                        yield text
        except httpx.TransportError as error:
            raise _Broken from error
