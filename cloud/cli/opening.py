"""A database that is ready for a command."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from cloud.context import ProcessContext, open_context, open_database
from cloud.errors import BadSettings
from cloud.migrations.upgrade import migrate_postgres, migrate_sqlite, newest_version
from cloud.repositories.database import Database
from cloud.repositories.schema import can_serve
from cloud.settings import Settings, load_settings
from shared.engines.builtin.process_lock import ProcessLock
from shared.logs import bridge_library_logs, configure_logs

__all__ = [
    "configure",
    "ensure_migrated",
    "migrate",
    "migrated",
    "only_process",
    "with_context",
    "with_database",
]

_T = TypeVar("_T")


def configure(**given: object) -> Settings:
    """The settings, with the logs set up as they say."""
    settings = load_settings(**given)
    configure_logs(level=settings.log_level, as_json=settings.log_json)
    bridge_library_logs()
    return settings


def with_database(settings: Settings, work: Callable[[Database], Awaitable[_T]]) -> _T:
    """The result of `work` on a database of the newest version."""

    async def run() -> _T:
        async with migrated(settings) as database:
            return await work(database)

    return asyncio.run(run())


def with_context(settings: Settings, work: Callable[[ProcessContext], Awaitable[_T]]) -> _T:
    """The result of `work` with all that a process has, so that others hear of what it changes."""

    async def run() -> _T:
        await ensure_migrated(settings)
        async with open_context(settings, schema_version=newest_version()) as context:
            return await work(context)

    return asyncio.run(run())


@contextlib.asynccontextmanager
async def migrated(settings: Settings) -> AsyncIterator[Database]:
    await ensure_migrated(settings)
    async with open_database(settings) as database:
        yield database


@contextlib.contextmanager
def only_process(settings: Settings) -> Iterator[None]:
    """On one box a process that begins takes whatever runs from the dead: it must be the only one that stays.

    Raises BadSettings.
    """
    if settings.is_cluster:
        yield
        return
    path = settings.sqlite_path
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = ProcessLock(path.with_name(f"{path.name}.lock"))
    if not lock.acquire():
        raise BadSettings(
            f"another safelight-cloud works with {path}; stop it, choose another folder by "
            "SAFELIGHT_DATA_DIR, or use PostgreSQL, which several processes may share"
        )
    try:
        yield
    finally:
        lock.release()


async def ensure_migrated(settings: Settings) -> None:
    """On one box, migrate; in a cluster, where others run, only look. Raises BadSettings."""
    if not settings.is_cluster:
        await asyncio.to_thread(migrate_sqlite, settings.sqlite_path)
        return
    async with open_database(settings) as database:
        version = await database.read(lambda unit: unit.schema_version())
    if not can_serve(version, newest_version()):
        raise BadSettings(
            f"the database has version {version or 'none'} and this program needs {newest_version()}: "
            "run `safelight-cloud migrate`"
        )


async def migrate(settings: Settings) -> None:
    if settings.is_cluster:
        await migrate_postgres(settings.postgres_url)
    else:
        await asyncio.to_thread(migrate_sqlite, settings.sqlite_path)
