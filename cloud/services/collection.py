"""Artifacts that are kept no longer, and bytes that belong to none.

A row goes only after its bytes, and bytes go only while their row says so: a crash between any two
steps leaves something that the next round finds, and never a row without its bytes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, time

from cloud.clients.blob import BlobStore, StoredBlob, artifact_key
from cloud.repositories.collection import ArtifactKey, Leaving
from cloud.repositories.database import Database
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from shared.failpoints import failpoint
from shared.files import TEMPORARY_PREFIX

__all__ = ["Audit", "Collection", "CollectionRules"]

_TOP = "artifacts"
_AT_ONCE = 200
_PAGE = 1000
_MARK_HELD = timedelta(minutes=20)  # longer than a store accepts a request of a clock that is wrong
_MARK_USED_S = 20.0  # a round is short, and no two ever delete the same bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRules:
    """Links to upload live shorter than `grace`, which lies between being condemned and being deleted.
    `unfinished` is for what was announced and never came; `stray` for bytes without a row."""

    grace: timedelta = timedelta(minutes=30)
    unfinished: timedelta = timedelta(days=1)
    stray: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """`missing` artifacts are ready but have no bytes, or other ones than they should; `strays` are
    bytes without an artifact."""

    artifacts: int
    missing: tuple[ArtifactKey, ...]
    strays: tuple[ArtifactKey, ...]


class Collection:
    def __init__(
        self,
        *,
        database: Database,
        blobs: BlobStore,
        rules: CollectionRules,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._rules = rules
        self._utcnow = utcnow

    async def collect(self) -> int:
        """One round; how many artifacts are gone."""
        await self._condemn()
        failpoint("collect.condemned")
        taken = await self._database.write(
            lambda unit: unit.collection.take_over(marked_for=_MARK_HELD, limit=_AT_ONCE)
        )
        marked = await self._database.write(
            lambda unit: unit.collection.mark(condemned_for=self._rules.grace, limit=_AT_ONCE)
        )
        return await self._delete((*taken, *marked))

    async def sweep(self) -> int:
        """Delete bytes that belong to nobody, and files left behind on their way to the store."""
        count = await asyncio.to_thread(_clear, self._blobs.staging_folder, self._rules.stray.total_seconds())
        async for strays in self._strays():
            count += await self._delete_strays(strays)
        return count

    async def audit(self) -> Audit:
        """Compare what is known with what is stored; changes nothing."""
        stored = {
            key: blob.bytes async for blob in self._blobs.stored(_TOP) if (key := _key_of(blob)) is not None
        }
        missing: list[ArtifactKey] = []
        count, page = 0, await self._ready_after(None)
        while page:
            count += len(page)
            missing += [key for key, size in page if stored.get(key) != size]
            page = await self._ready_after(page[-1][0])
        strays = [key async for found in self._strays() for key, _size in found]
        return Audit(artifacts=count, missing=tuple(missing), strays=tuple(strays))

    async def _condemn(self) -> None:
        for plan in Plan:
            await self._condemn_of(plan)
        await self._database.write(
            lambda unit: unit.collection.condemn_unfinished(
                untouched_for=self._rules.unfinished, limit=_AT_ONCE
            )
        )

    async def _condemn_of(self, plan: Plan) -> None:
        age = entitlements_of(plan).retention
        await self._database.write(
            lambda unit: unit.collection.condemn(plan=plan, untouched_for=age, limit=_AT_ONCE)
        )

    async def _delete(self, leaving: Sequence[Leaving]) -> int:
        """What was marked a moment ago, while the mark is surely ours."""
        if leaving:
            failpoint("collect.marked")
        until = monotonic() + _MARK_USED_S
        gone = [await self._delete_one(one) for one in leaving if monotonic() < until]
        return sum(gone)

    async def _delete_one(self, leaving: Leaving) -> bool:
        """False if the mark is no longer ours: somebody took over, and the bytes may have come anew."""

        async def is_ours() -> bool:
            return await self._database.read(lambda unit: unit.collection.still_leaving(leaving))

        key = artifact_key(leaving.key.account_id, leaving.key.digest)
        if not await is_ours() or not await self._blobs.delete_if(key, is_ours):
            return False
        failpoint("collect.bytes_deleted")
        await self._database.write(lambda unit: unit.collection.forget(leaving))
        failpoint("collect.forgotten")
        return True

    async def _strays(self) -> AsyncIterator[list[tuple[ArtifactKey, int]]]:
        """Old bytes without a row, some at a time."""
        before = self._utcnow() - self._rules.stray
        group: list[tuple[ArtifactKey, int]] = []
        async for blob in self._blobs.stored(_TOP):
            key = _key_of(blob)
            if key is not None and blob.modified_at < before:
                group.append((key, blob.bytes))
            if len(group) == _AT_ONCE:
                if strays := await self._unknown(group):
                    yield strays
                group = []
        if strays := await self._unknown(group):
            yield strays

    async def _unknown(self, group: Sequence[tuple[ArtifactKey, int]]) -> list[tuple[ArtifactKey, int]]:
        keys = [key for key, _size in group]
        known = await self._database.read(lambda unit: unit.collection.known(keys)) if keys else set()
        return [(key, size) for key, size in group if key not in known]

    async def _delete_strays(self, strays: Sequence[tuple[ArtifactKey, int]]) -> int:
        """Those of an account are claimed first, since it may be sending them anew just now; those of
        accounts that are no more nobody can send."""
        ids = {key.account_id for key, _size in strays}
        there = await self._database.read(lambda unit: unit.collection.accounts(ids))
        owned = [(key, size) for key, size in strays if key.account_id in there]
        claimed = await self._database.write(lambda unit: unit.collection.claim_strays(owned))
        homeless = [key for key, _size in strays if key.account_id not in there]
        for key in homeless:
            await self._blobs.delete(artifact_key(key.account_id, key.digest))
        return await self._delete(claimed) + len(homeless)

    async def _ready_after(self, key: ArtifactKey | None) -> tuple[tuple[ArtifactKey, int], ...]:
        return await self._database.read(lambda unit: unit.collection.ready_after(key, _PAGE))


def _key_of(blob: StoredBlob) -> ArtifactKey | None:
    match blob.key.split("/"):
        case [_, account_id, digest]:
            return ArtifactKey(account_id, digest)
        case _:
            return None


def _clear(folder: Path, older_than_s: float) -> int:
    """Files that a process which died left there; how many."""
    before = time() - older_than_s
    count = 0
    for path in folder.glob(f"*{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
                count += 1
    return count
