"""Artifacts to try the services with: rows and bytes of an account."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cloud.clients.blob import BlobStore, LocalBlobStore, artifact_key
from cloud.clients.blob_s3 import S3BlobStore
from cloud.repositories.artifacts import ArtifactFacts, ArtifactRecord
from cloud.repositories.database import Database
from cloud.repositories.jobs import InputName, NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.collection import Collection, CollectionRules
from shared.api.accounts import Plan
from shared.files import digest_bytes, staged_file
from shared.ids import new_id

__all__ = ["Store"]


@dataclass
class Store:
    """The clock of the database and of the sweeps is moved by the test."""

    database: Database
    folder: Path
    account: str = field(default_factory=new_id)
    offset: timedelta = timedelta(0)
    s3: S3BlobStore | None = None

    @cached_property
    def blobs(self) -> BlobStore:
        return self.s3 or LocalBlobStore(folder=self.folder / "store")

    async def open(self, plan: Plan = Plan.FREE) -> None:
        await self.database.write(lambda unit: unit.accounts.add(self.account, "somebody", plan=plan))

    @property
    def collection(self) -> Collection:
        return Collection(
            database=self.database,
            blobs=self.blobs,
            rules=CollectionRules(),
            utcnow=lambda: datetime.now(UTC) + self.offset,
        )

    def later(self, by: timedelta) -> None:
        self.offset += by
        self.database.clock_offset += by

    async def bytes_of(self, data: bytes, account: str | None = None) -> str:
        """Their digest, once they lie in the store."""
        digest = digest_bytes(data)
        with staged_file(self.blobs.staging_folder) as (file, path):
            file.write(data)
            file.flush()
            await self.blobs.adopt(artifact_key(account or self.account, digest), path)
        return digest

    async def artifact(self, data: bytes = b"picture") -> str:
        """Ready, with its bytes."""
        digest = await self.bytes_of(data)
        facts = ArtifactFacts("image/png", 1, 1)
        await self.database.write(
            lambda unit: unit.artifacts.add_made(self.account, digest, len(data), facts)
        )
        return digest

    async def announce(self, digest: str, size: int = 7) -> ArtifactRecord:
        return await self.database.write(lambda unit: unit.artifacts.announce(self.account, digest, size))

    async def is_known(self, digest: str) -> bool:
        found = await self.database.read(lambda unit: unit.artifacts.find(self.account, digest))
        return found is not None

    async def has_bytes(self, digest: str) -> bool:
        return await self.blobs.size(artifact_key(self.account, digest)) is not None

    async def job(self, digest: str) -> str:
        return await self.database.write(lambda unit: self.add_job(unit, digest))

    def add_job(self, unit: Unit, digest: str) -> str:
        """One that waits, with the artifact as its input."""
        job_id, lane = new_id(), Lane("builtin", 0, self.account, "noir")
        unit.jobs.add(
            NewJob(
                id=job_id,
                lane=lane,
                preset_version="1.0.0",
                preset_digest="d" * 64,
                values={},
                inputs={"photo": (InputName(digest, "a.png"),)},
            )
        )
        unit.lanes.enter(lane)
        return job_id
