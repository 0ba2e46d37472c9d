"""Following a job over a server that is scripted: its sockets, its event streams, its job."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from shared.api.events import dump_event
from shared.api.jobs import Job, Priority
from shared.jobs.events import (
    Cancelled,
    Completed,
    Failed,
    JobEvent,
    Progress,
    Queued,
    Stage,
    StageName,
    Started,
)
from shared.jobs.state import JobState
from shared.sdk.client import CloudClient
from shared.sdk.errors import NotFound

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUEUED = Queued(job_id="job", attempt=1, at=NOON)
STARTED = Started(job_id="job", attempt=1, at=NOON, engine="builtin")
RUNNING = Stage(job_id="job", attempt=1, at=NOON, name=StageName.RUNNING)
DONE = Completed(job_id="job", attempt=1, at=NOON, outputs=())


def _progress(fraction: float) -> Progress:
    return Progress(job_id="job", attempt=1, at=NOON, fraction=fraction)


def _job(state: JobState, *, attempt: int = 1, stage: StageName | None = None) -> Job:
    return Job(
        id="job", state=state, stage=stage, preset="glow", preset_version="1.0.0", inputs={}, values={},
        priority=Priority.NORMAL, labels={},
        attempt=attempt, cancelling=False, created_at=NOON, started_at=NOON if attempt else None,
        finished_at=NOON, outputs=[], failure=None, retry_of=None, idempotency_key=None,
        price=0, expected_s=None, expires_at=None, batch=None,
        status_url="", events_url="",
    )  # fmt: skip


def _frame(event: JobEvent, number: int | None = None) -> str:
    return json.dumps({**dump_event(event), "number": number})


@dataclass
class _Cloud:
    """Each socket plays the next script; `sse` is the body of an event stream; `job` what asking gives."""

    url: str = ""
    sockets: list[Callable[[ServerConnection], Awaitable[None]]] = field(default_factory=list)
    sockets_refused: bool = False
    sse: str | None = None
    jobs: list[Job] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def _serving(cloud: _Cloud) -> AsyncIterator[CloudClient]:
    async def play(connection: ServerConnection) -> None:
        assert connection.request is not None
        await cloud.sockets.pop(0)(connection)

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        cloud.asked.append(request.path)
        assert request.headers["authorization"] == "Bearer key"
        if "upgrade" in request.headers.get("connection", "").lower() and not cloud.sockets_refused:
            return None
        response = connection.respond(HTTPStatus.OK, "")
        if "/events" in request.path and cloud.sse is not None:
            _set(response, "text/event-stream", cloud.sse.encode())
        elif "/events" in request.path or not cloud.jobs:
            error = {"code": "not_found", "message": "no such job", "details": {}, "request_id": "r"}
            response.status_code = 404
            _set(response, "application/json", json.dumps({"error": error}).encode())
        else:
            job = cloud.jobs.pop(0) if len(cloud.jobs) > 1 else cloud.jobs[0]
            _set(response, "application/json", job.model_dump_json().encode())
        return response

    async with serve(play, "127.0.0.1", 0, process_request=answer) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with CloudClient(server_url=f"http://127.0.0.1:{port}", api_key="key") as client:
            yield client


def _set(response: Response, content_type: str, body: bytes) -> None:
    response.body = body
    for name in ("Content-Type", "Content-Length"):
        del response.headers[name]
    response.headers["Content-Type"] = content_type
    response.headers["Content-Length"] = str(len(body))


async def _all(client: CloudClient) -> list[JobEvent]:
    async with asyncio.timeout(60):
        return [event async for event in client.events("job")]


def _sends(*frames: str) -> Callable[[ServerConnection], Awaitable[None]]:
    async def play(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)

    return play


async def test_the_socket_tells_everything() -> None:
    told = [_frame(QUEUED, 1), _frame(STARTED, 2), _frame(_progress(0.5)), _frame(DONE, 3)]
    cloud = _Cloud(sockets=[_sends(*told)])
    async with _serving(cloud) as client:
        assert await _all(client) == [QUEUED, STARTED, _progress(0.5), DONE]
    assert cloud.asked == ["/api/v1/jobs/job/events"]


async def test_progress_is_told_of_an_attempt_that_has_started() -> None:
    early, again = _progress(0.2), replace(STARTED, attempt=2)
    late = replace(_progress(0.9), attempt=1)
    frames = [_frame(event) for event in (QUEUED, early, STARTED, _progress(0.4), again, late, DONE)]
    async with _serving(_Cloud(sockets=[_sends(*frames)])) as client:
        assert await _all(client) == [QUEUED, STARTED, _progress(0.4), again, DONE]


async def test_a_socket_that_breaks_is_taken_up_where_it_broke() -> None:
    cloud = _Cloud(
        sockets=[
            _sends(_frame(QUEUED, 7), _frame(STARTED, 9), _frame(_progress(0.5))),
            _sends(_frame(STARTED, 9), _frame(_progress(0.2)), _frame(_progress(0.6)), _frame(DONE, 12)),
        ],
        jobs=[_job(JobState.PROCESSING)],
    )
    async with _serving(cloud) as client:
        assert await _all(client) == [QUEUED, STARTED, _progress(0.5), _progress(0.6), DONE]
    assert cloud.asked[-1] == "/api/v1/jobs/job/events?after=9"


async def test_frames_of_a_newer_version_and_garbage_are_passed_over() -> None:
    newer = json.dumps({"event": "sparkled", "number": 2})
    cloud = _Cloud(sockets=[_sends("{", "[]", newer, _frame(QUEUED, 3), _frame(DONE, 4))])
    async with _serving(cloud) as client:
        assert await _all(client) == [QUEUED, DONE]


async def test_without_sockets_the_event_stream_tells() -> None:
    told = "".join(
        f": beat\n\nid: {n}\ndata: {_frame(e, n)}\n\n" for n, e in enumerate([QUEUED, STARTED, DONE])
    )
    cloud = _Cloud(sockets_refused=True, sse=told)
    async with _serving(cloud) as client:
        assert await _all(client) == [QUEUED, STARTED, DONE]


async def test_without_any_stream_the_job_is_asked() -> None:
    cloud = _Cloud(
        sockets_refused=True,
        jobs=[
            _job(JobState.QUEUED, attempt=0),
            _job(JobState.PROCESSING, stage=StageName.RUNNING),
            _job(JobState.PROCESSING, stage=StageName.RUNNING),
            _job(JobState.COMPLETED),
        ],
    )
    async with _serving(cloud) as client:
        events = await _all(client)
    assert [type(event) for event in events] == [Started, Stage, Completed]


@pytest.mark.parametrize(
    ("state", "kind"),
    [(JobState.CANCELLED, Cancelled), (JobState.FAILED, Failed), (JobState.COMPLETED, Completed)],
)
async def test_an_end_that_the_stream_missed_is_found(state: JobState, kind: type[JobEvent]) -> None:
    cloud = _Cloud(sockets=[_sends(_frame(STARTED, 1))], jobs=[_job(state)])
    async with _serving(cloud) as client:
        events = await _all(client)
    assert [type(event) for event in events] == [Started, kind]


async def test_a_job_that_is_not_there_is_said_so() -> None:
    cloud = _Cloud(sockets_refused=True)
    async with _serving(cloud) as client:
        with pytest.raises(NotFound):
            await _all(client)
