"""The core in use: what the window and the commands may ask for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from desktop.catalog import Catalog
from desktop.engines.registry import EngineRegistry
from desktop.jobs.queue import JobChange, JobQueue
from desktop.runtime.gathering import FoundFile, gather_files
from desktop.runtime.job_views import JobViews
from desktop.runtime.preset_views import preset_view
from desktop.runtime.submission import check_companions, preset_job, without_companions
from desktop.settings import Settings
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.store.job import EngineChoice, NewJob, OutputPolicy
from desktop.views import CoreUpdate, DevelopRequest, EngineView, JobView, PresetView
from shared.engines.base import EngineUnavailable
from shared.errors import JsonValue
from shared.ids import new_id
from shared.presets.bundle import Preset
from shared.presets.values import resolve_values

__all__ = ["Runtime"]

_CHUNK = 32
_STILL_ASKING = "Safelight is still asking ComfyUI what it can do: one moment"


class Runtime:
    """Implements `desktop.views.Core`; made by `open_runtime`."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        holder: Holder,
        queue: JobQueue,
        catalog: Catalog,
        engines: EngineRegistry,
    ) -> None:
        self.settings = settings
        self.database = database
        self.holder = holder
        self.queue = queue
        self.catalog = catalog
        self.engine_registry = engines
        self._views = JobViews({})

    async def shelf(self) -> tuple[PresetView, ...]:
        return tuple(preset_view(preset, _STILL_ASKING) for preset in await self._presets())

    async def presets(self) -> tuple[PresetView, ...]:
        presets = await self._presets()
        try:
            seat = await self.engine_registry.choose(
                EngineChoice.COMFY, server=None, preset=None, graph=None, start=False
            )
            comfy = await self.engine_registry.capabilities(seat)
        except EngineUnavailable as error:
            why = None if self.engine_registry.starts_comfy else error.message
            return tuple(preset_view(preset, why) for preset in presets)
        return tuple(preset_view(preset, comfy) for preset in presets)

    async def engines(self) -> tuple[EngineView, ...]:
        return await self.engine_registry.views()

    async def jobs(self, limit: int = 500) -> tuple[JobView, ...]:
        return tuple(self._views.of(job) for job in await self.queue.latest(limit))

    async def develop(self, request: DevelopRequest) -> tuple[str, ...]:
        batch = new_id()
        job_ids: list[str] = []
        async for chunk in self.develop_jobs(
            request.paths,
            preset_id=request.preset_id,
            values=request.values,
            out_folder=request.out or self.settings.output_dir,
            engine=EngineChoice(request.engine),
            batch=batch,
        ):
            # A person who asks again in the window wants it again, hence the fresh key.
            job_ids += await self.queue.submit_all([_fresh(new) for new in chunk])
        return tuple(job_ids)

    async def develop_jobs(
        self,
        paths: Sequence[Path],
        *,
        preset_id: str,
        values: Mapping[str, JsonValue],
        out_folder: Path,
        engine: EngineChoice,
        batch: str,
        server: str | None = None,
        policy: OutputPolicy | None = None,
    ) -> AsyncIterator[tuple[NewJob, ...]]:
        """One job per file, in groups as the files are read. Raises UsageError before the first."""
        preset = await self.catalog.find(preset_id)
        resolved = resolve_values(preset.manifest, values)
        files = await asyncio.to_thread(gather_files, paths, out_folder=out_folder)
        files = without_companions(files, preset)
        await asyncio.to_thread(check_companions, files, preset)
        policy = policy or OutputPolicy(drop_gps=self.settings.drop_gps)

        def describe(group: Sequence[FoundFile]) -> tuple[NewJob, ...]:
            return tuple(
                preset_job(
                    file,
                    preset=preset,
                    values=resolved,
                    out_folder=out_folder,
                    policy=policy,
                    engine=engine,
                    server=server,
                    batch=batch,
                )
                for file in group
            )

        for start in range(0, len(files), _CHUNK):
            yield await asyncio.to_thread(describe, files[start : start + _CHUNK])

    async def cancel(self, job_id: str) -> None:
        await self.queue.cancel(job_id)

    async def retry(self, job_id: str) -> str:
        return await self.queue.retry(job_id)

    def subscribe(self, listener: Callable[[CoreUpdate], None]) -> Callable[[], None]:
        def translate(change: JobChange) -> None:
            self._views.translate(change, listener)

        return self.queue.subscribe(translate)

    async def _presets(self) -> tuple[Preset, ...]:
        presets = await self.catalog.all()
        self._views.names = {preset.manifest.id: preset.manifest.name for preset in presets}
        return presets

    async def preset(self, preset_id: str) -> Preset:
        return await self.catalog.find(preset_id)


def _fresh(new: NewJob) -> NewJob:
    return replace(new, key=f"window#{new_id()}")
