"""Files of this machine as inputs of jobs, by both faces of the client, against a scripted server."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path

import pytest

from shared.api.artifacts import Artifact, ArtifactState, Link
from shared.api.events import dump_event
from shared.api.jobs import Job, JobAccepted, Priority
from shared.files import digest_bytes
from shared.jobs.events import Completed, JobEvent, Queued
from shared.jobs.state import JobState
from shared.sdk.blocking_client import BlockingCloudClient
from shared.sdk.client import CloudClient
from tests.support.http_server import Asked, HttpServer, Reply, http_server

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUEUED = Queued(job_id="job", attempt=1, at=NOON)
DONE = Completed(job_id="job", attempt=1, at=NOON, outputs=())
SMALL, LARGE = b"a small picture", bytes(1_100_000)
WITH_FILES, ARTIFACTS = "/api/v1/jobs/with-files", "/api/v1/artifacts"
ACCEPTED = JobAccepted(
    id="job", state=JobState.QUEUED, price=0, expected_s=None, status_url="", events_url=""
).model_dump_json()
JOB = Job(
    id="job", state=JobState.COMPLETED, stage=None, preset="glow", preset_version="1.0.0", inputs={},
    values={}, priority=Priority.NORMAL, labels={}, attempt=1, cancelling=False, created_at=NOON,
    started_at=None, finished_at=NOON, outputs=[], failure=None, retry_of=None, idempotency_key=None, price=0,
    expected_s=None, expires_at=None, batch=None, status_url="", events_url="",
).model_dump_json()  # fmt: skip


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as running:
        yield running


@pytest.fixture(params=["async", "blocking"])
def face(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / 'a "photo".jpg'
    path.write_bytes(SMALL)
    return path


def _develop(face: str, server: HttpServer, **files: Path) -> list[JobEvent]:
    """The events that were told, once it has ended."""
    told: list[JobEvent] = []

    async def developed() -> Job:
        async with CloudClient(server_url=server.url, api_key="key") as client:
            return await client.develop(
                "glow", files, {"warm": 1}, on_event=told.append, idempotency_key="k1"
            )

    if face == "async":
        job = asyncio.run(developed())
    else:
        with BlockingCloudClient(server_url=server.url, api_key="key") as client:
            job = client.develop("glow", files, {"warm": 1}, on_event=told.append, idempotency_key="k1")
    assert job.state is JobState.COMPLETED
    return told


def _submit(face: str, server: HttpServer, **files: Path) -> list[int]:
    """How the bytes were counted."""
    sent: list[int] = []

    async def submitted() -> JobAccepted:
        async with CloudClient(server_url=server.url, api_key="key") as client:
            return await client.submit_files("glow", files, idempotency_key="k1", on_sent=sent.append)

    if face == "async":
        accepted = asyncio.run(submitted())
    else:
        with BlockingCloudClient(server_url=server.url, api_key="key") as client:
            accepted = client.submit_files("glow", files, idempotency_key="k1", on_sent=sent.append)
    assert accepted.id == "job"
    return sent


def _json(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode())


def _stream(*events: JobEvent, cut_at: int | None = None) -> Reply:
    """The answer to a submission that is followed."""
    frames = [f"event: accepted\ndata: {ACCEPTED}\n\n"]
    frames += [f"data: {json.dumps({**dump_event(event), 'number': None})}\n\n" for event in events]
    return Reply(202, "".join(frames).encode(), {"Content-Type": "text/event-stream"}, cut_at=cut_at)


def _artifact(state: ArtifactState, upload: Link | None = None) -> Reply:
    artifact = Artifact(
        digest=digest_bytes(LARGE), state=state, bytes=len(LARGE), media_type=None, width=None, height=None,
        derived_from=None, created_at=NOON, upload=upload, download=None, problem=None,
    )  # fmt: skip
    return _json(artifact.model_dump_json())


def _asked(server: HttpServer) -> list[str]:
    return [f"{asked.method} {asked.path}" for asked in server.asked]


def _parts(asked: Asked) -> dict[str, bytes]:
    """Of the form, by their names."""
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    found = message_from_bytes(head + asked.body).get_payload()
    assert isinstance(found, list)
    parts = {}
    for part in found:
        name, body = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        assert isinstance(body, bytes)
        parts[str(name)] = body
    return parts


def test_a_small_file_goes_out_with_its_job_and_is_answered_by_the_events(
    face: str, server: HttpServer, photo: Path
) -> None:
    server.replies.extend([_stream(QUEUED, DONE), _json(JOB)])
    told = _develop(face, server, photo=photo, again=photo)
    sent = server.asked[0]
    parts = _parts(sent)
    named = [{"digest": digest_bytes(SMALL), "name": photo.name}]
    assert told == [QUEUED, DONE]
    assert _asked(server) == [f"POST {WITH_FILES}", "GET /api/v1/jobs/job"]
    assert (sent.headers["idempotency-key"], sent.headers["authorization"]) == ("k1", "Bearer key")
    assert sent.headers["accept"] == "text/event-stream"
    assert len([name for name in parts if name != "job"]) == 1
    assert SMALL in parts.values()
    assert json.loads(parts["job"]) == {
        "preset": "glow",
        "inputs": {"photo": named, "again": named},
        "values": {"warm": 1},
    }


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("name", ["two\nlines.jpg", os.fsdecode(b"no text \xff.jpg")])
def test_a_name_that_is_no_line_of_text_is_told_as_one(
    face: str, server: HttpServer, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(SMALL)
    server.replies.append(_json(ACCEPTED, 202))
    _submit(face, server, photo=path)
    [told] = json.loads(_parts(server.asked[0])["job"])["inputs"]["photo"]
    assert told["name"] in {"two_lines.jpg", "no text _.jpg"}


def test_bytes_of_a_file_are_counted_without_those_around_them(
    face: str, server: HttpServer, photo: Path
) -> None:
    server.replies.append(_json(ACCEPTED, 202))
    assert _submit(face, server, photo=photo) == [len(SMALL)]
    assert _asked(server) == [f"POST {WITH_FILES}"]
    assert "text/event-stream" not in server.asked[0].headers["accept"]


def test_what_the_cloud_has_of_large_files_is_not_sent(
    face: str, server: HttpServer, photo: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.tif"
    large.write_bytes(LARGE)
    server.replies.extend([_artifact(ArtifactState.READY), _json(ACCEPTED, 202)])
    assert _submit(face, server, large=large, photo=photo) == [len(SMALL)]
    assert _asked(server) == [f"POST {ARTIFACTS}", f"POST {WITH_FILES}"]
    parts = _parts(server.asked[1])
    assert set(parts) == {"photo", "job"}
    assert json.loads(parts["job"])["inputs"]["large"] == [
        {"digest": digest_bytes(LARGE), "name": "large.tif"}
    ]


def test_a_large_file_goes_where_the_cloud_says(face: str, server: HttpServer, tmp_path: Path) -> None:
    large = tmp_path / "large.tif"
    large.write_bytes(LARGE)
    link = Link(url=f"{server.url}/store/1", method="PUT", headers={"x-signed": "yes"}, expires_at=NOON)
    server.replies.extend(
        [
            _artifact(ArtifactState.WANTED, upload=link),
            Reply(200, b""),
            _artifact(ArtifactState.READY),
            _stream(DONE),
            _json(JOB),
        ]
    )
    assert _develop(face, server, photo=large) == [DONE]
    assert _asked(server)[1:4] == [
        "PUT /store/1",
        f"POST {ARTIFACTS}/{digest_bytes(LARGE)}/complete",
        f"POST {WITH_FILES}",
    ]
    assert server.asked[1].body == LARGE
    assert "authorization" not in server.asked[1].headers
    assert set(_parts(server.asked[3])) == {"job"}


@pytest.mark.parametrize("cut_at", [0, 12])
def test_a_submission_whose_answer_was_lost_is_sent_again_with_its_key(
    face: str, server: HttpServer, photo: Path, cut_at: int
) -> None:
    server.replies.extend([_stream(QUEUED, cut_at=cut_at), _stream(QUEUED, DONE), _json(JOB)])
    assert _develop(face, server, photo=photo) == [QUEUED, DONE]
    first, second = server.asked[:2]
    assert (first.path, first.body) == (second.path, second.body)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "k1"


def test_a_stream_that_ends_early_is_no_end(face: str, server: HttpServer, photo: Path) -> None:
    server.replies.extend([_stream(QUEUED), _json(JOB), _json(JOB)])
    assert isinstance(_develop(face, server, photo=photo)[-1], Completed)
    assert _asked(server) == [f"POST {WITH_FILES}", "GET /api/v1/jobs/job", "GET /api/v1/jobs/job"]


def test_a_server_without_streams_is_asked(face: str, server: HttpServer, photo: Path) -> None:
    not_found = _json(json.dumps({"error": {"code": "not_found", "message": "no", "details": {}}}), 404)
    server.replies.extend([_json(ACCEPTED, 202), *[not_found] * (2 if face == "async" else 1)])
    server.replies.extend([_json(JOB), _json(JOB)])
    told = _develop(face, server, photo=photo)
    assert isinstance(told[-1], Completed)
