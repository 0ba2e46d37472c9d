"""Opening the journal's file: schema brought up to date, damage put aside, the future refused."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from desktop.store.migrations import MIGRATIONS
from shared.errors import FatalError, TransientError, UsageError

__all__ = [
    "JournalFromTheFuture",
    "JournalLocked",
    "JournalUnwritable",
    "OpenedJournal",
    "connect",
    "open_journal",
]

_BUSY_TIMEOUT_S = 10.0


class JournalFromTheFuture(UsageError):
    code = "journal_newer"


class JournalLocked(TransientError):
    code = "journal_locked"


class JournalUnwritable(FatalError):
    code = "journal_unwritable"


@dataclass(frozen=True, slots=True)
class OpenedJournal:
    """`set_aside` is where a damaged journal was moved before a new one was begun."""

    path: Path
    set_aside: Path | None


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun and ended by name."""
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def open_journal(path: Path) -> OpenedJournal:
    """Make the journal at `path` ready for use, by one process at a time.

    Raises JournalFromTheFuture, JournalLocked, JournalUnwritable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(path):
            return OpenedJournal(path, _prepare(path))
    except OSError as error:
        raise JournalUnwritable(f"the journal {path} cannot be opened: {error.strerror}") from error


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    try:
        with FileLock(path.with_suffix(".lock"), timeout=_BUSY_TIMEOUT_S):
            yield
    except Timeout as error:
        raise JournalLocked(f"another Safelight is opening the journal {path}; try again") from error


def _prepare(path: Path) -> Path | None:
    try:
        _migrate(path)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise JournalLocked(
                f"another program holds the journal {path}; close it and try again"
            ) from error
        raise JournalUnwritable(f"the journal {path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError:
        set_aside = _set_aside(path)
        _migrate(path)
        return set_aside
    return None


def _migrate(path: Path) -> None:
    _refuse_the_future(path)
    with closing(connect(path)) as connection:
        [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        version = _version(connection)
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            connection.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {number};COMMIT;")


def _refuse_the_future(path: Path) -> None:
    """Before anything is changed, the kind of its log included."""
    with closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)) as connection:
        version = _version(connection)
    if version > len(MIGRATIONS):
        raise JournalFromTheFuture(
            f"the journal {path} is of version {version}, from a newer Safelight; this one knows "
            f"{len(MIGRATIONS)}: install the newer Safelight, or set SAFELIGHT_DATA_DIR to another folder"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    target = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(target.with_name(target.name + ending))
    return target
