"""The ledger: which source versions were handled. Each function is SQL for the inside of one transaction.

`ledger` remembers every version for ever; `sightings` is what was last seen at each path.
"""

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from desktop.store.job import Delivery
from shared.ids import derived_key
from shared.jobs.state import JobState

__all__ = [
    "INODE_MASK",
    "CurrentJob",
    "FileStamp",
    "FolderRow",
    "LedgerEntry",
    "Sighting",
    "Stamp",
    "baseline",
    "blocked_jobs",
    "current_jobs",
    "find_folder",
    "find_sighting",
    "forget_sighting",
    "forget_version",
    "has_open_jobs",
    "is_handled",
    "is_withdrawn",
    "known_stamps",
    "latest_job",
    "ledger_key",
    "queued_paths",
    "record_handled",
    "record_sighting",
    "save_folder",
    "set_withdrawn",
    "sightings_of_inode",
    "withdrawn_keys",
]

Stamp = tuple[int, int, int]  # the fields of a FileStamp
INODE_MASK = (1 << 63) - 1  # SQLite's integers are signed; some file systems' inodes are not


class FileStamp(NamedTuple):
    """What tells, without reading, that a file is still the same one.

    Where there may be 100,000 of them they are bare tuples, which are made in half the time.
    """

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStamp":
        return cls(status.st_size, status.st_mtime_ns, status.st_ino & INODE_MASK)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRow:
    """`device` and `inode` tell the source folder from another one put in its place."""

    id: str
    device: int
    inode: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One source version. `path` is NFC; `generation` counts the repeats that were asked for."""

    folder: str
    path: str
    digest: str
    generation: int

    @property
    def key(self) -> str:
        return ledger_key(self.folder, self.path, self.digest, self.generation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """`path` as the disk spells it; `key` that of the ledger entry for what it holds.

    Not `trusted`: the content may have changed since without a trace in the stamp. `digest` and
    `key` None: it was there when the folder was set up, and is not to be taken.
    """

    path: str
    stamp: FileStamp
    digest: str | None
    key: str | None
    generation: int
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class CurrentJob:
    """The latest job of a source version; None stands for results known from their own records."""

    path: str
    job_id: str | None
    state: JobState | None
    delivery: Delivery | None


def ledger_key(folder: str, path: str, digest: str, generation: int) -> str:
    return derived_key(folder, path, digest, str(generation))


def find_folder(connection: sqlite3.Connection, folder: str) -> FolderRow | None:
    row = connection.execute("SELECT * FROM hot_folders WHERE id = ?", (folder,)).fetchone()
    if row is None:
        return None
    return FolderRow(id=row["id"], device=row["device"], inode=row["inode"], generation=row["generation"])


def save_folder(connection: sqlite3.Connection, folder: FolderRow) -> None:
    connection.execute(
        """
        INSERT INTO hot_folders (id, device, inode, generation) VALUES (?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE
        SET device = excluded.device, inode = excluded.inode, generation = excluded.generation
        """,
        (folder.id, folder.device & INODE_MASK, folder.inode & INODE_MASK, folder.generation),
    )


def known_stamps(
    connection: sqlite3.Connection, folder: str, generation: int, *, all_seen: bool = False
) -> dict[str, Stamp]:
    """Every path that need not be read again while its stamp stays, in one query; or `all_seen`."""
    cursor = connection.cursor()
    cursor.row_factory = None
    rows = cursor.execute(
        """
        SELECT path, size, mtime_ns, inode FROM sightings
        WHERE hot_folder = ? AND (trusted = 1 OR ?) AND generation >= ?
        """,
        (folder, all_seen, generation),
    )
    return {row[0] if type(row[0]) is str else os.fsdecode(row[0]): row[1:] for row in rows}


def find_sighting(connection: sqlite3.Connection, folder: str, path: str) -> Sighting | None:
    row = connection.execute(
        "SELECT * FROM sightings WHERE hot_folder = ? AND path = ?", (folder, _column(path))
    ).fetchone()
    return None if row is None else _sighting(row)


def sightings_of_inode(connection: sqlite3.Connection, folder: str, inode: int) -> tuple[Sighting, ...]:
    rows = connection.execute("SELECT * FROM sightings WHERE hot_folder = ? AND inode = ?", (folder, inode))
    return tuple(_sighting(row) for row in rows)


def record_sighting(connection: sqlite3.Connection, folder: str, sighting: Sighting) -> None:
    connection.execute(
        """
        INSERT OR REPLACE INTO sightings
            (hot_folder, path, size, mtime_ns, inode, digest, key, generation, trusted)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            folder,
            _column(sighting.path),
            *sighting.stamp,
            sighting.digest,
            sighting.key,
            sighting.generation,
            sighting.trusted,
        ),
    )


def baseline(
    connection: sqlite3.Connection, folder: str, files: Mapping[str, Stamp], generation: int
) -> None:
    """Note files as there already and not to be taken."""
    connection.executemany(
        """
        INSERT OR IGNORE INTO sightings (hot_folder, path, size, mtime_ns, inode, generation, trusted)
        VALUES (?, ?, ?, ?, ?, ?, 1)
        """,
        ((folder, _column(path), *stamp, generation) for path, stamp in files.items()),
    )


