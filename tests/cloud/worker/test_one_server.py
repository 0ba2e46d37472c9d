"""One GPU server: the stand-in runs what a worker sends, and workers die around it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.repositories.attempt import Claim
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from cloud.services.waiting import NO_SERVER
from shared.comfy.client import ComfyClient
from shared.engines.base import Ticket
from shared.engines.builtin.pool import ProcessPool
from shared.engines.comfy import ComfyEngine
from shared.jobs.state import JobState
from tests.cloud.worker.shop import ACCOUNT, Shop
from tests.support.comfy_server import ComfyServer, comfy_server

MODEL = "random_sd15_fp16.safetensors"
NAME = "gpu"
FEW = {"model": MODEL, "steps": 3}
NO_TEXT = "a\0b\ud800c"  # what PostgreSQL does not take, and what is no UTF-8


@pytest.fixture
async def server() -> AsyncIterator[ComfyServer]:
    async with comfy_server() as server:
        yield server


@pytest.fixture
async def shop(database: Database, tmp_path: Path, server: ComfyServer) -> AsyncIterator[Shop]:
    async with contextlib.aclosing(ProcessPool(size=1)) as pool:
        shop = Shop(database, tmp_path, AttemptRules(), pool, preset_id="portrait-pro", lane_pool="comfy")
        await shop.open()
        await shop.register(server.url, NAME)
        yield shop


@contextlib.asynccontextmanager
async def _engine(shop: Shop, server: ComfyServer) -> AsyncIterator[ComfyEngine]:
    """As of a new process: it knows nothing but the server's address."""
    engine = ComfyEngine(client=ComfyClient(server.url), spool_folder=shop.folder / "spool")
    async with contextlib.aclosing(engine):
        yield engine


async def _until_sent(shop: Shop, server: ComfyServer, count: int) -> None:
    async with asyncio.timeout(60):
        while server.count("POST", "/prompt") < count:  # noqa: ASYNC110 - the stand-in has no event for it
            await asyncio.sleep(0.01)


async def _begun_by_the_dead(shop: Shop, server: ComfyServer, job_id: str) -> tuple[Claim, Ticket]:
    """An attempt whose worker died as soon as the prompt ran; its lease is over."""
    [lane] = (await shop.claiming.backlog(["comfy"])).lanes
    claim = await shop.claiming.claim(lane, worker="dead", server=NAME)
    assert claim is not None
    assert claim.ref.job_id == job_id
    async with _engine(shop, server) as engine:
        async with shop.inputs().work(claim) as work:
            ticket = await engine.prepare(work)
        await shop.attempts.store_ticket(claim.ref, ticket, server=NAME)
        await engine.start(ticket)
        await server.until_begun(ticket.run_id)
        await shop.attempts.mark_running(claim.ref, engine="comfy", server=NAME)
    shop.move_clock(timedelta(seconds=31))
    assert await shop.reaping.reap() == 1
    return claim, ticket


async def test_a_preset_with_a_checkpoint_is_run_and_told_about(shop: Shop, server: ComfyServer) -> None:
    with shop.broadcast.watch(ACCOUNT) as watcher:
        job_id = await shop.submit(values=FEW)
        async with shop.worker():
            job = await shop.end_of(job_id)
        kinds = {message.kind for message in (await watcher.take(1)).messages}
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1), job.failure_message
    assert {"progress", "preview"} <= kinds
    assert await shop.blobs.size(shop.key(job.outputs[0].digest)) == job.outputs[0].bytes
    assert [event for event in await shop.events(job_id) if event != "stage"] == [
        "queued",
        "started",
        "completed",
    ]


async def test_a_running_prompt_of_a_dead_worker_is_adopted(shop: Shop, server: ComfyServer) -> None:
    server.execution.held = True
    job_id = await shop.submit(values=FEW)
    _, ticket = await _begun_by_the_dead(shop, server, job_id)
    async with shop.worker():
        await shop.until(job_id, lambda job: job.attempt == 2 and job.started_at is not None)
        server.execution.held = False
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2), job.failure_message
    assert server.begun == [ticket.run_id]


async def test_a_finished_prompt_of_a_dead_worker_is_adopted(shop: Shop, server: ComfyServer) -> None:
    job_id = await shop.submit(values=FEW)
    _, ticket = await _begun_by_the_dead(shop, server, job_id)
    await server.until_over(ticket.run_id)
    async with shop.worker():
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2), job.failure_message
    assert server.begun == [ticket.run_id]
    [_, attempt] = await shop.database.read(lambda unit: unit.jobs.attempts(job_id))
    told = await shop.server(NAME)
    assert (attempt.engine, attempt.engine_version, attempt.server_class) == (
        "comfy",
        told.version,
        told.device,
    )


