"""A migrated, empty database of each kind."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cloud.migrations.upgrade import migrate_postgres, migrate_sqlite
from cloud.repositories.database import Database
from cloud.repositories.postgres import PostgresDatabase
from cloud.repositories.sqlite import SqliteDatabase
from tests.support.postgres import PostgresServer

__all__ = ["database", "database_url", "open_database"]


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "safelight.db"
    migrate_sqlite(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_server: PostgresServer) -> str:
    url = postgres_server.new_database()
    asyncio.run(migrate_postgres(url))
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database with the newest tables and no rows, as the settings take it."""
    if request.param == "sqlite":
        migrated: Path = request.getfixturevalue("_migrated_sqlite")
        path = tmp_path / "safelight.db"
        path.write_bytes(migrated.read_bytes())
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("_migrated_postgres")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    server.execute(
        "TRUNCATE run_times, accounts, users, seats, servers, workers, audit_entries, webhook_deliveries"
        " RESTART IDENTITY CASCADE",
        database=url.rpartition("/")[2],
    )
    return url


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    opened: Database = (
        SqliteDatabase(path=Path(url.removeprefix("sqlite:///")))
        if url.startswith("sqlite")
        else PostgresDatabase(url=url)
    )
    try:
        yield opened
    finally:
        await opened.aclose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as opened:
        yield opened
