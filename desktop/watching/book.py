"""A hot folder's pages of the ledger: what is known of a file, and what was done about it."""

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from desktop.jobs.queue import JobQueue
from desktop.jobs.sources import source_digest
from desktop.store import ledger as rows
from desktop.store import waiting
from desktop.store.database import Database
from desktop.store.job import JobError, JobInput, NewJob
from desktop.store.ledger import FileStamp, LedgerEntry, Sighting
from desktop.store.twins import Twins, twins_in_folder
from desktop.store.waiting import WaitingFile
from desktop.watching.hot_folder import HotFolder
from desktop.watching.identity import identity_path
from desktop.watching.inspection import Content
from desktop.watching.partners import Pair, Partner
from desktop.watching.settle import is_trusted
from shared.errors import UsageError
from shared.presets.acceptance import batch_input

__all__ = ["Book", "Known", "Version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a path was found to hold, and what goes along with it; `key` is its ledger key.

    `digest` is that of the content, partners included.
    """

    path: str
    content: Content
    partners: tuple[Partner, ...]
    digest: str
    key: str

    @property
    def stamp(self) -> FileStamp:
        return self.content.stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the journal says: of the version, its path, its inode and its content at other paths.

    `partners_untouched`: what goes along with it was there before the folder was set up, too.
    """

    handled: bool
    partners_untouched: bool
    former: Sighting | None
    elsewhere: tuple[Sighting, ...]
    twins: Twins


class Book:
    def __init__(self, *, folder: HotFolder, generation: int, database: Database, queue: JobQueue) -> None:
        self._folder = folder
        self._database = database
        self._queue = queue
        self.generation = generation

    def version(self, path: str, pair: Pair) -> Version:
        inputs = self._inputs(path, pair.content, pair.partners)
        digest = source_digest(inputs)
        return Version(
            path=path,
            content=pair.content,
            partners=pair.partners,
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
                partners_untouched=all(
                    _is_baseline(rows.find_sighting(connection, folder, partner.path), partner.stamp)
                    for partner in version.partners
                ),
                former=rows.find_sighting(connection, folder, version.path),
                elsewhere=tuple(twin for twin in twins if twin.path != version.path),
                twins=twins_in_folder(connection, folder, version.digest),
            )

        return await self._database.read(read)

    async def sighting(self, path: str) -> Sighting | None:
        return await self._database.read(lambda c: rows.find_sighting(c, self._folder.id, path))

    async def knows(self, path: str, stamp: FileStamp) -> bool:
        """Whether the file is as it was when it was dealt with."""
        sighting = await self.sighting(path)
        return sighting is not None and sighting.stamp == stamp and sighting.generation >= self.generation

    async def note_waiting(self, path: str, reason: str) -> None:
        """The file becomes no job until something else has come."""
        file = WaitingFile(
            source=self._folder.source / path, preset_id=self._folder.preset.manifest.id, reason=reason
        )
        await self._database.write(lambda c: waiting.note_waiting(c, self._folder.id, file))

    async def forget_waiting(self, path: str) -> None:
        source = self._folder.source / path
        await self._database.write(lambda c: waiting.forget_waiting(c, self._folder.id, source))

    async def see(self, version: Version) -> None:
        """The path holds a version that was handled before."""
        await self._database.write(lambda c: self._record_sightings(c, version))

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

    async def submit(self, version: Version, lineage: tuple[str, ...], *, is_first: bool) -> None:
        """Job, ledger entry and sighting in one transaction. `is_first`: nothing here has this content."""
        order = self._order(version, lineage)
        if is_first:
            await self._queue.submit_first(order, also=lambda c, _: self._record(c, version))
        else:
            # A run that was called off may still hold the key.
            await self._queue.submit_all([order], also=lambda c, _: self._record(c, version), renew=True)

    async def refuse(self, version: Version, error: UsageError) -> None:
        """As `submit`, for a job that has failed before it began."""
        await self._queue.refuse(
            self._order(version, ()),
            JobError(error.code, error.message, retryable=False),
            also=lambda c, _: self._record(c, version),
        )

    def _order(self, version: Version, lineage: tuple[str, ...]) -> NewJob:
        return self._folder.order(
            version.path,
            inputs=self._inputs(version.path, version.content, version.partners),
            digest=version.digest,
            key=version.key,
            lineage=lineage,
        )

    def _inputs(self, path: str, content: Content, partners: Iterable[Partner]) -> tuple[JobInput, ...]:
        slot = batch_input(self._folder.preset.manifest).id
        return (
            self._folder.input(slot, path, digest=content.digest, stamp=content.stamp),
            *(
                self._folder.input(item.slot, item.path, digest=item.digest, stamp=item.stamp)
                for item in partners
            ),
        )

    def _record(self, connection: sqlite3.Connection, version: Version) -> None:
        entry = LedgerEntry(
            folder=self._folder.id,
            path=identity_path(version.path),
            digest=version.digest,
            generation=self.generation,
        )
        rows.record_handled(connection, entry)
        self._record_sightings(connection, version)

    def _record_sightings(self, connection: sqlite3.Connection, version: Version) -> None:
        rows.record_sighting(connection, self._folder.id, self._sighting(version))
        for partner in version.partners:
            sighting = Sighting(
                path=partner.path,
                stamp=partner.stamp,
                digest=partner.digest,
                key=None,
                generation=self.generation,
                trusted=is_trusted(partner.stamp, wall_ns=time.time_ns()),
            )
            rows.record_sighting(connection, self._folder.id, sighting)

    def _sighting(self, version: Version, *, untaken: bool = False) -> Sighting:
        return Sighting(
            path=version.path,
            stamp=version.stamp,
            digest=None if untaken else version.digest,
            key=None if untaken else version.key,
            generation=self.generation,
            trusted=is_trusted(version.stamp, wall_ns=time.time_ns()),
        )


def _is_baseline(sighting: Sighting | None, stamp: FileStamp) -> bool:
    return sighting is not None and sighting.digest is None and sighting.stamp == stamp
