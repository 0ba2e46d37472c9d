"""The bell wakes at once, and the poll beside it finds what the bell did not tell."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.clients.queue import Bell
from cloud.repositories.database import Database
from cloud.services.attempt_rules import AttemptRules
from shared.engines.builtin.pool import ProcessPool
from shared.jobs.state import JobState
from tests.cloud.api import Client, open_api, settings_for
from tests.cloud.worker.shop import Shop

NEVER_S = 3600.0
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with open_api(settings_for(database_url, tmp_path)) as api:
        yield await api.client()


@on_sqlite
async def test_submission_rings(client: Client) -> None:
    with client.context.queue.listen(Bell.JOBS) as jobs, client.context.queue.listen(Bell.EVENTS) as events:
        assert (await client.submit()).status_code == 202
        assert await jobs.wait(0.1)
        assert await events.wait(0.1)


@on_sqlite
async def test_worker_comes_when_it_rings(database: Database, tmp_path: Path) -> None:
    async with contextlib.aclosing(ProcessPool(size=1)) as pool:
        shop = Shop(database, tmp_path, AttemptRules(lease=timedelta(seconds=30)), pool)
        await shop.open()
        async with shop.worker(poll_s=NEVER_S):
            first = await shop.submit()
            assert (await shop.end_of(first)).state is JobState.COMPLETED
            second = await shop.submit()
            assert (await shop.end_of(second)).state is JobState.COMPLETED
