"""Artifacts: announced by digest, sent to a signed link, checked, and only then of use."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from cloud.clients.blob import BlobStore, artifact_key
from cloud.clients.inspection import Findings, Refusal
from cloud.clients.inspector import Inspector
from cloud.errors import Conflict, InvalidRequest, NotFound, TooLarge
from cloud.repositories.artifacts import ArtifactFacts, ArtifactRecord
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.arrivals import Arrival, Arrivals, receive_at_most, require_exactly, require_pixels
from cloud.services.callers import Caller, Scope
from cloud.services.links import REDIRECT_VALID_FOR, Links
from cloud.services.plans import entitlements_of
from cloud.services.signing import Download, LinkSigner, Upload
from cloud.services.views import artifact_view
from shared.api.artifacts import Artifact, ArtifactRequest, ArtifactState, Link
from shared.failpoints import failpoint
from shared.files import staged_file

__all__ = ["Artifacts", "Stored"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes on their way to a client; with `link`, the client is to fetch them there."""

    permission: Download
    read: Callable[[int, int], AsyncIterator[bytes]]
    link: str | None


class Artifacts:
    def __init__(
        self,
        *,
        database: Database,
        blobs: BlobStore,
        inspector: Inspector,
        arrivals: Arrivals,
        links: Links,
        signer: LinkSigner,
        max_bytes: int,
        link_valid_for: timedelta,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._inspector = inspector
        self._arrivals = arrivals
        self._links = links
        self._signer = signer
        self._max_bytes = max_bytes
        self._link_valid_for = link_valid_for

    async def announce(self, caller: Caller, request: ArtifactRequest) -> Artifact:
        """What is known of these bytes, with a link to send them to where they are not. Raises TooLarge."""
        caller.require(Scope.WRITE)
        self._require_size(caller, request.bytes)
        record = await self._announced(caller.account_id, request.digest, request.bytes)
        return await self._view(caller, record)

    async def show(self, caller: Caller, digest: str) -> Artifact:
        caller.require(Scope.READ)
        return await self._view(caller, await self._found(caller, digest))

    async def receive(self, token: str, declared: int | None, chunks: AsyncIterator[bytes]) -> None:
        """Store the bytes that the link was made for, and no others. Raises LinkExpired, TooLarge,
        InvalidRequest."""
        permission = self._signer.read(token, Upload)
        if declared is not None and declared != permission.bytes:
            raise _wrong_length(declared, permission.bytes)
        with staged_file(self._blobs.staging_folder) as (file, path):
            received = await receive_at_most(chunks, file, permission.bytes)
            require_exactly(received, digest=permission.digest, size=permission.bytes)
            await self._blobs.adopt(artifact_key(permission.account_id, permission.digest), path)
        failpoint("artifact.received")

    async def take(
        self, caller: Caller, digest: str, declared: int | None, chunks: AsyncIterator[bytes]
    ) -> Artifact:
        """All of it at once: bytes that come with the caller's key are checked before they are stored.

        Raises TooLarge, InvalidRequest, BeingDeleted.
        """
        caller.require(Scope.WRITE)
        if declared is None:
            raise InvalidRequest("say by Content-Length how many bytes will come", field="Content-Length")
        self._require_size(caller, declared)
        async with self._arrivals.of(caller, chunks, at_most=declared, digest=digest) as arrival:
            found = await arrival.found()
            if isinstance(found, Findings):
                await arrival.store()
        return await self._view(caller, await self._noted(caller.account_id, digest, found, size=declared))

    def arriving(
        self, caller: Caller, chunks: AsyncIterator[bytes]
    ) -> contextlib.AbstractAsyncContextManager[Arrival]:
        """Bytes of which nothing was said before, until the end of the block. Raises TooLarge."""
        return self._arrivals.of(caller, chunks, at_most=self._most_bytes(caller))

    async def complete(self, caller: Caller, digest: str) -> Artifact:
        """Check bytes that were sent; the answer says whether they are taken, and if not, why.

        Raises Conflict when they have not arrived, and TooLarge where the plan has no room for them.
        """
        caller.require(Scope.WRITE)
        record = await self._found(caller, digest)
        if record.state is ArtifactState.READY:
            return await self._view(caller, record)
        key = artifact_key(caller.account_id, digest)
        if await self._blobs.size(key) is None:
            raise Conflict("the bytes of this artifact have not arrived; send them to its upload link first")
        async with self._blobs.as_file(key) as path:
            found = await self._inspector.inspect(path, digest=digest, size=record.bytes)
        failpoint("artifact.inspected")
        require_pixels(caller, found)
        record = await self._noted(caller.account_id, digest, found, size=record.bytes)
        failpoint("artifact.noted")
        if isinstance(found, Refusal):
            await self._blobs.delete(key)
        return await self._view(caller, record)

    async def open(self, token: str) -> Stored:
        """Raises LinkExpired, BlobMissing."""
        permission = self._signer.read(token, Download)
        key = artifact_key(permission.account_id, permission.digest)
        if await self._blobs.size(key) is None:
            raise NotFound("these bytes are no longer stored")
        link = await self._blobs.download_link(
            key, name=permission.name, media_type=permission.media_type, valid_for=REDIRECT_VALID_FOR
        )
        return Stored(
            permission=permission,
            read=lambda start, end: self._blobs.stream(key, start=start, end=end),
            link=None if link is None else link.url,
        )

    async def _found(self, caller: Caller, digest: str) -> ArtifactRecord:
        record = await self._database.read(lambda unit: unit.artifacts.find(caller.account_id, digest))
        if record is None:
            raise NotFound("there is no such artifact", digest=digest)
        return record

    async def _announced(self, account_id: str, digest: str, size: int) -> ArtifactRecord:
        return await self._database.write(lambda unit: unit.artifacts.announce(account_id, digest, size))

    async def _noted(
        self, account_id: str, digest: str, found: Findings | Refusal, *, size: int
    ) -> ArtifactRecord:
        """The artifact, announced if it was not, with what was found; ready ones stay as they are."""
        if isinstance(found, Refusal):
            _log.info("artifact_refused", account=account_id, digest=digest, code=found.code)

        def work(unit: Unit) -> ArtifactRecord:
            unit.artifacts.announce(account_id, digest, size)
            if isinstance(found, Refusal):
                unit.artifacts.refuse(account_id, digest, found.code, found.message)
            else:
                facts = ArtifactFacts(found.media_type, found.width, found.height)
                unit.artifacts.accept(account_id, digest, facts)
            [record] = unit.artifacts.find_all(account_id, (digest,))
            return record

        return await self._database.write(work)

    def _require_size(self, caller: Caller, size: int) -> None:
        most = self._most_bytes(caller)
        if size > most:
            raise TooLarge(
                f"the file has {size} bytes; at most {most} are taken from the plan {caller.plan}",
                field="bytes",
                max_bytes=most,
                plan=caller.plan.value,
            )

    def _most_bytes(self, caller: Caller) -> int:
        return min(self._max_bytes, entitlements_of(caller.plan).max_upload_bytes)

    async def _view(self, caller: Caller, record: ArtifactRecord) -> Artifact:
        upload = download = None
        if record.state is ArtifactState.WANTED:
            upload = await self._upload_link(caller, record)
        elif record.state is ArtifactState.READY and record.media_type is not None:
            download = self._links.download(caller.account_id, record.digest, record.bytes, record.media_type)
        return artifact_view(record, upload=upload, download=download)

    async def _upload_link(self, caller: Caller, record: ArtifactRecord) -> Link:
        ours = self._links.upload(caller.account_id, record.digest, record.bytes)
        direct = await self._blobs.upload_link(
            artifact_key(caller.account_id, record.digest),
            length=record.bytes,
            digest=record.digest,
            valid_for=self._link_valid_for,
        )
        if direct is None:
            return ours
        return Link(url=direct.url, method="PUT", headers=dict(direct.headers), expires_at=ours.expires_at)


def _wrong_length(received: int, expected: int) -> InvalidRequest | TooLarge:
    if received > expected:
        return TooLarge(f"more than the {expected} announced bytes were sent", max_bytes=expected)
    return InvalidRequest(
        f"{received} bytes came where {expected} were announced; send the whole file", field="bytes"
    )
