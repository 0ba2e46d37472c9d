"""What becomes of outputs on their way into the store, and what is written down of them."""

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.clients.blob_s3 import S3BlobStore
from cloud.repositories.database import Database
from cloud.services.attempt_rules import AttemptRules
from cloud.worker import run
from shared.api.recipes import Recipe
from shared.engines.builtin.pool import ProcessPool
from shared.files import digest_bytes
from shared.jobs.state import JobState
from tests.cloud.worker.shop import ACCOUNT, Shop
from tests.support.comfy_server import ComfyServer, comfy_server
from tests.support.s3_server import S3Server
from tests.support.s3_store import open_s3

MODEL = "random_sd15_fp16.safetensors"


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    async with contextlib.aclosing(ProcessPool(size=1)) as pool:
        yield pool


@pytest.fixture
async def server() -> AsyncIterator[ComfyServer]:
    async with comfy_server() as server:
        yield server


@pytest.fixture
async def portraits(database: Database, tmp_path: Path, server: ComfyServer, pool: ProcessPool) -> Shop:
    shop = Shop(database, tmp_path, AttemptRules(), pool, preset_id="portrait-pro", lane_pool="comfy")
    await shop.open()
    await shop.register(server.url, "gpu")
    return shop


async def _recipe(shop: Shop, job_id: str) -> Recipe:
    text = await shop.database.read(lambda unit: unit.jobs.recipe(ACCOUNT, job_id, 0))
    assert text is not None
    return Recipe.model_validate_json(text)


async def test_prompt_that_the_server_wrote_is_not_stored(portraits: Shop, server: ComfyServer) -> None:
    server.execution.writes_prompts = True
    job_id = await portraits.submit(values={"model": MODEL, "steps": 3})
    async with portraits.worker():
        job = await portraits.end_of(job_id)
    [output] = job.outputs
    stored = b"".join([chunk async for chunk in portraits.blobs.stream(portraits.key(output.digest))])

    written = [data for (kind, _name), data in server.files.items() if kind == "output"]
    assert all(MODEL.encode() in data for data in written)
    assert MODEL.encode() not in stored
    assert b"tEXt" not in stored
    assert (digest_bytes(stored), len(stored)) == (output.digest, output.bytes)


async def test_recipe_tells_how_the_output_was_made(portraits: Shop) -> None:
    job_id = await portraits.submit(values={"model": MODEL, "steps": 3})
    async with portraits.worker():
        job = await portraits.end_of(job_id)
    recipe = await _recipe(portraits, job_id)

    [output] = job.outputs
    assert (recipe.job, recipe.attempt, recipe.output.digest) == (job_id, 1, output.digest)
    assert (recipe.preset.id, recipe.preset.digest) == ("portrait-pro", portraits.preset.digest)
    server = await portraits.server("gpu")
    assert (recipe.engine_version, recipe.server_class) == (server.version, server.device)
    assert server.version
    assert (recipe.engine, recipe.values["steps"]) == ("comfy", 3)
    assert recipe.seed == job.values["seed"]
    assert [(model.folder, model.name) for model in recipe.models] == [("checkpoints", MODEL)]
    assert [file.digest for file in recipe.inputs["photo"]] == [portraits.photo_digest]
    assert set(json.loads(recipe.model_dump_json())["inputs"]) == {"photo"}


async def _in_s3(database: Database, folder: Path, pool: ProcessPool, s3: S3BlobStore) -> Shop:
    shop = Shop(database, folder, AttemptRules(), pool)
    shop.blobs = s3
    await shop.open()
    return shop


@pytest.mark.parametrize(("kind", "times"), [("503", 4), ("reset", 3), ("lost", 1), ("hang", 1)])
async def test_store_that_fails_for_a_while_costs_no_attempt(
    database: Database, tmp_path: Path, pool: ProcessPool, s3_server: S3Server, kind: str, times: int
) -> None:
    shop = await _in_s3(database, tmp_path, pool, open_s3(s3_server, tmp_path))
    job_id = await shop.submit()
    s3_server.fail(kind, "PUT", times=times)
    async with shop.worker():
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1), job.failure_message
    [output] = job.outputs
    stored = b"".join([chunk async for chunk in shop.blobs.stream(shop.key(output.digest))])
    assert digest_bytes(stored) == output.digest


async def test_store_that_is_away_for_long_fails_no_job_and_shows_no_link(
    database: Database, tmp_path: Path, pool: ProcessPool, s3_server: S3Server
) -> None:
    shop = await _in_s3(database, tmp_path, pool, open_s3(s3_server, tmp_path))
    job_id = await shop.submit()
    s3_server.fail("503", "PUT", times=60)
    async with shop.worker():
        waiting = await shop.until(job_id, lambda job: job.attempt > 1)
        assert waiting.outputs == ()
        assert waiting.state is not JobState.FAILED
        job = await shop.end_of(job_id)
    assert job.state is JobState.COMPLETED, job.failure_message
    assert await shop.blobs.size(shop.key(job.outputs[0].digest)) == job.outputs[0].bytes


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
async def test_machine_without_room_fails_no_job(
    database: Database, tmp_path: Path, pool: ProcessPool, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    shop = Shop(database, tmp_path, AttemptRules(), pool)
    await shop.open()
    job_id = await shop.submit()
    make, left = tempfile.mkstemp, [OSError(number, os.strerror(number))] * 3

    def made(*arguments: Any, **more: Any) -> tuple[int, str]:
        if left and more.get("dir") == shop.blobs.staging_folder:
            raise left.pop()
        return make(*arguments, **more)

    monkeypatch.setattr(tempfile, "mkstemp", made)
    monkeypatch.setattr(run, "_EXHAUSTED_PAUSE_S", 0.01)
    async with shop.worker():
        job = await shop.end_of(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 4)
    assert not left


async def test_using_an_artifact_keeps_it(database: Database, tmp_path: Path, pool: ProcessPool) -> None:
    shop = Shop(database, tmp_path, AttemptRules(), pool)
    await shop.open()
    job_id = await shop.submit()
    shop.move_clock(timedelta(days=3))
    async with shop.worker():
        await shop.end_of(job_id)

    count = await database.write(
        lambda unit: unit.collection.condemn(plan="studio", untouched_for=timedelta(days=2), limit=10)
    )
    assert count == 0
