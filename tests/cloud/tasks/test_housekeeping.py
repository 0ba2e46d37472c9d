"""Jobs of the dead are taken back soon, whatever the dead have left in Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from arq.constants import in_progress_key_prefix
from redis.asyncio import Redis

from cloud.context import ProcessContext, open_context
from cloud.factory import Factory
from cloud.migrations.upgrade import newest_version
from cloud.tasks.housekeeping import keep_house
from shared.jobs.state import JobState
from tests.cloud.api import settings_for
from tests.cloud.services.desk import POOL, Desk
from tests.support.redis import RedisServer

REAP_EVERY_S = 1.0
LEFT_BEHIND_S = 40  # as long as ARQ keeps the key of a turn that it began


@pytest.fixture
async def context(
    database_url: str, tmp_path: Path, redis_server: RedisServer
) -> AsyncIterator[ProcessContext]:
    settings = settings_for(database_url, tmp_path, redis_url=redis_server.url, reap_every_s=REAP_EVERY_S)
    async with open_context(settings, schema_version=newest_version()) as opened:
        yield opened


async def _take_turns_and_die(redis_url: str) -> None:
    """What workers leave that are killed in the middle of every coming turn of every chore."""
    second = int(time.time())
    async with Redis.from_url(redis_url) as redis:
        for name in ("reap", "publish", "expire"):
            for turn in range(second, second + LEFT_BEHIND_S):
                for at in (turn * 1000, turn * 1000 + 123):  # arq adds 123456 µs to a turn's second
                    key = f"{in_progress_key_prefix}chore:{name}:{at}"
                    await redis.set(key, b"1", ex=LEFT_BEHIND_S)


async def test_lost_job_is_taken_back_though_every_turn_belongs_to_the_dead(
    context: ProcessContext, redis_server: RedisServer
) -> None:
    desk = Desk(context.database)
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    [lane] = (await Factory(context).claiming().backlog((POOL,))).lanes
    assert await Factory(context).claiming().claim(lane, worker="dead") is not None
    context.database.clock_offset += timedelta(hours=1)
    await _take_turns_and_die(redis_server.url)

    house = asyncio.create_task(keep_house(context))
    try:
        async with asyncio.timeout(LEFT_BEHIND_S * 3 / 4):
            while (await desk.job(account, job_id)).state is not JobState.QUEUED:  # noqa: ASYNC110 - rows have no event
                await asyncio.sleep(0.02)
    finally:
        house.cancel()
        await asyncio.gather(house, return_exceptions=True)
