"""Events as they happen: a job's by WebSocket or server-sent events, an account's by the latter.

Both carry the same frames: the JSON form of an event, with `number` where it is a lasting one. Both
end soon after the key that opened them is revoked or expires.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from time import monotonic
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, WebSocket
from fastapi.responses import StreamingResponse

from cloud.errors import InvalidRequest, NotAllowed
from cloud.middleware.errors import answer_to
from cloud.routers.answers import errors
from cloud.routers.callers import Called, Made, admitted, bearer_key, factory_of
from cloud.routers.parameters import Id
from cloud.services.admission import Admission
from cloud.services.callers import Caller, Scope
from cloud.services.event_streams import Frame, TextAtOnce
from cloud.services.stream_tickets import PROTOCOL, TICKET_PROTOCOL
from shared.api.stream_tickets import StreamTicket
from shared.errors import SafelightError

__all__ = ["TEXT_AT_ONCE", "event_stream", "router"]

router = APIRouter(tags=["events"])

TEXT_AT_ONCE = "safelight.text_at_once"
"""An extension of a WebSocket's scope: its `send` takes a text and says whether it is on its way."""

_HERE = ": here\n\n"
_LARGEST = 2**63 - 1
_MESSAGES_PER_MINUTE = 100  # of a client, who has nothing to say
_MINUTE_S = 60
_After = Annotated[int | None, Query(ge=0, le=_LARGEST, description="Begin after the event of this number")]
_LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events"}
}
_Frames = AsyncGenerator[Frame | None, None]


@router.get("/events", response_class=StreamingResponse, responses={**errors(401, 403, 410, 422), **_STREAM})
async def account_events(
    caller: Called, factory: Made, after: _After = None, last_id: _LastId = None
) -> StreamingResponse:
    """All events of the account, from now on or from after a number, without end."""
    caller.require(Scope.READ)
    streams = factory.event_streams()
    frames = await streams.follow_account(caller.account_id, after=_start(after, last_id))
    return event_stream(streams.while_usable(caller, frames))


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={**errors(401, 403, 404, 410, 422), **_STREAM},
)
async def job_events(
    job_id: Id, caller: Called, factory: Made, after: _After = None, last_id: _LastId = None
) -> StreamingResponse:
    """A job's events from its first to its last; a WebSocket to the same address carries the same."""
    caller.require(Scope.READ)
    streams = factory.event_streams()
    frames = await streams.follow_job(caller.account_id, job_id, after=_start(after, last_id))
    return event_stream(streams.while_usable(caller, frames))


@router.websocket("/jobs/{job_id}/events")
async def job_socket(socket: WebSocket, job_id: Id, after: _After = None) -> None:
    factory = factory_of(socket)
    streams = factory.event_streams()
    try:
        _check_origin(socket, factory.origins())
        caller = await _caller_of(socket, factory.admission())
        caller.require(Scope.READ)
        frames = await streams.follow_job(caller.account_id, job_id, after=after, at_once=_short_way(socket))
    except SafelightError as error:
        await socket.send_denial_response(answer_to(error))
        return
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in _offered(socket) else None)
    await _send_until_gone(socket, streams.while_usable(caller, frames))


@router.post("/stream-tickets", status_code=201, responses=errors(401, 403))
async def issue_stream_ticket(caller: Called, factory: Made) -> StreamTicket:
    """For browsers: open one WebSocket with these `protocols` within seconds, instead of with a key."""
    return await factory.stream_tickets().issue(caller)


async def _send_until_gone(socket: WebSocket, frames: _Frames) -> None:
    """Ends with the frames or with the client, whichever goes first."""
    sending = asyncio.create_task(_send(socket, frames), name="socket-frames")
    heard: deque[float] = deque(maxlen=_MESSAGES_PER_MINUTE)
    try:
        while not sending.done():
            hearing = asyncio.create_task(socket.receive(), name="socket-ears")
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                hearing.cancel()
            elif hearing.result()["type"] == "websocket.disconnect":
                return
            elif len(heard) == heard.maxlen and monotonic() - heard[0] < _MINUTE_S:
                await socket.close(1008, "too many messages")
                return
            else:
                heard.append(monotonic())
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def _short_way(socket: WebSocket) -> TextAtOnce | None:
    """Past the layers of the application, where the server has one."""
    extension = socket.scope.get("extensions", {}).get(TEXT_AT_ONCE)
    return None if extension is None else extension["send"]


async def _caller_of(socket: WebSocket, admission: Admission) -> Caller:
    """Whose key the headers carry, or whose ticket is among the protocols that browsers can name."""
    tickets = [word for word in _offered(socket) if word.startswith(TICKET_PROTOCOL)]
    if tickets:
        return await admitted(socket, admission.by_ticket, tickets[0].removeprefix(TICKET_PROTOCOL))
    return await admitted(socket, admission.by_key, bearer_key(socket))


def _offered(socket: WebSocket) -> list[str]:
    return list(socket.scope.get("subprotocols", ()))


def _check_origin(socket: WebSocket, allowed: Collection[str]) -> None:
    """Browsers say which page asks; programs say nothing. Raises NotAllowed."""
    origin = socket.headers.get("origin")
    if origin is not None and origin not in allowed and "*" not in allowed:
        raise NotAllowed("pages of this origin may not connect; set SAFELIGHT_CORS_ORIGINS if they should")


async def _send(socket: WebSocket, frames: _Frames) -> None:
    async with aclosing(frames):
        async for frame in frames:
            if frame is not None:
                await socket.send_text(frame.text)
    await socket.close()


def event_stream(
    frames: _Frames,
    *,
    first: str = _HERE,
    status: int = 200,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> StreamingResponse:
    """`first` goes out at once."""
    return StreamingResponse(
        _lines(frames, first),
        status,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers},
    )


async def _lines(frames: _Frames, first: str) -> AsyncIterator[str]:
    """A comment in every quiet while, so that both sides know that the other is there."""
    yield first
    async with aclosing(frames):
        async for frame in frames:
            if frame is None:
                yield _HERE
            else:
                number = "" if frame.number is None else f"id: {frame.number}\n"
                yield f"event: {frame.kind}\n{number}data: {frame.text}\n\n"


def _start(after: int | None, last_id: str | None) -> int | None:
    """A browser that reconnects says by its header where it left off."""
    if last_id is None:
        return after
    if not (last_id.isascii() and last_id.isdigit()):
        raise InvalidRequest("Last-Event-ID must be the number of an event", field="Last-Event-ID")
    return min(int(last_id), _LARGEST)
