"""PostgreSQL: a pool of connections; deadlocks and lost connections are met with another try."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Connection, QueuePool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from cloud.errors import DatabaseBusy, DatabaseUnavailable
from cloud.repositories.unit import Unit

__all__ = ["PostgresDatabase", "postgres_engine"]

_T = TypeVar("_T")
_TRIES = 5
_POOL_TIMEOUT_S = 2.0
_LONGEST_S = 20.0
_AGAIN = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_BUSY = _AGAIN | {"55P03", "53300"}  # lock timeout, too many connections
# A process that freezes in the midst of a transaction loses it, and its locks, before those who wait
# for them give up.
_SERVER_SETTINGS = {
    "application_name": "safelight",
    "jit": "off",
    "lock_timeout": "5000",
    "statement_timeout": "15000",
    "idle_in_transaction_session_timeout": "3000",
}


def postgres_engine(url: str, *, connections: int = 10) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_use_lifo=True,
        hide_parameters=True,  # errors are logged
        connect_args={"server_settings": _SERVER_SETTINGS, "timeout": _POOL_TIMEOUT_S},
    )


class PostgresDatabase:
    """A whole transaction runs in one greenlet, since each of them costs as much as a statement.

    One without an answer for `longest_s` is given up: a server that freezes, or a network that swallows
    everything, ends no connection.
    """

    def __init__(
        self,
        *,
        url: str,
        connections: int = 10,
        clock_offset: timedelta = timedelta(0),
        longest_s: float = _LONGEST_S,
    ) -> None:
        self.clock_offset = clock_offset
        self._longest_s = longest_s
        self._engine = postgres_engine(url, connections=connections)
        self._pool: QueuePool = self._engine.pool  # type: ignore[assignment]
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def write(self, work: Callable[[Unit], _T]) -> _T:
        return await self._again(self._write_once, work)

    async def read(self, work: Callable[[Unit], _T]) -> _T:
        return await self._again(self._read_once, work)

    @property
    def busy(self) -> int:
        return self._pool.checkedout()

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def _again(
        self, once: Callable[[Callable[[Unit], _T]], Awaitable[_T]], work: Callable[[Unit], _T]
    ) -> _T:
        for attempt in range(1, _TRIES + 1):
            try:
                return await once(work)
            except DBAPIError as error:
                if attempt == _TRIES or not _worth_another_try(error):
                    raise _explained(error) from error
            except (OSError, PoolTimeout) as error:
                raise _explained(error) from error
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))
        raise AssertionError("the last try either returns or raises")

    async def _write_once(self, work: Callable[[Unit], _T]) -> _T:
        async with asyncio.timeout(self._longest_s):
            return await greenlet_spawn(self._write_in_greenlet, work)

    async def _read_once(self, work: Callable[[Unit], _T]) -> _T:
        async with asyncio.timeout(self._longest_s):
            return await greenlet_spawn(self._read_in_greenlet, work)

    def _write_in_greenlet(self, work: Callable[[Unit], _T]) -> _T:
        with self._engine.sync_engine.connect() as connection:
            value = work(Unit(connection, self.clock_offset))
            _commit(connection)
            return value

    def _read_in_greenlet(self, work: Callable[[Unit], _T]) -> _T:
        with self._reading.sync_engine.connect() as connection:
            return work(Unit(connection, self.clock_offset))


def _commit(connection: Connection) -> None:
    """A connection lost during the commit leaves open whether it happened: never tried again here."""
    try:
        connection.commit()
    except (DBAPIError, OSError) as error:
        raise _explained(error) from error


def _worth_another_try(error: DBAPIError) -> bool:
    return error.connection_invalidated or _sqlstate(error) in _AGAIN


def _sqlstate(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


def _explained(error: Exception) -> Exception:
    """Our own error where the database is away or busy; otherwise the error itself, which is a fault."""
    if isinstance(error, PoolTimeout) or _sqlstate(error) in _BUSY:
        return DatabaseBusy("the database is busy; try again in a moment")
    away = isinstance(error, OSError) or _sqlstate(error)[:2] in {"08", "53", "57", "58", "25"}
    if away or (isinstance(error, DBAPIError) and _is_of_the_connection(error)):
        return DatabaseUnavailable("the database cannot be used just now; try again in a moment")
    return error


def _is_of_the_connection(error: DBAPIError) -> bool:
    """It broke, or did not come about: whatever the server had against it."""
    return error.connection_invalidated or error.statement is None
