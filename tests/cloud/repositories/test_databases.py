"""Transactions, their groups, and a database that is away."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from cloud.errors import DatabaseBusy, DatabaseUnavailable
from cloud.repositories.database import Database
from cloud.repositories.postgres import PostgresDatabase
from cloud.repositories.unit import Unit
from shared.ids import new_id
from tests.cloud.services.desk import Desk
from tests.support.postgres import PostgresServer

on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


async def _names(database: Database) -> set[str]:
    rows = await database.read(lambda unit: unit.connection.execute(text("SELECT name FROM accounts")).all())
    return {row.name for row in rows}


async def test_what_raises_undoes_itself_alone(database: Database) -> None:
    """Though all of them may share one commit."""

    def add(unit: Unit, name: str) -> None:
        unit.accounts.add(new_id(), name)
        if name.startswith("bad"):
            raise ValueError(name)

    names = [f"{'bad' if number % 3 == 0 else 'good'}{number}" for number in range(30)]
    ends = await asyncio.gather(
        *(database.write(lambda unit, name=name: add(unit, name)) for name in names), return_exceptions=True
    )

    assert await _names(database) == {name for name in names if name.startswith("good")}
    assert sum(isinstance(end, ValueError) for end in ends) == 10


async def test_broken_rule_of_the_database_is_the_callers_alone(database: Database) -> None:
    account = new_id()
    ends = await asyncio.gather(
        *(database.write(lambda unit: unit.accounts.add(account, "same")) for _ in range(3)),
        database.write(lambda unit: unit.accounts.add(new_id(), "other")),
        return_exceptions=True,
    )
    assert sum(isinstance(end, IntegrityError) for end in ends) == 2
    assert await _names(database) == {"same", "other"}


async def test_clock_of_the_database_is_ours_and_may_be_moved(database: Database) -> None:
    async def stamped() -> datetime:
        user = new_id()
        await database.write(lambda unit: _add_user(unit, user))
        users = await database.read(lambda unit: unit.accounts.users())
        return next(found.created_at for found in users if found.id == user)

    before = await stamped()
    database.clock_offset = timedelta(days=2)
    later = await stamped()
    assert abs(datetime.now(UTC) - before) < timedelta(minutes=1)
    assert timedelta(days=2) <= later - before < timedelta(days=2, minutes=1)


def _add_user(unit: Unit, user_id: str) -> None:
    account = new_id()
    unit.accounts.add(account, "x")
    unit.accounts.add_user(user_id, f"{user_id}@example.com", "x", account)


@on_postgres
async def test_claim_finds_its_job_by_the_lane_index(database: Database) -> None:
    """Among many jobs that wait in other lanes, or no longer wait."""
    desk = Desk(database)
    account = await desk.account()
    for preset in ("noir", "cinematic"):
        await desk.jobs(account, 300, preset=preset)
    await database.write(lambda unit: unit.connection.execute(text("ANALYZE jobs")))
    lane = (await desk.lanes())[0]
    statements: list[tuple[str, tuple[object, ...]]] = []

    def claim(unit: Unit) -> None:
        event.listen(unit.connection, "before_cursor_execute", note)
        assert unit.claims.claim_oldest(lane, "w", timedelta(seconds=30))

    def note(_connection: object, _cursor: object, sql: str, values: tuple[object, ...], *_: object) -> None:
        statements.append((sql, values))

    await database.write(claim)
    sql, values = statements[0]
    plan = await database.read(
        lambda unit: "\n".join(unit.connection.exec_driver_sql(f"EXPLAIN {sql}", values).scalars())
    )
    assert "ix_jobs_lane" in plan, plan
    assert "Seq Scan on jobs" not in plan, plan


@on_postgres
async def test_ended_sessions_are_met_with_another_try(
    database: Database, postgres_server: PostgresServer
) -> None:
    await database.write(lambda unit: unit.accounts.add(new_id(), "before"))
    await postgres_server.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'safelight'",
        "postgres",
    )

    assert await _names(database) == {"before"}
    await database.write(lambda unit: unit.accounts.add(new_id(), "after"))
    assert await _names(database) == {"before", "after"}


@on_postgres
async def test_exhausted_pool_is_busy_within_two_seconds(database_url: str) -> None:
    database = PostgresDatabase(url=database_url, connections=2)
    try:
        sleepers = [
            asyncio.create_task(
                database.read(lambda unit: unit.connection.execute(text("SELECT pg_sleep(12)")))
            )
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(DatabaseBusy):
            await database.read(lambda unit: unit.accounts.users())
        assert not any(sleeper.done() for sleeper in sleepers)
        for sleeper in sleepers:
            sleeper.cancel()
        await asyncio.gather(*sleepers, return_exceptions=True)
    finally:
        await database.aclose()


async def test_server_that_is_away_is_said_to_be(unused_tcp_port: int) -> None:
    database = PostgresDatabase(url=f"postgresql+asyncpg://x@127.0.0.1:{unused_tcp_port}/x")
    with pytest.raises(DatabaseUnavailable):
        await database.read(lambda unit: unit.accounts.users())
    await database.aclose()


@on_postgres
async def test_server_that_takes_no_connection_is_said_to_be_away(
    database: Database, database_url: str, postgres_server: PostgresServer
) -> None:
    """As while it starts up or recovers: it answers, and refuses."""
    name = database_url.rpartition("/")[2]
    await postgres_server.fetch(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", "postgres")
    await postgres_server.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", "postgres", name
    )
    for ask in (database.read, database.write):
        with pytest.raises(DatabaseUnavailable):
            await ask(lambda unit: unit.accounts.users())
    await postgres_server.fetch(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true", "postgres")
    assert await _names(database) == set()


@on_postgres
async def test_server_that_stands_still_is_said_to_be_away(
    database_url: str, postgres_server: PostgresServer
) -> None:
    """Its connections stay open, and nothing comes from them."""
    database = PostgresDatabase(url=database_url, connections=1, longest_s=0.5)
    assert await _names(database) == set()
    with postgres_server.frozen():
        for ask in (database.write, database.read):  # on the open connection, and on a new one
            async with asyncio.timeout(60):
                with pytest.raises(DatabaseUnavailable):
                    await ask(lambda unit: unit.accounts.users())
    async with asyncio.timeout(60):
        while True:
            try:
                assert await _names(database) == set()
                break
            except DatabaseUnavailable:
                continue
    assert database.busy == 0
    await database.aclose()


@on_postgres
async def test_server_without_a_free_connection_is_busy(
    database_url: str, postgres_server: PostgresServer
) -> None:
    await postgres_server.fetch("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0", "postgres")
    database = PostgresDatabase(url=database_url.replace("safelight@", "crowded@"))
    with pytest.raises(DatabaseBusy):
        await database.read(lambda unit: unit.accounts.users())
    await database.aclose()
    await postgres_server.fetch("DROP ROLE crowded", "postgres")


@on_postgres
@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_what_may_go_better_is_tried_again_some_times(database: Database, code: str) -> None:
    tries = 0

    def undone(unit: Unit, times: int) -> None:
        nonlocal tries
        tries += 1
        unit.accounts.add(new_id(), "there")
        if tries <= times:
            unit.connection.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$"))

    await database.write(lambda unit: undone(unit, 2))
    assert (tries, await _names(database)) == (3, {"there"})
    with pytest.raises(DatabaseBusy):
        await database.write(lambda unit: undone(unit, 1000))
    assert tries == 3 + 5


@on_postgres
async def test_deadlock_is_met_with_another_try(database: Database) -> None:
    """Two transactions take two rows in opposite order."""
    first, second = new_id(), new_id()
    for account in (first, second):
        await database.write(lambda unit, account=account: unit.accounts.add(account, "0"))

    def rename(unit: Unit, order: tuple[str, str], name: str) -> None:
        for account in order:
            unit.connection.execute(
                text("UPDATE accounts SET name = :name WHERE id = :id"), {"name": name, "id": account}
            )
            unit.connection.execute(text("SELECT pg_sleep(0.2)"))

    await asyncio.gather(
        database.write(lambda unit: rename(unit, (first, second), "a")),
        database.write(lambda unit: rename(unit, (second, first), "b")),
    )
    assert len(await _names(database)) == 1
