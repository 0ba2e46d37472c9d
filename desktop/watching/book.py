"""A hot folder's pages of the ledger: what is known of a file, and what was done about it."""

import sqlite3
import time
from dataclasses import dataclass

from desktop.jobs.queue import JobQueue
from desktop.store import ledger as rows
from desktop.store.database import Database
from desktop.store.job import JobError
from desktop.store.ledger import FileStamp, LedgerEntry, Sighting
from desktop.store.twins import Twins, twins_in_folder
from desktop.watching.hot_folder import HotFolder
from desktop.watching.identity import identity_path
from desktop.watching.settle import is_trusted
from shared.errors import UsageError

__all__ = ["Book", "Known", "Version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a path was found to hold; `key` is its ledger key."""

    path: str
    stamp: FileStamp
    digest: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the journal says: of the version, its path, its inode and its content at other paths."""

    handled: bool
    former: Sighting | None
    elsewhere: tuple[Sighting, ...]
    twins: Twins


class Book:
    def __init__(self, *, folder: HotFolder, generation: int, database: Database, queue: JobQueue) -> None:
        self._folder = folder
        self._database = database
        self._queue = queue
        self.generation = generation

    def version(self, path: str, stamp: FileStamp, digest: str) -> Version:
        return Version(
            path=path,
            stamp=stamp,
            digest=digest,
            key=rows.ledger_key(self._folder.id, identity_path(path), digest, self.generation),
        )

    async def look_up(self, version: Version, *, with_inode: bool) -> Known:
        """`with_inode` False: this inode has never been seen here."""
        folder = self._folder.id

        def read(connection: sqlite3.Connection) -> Known:
            twins = rows.sightings_of_inode(connection, folder, version.stamp.inode) if with_inode else ()
            return Known(
                handled=rows.is_handled(connection, version.key),
                former=rows.find_sighting(connection, folder, version.path),
                elsewhere=tuple(twin for twin in twins if twin.path != version.path),
                twins=twins_in_folder(connection, folder, version.digest),
            )

        return await self._database.read(read)

    async def sighting(self, path: str) -> Sighting | None:
        return await self._database.read(lambda c: rows.find_sighting(c, self._folder.id, path))

    async def see(self, version: Version) -> None:
        """The path holds a version that was handled before."""
        sighting = self._sighting(version)
        await self._database.write(lambda c: rows.record_sighting(c, self._folder.id, sighting))

    async def leave_alone(self, version: Version) -> None:
        """The version is not to be run."""
        await self._database.write(lambda c: self._record(c, version))

    async def rename(self, old: Sighting, version: Version) -> None:
        def write(connection: sqlite3.Connection) -> None:
            rows.forget_sighting(connection, self._folder.id, old.path)
            if old.digest is None:  # there before the folder was set up: it stays untaken
                rows.record_sighting(connection, self._folder.id, self._sighting(version, untaken=True))
            else:
                self._record(connection, version)

        await self._database.write(write)

    async def submit(self, version: Version, lineage: tuple[str, ...]) -> None:
        """Job, ledger entry and sighting in one transaction."""
        order = self._folder.order(
            version.path, digest=version.digest, stamp=version.stamp, key=version.key, lineage=lineage
        )
        # A run that was called off may still hold the key.
        await self._queue.submit_all([order], also=lambda c, _: self._record(c, version), renew=True)

    async def refuse(self, version: Version, error: UsageError) -> None:
        """As `submit`, for a job that has failed before it began."""
        order = self._folder.order(
            version.path, digest=version.digest, stamp=version.stamp, key=version.key, lineage=()
        )
        await self._queue.refuse(
            order,
            JobError(error.code, error.message, retryable=False),
            also=lambda c, _: self._record(c, version),
        )

    def _record(self, connection: sqlite3.Connection, version: Version) -> None:
        entry = LedgerEntry(
            folder=self._folder.id,
            path=identity_path(version.path),
            digest=version.digest,
            generation=self.generation,
        )
        rows.record_handled(connection, entry)
        rows.record_sighting(connection, self._folder.id, self._sighting(version))

    def _sighting(self, version: Version, *, untaken: bool = False) -> Sighting:
        return Sighting(
            path=version.path,
            stamp=version.stamp,
            digest=None if untaken else version.digest,
            key=None if untaken else version.key,
            generation=self.generation,
            trusted=is_trusted(version.stamp, wall_ns=time.time_ns()),
        )