def forget_sighting(connection: sqlite3.Connection, folder: str, path: str) -> None:
    """The path holds nothing any more; the versions it held stay in the ledger."""
    connection.execute("DELETE FROM sightings WHERE hot_folder = ? AND path = ?", (folder, _column(path)))


def is_handled(connection: sqlite3.Connection, key: str) -> bool:
    return connection.execute("SELECT 1 FROM ledger WHERE key = ?", (key,)).fetchone() is not None


def record_handled(connection: sqlite3.Connection, entry: LedgerEntry) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO ledger (key, hot_folder, path, digest, generation) VALUES (?, ?, ?, ?, ?)",
        (entry.key, entry.folder, _column(entry.path), entry.digest, entry.generation),
    )


def set_withdrawn(connection: sqlite3.Connection, key: str, *, withdrawn: bool) -> None:
    """Note, before its job is cancelled, that a version is called off and may come back."""
    connection.execute("UPDATE ledger SET withdrawn = ? WHERE key = ?", (withdrawn, key))


def is_withdrawn(connection: sqlite3.Connection, key: str) -> bool:
    row = connection.execute("SELECT 1 FROM ledger WHERE key = ? AND withdrawn = 1", (key,)).fetchone()
    return row is not None


def withdrawn_keys(connection: sqlite3.Connection, folder: str) -> frozenset[str]:
    rows = connection.execute("SELECT key FROM ledger WHERE hot_folder = ? AND withdrawn = 1", (folder,))
    return frozenset(row["key"] for row in rows)


def forget_version(connection: sqlite3.Connection, folder: str, key: str) -> None:
    """The version's run never began: if it comes back, it is new."""
    connection.execute("DELETE FROM sightings WHERE hot_folder = ? AND key = ?", (folder, key))
    connection.execute("DELETE FROM ledger WHERE key = ?", (key,))


def latest_job(connection: sqlite3.Connection, key: str) -> tuple[str, JobState] | None:
    """The id and state of the version's job, or of its last retry."""
    row = connection.execute(
        "SELECT id, state FROM jobs WHERE ledger_key = ? ORDER BY seq DESC LIMIT 1", (key,)
    ).fetchone()
    return None if row is None else (row["id"], JobState(row["state"]))


def queued_paths(connection: sqlite3.Connection, folder: str) -> dict[str, str]:
    """Source path → ledger key of every job of this folder that has not begun."""
    rows = connection.execute(
        """
        SELECT relative_path, ledger_key FROM jobs
        WHERE state = 'queued' AND batch = ? AND ledger_key IS NOT NULL
        """,
        (folder,),
    )
    return {os.fsdecode(row["relative_path"]): row["ledger_key"] for row in rows}


def current_jobs(connection: sqlite3.Connection, folder: str) -> tuple[CurrentJob, ...]:
    """What became of everything last seen in the folder, baseline left out.

    A file that was renamed has no job of its own: its fate is that of its content.
    """
    rows = connection.execute(
        """
        SELECT sightings.path, jobs.id, jobs.state, jobs.delivery FROM sightings
        LEFT JOIN jobs ON jobs.seq = coalesce(
            (SELECT max(seq) FROM jobs WHERE ledger_key = sightings.key),
            (SELECT max(seq) FROM jobs WHERE source_digest = sightings.digest AND batch = hot_folder)
        )
        WHERE sightings.hot_folder = ? AND sightings.key IS NOT NULL
        """,
        (folder,),
    )
    return tuple(
        CurrentJob(
            _path(row["path"]),
            row["id"],
            None if row["state"] is None else JobState(row["state"]),
            None if row["delivery"] is None else Delivery(row["delivery"]),
        )
        for row in rows
    )


def blocked_jobs(connection: sqlite3.Connection, folder: str) -> frozenset[str]:
    """The ids of this folder's jobs whose outputs wait for the output folder to take them."""
    rows = connection.execute(
        "SELECT id FROM jobs WHERE batch = ? AND state = 'completed' AND delivery = 'blocked'", (folder,)
    )
    return frozenset(row["id"] for row in rows)


def has_open_jobs(connection: sqlite3.Connection, folder: str, *, held: bool = False) -> bool:
    """Whether a job of this folder still runs, will run (unless `held`), or is being delivered."""
    row = connection.execute(
        """
        SELECT 1 FROM jobs WHERE state IN ('queued', 'processing', 'saving') AND batch = ?
            AND NOT (? AND state = 'queued')
        UNION ALL
        SELECT 1 FROM jobs WHERE state = 'completed' AND delivery = 'pending' AND batch = ? LIMIT 1
        """,
        (folder, held, folder),
    ).fetchone()
    return row is not None


def _sighting(row: sqlite3.Row) -> Sighting:
    return Sighting(
        path=_path(row["path"]),
        stamp=FileStamp(row["size"], row["mtime_ns"], row["inode"]),
        digest=row["digest"],
        key=row["key"],
        generation=row["generation"],
        trusted=bool(row["trusted"]),
    )


def _column(path: str) -> str | bytes:
    """Names that are no text go in as bytes: SQLite takes no lone surrogates."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def _path(column: str | bytes) -> str:
    return column if isinstance(column, str) else os.fsdecode(column)
