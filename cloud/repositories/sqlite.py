"""SQLite: one writer thread that commits in groups, and readers beside it."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from cloud.errors import DatabaseUnavailable
from cloud.repositories.unit import Unit

__all__ = ["SqliteDatabase", "sqlite_engine"]

_T = TypeVar("_T")
_GROUP_LIMIT = 256
_READERS = 4
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
)


@dataclass(slots=True)
class _Write:
    work: Callable[[Unit], Any]
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None


def sqlite_engine(path: Path) -> Engine:
    """Connections begin and end transactions only where they are told to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare)
    return engine


class SqliteDatabase:
    """Belongs to the event loop that made it. Writes that wait together share one commit."""

    def __init__(self, *, path: Path, clock_offset: timedelta = timedelta(0)) -> None:
        self.clock_offset = clock_offset
        self._engine = sqlite_engine(path)
        self._loop = asyncio.get_running_loop()
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-reader")
        self._writer = threading.Thread(target=self._write_until_closed, name="database-writer", daemon=True)
        self._writer.start()

    async def write(self, work: Callable[[Unit], _T]) -> _T:
        future: asyncio.Future[_T] = self._loop.create_future()
        self._writes.put(_Write(work, future))
        return await future

    async def read(self, work: Callable[[Unit], _T]) -> _T:
        return await self._loop.run_in_executor(self._readers, self._read, work)

    @property
    def busy(self) -> int:
        return self._writes.qsize()

    async def aclose(self) -> None:
        self._writes.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._connections:
            connection.close()
        self._engine.dispose()

    def _connect(self) -> Connection:
        connection = self._engine.connect()
        self._connections.append(connection)
        return connection

    def _read(self, work: Callable[[Unit], _T]) -> _T:
        try:
            if not hasattr(self._local, "connection"):
                self._local.connection = self._connect()
            connection: Connection = self._local.connection
            connection.exec_driver_sql("BEGIN")
            try:
                return work(Unit(connection, self.clock_offset))
            finally:
                connection.rollback()
        except OperationalError as error:
            raise _unavailable() from error

    def _write_until_closed(self) -> None:
        closing = False
        connection: Connection | None = None
        while not closing:
            group, closing = self._next_group()
            try:
                connection = connection or self._connect()
                self._commit(connection, group)
            except DBAPIError as error:
                for write in group:
                    write.error = write.error or error
            if group:
                self._loop.call_soon_threadsafe(_answer, group)

    def _next_group(self) -> tuple[list[_Write], bool]:
        group: list[_Write] = []
        write = self._writes.get()
        while write is not None:
            group.append(write)
            if len(group) == _GROUP_LIMIT:
                return group, False
            try:
                write = self._writes.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, connection: Connection, group: list[_Write]) -> None:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for write in group:
                self._apply(connection, write)
            connection.exec_driver_sql("COMMIT")
        finally:
            connection.rollback()

    def _apply(self, connection: Connection, write: _Write) -> None:
        connection.exec_driver_sql("SAVEPOINT one")
        try:
            write.value = write.work(Unit(connection, self.clock_offset))
        except Exception as error:  # noqa: BLE001 - handed to the task that awaits this write
            connection.exec_driver_sql("ROLLBACK TO one")
            write.error = error
        connection.exec_driver_sql("RELEASE one")


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _answer(group: list[_Write]) -> None:
    for write in group:
        if write.future.done():
            continue
        if isinstance(write.error, OperationalError):
            unavailable = _unavailable()
            unavailable.__cause__ = write.error
            write.future.set_exception(unavailable)
        elif write.error is not None:
            write.future.set_exception(write.error)
        else:
            write.future.set_result(write.value)


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable("the database cannot be used just now; try again in a moment")
