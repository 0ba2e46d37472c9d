"""Bring a database to the newest version, or say which it has."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from cloud.repositories.postgres import postgres_engine
from cloud.repositories.schema import can_serve
from cloud.repositories.sqlite import sqlite_engine

__all__ = ["migrate_postgres", "migrate_sqlite", "newest_version", "upgrade"]

_LOCK = 0x5AFE1165
_PATIENCE = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")


def migrate_sqlite(path: Path) -> None:
    engine = sqlite_engine(path)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            upgrade(connection)
            connection.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()


async def migrate_postgres(url: str) -> None:
    """Several may try at once: the second waits for the first."""
    engine = postgres_engine(url, connections=1)
    try:
        async with engine.begin() as connection:
            for patience in _PATIENCE:
                await connection.execute(text(f"SELECT set_config('{patience}', '0', true)"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """In the transaction of the connection. What a later program has migrated stays as it is."""
    version = MigrationContext.configure(connection).get_current_revision()
    if not can_serve(version, newest_version()):
        command.upgrade(_config(connection), revision)


def newest_version() -> str:
    """The one that this program was written for."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
