"""The journal in use: one writer thread that commits in groups, and readers beside it."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from desktop.store.journal_file import JournalLocked, JournalUnwritable, connect, open_journal

__all__ = ["Database"]

_T = TypeVar("_T")
_GROUP_LIMIT = 512
_READERS = 2


@dataclass(slots=True)
class _Write:
    action: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    early: Callable[[Any], None] | None = None
    value: Any = None
    error: BaseException | None = None


class Database:
    """Use as `async with Database(path) as db`.

    `write` and `read` run a function on a connection, in a transaction of its own; it must do
    nothing but SQL. A `write` returns once its effect is on the disk; writes waiting together
    share one commit, and one that raises undoes itself alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self.set_aside: Path | None = None  # where a damaged journal went when this one was opened

    async def __aenter__(self) -> Self:
        opened = await asyncio.to_thread(open_journal, self._path)
        self.set_aside = opened.set_aside
        self._loop = asyncio.get_running_loop()
        self._writer_connection = self._connect()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="journal-reader")
        self._writer = threading.Thread(target=self._write_until_closed, name="journal-writer", daemon=True)
        self._writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writes.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()

    async def write(
        self, action: Callable[[sqlite3.Connection], _T], *, early: Callable[[_T], None] | None = None
    ) -> _T:
        """Raises JournalLocked, JournalUnwritable, or what `action` raised.

        `early` gets the result on the loop while the disk still takes it, and may be told too soon:
        the write can yet fail.
        """
        future: asyncio.Future[_T] = self._loop.create_future()
        self._writes.put(_Write(action, future, early))
        return await future

    async def read(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        return await self._loop.run_in_executor(self._readers, self._read, action)

    async def changes_by_others(self) -> int:
        """A number that differs once another process has committed; costs microseconds."""
        return await self.write(
            lambda connection: int(connection.execute("PRAGMA data_version").fetchone()[0])
        )

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path)
        self._connections.append(connection)
        return connection

    def _read(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
        connection: sqlite3.Connection = self._local.connection
        connection.execute("BEGIN")
        try:
            return action(connection)
        finally:
            connection.execute("ROLLBACK")

    def _write_until_closed(self) -> None:
        closing = False
        while not closing:
            group, closing = self._next_group()
            if group:
                self._commit(group)
                self._loop.call_soon_threadsafe(_answer, group)

    def _next_group(self) -> tuple[list[_Write], bool]:
        group: list[_Write] = []
        request = self._writes.get()
        while request is not None:
            group.append(request)
            if len(group) == _GROUP_LIMIT:
                return group, False
            try:
                request = self._writes.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[_Write]) -> None:
        connection = self._writer_connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for request in group:
                _apply(connection, request)
            self._tell_early(group)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for request in group:
                request.error = request.error or self._explained(error)

    def _tell_early(self, group: list[_Write]) -> None:
        for request in group:
            if request.early is not None and request.error is None:
                self._loop.call_soon_threadsafe(request.early, request.value)

    def _explained(self, error: sqlite3.Error) -> Exception:
        explained: JournalLocked | JournalUnwritable
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            explained = JournalLocked(
                f"another program holds the journal {self._path}; close it and try again"
            )
        else:
            explained = JournalUnwritable(f"the journal {self._path} cannot be written: {error}")
        explained.__cause__ = error
        return explained


def _apply(connection: sqlite3.Connection, request: _Write) -> None:
    connection.execute("SAVEPOINT one")
    try:
        request.value = request.action(connection)
    except Exception as error:  # handed to the caller that awaits this write
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO one")
        request.error = error
    connection.execute("RELEASE one")


def _answer(group: list[_Write]) -> None:
    for request in group:
        if request.future.done():
            continue
        if request.error is not None:
            request.future.set_exception(request.error)
        else:
            request.future.set_result(request.value)
