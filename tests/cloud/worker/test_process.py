"""A real worker with the real engine, on both databases: what happens when things go wrong."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from cloud.services.attempt_rules import AttemptRules
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.jobs.state import JobState
from tests.cloud.worker.shop import ACCOUNT, PHOTO, Shop
from tests.support.databases import open_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[ProcessPool]:
    """One for all, since a child takes a second to start."""
    pool = ProcessPool(size=1)
    yield pool
    await pool.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def shop(database_url: str, tmp_path: Path, pool: ProcessPool) -> AsyncIterator[Shop]:
    async with open_database(database_url) as database:
        shop = Shop(database, tmp_path, AttemptRules(), pool)
        await shop.open()
        yield shop


@pytest.fixture(scope="session")
def big_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough to be caught while it is developed."""
    path = tmp_path_factory.mktemp("photos") / "big.jpg"
    with Image.open(PHOTO) as photo:
        photo.convert("RGB").resize((3000, 2000)).save(path, quality=85)
    return path


async def _begun_elsewhere(shop: Shop, engine: BuiltinEngine, job_id: str, *, finish: bool) -> None:
    """An attempt by a worker that died: with its run left running or finished, and its lease over."""
    lane = (await shop.claiming.backlog(["builtin"])).lanes[0]
    claim = await shop.claiming.claim(lane, worker="dead")
    assert claim is not None
    assert claim.ref.job_id == job_id
    async with shop.inputs().work(claim) as work:
        ticket = await engine.prepare(work)
    await shop.attempts.store_ticket(claim.ref, ticket)
    await engine.start(ticket)
    await shop.attempts.mark_running(claim.ref, engine="builtin")
    if finish:
        async for _ in engine.follow(ticket):
            pass
    shop.move_clock(timedelta(seconds=31))
    assert await shop.reaping.reap() == 1


async def test_a_job_is_run_and_its_output_stored(shop: Shop) -> None:
    job_id = await shop.submit()
    async with shop.worker():
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)
    assert [output.media_type for output in job.outputs] == ["image/png"]
    assert await shop.blobs.size(shop.key(job.outputs[0].digest)) == job.outputs[0].bytes
    assert await shop.events(job_id) == ["queued", "started", "completed"]


async def test_a_job_whose_ring_was_lost_is_found_by_looking(shop: Shop) -> None:
    async with shop.worker():
        await shop.end_of(await shop.submit())
        job = await shop.end_of(await shop.submit(ring=False))
    assert job.state is JobState.COMPLETED


async def test_a_finished_run_of_a_dead_worker_is_adopted_not_run_again(shop: Shop) -> None:
    job_id = await shop.submit()
    engine = shop.engine()
    await _begun_elsewhere(shop, engine, job_id, finish=True)
    runs = sorted(path.name for path in (shop.folder / "engines" / "one" / "runs").iterdir())
    assert len(runs) == 1
    async with shop.worker(shop.engine()):
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert await shop.events(job_id) == ["queued", "started", "requeued", "started", "completed"]


async def test_a_run_that_is_nowhere_to_be_found_is_run_again(shop: Shop) -> None:
    job_id = await shop.submit()
    await _begun_elsewhere(shop, shop.engine("elsewhere"), job_id, finish=True)
    async with shop.worker(shop.engine("here")):
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert len(job.outputs) == 1


async def test_a_zombie_that_wakes_up_changes_nothing(shop: Shop) -> None:
    """The first worker is asleep while the lease runs out and a second one completes the job."""
    job_id = await shop.submit()
    lane = (await shop.claiming.backlog(["builtin"])).lanes[0]
    zombie = await shop.claiming.claim(lane, worker="zombie")
    assert zombie is not None
    shop.move_clock(timedelta(seconds=31))
    assert await shop.reaping.reap() == 1
    async with shop.worker():
        job = await shop.end_of(job_id)
        await shop.run_by_hand(zombie)
    assert await shop.job(job_id) == job
    assert await shop.events(job_id) == ["queued", "requeued", "started", "completed"]


async def test_a_worker_told_to_stop_ends_what_it_runs(shop: Shop) -> None:
    job_id = await shop.submit()
    async with shop.worker() as stop:
        await shop.until_running(job_id)
        stop.set()
    assert (await shop.job(job_id)).state is JobState.COMPLETED


async def test_a_worker_out_of_grace_gives_its_job_back_whole(shop: Shop, big_photo: Path) -> None:
    job_id = await shop.submit(big_photo)
    async with shop.worker(grace_s=0) as stop:
        await shop.until_running(job_id)
        stop.set()
    job = await shop.job(job_id)
    assert job.state in {JobState.QUEUED, JobState.COMPLETED}
    async with shop.worker(shop.engine("another")):
        job = await shop.end_of(job_id)
    assert job.state is JobState.COMPLETED
    events = await shop.events(job_id)
    assert events.count("completed") == 1


async def test_a_running_job_is_cancelled_at_once(shop: Shop, big_photo: Path) -> None:
    """By the bell: it is long until the next heartbeat."""
    shop.rules = replace(shop.rules, lease=timedelta(hours=1))
    shop.set_up()
    job_id = await shop.submit(big_photo)
    async with shop.worker():
        await shop.until_running(job_id)
        await shop.cancel(job_id)
        job = await shop.end_of(job_id)
    assert job.state is JobState.CANCELLED
    assert (await shop.events(job_id))[-1] == "cancelled"


async def test_a_claimed_job_is_cancelled_before_it_starts(shop: Shop) -> None:
    job_id = await shop.submit()
    lane = (await shop.claiming.backlog(["builtin"])).lanes[0]
    claim = await shop.claiming.claim(lane, worker="me")
    assert claim is not None
    assert await shop.cancel(job_id)
    await shop.run_by_hand(claim, unwanted=True)
    assert (await shop.job(job_id)).state is JobState.CANCELLED
    assert await shop.events(job_id) == ["queued", "cancelled"]


async def test_an_input_that_is_gone_fails_its_job_alone(shop: Shop) -> None:
    lost = await shop.submit()
    async for chunk in shop.blobs.stream(shop.key(shop.photo_digest)):
        assert chunk
    await shop.blobs.delete(shop.key(shop.photo_digest))
    async with shop.worker():
        failed = await shop.end_of(lost)
        sound = await shop.end_of(await shop.submit())
    assert (failed.state, failed.failure_code) == (JobState.FAILED, "blob_missing")
    assert sound.state is JobState.COMPLETED


async def test_two_workers_run_many_jobs_once_each(shop: Shop) -> None:
    jobs = [await shop.submit() for _ in range(6)]
    async with shop.worker(shop.engine("one")), shop.worker(shop.engine("two")):
        ended = [await shop.end_of(job_id) for job_id in jobs]
    assert {(job.state, job.attempt) for job in ended} == {(JobState.COMPLETED, 1)}
    assert [await shop.events(job_id) for job_id in jobs] == [["queued", "started", "completed"]] * 6
    assert (await shop.claiming.backlog(["builtin"])).lanes == ()


async def test_passing_events_are_told_and_not_stored(shop: Shop) -> None:
    with shop.broadcast.watch(ACCOUNT) as watcher:
        job_id = await shop.submit()
        async with shop.worker():
            await shop.end_of(job_id)
        kinds = {message.kind for message in (await watcher.take(1)).messages}
    assert "progress" in kinds
    assert "progress" not in await shop.events(job_id)
