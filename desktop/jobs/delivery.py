"""The last stretch of a job: from the engine's checked bytes to files in the output folder."""

import asyncio
import contextlib
import io
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from desktop.jobs.encoding import carries_origin, write_picture
from desktop.jobs.origin import Origin, recipe_digest, sidecar_content, sidecar_path
from desktop.jobs.outputs import PlannedOutput, plan_graph_outputs, plan_preset_outputs
from desktop.jobs.placing import (
    DeliveryBlocked,
    FolderNames,
    explained,
    place_exclusively,
    staging_file,
    staging_path,
    was_placed,
)
from desktop.store import jobs as rows
from desktop.store.database import Database
from desktop.store.job import DeliveredOutput, GraphRecipe, Job
from shared.engines.base import Engine, RunLost, Ticket
from shared.failpoints import failpoint
from shared.files import digest_bytes, digest_file, replace_file
from shared.jobs.events import Output
from shared.media import media_type_for, probe_image
from shared.presets.bundle import Preset

__all__ = ["Deliverer"]


class Deliverer:
    """Writes outputs durably and exactly once, also when asked again after a crash."""

    def __init__(self, *, database: Database, default_quality: int) -> None:
        self._database = database
        self._default_quality = default_quality
        self._names = FolderNames()
        self._placing = asyncio.Lock()

    async def deliver(self, job: Job, preset: Preset | None, engine: Engine, ticket: Ticket) -> None:
        """Place what is not placed yet; the journal's outputs have their paths afterwards.

        Raises DeliveryBlocked when the output folder takes no file, and RunLost or
        OutputRejected from the engine.
        """
        await self._place_all(
            job, preset, lambda item, staged: self._stage(job, item, engine, ticket, staged)
        )

    async def copy(self, job: Job, preset: Preset | None, made: Sequence[DeliveredOutput]) -> None:
        """Like `deliver`, from files that another job delivered.

        Raises DeliveryBlocked, and RunLost where such a file is no longer what it was.
        """
        files = {item.output: item for item in made}

        async def stage(item: PlannedOutput, staged: Path) -> str:
            return await asyncio.to_thread(_copied, files.get(item.output), staged)

        await self._place_all(job, preset, stage)

    async def _place_all(
        self, job: Job, preset: Preset | None, stage: Callable[[PlannedOutput, Path], Awaitable[str]]
    ) -> None:
        planned = await self._plan(job, preset)
        outputs = {item.output: item for item in job.outputs}
        for number, item in enumerate(planned):
            staged = staging_path((job.order.out_folder / item.relative).parent, job.id, number)
            known = outputs[item.output]
            if await asyncio.to_thread(_is_placed, known, staged):
                continue
            digest = await stage(item, staged)
            outputs = await self._place(job, item, staged, digest, outputs)

    async def tidy(self, job: Job) -> None:
        """Remove the staging names of a job that has ended, delivered or not."""
        folders = {(job.order.out_folder / job.order.relative_path).parent, job.order.out_folder}
        folders |= {item.path.parent for item in job.outputs if item.path is not None}
        await asyncio.to_thread(_remove_staged, folders, job.id, len(job.outputs))

    async def _plan(self, job: Job, preset: Preset | None) -> tuple[PlannedOutput, ...]:
        outputs = [item.output for item in job.outputs]
        if preset is None:
            return plan_graph_outputs(outputs)
        source_type, source_frames = await asyncio.to_thread(_source_facts, job.order.source)
        return plan_preset_outputs(
            job,
            preset,
            outputs,
            source_type=source_type,
            source_frames=source_frames,
            default_quality=self._default_quality,
        )

    async def _stage(
        self, job: Job, item: PlannedOutput, engine: Engine, ticket: Ticket, staged: Path
    ) -> str:
        if item.as_is:
            with staging_file(staged) as file:
                await engine.fetch(ticket, item.output, file)
        else:
            frames = [await _fetched(engine, ticket, frame) for frame in (item.output, *item.further_frames)]
            await asyncio.to_thread(_write_picture, job, item, frames, staged)
        failpoint("outputs.staged")
        return await asyncio.to_thread(_finished, job, staged, keep_time=not item.as_is)

    async def _place(
        self,
        job: Job,
        item: PlannedOutput,
        staged: Path,
        digest: str,
        outputs: dict[Output, DeliveredOutput],
    ) -> dict[Output, DeliveredOutput]:
        """Journal the name, then take it; another file that has it meanwhile means the next name."""
        async with self._placing:
            while True:
                with explained(staged.parent):
                    final = await asyncio.to_thread(self._names.choose, staged.parent, item.relative.name)
                chosen = replace(outputs[item.output], path=final, file_digest=digest)
                outputs = outputs | {item.output: chosen}
                await self._record(job, outputs)
                failpoint("outputs.named")
                try:
                    with explained(staged.parent):
                        await asyncio.to_thread(self._take_name, job, item, staged, final)
                except DeliveryBlocked as error:
                    if isinstance(error.__cause__, FileExistsError):
                        self._names.add(final)
                        continue
                    raise
                failpoint("outputs.placed")
                return outputs

    async def _record(self, job: Job, outputs: dict[Output, DeliveredOutput]) -> None:
        named = tuple(outputs.values())
        await self._database.write(lambda connection: rows.record_outputs(connection, job.id, named))

    def _take_name(self, job: Job, item: PlannedOutput, staged: Path, final: Path) -> None:
        place_exclusively(staged, final)
        self._names.add(final)
        if not isinstance(job.order.recipe, GraphRecipe) and not carries_origin(item.media_type):
            replace_file(sidecar_path(final), sidecar_content(_origin(job)))


