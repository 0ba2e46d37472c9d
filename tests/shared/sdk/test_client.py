"""Both faces of the client against a whole cloud on one box."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from PIL import Image

from shared.jobs.events import Completed, Queued, Started
from shared.jobs.state import JobState
from shared.media import DEFAULT_OUTPUT_LIMITS
from shared.sdk.blocking_client import BlockingCloudClient
from shared.sdk.client import CloudClient
from shared.sdk.errors import NotFound, RequestRefused
from tests.support.cloud_server import CloudServer, cloud_server

PRESET = "noir"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    with cloud_server(
        tmp_path_factory.mktemp("cloud"), presets={}, output_limits=DEFAULT_OUTPUT_LIMITS
    ) as running:
        yield running


@pytest.fixture
def blocking(server: CloudServer) -> Iterator[BlockingCloudClient]:
    with BlockingCloudClient(server_url=server.url, api_key=server.key) as client:
        yield client


@pytest.fixture
async def client(server: CloudServer) -> AsyncIterator[CloudClient]:
    async with CloudClient(server_url=server.url, api_key=server.key) as opened:
        yield opened


def picture(path: Path, color: str) -> Path:
    Image.new("RGB", (40, 30), color).save(path)
    return path


async def test_a_picture_is_developed_with_its_events_told(client: CloudClient, tmp_path: Path) -> None:
    told = []
    photo = picture(tmp_path / "photo.png", "red")
    job = await client.develop(PRESET, {"photo": photo}, {"exposure": 5}, on_event=told.append)
    saved = await client.save_outputs(job, tmp_path / "out")
    again = await client.save_outputs(job, tmp_path / "out")
    detail = await client.show_job(job.id)
    assert job.state is JobState.COMPLETED
    assert job.values["exposure"] == 5
    assert [type(event) for event in told if isinstance(event, Queued | Started | Completed)] == [
        Queued,
        Started,
        Completed,
    ]
    assert [path.name for path in saved + again] == ["photo.png", "photo (2).png"]
    assert saved[0].read_bytes() == again[0].read_bytes()
    assert [attempt.end for attempt in detail.attempts] == ["completed"]


def test_the_blocking_face_tells_the_same(blocking: BlockingCloudClient, tmp_path: Path) -> None:
    told = []
    photo = picture(tmp_path / "photo.png", "green")
    job = blocking.develop(PRESET, {"photo": [photo]}, on_event=told.append)
    saved = blocking.save_outputs(job, tmp_path / "out")
    assert job.state is JobState.COMPLETED
    assert [type(event) for event in told if isinstance(event, Queued | Started | Completed)] == [
        Queued,
        Started,
        Completed,
    ]
    assert saved == (tmp_path / "out" / "photo.png",)
    with Image.open(saved[0]) as developed:
        assert developed.size == (40, 30)
    assert blocking.get_recipe(job.id).job == job.id


def test_a_batch_is_waited_for_and_its_jobs_are_listed(blocking: BlockingCloudClient, tmp_path: Path) -> None:
    colors = ["red", "blue", "teal"]
    items = [{"photo": picture(tmp_path / f"{color}.png", color)} for color in colors]
    accepted = blocking.submit_file_batch(PRESET, items, {"exposure": 1})
    batch = blocking.wait_for_batch(accepted.id)
    jobs = list(blocking.jobs(batch=batch.id, state=JobState.COMPLETED))
    assert (batch.total, batch.completed, batch.remaining) == (3, 3, 0)
    assert [job.id for job in reversed(jobs)] == accepted.jobs
    assert blocking.cancel_batch(batch.id).completed == 3
    assert batch.id in {known.id for known in blocking.list_batches().batches}


async def test_all_jobs_are_listed_page_by_page(client: CloudClient, tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.png", "navy")
    accepted = await client.submit_files(PRESET, {"photo": photo}, idempotency_key="pages")
    again = await client.submit_files(PRESET, {"photo": photo}, idempotency_key="pages")
    listed = [job.id async for job in client.jobs()]
    assert again == accepted
    assert listed[0] == accepted.id
    assert len(listed) == len(set(listed))
    waiting = await client.why_waiting(accepted.id)
    assert waiting.job == accepted.id


async def test_what_the_account_has_and_what_a_job_would_cost(client: CloudClient) -> None:
    account, credits_, quote = await asyncio.gather(
        client.get_account(), client.get_credits(), client.get_quote(PRESET)
    )
    entries = (await client.list_credit_entries()).entries
    assert account.plan == "studio"
    assert credits_.available == sum(entry.granted + entry.topped_up for entry in entries)
    assert quote.price == 0


async def test_bytes_are_counted_as_they_go(client: CloudClient, tmp_path: Path) -> None:
    photo = tmp_path / "large.png"
    Image.frombytes("RGB", (900, 900), os.urandom(900 * 900 * 3)).save(photo)
    sent: list[int] = []
    artifact = await client.upload_artifact(photo, on_sent=sent.append)
    known: list[int] = []
    await client.upload_artifact(photo, on_sent=known.append)
    assert sum(sent) == artifact.bytes == photo.stat().st_size
    assert known == []
    assert (await client.get_artifact(artifact.digest)).digest == artifact.digest


async def test_a_file_too_large_to_go_out_with_its_job_is_developed(
    client: CloudClient, tmp_path: Path
) -> None:
    photo = tmp_path / "large.bmp"
    Image.frombytes("RGB", (800, 600), os.urandom(800 * 600 * 3)).save(photo)
    jobs = [await client.develop(PRESET, {"photo": photo}) for _ in range(2)]
    assert [job.state for job in jobs] == [JobState.COMPLETED] * 2
    assert jobs[0].id != jobs[1].id


async def test_refusals_are_typed(client: CloudClient, tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.png", "pink")
    with pytest.raises(RequestRefused) as caught:
        await client.develop(PRESET, {"photo": photo}, {"exposure": 10_000})
    assert caught.value.details["field"] == "values.exposure"
    photo.write_text("<!DOCTYPE html><html>moved</html>")
    with pytest.raises(RequestRefused, match=r"photo\.png is no picture") as caught:
        await client.develop(PRESET, {"photo": photo})
    assert caught.value.details["field"] == "inputs.photo"
    with pytest.raises(NotFound):
        await client.get_batch("00000000-0000-4000-8000-000000000000")
