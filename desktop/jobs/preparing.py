"""From a journalled job to the ticket of a run that may start."""

import asyncio
import contextlib
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from desktop.jobs.colour import in_srgb
from desktop.store.job import EngineChoice, GraphRecipe, Job, PresetRecipe
from shared.engines.base import Engine, GraphInput, GraphWork, InputFile, PresetWork, Ticket, Work
from shared.engines.builtin.classes import NODE_CLASSES
from shared.errors import FatalError, SafelightError
from shared.media import verify_image
from shared.presets.bundle import Preset

__all__ = ["prepared_run"]

_DECODES_FIRST = (EngineChoice.BUILTIN, EngineChoice.CLOUD)


class _NoPreset(FatalError):
    code = "internal"


async def prepared_run(job: Job, preset: Preset | None, files: Sequence[InputFile], engine: Engine) -> Ticket:
    """The job's next attempt, prepared. Raises BrokenMedia, and what the engine raises.

    Of a hot folder's files only the headers are known so far. The built-in engine and the cloud decode
    them first of all; what goes to another one is decoded here while it is sent.
    """
    async with _in_their_colours(files, preset) as ready:
        work = _work(job, preset, ready, job.attempt + 1)
        if job.order.ledger_key is None or engine.name in _DECODES_FIRST:
            return await engine.prepare(work)
        decoding = asyncio.create_task(asyncio.to_thread(_decode, job))
        try:
            ticket = await engine.prepare(work)
        finally:
            await asyncio.wait([decoding])
            flaw = decoding.exception()
    if flaw is not None:
        with contextlib.suppress(SafelightError):
            await engine.forget(ticket)
        raise flaw
    return ticket


def _decode(job: Job) -> None:
    for item in job.order.inputs:
        verify_image(item.path)


@asynccontextmanager
async def _in_their_colours(
    files: Sequence[InputFile], preset: Preset | None
) -> AsyncIterator[Sequence[InputFile]]:
    """While inside, the files as the preset wants them: models know nothing but sRGB."""
    if preset is None or preset.manifest.instant(NODE_CLASSES):
        yield files
        return
    with tempfile.TemporaryDirectory(prefix="safelight-") as folder:
        yield [await asyncio.to_thread(in_srgb, file, Path(folder)) for file in files]


def _work(job: Job, preset: Preset | None, files: Sequence[InputFile], attempt: int) -> Work:
    match job.order.recipe:
        case PresetRecipe() as recipe if preset is not None:
            by_slot: defaultdict[str, tuple[InputFile, ...]] = defaultdict(tuple)
            for item, file in zip(job.order.inputs, files, strict=True):
                by_slot[item.slot] += (file,)
            return PresetWork(
                job_id=job.id, attempt=attempt, preset=preset, values=recipe.values, inputs=dict(by_slot)
            )
        case GraphRecipe() as recipe:
            placed = zip(job.order.inputs, files, strict=True)
            return GraphWork(
                job_id=job.id,
                attempt=attempt,
                graph=recipe.graph,
                inputs=tuple(GraphInput(item.slot, item.field or "image", file) for item, file in placed),
            )
        case _:
            raise _NoPreset(f"job {job.id} names a preset that was not loaded")
