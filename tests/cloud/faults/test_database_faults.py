"""PostgreSQL ends sessions, has no connection left, or no room on its disk: what clients see of it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cloud.migrations.upgrade import migrate_postgres
from shared.ids import new_id
from tests.chaos.invariants import ALWAYS
from tests.cloud.api import Api, Client, open_api, settings_for
from tests.support.full_disk import small_disk
from tests.support.postgres import PostgresServer

on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
_MOST_SUBMISSIONS = 200


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = settings_for(database_url, tmp_path, database_connections=4, rate_limits=False)
    async with open_api(settings) as opened:
        yield opened


async def _end_sessions(server: PostgresServer, stop: asyncio.Event) -> int:
    ended = 0
    while not stop.is_set():
        rows = await server.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'safelight'",
            "postgres",
        )
        ended += len(rows)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.2)
    return ended


async def _submitted(client: Client, body: dict[str, object]) -> str:
    """As a client goes about it: again, under the same key, until it is told that it is done."""
    key = new_id()
    for _ in range(200):
        answer = await client.submit(body, key=key)
        assert answer.status_code in {202, 409, 503}, answer.text
        if answer.status_code == 202:
            return str(answer.json()["id"])
    raise AssertionError("never accepted")


@on_postgres
async def test_sessions_ended_all_the_time_lose_and_double_nothing(
    api: Api, database_url: str, postgres_server: PostgresServer
) -> None:
    client = await api.client()
    body, stop = await client.body(), asyncio.Event()
    ending = asyncio.create_task(_end_sessions(postgres_server, stop))
    ids: list[str] = []
    statuses: Counter[int] = Counter()
    for _ in range(15):
        ids += await asyncio.gather(*(_submitted(client, body) for _ in range(4)))
        answers = await asyncio.gather(*(client.call("GET", f"/jobs/{job_id}") for job_id in ids[-4:]))
        statuses.update(answer.status_code for answer in answers)
    stop.set()
    assert await ending > 0
    assert statuses[500] == 0, statuses
    assert statuses[200] > statuses.total() / 2
    name = database_url.rpartition("/")[2]
    rows = await postgres_server.fetch("SELECT id FROM jobs", name)
    assert sorted(row["id"] for row in rows) == sorted(ids)
    found = {what: await postgres_server.fetch(question, name) for what, question in ALWAYS.items()}
    assert not {what: rows for what, rows in found.items() if rows}


@on_postgres
async def test_without_a_free_connection_clients_are_told_to_come_again(api: Api) -> None:
    client = await api.client()
    body = await client.body()
    sleep = text("SELECT pg_sleep(12)")  # less than a statement may take, and more than a client waits
    sleeping = [
        asyncio.create_task(api.context.database.read(lambda unit: unit.connection.execute(sleep)))
        for _ in range(4)
    ]
    await asyncio.sleep(0)
    answer = await client.submit(body)
    assert not any(task.done() for task in sleeping)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    for task in sleeping:
        task.cancel()
    await asyncio.gather(*sleeping, return_exceptions=True)
    assert (await client.submit(body)).status_code == 202


@contextlib.asynccontextmanager
async def _database_on(disk: Path, server: PostgresServer) -> AsyncIterator[str]:
    """The URL of a database that has a disk of its own; the log of the server has not."""
    await server.fetch(f"CREATE TABLESPACE small LOCATION '{disk}'", "postgres")
    await server.fetch("CREATE DATABASE small TABLESPACE small", "postgres")
    try:
        yield f"postgresql+asyncpg://safelight@127.0.0.1:{server.port}/small"
    finally:
        _empty(disk)
        await server.fetch("DROP DATABASE small WITH (FORCE)", "postgres")
        await server.fetch("DROP TABLESPACE small", "postgres")


def _fill(disk: Path) -> None:
    """Leaves not a byte free."""
    with (disk / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def _empty(disk: Path) -> None:
    (disk / "filler").unlink(missing_ok=True)


def _forget_catalogue(disk: Path) -> None:
    """What the next session has to write down anew; PostgreSQL does this to it now and then."""
    for file in disk.glob("PG_*/*/pg_internal.init"):
        file.unlink()


async def _check_only_reads_are_answered(client: Client, body: dict[str, object], job_id: str) -> None:
    answers = [await client.submit(body) for _ in range(_MOST_SUBMISSIONS)]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert refused  # the last page of each table had some room
    assert {answer.status_code for answer in refused} == {503}
    assert all("Retry-After" in answer.headers for answer in refused)
    assert (await client.call("GET", f"/jobs/{job_id}")).status_code == 200


async def _check_new_connections_are_refused(api: Api, client: Client, disk: Path) -> None:
    """A session that cannot write down what it has learned of the catalogue ends as it begins."""
    _forget_catalogue(disk)
    _fill(disk)
    await api.context.database.aclose()  # its connections; it opens others
    answer = await client.call("GET", "/jobs")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


async def test_full_disk_refuses_writes_and_goes_on_when_there_is_room(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    with small_disk(megabytes=48) as disk:
        async with _database_on(disk, postgres_server) as url:
            await migrate_postgres(url)
            async with open_api(settings_for(url, tmp_path, rate_limits=False)) as api:
                client = await api.client()
                body = await client.body()
                first = await _submitted(client, body)
                _fill(disk)
                await _check_only_reads_are_answered(client, body, first)
                await _check_new_connections_are_refused(api, client, disk)
                _empty(disk)
                await _submitted(client, body)
            found = {what: await postgres_server.fetch(sql, "small") for what, sql in ALWAYS.items()}
            assert not {what: rows for what, rows in found.items() if rows}
