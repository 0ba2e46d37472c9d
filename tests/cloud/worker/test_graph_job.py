"""A raw graph, run by a real worker with the real engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from PIL import Image, ImageChops

from cloud.services.attempt_rules import AttemptRules
from shared.engines.builtin.pool import ProcessPool
from shared.jobs.state import JobState
from tests.cloud.worker.shop import PHOTO, Shop
from tests.support.databases import open_database


@pytest_asyncio.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    pool = ProcessPool(size=1)
    try:
        async with open_database(database_url) as database:
            shop = Shop(database, tmp_path, AttemptRules(), pool)
            await shop.open()
            yield shop
    finally:
        await pool.aclose()


async def test_graph_is_run_on_the_file_of_the_job(shop: Shop) -> None:
    job_id = await shop.submit_graph(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": "/etc/passwd"}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "../x"}},
        },
        "1.image",
    )
    async with shop.worker():
        job = await shop.end_of(job_id)

    assert (job.state, job.failure_message) == (JobState.COMPLETED, None)
    [output] = job.outputs
    async with shop.blobs.as_file(shop.key(output.digest)) as made:
        with Image.open(made) as picture, Image.open(PHOTO) as photo:
            difference = ImageChops.difference(
                ImageChops.invert(photo.convert("RGB")), picture.convert("RGB")
            )
        assert b"ImageInvert" not in made.read_bytes()  # the graph is the account's own affair
    assert max(high for _, high in difference.getextrema()) <= 1
    assert output.name.startswith("safelight")
