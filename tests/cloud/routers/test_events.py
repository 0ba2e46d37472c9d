"""Streams at the level of HTTP: what a client reads, and how a refusal looks."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from cloud.cli.server import ApiServer, listening_socket
from cloud.services.retention import EVENTS_KEPT
from shared.api.events import parse_event
from shared.jobs.events import Cancelled, Queued, Started
from tests.cloud.api import Api, Client, open_api, settings_for

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def _cancelled_job(api: Api, client: Client) -> str:
    """Its events are published."""
    job_id = await client.job_id()
    await client.call("POST", f"/jobs/{job_id}/cancel")
    await api.factory.publisher().publish()
    return job_id


def _frames(text: str) -> list[dict[str, object]]:
    return [
        json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")
    ]


async def test_job_that_ended_is_told_from_first_to_last(api: Api, client: Client) -> None:
    job_id = await _cancelled_job(api, client)
    answer = await client.call("GET", f"/jobs/{job_id}/events")

    frames = _frames(answer.text)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert [frame["number"] for frame in frames] == [1, 2]
    assert [type(parse_event(frame)) for frame in frames] == [Queued, Cancelled]  # type: ignore[arg-type]
    assert "event: queued\nid: 1\ndata: " in answer.text


async def test_stream_is_taken_up_where_it_broke_off(api: Api, client: Client) -> None:
    job_id = await _cancelled_job(api, client)
    by_header = await client.call("GET", f"/jobs/{job_id}/events", headers={"Last-Event-ID": "1"})
    by_query = await client.call("GET", f"/jobs/{job_id}/events", params={"after": "1"})
    at_the_end = await client.call("GET", f"/jobs/{job_id}/events", params={"after": "2"})

    assert [frame["number"] for frame in _frames(by_header.text)] == [2]
    assert _frames(by_query.text) == _frames(by_header.text)
    assert _frames(at_the_end.text) == []


async def test_events_that_are_no_longer_kept_are_gone(api: Api, client: Client) -> None:
    job_id = await _cancelled_job(api, client)
    api.context.database.clock_offset = EVENTS_KEPT + timedelta(minutes=1)
    assert await api.factory.retention().forget_old_events() == 2

    for path, params in ((f"/jobs/{job_id}/events", {"after": "1"}), ("/events", {"after": "0"})):
        answer = await client.call("GET", path, params=params)
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "events_gone"), path


async def test_start_that_is_no_number_is_refused(client: Client) -> None:
    job_id = await client.job_id()
    for more in (
        {"params": {"after": "-1"}},
        {"params": {"after": str(2**63)}},
        {"headers": {"Last-Event-ID": "x"}},
    ):
        answer = await client.call("GET", f"/jobs/{job_id}/events", **more)
        assert answer.status_code == 422


@contextlib.asynccontextmanager
async def _served(folder: Path, database_url: str) -> AsyncIterator[tuple[Api, Client, str]]:
    """Over a real connection, with the publisher beside it."""
    async with open_api(settings_for(database_url, folder)) as api:
        with listening_socket("127.0.0.1", 0) as listening:
            started = asyncio.Event()
            server = ApiServer(api.context, announce=started.set)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            publishing = asyncio.create_task(api.factory.publisher().run())
            await started.wait()
            try:
                yield api, await api.client(), f"127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
                await serving
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)


async def test_socket_tells_as_it_happens(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as (api, client, address):
        job_id = await client.job_id()
        headers = {"Authorization": f"Bearer {client.key}"}
        url = f"ws://{address}/api/v1/jobs/{job_id}/events"
        async with connect(url, additional_headers=headers) as socket:
            kinds = [type(parse_event(json.loads(await socket.recv())))]
            attempts = api.factory.attempts()
            [lane] = (await attempts.backlog(("builtin",))).lanes
            claim = await attempts.claim(lane, worker="w")
            assert claim is not None
            await attempts.mark_running(claim.ref, engine="builtin")
            kinds.append(type(parse_event(json.loads(await socket.recv()))))
            await client.call("POST", f"/jobs/{job_id}/cancel")
            await attempts.cancelled(claim.ref)
            kinds += [type(parse_event(json.loads(text))) async for text in socket]
    assert kinds == [Queued, Started, Cancelled]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_refused_socket_is_told_why(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as (api, client, address):
        job_id = await client.job_id()
        stranger = await api.client("b@example.com")
        for key, path, status in (
            (None, job_id, 401),
            ("sl_live_x", job_id, 401),
            (stranger.key, job_id, 404),
            (client.key, UNKNOWN, 404),
        ):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"ws://{address}/api/v1/jobs/{path}/events", additional_headers=headers):
                    pass
            assert refused.value.response.status_code == status


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_stream_of_the_account_has_every_job(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as (_, client, address):
        headers = {"Authorization": f"Bearer {client.key}"}
        url = f"http://{address}/api/v1/events"
        async with httpx.AsyncClient(timeout=10) as http, http.stream("GET", url, headers=headers) as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == ": here"
            ids = {await client.job_id() for _ in range(2)}
            seen: set[object] = set()
            async for line in lines:
                seen |= {frame["job_id"] for frame in _frames(line)}
                if seen == ids:
                    break
