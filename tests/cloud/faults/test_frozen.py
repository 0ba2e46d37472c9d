"""A process that freezes (SIGSTOP, a paused machine) in the midst of a transaction keeps its locks."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import asyncpg
import pytest

from cloud.repositories.database import Database
from cloud.repositories.lanes import Lane
from cloud.repositories.postgres import PostgresDatabase
from cloud.repositories.unit import Unit
from shared.jobs.state import JobState
from tests.cloud.services.desk import POOL, Desk

on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@contextmanager
def _frozen_in_a_claim(url: str, lane: Lane) -> Iterator[None]:
    """Another process's connection that has taken a job and its lane, and then does nothing any more."""
    taken, thawed = threading.Event(), threading.Event()

    def claim(unit: Unit) -> None:
        assert unit.claims.claim_oldest(lane, "frozen", timedelta(seconds=30))
        unit.lanes.leave(lane)
        taken.set()
        thawed.wait(60)

    async def run() -> None:
        database = PostgresDatabase(url=url, connections=2)
        await asyncio.gather(database.write(claim), return_exceptions=True)
        await database.aclose()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert taken.wait(30)
        yield
    finally:
        thawed.set()
        thread.join()


@on_postgres
async def test_it_holds_up_the_reaper_for_a_moment_only(database: Database, database_url: str) -> None:
    desk = Desk(database)
    account = await desk.account()
    ids = await desk.jobs(account, 3)
    await desk.claim("dead")
    desk.let_leases_run_out()
    with _frozen_in_a_claim(database_url, Lane(POOL, 0, account, "noir")):
        assert await desk.reaping.reap() == 1
        [lane] = await desk.lanes()
        assert lane.waiting == 3
    assert {(await desk.job(account, job_id)).state for job_id in ids} == {JobState.QUEUED}


@on_postgres
async def test_it_holds_up_other_claims_for_a_moment_only(database: Database, database_url: str) -> None:
    desk = Desk(database)
    account = await desk.account()
    first, second = await desk.jobs(account, 2)
    with _frozen_in_a_claim(database_url, Lane(POOL, 0, account, "noir")):
        claimed = {(await desk.claim("alive")).ref.job_id for _ in range(2)}
    assert claimed == {first, second}
    assert await desk.lanes() == ()


@on_postgres
async def test_claims_pass_over_a_job_that_another_has_locked(database: Database, database_url: str) -> None:
    """For as long as it likes: unlike a process of ours, it is not cut off."""
    desk = Desk(database)
    account = await desk.account()
    first, second = await desk.jobs(account, 2)
    other = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        async with other.transaction():
            await other.execute("SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE", first)
            assert (await desk.claim("alive")).ref.job_id == second
        assert (await desk.claim("alive")).ref.job_id == first
    finally:
        await other.close()
