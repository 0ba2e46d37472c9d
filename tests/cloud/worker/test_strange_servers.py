"""A server that says what no table takes: its jobs are run, and it is not given up without a word."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from shared.engines.builtin.pool import ProcessPool
from shared.jobs.state import JobState
from tests.cloud.worker.shop import Shop
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
