"""The same ring a hundred times, heard by eight workers: one claim for each attempt."""

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.clients.queue import Bell
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from shared.engines.builtin.pool import ProcessPool
from shared.jobs.state import JobState
from tests.cloud.worker.shop import Shop


@pytest.mark.usefixtures("database_url")
async def test_many_rings_are_one_claim(database: Database, tmp_path: Path) -> None:
    async with contextlib.aclosing(ProcessPool(size=1)) as pool, contextlib.AsyncExitStack() as workers:
        shop = Shop(database, tmp_path, AttemptRules(lease=timedelta(seconds=60)), pool)
        await shop.open()
        for number in range(8):
            await workers.enter_async_context(shop.worker(shop.engine(f"e{number}"), name=f"w{number}"))
        jobs = [await shop.submit() for _ in range(4)]
        for _ in range(100):
            await shop.queue.ring(Bell.JOBS)
        ended = [await shop.end_of(job_id) for job_id in jobs]
        assert {(job.state, job.attempt) for job in ended} == {(JobState.COMPLETED, 1)}

    def attempts(unit: Unit) -> int:
        return int(unit.connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one())

    assert await database.read(attempts) == len(jobs)
