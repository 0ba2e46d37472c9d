"""A run that is to be stopped, where that itself goes wrong."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud.clients.queue import Bell
from cloud.services.attempt_rules import AttemptRules
from shared.engines.base import EngineUnavailable, Ticket
from shared.engines.builtin.pool import ProcessPool
from shared.jobs.state import JobState
from tests.cloud.worker.shop import ACCOUNT, Shop
from tests.support.databases import open_database
from tests.support.held_engine import HeldEngine


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    pool = ProcessPool(size=1)
    async with open_database(database_url) as database:
        shop = Shop(database, tmp_path, AttemptRules(), pool)
        await shop.open()
        yield shop
    await pool.aclose()


class _Stubborn(HeldEngine):
    def __init__(self, *troubles: Exception) -> None:
        super().__init__()
        self._troubles = list(troubles)

    async def cancel(self, ticket: Ticket) -> None:
        if self._troubles:
            raise self._troubles.pop(0)
        self.let_end(ticket.job_id)


async def _cancel(shop: Shop, job_id: str) -> None:
    await shop.database.write(lambda unit: unit.claims.request_cancel(ACCOUNT, job_id))
    await shop.queue.ring(Bell.CANCELS)


async def test_a_fault_of_ours_ends_the_job_and_not_the_stopping_alone(shop: Shop) -> None:
    """The run would go on for as long as it may, although nobody wants it."""
    job_id = await shop.submit()
    async with shop.worker(_Stubborn(RuntimeError("unexpected")), poll_s=0.05):
        await shop.until_running(job_id)
        await _cancel(shop, job_id)
        job = await shop.end_of(job_id)
    assert (job.state, job.failure_code) == (JobState.FAILED, "internal")


async def test_a_server_that_cannot_be_asked_to_stop_loses_the_run(shop: Shop) -> None:
    job_id = await shop.submit()
    async with shop.worker(_Stubborn(EngineUnavailable("away")), poll_s=0.05):
        await shop.until_running(job_id)
        await _cancel(shop, job_id)
        job = await shop.end_of(job_id)
    assert job.state is JobState.CANCELLED
