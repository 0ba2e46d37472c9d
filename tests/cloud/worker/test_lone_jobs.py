"""Suspects, which must not share a worker, and what is done once a job has ended."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.clients.queue import Bell
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from shared.api.accounts import Plan
from shared.api.jobs import AttemptEnd
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
        await database.write(lambda unit: unit.accounts.set_plan(ACCOUNT, Plan.STUDIO))
        yield shop
    await pool.aclose()


async def _suspect(shop: Shop) -> str:
    """A job whose worker died with it, a while ago."""
    job_id = await shop.submit(ring=False)
    [lane] = (await shop.claiming.backlog(["builtin"])).lanes
    claim = await shop.claiming.claim(lane, worker="dead")
    assert claim is not None
    assert claim.ref.job_id == job_id

    def taken_back(unit: Unit) -> None:
        unit.claims.requeue(claim.ref, AttemptEnd.LOST, changes={"alone": True})
        unit.lanes.enter(claim.lane)

    await shop.database.write(taken_back)
    shop.move_clock(3 * shop.rules.lease)
    return job_id


async def test_a_suspect_that_has_waited_comes_before_what_would_keep_its_worker_busy(shop: Shop) -> None:
    engine = HeldEngine()
    busy = [await shop.submit(ring=False) for _ in range(2)]
    async with shop.worker(engine, poll_s=0.05):
        for job_id in busy:
            await shop.until_running(job_id)
        suspect = await _suspect(shop)
        more = [await shop.submit() for _ in range(2)]
        for job_id in busy:
            engine.let_end(job_id)
            await shop.end_of(job_id)
        await shop.until_running(suspect)
        assert engine.started == [*busy, suspect]
        engine.let_end(suspect, *more)
        for job_id in (suspect, *more):
            assert (await shop.end_of(job_id)).state is JobState.COMPLETED
    assert set(engine.started[3:]) == set(more)


async def test_a_run_is_tidied_though_a_heartbeat_finds_its_job_ended(shop: Shop) -> None:
    async def heartbeat() -> None:
        await shop.queue.ring(Bell.CANCELS)
        for _ in range(3):  # turns for whoever heard it
            await shop.database.write(lambda unit: unit.claims.suspects([], timedelta(0)))

    engine = HeldEngine(forgetting=heartbeat)
    job_id = await shop.submit()
    engine.let_end(job_id)
    async with shop.worker(engine) as stop:
        await shop.end_of(job_id)
        stop.set()
    assert engine.forgotten == [job_id]