def _is_placed(known: DeliveredOutput, staged: Path) -> bool:
    if known.path is None or known.file_digest is None:
        return False
    return was_placed(staged, known.path, known.file_digest)


def _copied(original: DeliveredOutput | None, staged: Path) -> str:
    """The digest of the copy, which bears the time of the original."""
    if original is None or original.path is None:
        raise RunLost("the result to be copied is no longer there")
    try:
        content = original.path.read_bytes()
        taken = original.path.stat()
    except OSError as error:
        raise RunLost(f"the result to be copied cannot be read: {error.strerror}") from error
    if digest_bytes(content) != original.file_digest:
        raise RunLost("the result to be copied was changed")
    with staging_file(staged) as sink:
        sink.write(content)
    with contextlib.suppress(OSError):  # the disk may keep no times
        os.utime(staged, ns=(taken.st_atime_ns, taken.st_mtime_ns))
    return digest_bytes(content)


async def _fetched(engine: Engine, ticket: Ticket, output: Output) -> bytes:
    buffer = io.BytesIO()
    await engine.fetch(ticket, output, buffer)
    return buffer.getvalue()


def _write_picture(job: Job, item: PlannedOutput, frames: Sequence[bytes], staged: Path) -> None:
    with staging_file(staged) as sink:
        write_picture(
            frames,
            sink,
            source=job.order.source,
            media_type=item.media_type,
            quality=item.quality or 0,
            policy=item.metadata,
            origin=_origin(job),
            made_in_srgb=item.made_in_srgb,
        )


def _finished(job: Job, staged: Path, *, keep_time: bool) -> str:
    """The staged file's digest, once it bears the source's time."""
    if keep_time:
        with contextlib.suppress(OSError):  # the source may be gone, or the disk keep no times
            taken = job.order.source.stat()
            os.utime(staged, ns=(taken.st_atime_ns, taken.st_mtime_ns))
    return digest_file(staged)


def _origin(job: Job) -> Origin:
    return Origin(
        source=job.order.source_digest,
        recipe=recipe_digest(job.order.recipe),
        lineage=job.order.lineage,
    )


def _source_facts(source: Path) -> tuple[str, int]:
    """Its type and number of frames; by its name alone once it is gone."""
    if source.exists():
        info = probe_image(source)
        return info.media_type, info.frames
    return media_type_for(source.suffix) or "image/png", 1


def _remove_staged(folders: Collection[Path], job_id: str, count: int) -> None:
    for folder in folders:
        for number in range(count):
            with contextlib.suppress(OSError):
                staging_path(folder, job_id, number).unlink(missing_ok=True)
