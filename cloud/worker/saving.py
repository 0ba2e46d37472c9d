"""Outputs of a run, from the engine into the artifact store."""

import asyncio

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from cloud.clients.blob import BlobStore, BlobUnavailable, artifact_key
from cloud.repositories.claims import Claim
from shared.engines.base import Engine, OutputRejected, Ticket
from shared.files import digest_file, staged_file
from shared.jobs.events import Output

__all__ = ["OutputSaver"]

_TRIES = 5


class OutputSaver:
    def __init__(self, *, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def save(self, engine: Engine, claim: Claim, ticket: Ticket, output: Output) -> None:
        """Store the output's bytes under their digest; doing it again is no error.

        Raises OutputRejected, BlobUnavailable after some tries, and what `fetch` raises.
        """
        key = artifact_key(claim.lane.account_id, output.digest)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(BlobUnavailable),
            stop=stop_after_attempt(_TRIES),
            wait=wait_random_exponential(multiplier=0.2, max=5.0),
            reraise=True,
        ):
            with attempt:
                if await self._blobs.size(key) != output.bytes:
                    await self._store(engine, ticket, output, key)

    async def _store(self, engine: Engine, ticket: Ticket, output: Output, key: str) -> None:
        with staged_file(self._blobs.staging_folder) as (file, path):
            await engine.fetch(ticket, output, file)
            file.flush()
            if await asyncio.to_thread(digest_file, path) != output.digest:
                raise OutputRejected(
                    f"{output.name} was damaged on its way from the engine", file=output.name
                )
            await self._blobs.adopt(key, path)
