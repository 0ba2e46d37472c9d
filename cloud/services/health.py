"""Whether this process can do its work, and if not, for want of what."""

import asyncio
from dataclasses import dataclass

from cloud.clients.blob import BlobStore
from cloud.clients.redis_link import RedisLink
from cloud.repositories.database import Database
from cloud.repositories.schema import can_serve
from shared.errors import TransientError

__all__ = ["Health", "Readiness"]

_PATIENCE_S = 2.0
_LONG_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """True for what answers. Without Redis (`queue`), work goes on, more slowly."""

    database: bool
    migrations: bool
    storage: bool
    queue: bool
    stopping: bool = False

    @property
    def ready(self) -> bool:
        return not self.stopping and self.database and self.migrations and self.storage


class Health:
    def __init__(
        self,
        *,
        database: Database,
        blobs: BlobStore,
        redis: RedisLink | None,
        schema_version: str,
        stopping: bool = False,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._redis = redis
        self._schema_version = schema_version
        self._stopping = stopping

    async def look(self) -> Readiness:
        version, storage, queue = await asyncio.gather(self._version(), self._storage(), self._queue())
        return Readiness(
            database=version is not None,
            migrations=can_serve(version, self._schema_version),
            storage=storage,
            queue=queue,
            stopping=self._stopping,
        )

    async def storage_problem(self) -> str | None:
        """Found by storing, reading and deleting something."""
        try:
            async with asyncio.timeout(_LONG_PATIENCE_S):
                await self._blobs.probe()
        except TransientError as error:
            return error.message
        except TimeoutError:
            return "the artifact store does not answer; see that it runs and can be reached"
        return None

    async def _version(self) -> str | None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._database.read(lambda unit: unit.schema_version())
        except (TransientError, TimeoutError):
            return None

    async def _storage(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._blobs.check()
        except (TransientError, TimeoutError):
            return False
        return True

    async def _queue(self) -> bool:
        return self._redis is None or await self._redis.ping()
