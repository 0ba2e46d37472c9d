"""Bytes that come with a key: looked at, announced and flushed all at once, and stored if they are good."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cloud.clients.blob import BlobStore, artifact_key
from cloud.clients.inspection import Findings, Refusal
from cloud.clients.inspector import Inspector
from cloud.clients.receiving import Received, receive
from cloud.errors import InvalidRequest, TooLarge
from cloud.repositories.artifacts import ArtifactFacts
from cloud.repositories.database import Database
from cloud.services.callers import Caller
from cloud.services.plans import entitlements_of
from shared.failpoints import failpoint
from shared.files import staged_file

__all__ = ["Arrival", "Arrivals", "Fresh", "receive_at_most", "require_exactly", "require_pixels"]


@dataclass(frozen=True, slots=True)
class Fresh:
    """Bytes that are good and stored, of which that is still to be written down."""

    digest: str
    facts: ArtifactFacts


class Arrival:
    """One file that has come whole; what it is, is being found out."""

    def __init__(
        self,
        digest: str,
        caller: Caller,
        path: Path,
        blobs: BlobStore,
        look: asyncio.Task[Findings | Refusal],
    ) -> None:
        self.digest = digest
        self._caller = caller
        self._path = path
        self._blobs = blobs
        self._look = look

    async def found(self) -> Findings | Refusal:
        """Raises TooLarge where the plan has no room for it, and BeingDeleted: what could not be announced
        is not stored, since what nobody wants is deleted."""
        found = await self._look
        require_pixels(self._caller, found)
        return found

    async def store(self) -> None:
        """What was found to be good."""
        await self._blobs.adopt(artifact_key(self._caller.account_id, self.digest), self._path)
        failpoint("artifact.stored")

    async def taken(self, *, field: str, name: str) -> Fresh:
        """Found to be good, and stored. Raises InvalidRequest, which says what is wrong with it, TooLarge."""
        found = await self.found()
        if isinstance(found, Refusal):
            message = found.message.replace("the file", name, 1)
            raise InvalidRequest(message, field=field, file=name, problem=found.code, digest=self.digest)
        await self.store()
        return Fresh(self.digest, ArtifactFacts(found.media_type, found.width, found.height))


class Arrivals:
    def __init__(self, *, database: Database, blobs: BlobStore, inspector: Inspector) -> None:
        self._database = database
        self._blobs = blobs
        self._inspector = inspector

    @contextlib.asynccontextmanager
    async def of(
        self, caller: Caller, chunks: AsyncIterator[bytes], *, at_most: int, digest: str | None = None
    ) -> AsyncIterator[Arrival]:
        """Until the end of the block; with `digest`, it is `at_most` bytes long and no others. Raises
        TooLarge, InvalidRequest."""
        with staged_file(self._blobs.staging_folder) as (file, path):
            received = await receive_at_most(chunks, file, at_most)
            if digest is not None:
                require_exactly(received, digest=digest, size=at_most)
            look = asyncio.create_task(self._looked_at(caller, received, file, path), name="look")
            try:
                yield Arrival(received.digest, caller, path, self._blobs, look)
            finally:
                await asyncio.gather(look, return_exceptions=True)

    async def _looked_at(
        self, caller: Caller, received: Received, file: BinaryIO, path: Path
    ) -> Findings | Refusal:
        """Waits for all three, whatever becomes of one."""
        digest, size = received.digest, received.bytes
        look = asyncio.create_task(self._inspector.inspect(path, digest=None, size=size), name="inspect")
        announcing = self._database.write(
            lambda unit: unit.artifacts.announce(caller.account_id, digest, size)
        )
        flushing = asyncio.to_thread(os.fsync, file.fileno())
        outcomes = await asyncio.gather(look, announcing, flushing, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        failpoint("artifact.announced")
        return look.result()


async def receive_at_most(chunks: AsyncIterator[bytes], file: BinaryIO, most: int) -> Received:
    """Raises TooLarge before more is kept."""

    def require_size(size: int) -> None:
        if size > most:
            raise TooLarge(f"more than the {most} bytes that are taken were sent", max_bytes=most)

    return await receive(chunks, file, require_size=require_size)


def require_exactly(received: Received, *, digest: str, size: int) -> None:
    """Raises InvalidRequest."""
    if received.bytes < size:
        raise InvalidRequest(
            f"{received.bytes} bytes came where {size} were announced; send the whole file", field="bytes"
        )
    if received.digest != digest:
        raise InvalidRequest("the bytes that arrived are not those that were announced", field="digest")


def require_pixels(caller: Caller, found: Findings | Refusal) -> None:
    """The bytes stay announced: with a larger plan they can be completed."""
    most = entitlements_of(caller.plan).max_pixels
    pixels = (found.width or 0) * (found.height or 0) if isinstance(found, Findings) else 0
    if pixels > most:
        raise TooLarge(
            f"the picture has {pixels} pixels; at most {most} are taken from the plan {caller.plan}",
            max_pixels=most,
            plan=caller.plan.value,
        )
