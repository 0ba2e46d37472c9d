"""Outputs of a run, from the engine into the artifact store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from cloud.clients.blob import BlobStore, BlobUnavailable, artifact_key
from cloud.clients.stripping import CLEANED_TYPES, copy_without_texts
from cloud.repositories.attempt import Claim
from shared.engines.base import Engine, OutputRejected, Ticket
from shared.failpoints import failpoint
from shared.files import digest_file, staged_file
from shared.jobs.events import Output

__all__ = ["OutputSaver"]

_TRIES = 5
_WRITES_PROMPTS = frozenset({"builtin", "comfy"})  # into what it saves: the graph of the run, for all to read


class OutputSaver:
    def __init__(self, *, blobs: BlobStore) -> None:
        self._blobs = blobs

    def unchanged(self, engine: Engine, outputs: Sequence[Output]) -> tuple[Output, ...]:
        """Those that are stored as the engine delivers them."""
        return tuple(output for output in outputs if not _is_cleaned(engine, output))

    async def save(
        self,
        engine: Engine,
        claim: Claim,
        ticket: Ticket,
        output: Output,
        *,
        announce: Callable[[Output], Awaitable[None]],
    ) -> Output:
        """Store the output's bytes under their digest; doing it again is no error.

        Answers what was stored: a file loses what the server wrote beside its pixels or sound. Such a one
        is announced before it is stored. Raises OutputRejected, BlobUnavailable after some tries, and
        what `fetch` raises.
        """
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(BlobUnavailable),
            stop=stop_after_attempt(_TRIES),
            wait=wait_random_exponential(multiplier=0.2, max=5.0),
            reraise=True,
        ):
            with attempt:
                if _is_cleaned(engine, output):
                    return await self._store_cleaned(engine, claim, ticket, output, announce)
                await self._store(engine, claim, ticket, output)
        return output

    async def _store(self, engine: Engine, claim: Claim, ticket: Ticket, output: Output) -> None:
        key = artifact_key(claim.lane.account_id, output.digest)
        if await self._blobs.size(key) == output.bytes:
            return
        with staged_file(self._blobs.staging_folder) as (file, path):
            await _fetch(engine, ticket, output, file, path)
            await self._blobs.adopt(key, path)
        failpoint("saving.stored")

    async def _store_cleaned(
        self,
        engine: Engine,
        claim: Claim,
        ticket: Ticket,
        output: Output,
        announce: Callable[[Output], Awaitable[None]],
    ) -> Output:
        folder = self._blobs.staging_folder
        with staged_file(folder) as (file, path), staged_file(folder) as (cleaned, cleaned_path):
            await _fetch(engine, ticket, output, file, path)
            await asyncio.to_thread(copy_without_texts, path, cleaned, output.media_type)
            digest = await asyncio.to_thread(digest_file, cleaned_path)
            stored = replace(output, digest=digest, bytes=cleaned_path.stat().st_size)
            failpoint("saving.cleaned")
            await announce(stored)
            failpoint("saving.announced")
            await self._blobs.adopt(artifact_key(claim.lane.account_id, digest), cleaned_path)
        failpoint("saving.stored")
        return stored


async def _fetch(engine: Engine, ticket: Ticket, output: Output, file: BinaryIO, path: Path) -> None:
    await engine.fetch(ticket, output, file)
    file.flush()
    if await asyncio.to_thread(digest_file, path) != output.digest:
        raise OutputRejected(f"{output.name} was damaged on its way from the engine", file=output.name)
    failpoint("saving.fetched")


def _is_cleaned(engine: Engine, output: Output) -> bool:
    return engine.name in _WRITES_PROMPTS and output.media_type in CLEANED_TYPES