async def test_a_prompt_that_a_dead_worker_had_stopped_is_run_again(shop: Shop, server: ComfyServer) -> None:
    """It died between stopping the run and handing the job back."""
    server.execution.held = True
    job_id = await shop.submit(values=FEW)
    _claim, ticket = await _begun_by_the_dead(shop, server, job_id)
    async with _engine(shop, server) as engine:
        await engine.cancel(ticket)
    await server.until_over(ticket.run_id)
    server.execution.held = False
    async with shop.worker():
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)


async def test_a_running_prompt_is_cancelled_and_its_neighbour_is_not(
    shop: Shop, server: ComfyServer
) -> None:
    server.execution.held = True
    job_id = await shop.submit(values=FEW)
    async with shop.worker():
        await shop.until_running(job_id)
        neighbour = await shop.submit(values=FEW)
        await _until_sent(shop, server, 2)
        assert await shop.cancel(job_id)
        assert (await shop.end_of(job_id)).state is JobState.CANCELLED
        server.execution.held = False
        assert (await shop.end_of(neighbour)).state is JobState.COMPLETED


async def test_one_prompt_waits_behind_the_running_one(shop: Shop, server: ComfyServer) -> None:
    server.execution.held = True
    jobs = [await shop.submit(values=FEW | {"seed": seed}) for seed in range(5)]
    async with shop.worker():
        await _until_sent(shop, server, 2)
        server.execution.held = False
        ended = [await shop.end_of(job_id) for job_id in jobs]
    assert {(job.state, job.attempt) for job in ended} == {(JobState.COMPLETED, 1)}
    assert server.most_at_once == 2


async def test_a_server_killed_while_it_runs_gives_the_job_back(shop: Shop, server: ComfyServer) -> None:
    server.execution.held = True  # until it is begun anew
    job_id = await shop.submit(values=FEW)
    async with shop.worker():
        await shop.until_running(job_id)
        await server.restart()
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2), job.failure_message
    assert "requeued" in await shop.events(job_id)
    assert len(server.begun) == 2


async def test_a_model_that_no_seat_has_fails_the_job_at_once(shop: Shop, server: ComfyServer) -> None:
    async with shop.worker():
        job = await shop.end_of(await shop.submit(values={"model": "nowhere.safetensors"}))
        there = await shop.end_of(await shop.submit(values=FEW))
    assert (job.state, job.failure_code, job.attempt) == (JobState.FAILED, NO_SERVER, 0)
    assert "nowhere.safetensors" in (job.failure_message or "")
    assert there.state is JobState.COMPLETED
    assert len(server.begun) == 1


async def test_facts_that_no_table_takes_keep_no_job_from_its_server(shop: Shop, server: ComfyServer) -> None:
    server.version = NO_TEXT + "x" * 5000
    server.device = {"name": f"cuda:0 {NO_TEXT}", "vram_total": 10**30, "vram_free": -1}
    server.object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0].append(NO_TEXT)
    job_id = await shop.submit(values=FEW)
    async with shop.worker():
        assert (await shop.end_of(job_id)).state is JobState.COMPLETED
        told = await shop.until_server(NAME, lambda server: server.version is not None)
        assert told.memory_bytes is None
        assert (told.version or "").isprintable()


async def test_the_cause_of_a_failure_is_told_whatever_it_is_written_with(
    shop: Shop, server: ComfyServer
) -> None:
    server.faults.fail_with = ("ValueError", f"bad latent {NO_TEXT}")
    job_id = await shop.submit(values=FEW)
    async with shop.worker():
        job = await shop.end_of(job_id)
    assert (job.state, job.failure_code) == (JobState.FAILED, "execution_error")
    assert "bad latent" in (job.failure_message or "")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_server_is_looked_after_again_after_a_fault_of_ours(shop: Shop, server: ComfyServer) -> None:
    def broken(unit: Unit) -> None:
        unit.connection.exec_driver_sql(
            "CREATE TRIGGER fault BEFORE UPDATE OF queue_length ON servers"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )

    def mended(unit: Unit) -> None:
        unit.connection.exec_driver_sql("DROP TRIGGER fault")

    shop.rules = AttemptRules(lease=timedelta(seconds=2))
    shop.set_up()
    await shop.database.write(broken)
    job_id = await shop.submit(values=FEW)
    async with shop.worker():
        async with asyncio.timeout(60):
            while server.count("GET", "/system_stats") < 3:  # noqa: ASYNC110 - the stand-in has no event for it
                await asyncio.sleep(0.01)
        await shop.database.write(mended)
        assert (await shop.end_of(job_id)).state is JobState.COMPLETED
    assert server.begun
