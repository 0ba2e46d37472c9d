"""The migrations lead to what the tables say, on both databases."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, update
from sqlalchemy.exc import DBAPIError

from cloud.migrations.upgrade import migrate_postgres, migrate_sqlite, newest_version
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.tables import (
    account,
    artifact,
    audit,
    batch,
    credit,
    event,
    input_fetch,
    job,
    run_time,
    seat,
    server,
    share,
    webhook,
)
from cloud.tables.base import METADATA
from shared.ids import new_id
from shared.jobs.state import JobState, may_become
from tests.support.postgres import PostgresServer

TABLES = (
    account,
    artifact,
    audit,
    batch,
    credit,
    event,
    input_fetch,
    job,
    run_time,
    seat,
    server,
    share,
    webhook,
)  # known to METADATA once imported


async def test_migrations_match_the_tables(database: Database) -> None:
    def difference(unit: Unit) -> object:
        context = MigrationContext.configure(unit.connection, opts={"compare_type": True})
        return compare_metadata(context, METADATA)

    assert await database.read(difference) == []


async def test_newest_version_is_known(database: Database) -> None:
    assert await database.read(lambda unit: unit.schema_version()) == newest_version()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        migrate_sqlite(tmp_path / "safelight.db")
    with sqlite3.connect(tmp_path / "safelight.db") as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    connection.close()


def test_what_a_later_program_has_migrated_is_left_alone(tmp_path: Path) -> None:
    """Whoever goes back to the program before finds its tables there."""
    path = tmp_path / "safelight.db"
    migrate_sqlite(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    migrate_sqlite(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    connection.close()


def test_migrating_postgres_twice_changes_nothing(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    for _ in range(2):
        asyncio.run(migrate_postgres(url))
    rows = postgres_server.execute("SELECT count(*) FROM alembic_version", database=url.rpartition("/")[2])
    assert rows[0]["count"] == 1


@pytest.mark.parametrize("state", JobState)
async def test_database_refuses_illegal_transitions(database: Database, state: JobState) -> None:
    """Every step that the transition table forbids, written past the services."""
    for target in JobState:
        legal = state is target or state in may_become(target)
        if legal:
            await database.write(lambda unit, target=target: _step(unit.connection, state, target))
        else:
            with pytest.raises(DBAPIError, match="illegal transition"):
                await database.write(lambda unit, target=target: _step(unit.connection, state, target))


def _step(connection: Connection, state: JobState, target: JobState) -> None:
    account_id, now = new_id(), datetime(2026, 1, 1, tzinfo=UTC)
    connection.execute(insert(account.ACCOUNTS).values(id=account_id, name="a", last_event=0, created_at=now))
    row = {
        "id": new_id(),
        "account_id": account_id,
        "pool": "p",
        "priority": 0,
        "preset_id": "x",
        "preset_version": "1",
        "preset_digest": "d",
        "models": "{}",
        "values": {},
        "inputs": {},
        "state": state,
        "attempt": 0,
        "crashes": 0,
        "alone": False,
        "created_at": now,
        "queued_at": now,
    }
    connection.execute(insert(job.JOBS).values(row))
    connection.execute(update(job.JOBS).where(job.JOBS.c.id == row["id"]).values(state=target))
