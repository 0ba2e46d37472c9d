"""Streams at the level of HTTP: what a client reads, and how a refusal looks."""

import json
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cloud.clients.broadcast import Message
from cloud.services.retention import EVENTS_KEPT
from shared.api.events import parse_event
from shared.jobs.events import Cancelled, Queued, Started
from tests.cloud.api import Api, Client, settings_for
from tests.cloud.served import Served, served

PAGE = "https://studio.example"
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


def _served(folder: Path, database_url: str) -> AbstractAsyncContextManager[Served]:
    return served(settings_for(database_url, folder, cors_origins=(PAGE,)))


async def test_socket_tells_as_it_happens(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as server:
        api, client, address = server.api, server.client, server.address
        job_id = await client.job_id()
        headers = {"Authorization": f"Bearer {client.key}"}
        url = f"ws://{address}/api/v1/jobs/{job_id}/events"
        async with connect(url, additional_headers=headers) as socket:
            kinds = [type(parse_event(json.loads(await socket.recv())))]
            claiming, attempts = api.factory.claiming(), api.factory.attempts()
            [lane] = (await claiming.backlog(("builtin",))).lanes
            claim = await claiming.claim(lane, worker="w")
            assert claim is not None
            await attempts.mark_running(claim.ref, engine="builtin")
            kinds.append(type(parse_event(json.loads(await socket.recv()))))
            await client.call("POST", f"/jobs/{job_id}/cancel")
            await attempts.cancelled(claim.ref)
            kinds += [type(parse_event(json.loads(text))) async for text in socket]
    assert kinds == [Queued, Started, Cancelled]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_passes_comes_in_its_place_among_what_lasts(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as server:
        api, client = server.api, server.client
        job_id = await client.job_id()
        headers = {"Authorization": f"Bearer {client.key}"}
        url = f"ws://{server.address}/api/v1/jobs/{job_id}/events"
        async with connect(url, additional_headers=headers) as socket:
            frames = [await socket.recv()]
            for number in range(3):
                progress = f'{{"event":"progress","job_id":"{job_id}","number":{number}}}'
                await api.context.broadcast.publish(
                    Message(
                        topic=client.account_id, key=job_id, kind="progress", body=progress, slot="progress"
                    )
                )
                while frames[-1] != progress:
                    frames.append(await socket.recv())
            await client.call("POST", f"/jobs/{job_id}/cancel")
            frames += [text async for text in socket]
    told = [json.loads(frame) for frame in dict.fromkeys(frames)]  # the newest may be told twice at first
    assert [(frame["event"], frame["number"]) for frame in told] == [
        ("queued", 1),
        ("progress", 0),
        ("progress", 1),
        ("progress", 2),
        ("cancelled", 2),
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_refused_socket_is_told_why(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as server:
        api, client, address = server.api, server.client, server.address
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
    async with _served(tmp_path, database_url) as server:
        client, address = server.client, server.address
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


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_page_opens_one_socket_with_a_ticket(tmp_path: Path, database_url: str) -> None:
    """The ticket travels among the protocols, which no log has, and works once."""
    async with _served(tmp_path, database_url) as server:
        job_id = await _cancelled_job(server.api, server.client)
        url = f"ws://{server.address}/api/v1/jobs/{job_id}/events"
        issued = (await server.client.call("POST", "/stream-tickets")).json()
        async with connect(url, subprotocols=issued["protocols"], origin=PAGE) as socket:
            assert socket.subprotocol == "safelight.v1"
            assert len([text async for text in socket]) == 2
        for protocols in (issued["protocols"], ["safelight.v1", "safelight.ticket.guessed"]):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(url, subprotocols=protocols, origin=PAGE):
                    pass
            assert refused.value.response.status_code == 401


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_ticket_is_worth_no_more_than_its_key(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as server:
        job_id = await server.client.job_id()
        url = f"ws://{server.address}/api/v1/jobs/{job_id}/events"
        stranger = await server.api.client("b@example.com")
        revoked = await server.api.client()
        issues = [(await client.call("POST", "/stream-tickets")).json() for client in (stranger, revoked)]
        await server.api.factory.keys().revoke(revoked.key_id)
        for issued, status in zip(issues, (404, 401), strict=True):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(url, subprotocols=issued["protocols"]):
                    pass
            assert refused.value.response.status_code == status


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_page_of_another_origin_is_refused(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as server:
        job_id = await server.client.job_id()
        url = f"ws://{server.address}/api/v1/jobs/{job_id}/events"
        headers = {"Authorization": f"Bearer {server.client.key}"}
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, additional_headers=headers, origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_client_that_talks_without_end_is_hung_up_on(tmp_path: Path, database_url: str) -> None:
    async with _served(tmp_path, database_url) as server:
        job_id = await server.client.job_id()
        url = f"ws://{server.address}/api/v1/jobs/{job_id}/events"
        headers = {"Authorization": f"Bearer {server.client.key}"}
        for messages, code in (["hello"] * 101, 1008), (["x" * 70_000], 1009):
            async with connect(url, additional_headers=headers) as socket:
                await socket.recv()
                with pytest.raises(ConnectionClosed) as closed:
                    await _say(socket, messages)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == code


async def _say(socket: ClientConnection, messages: list[str]) -> None:
    """Until the other side hangs up."""
    for message in messages:
        await socket.send(message)
    await socket.recv()
