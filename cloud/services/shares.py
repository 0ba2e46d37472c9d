"""Pictures shown by link: never what the account sent or made, always a copy without metadata."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from cloud.clients.blob import BlobStore, artifact_key
from cloud.clients.inspection import Findings, Refusal
from cloud.clients.inspector import Inspector
from cloud.errors import Conflict, InvalidRequest, LinkExpired, NotFound
from cloud.repositories.artifacts import ArtifactFacts, ArtifactRecord
from cloud.repositories.database import Database
from cloud.repositories.shares import NewShare, SharedFile, ShareRecord
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Scope
from cloud.services.cursors import cut_page, read_cursor
from cloud.services.links import REDIRECT_VALID_FOR, Links
from shared.api.artifacts import ArtifactState
from shared.api.shares import Share, ShareMade, SharePage, ShareRequest
from shared.failpoints import failpoint
from shared.files import digest_file, staged_file
from shared.ids import new_id
from shared.media import extension_for

__all__ = ["Shares", "Shown"]

_log = structlog.get_logger(__name__)
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Shown:
    """A shared picture on its way out; with `link`, the client is to fetch it there."""

    file: SharedFile
    read: Callable[[int, int], AsyncIterator[bytes]]
    link: str | None


@dataclass(frozen=True, slots=True)
class _Copy:
    digest: str
    bytes: int
    facts: ArtifactFacts


class Shares:
    def __init__(self, *, database: Database, blobs: BlobStore, inspector: Inspector, links: Links) -> None:
        self._database = database
        self._blobs = blobs
        self._inspector = inspector
        self._links = links

    async def share(self, caller: Caller, digest: str, request: ShareRequest) -> ShareMade:
        """Raises NotFound, and InvalidRequest where the artifact is no picture."""
        caller.require(Scope.WRITE)
        record = await self._database.read(lambda unit: unit.artifacts.find(caller.account_id, digest))
        if record is None:
            raise NotFound("there is no such artifact", digest=digest)
        if record.state is not ArtifactState.READY:
            raise Conflict("the artifact's bytes did not come yet, or were refused", digest=digest)
        copy = await self._copied(caller.account_id, record)
        failpoint("share.copied")
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        share = NewShare(
            id=new_id(),
            account_id=caller.account_id,
            digest=copy.digest,
            source=digest,
            name=request.name + extension_for(copy.facts.media_type),
            token_digest=_digest_of(token),
        )
        made = await self._database.write(
            lambda unit: _add(unit, share, copy, timedelta(seconds=request.valid_s))
        )
        failpoint("share.made")
        _log.info("share_made", account=caller.account_id, share=share.id)
        return ShareMade(share=_view(made), url=self._links.shared(token))

    async def page(self, caller: Caller, *, cursor: str | None, limit: int) -> SharePage:
        """Newest first."""
        caller.require(Scope.READ)
        before = read_cursor(cursor)
        found = await self._database.read(
            lambda unit: unit.shares.page(caller.account_id, before=before, limit=limit + 1)
        )
        page, next_cursor = cut_page(found, limit, lambda share: share.number)
        return SharePage(shares=[_view(share) for share in page], next_cursor=next_cursor)

    async def revoke(self, caller: Caller, share_id: str) -> None:
        """At once: nobody is shown anything by it any more. Raises NotFound."""
        caller.require(Scope.WRITE)
        if not await self._database.write(lambda unit: unit.shares.revoke(caller.account_id, share_id)):
            raise NotFound("there is no such share", share=share_id)
        _log.info("share_revoked", account=caller.account_id, share=share_id)

    async def open(self, token: str) -> Shown:
        """Raises LinkExpired, whatever is wrong with the link."""
        file = await self._database.read(lambda unit: unit.shares.shown_by(_digest_of(token)))
        if file is None:
            raise LinkExpired("this link has expired or was revoked; ask for a new one")
        key = artifact_key(file.account_id, file.digest)
        link = await self._blobs.download_link(
            key, name=file.name, media_type=file.media_type, valid_for=REDIRECT_VALID_FOR
        )
        return Shown(
            file=file,
            read=lambda start, end: self._blobs.stream(key, start=start, end=end),
            link=None if link is None else link.url,
        )

    async def _copied(self, account_id: str, record: ArtifactRecord) -> _Copy:
        """The copy, stored and announced, but not yet ready."""
        key = artifact_key(account_id, record.digest)
        with staged_file(self._blobs.staging_folder) as (_file, path):
            async with self._blobs.as_file(key) as source:
                _require(await self._inspector.strip(source, path, digest=record.digest, size=record.bytes))
            copy = await self._inspected(path)
            await self._database.write(
                lambda unit: unit.artifacts.announce(account_id, copy.digest, copy.bytes)
            )
            failpoint("share.announced")
            await self._blobs.adopt(artifact_key(account_id, copy.digest), path)
        return copy

    async def _inspected(self, path: Path) -> _Copy:
        digest, size = await asyncio.to_thread(lambda: (digest_file(path), path.stat().st_size))
        found = _require(await self._inspector.inspect(path, digest=digest, size=size))
        return _Copy(digest, size, ArtifactFacts(found.media_type, found.width, found.height))


def _add(unit: Unit, share: NewShare, copy: _Copy, valid_for: timedelta) -> ShareRecord:
    origin = None if share.digest == share.source else share.source
    unit.artifacts.accept(share.account_id, copy.digest, copy.facts, derived_from=origin)
    return unit.shares.add(share, valid_for=valid_for)


def _require(found: Findings | Refusal) -> Findings:
    if isinstance(found, Refusal):
        raise InvalidRequest(f"this file cannot be shared: {found.message}", field="digest")
    return found


def _digest_of(token: str) -> str:
    """Tokens are random: a quick hash keeps them."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _view(share: ShareRecord) -> Share:
    return Share(
        id=share.id,
        source=share.source,
        digest=share.digest,
        name=share.name,
        created_at=share.created_at,
        expires_at=share.expires_at,
        revoked_at=share.revoked_at,
    )
