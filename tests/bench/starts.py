"""From the close of a picture in a hot folder to its `started`, one after the other."""

import asyncio
import time
from pathlib import Path

from PIL import Image

from desktop.jobs.queue import JobChange
from desktop.runtime import open_runtime
from desktop.settings import Settings
from desktop.store.job import EngineChoice
from desktop.watching.hot_folder import HotFolder, set_up_hot_folder
from desktop.watching.watch import open_watch
from shared.jobs.events import Started
from shared.presets.bundle import Preset, load_preset, shipped_presets_folder
from shared.presets.values import resolve_values

__all__ = ["WARM_UP", "hot_folder", "photographs", "preset", "save", "watched_starts"]

WARM_UP = 4  # rounds that do not count


def preset() -> Preset:
    return load_preset(shipped_presets_folder() / "noir")


def hot_folder(root: Path, engine: EngineChoice = EngineChoice.AUTO) -> HotFolder:
    (root / "source").mkdir(parents=True)
    chosen = preset()
    values = resolve_values(chosen.manifest, {})
    return set_up_hot_folder(
        source=root / "source", out=root / "out", preset=chosen, values=values, engine=engine
    )


def photographs(count: int) -> list[Image.Image]:
    """512×512, each with content of its own."""
    with Image.open(shipped_presets_folder() / "samples" / "portrait.jpg") as portrait:
        whole = portrait.convert("RGB").resize((512, 512))
    made = [whole.copy() for _ in range(count)]
    for number, picture in enumerate(made):
        picture.putpixel((0, 0), (number, number, number))
    return made


def save(picture: Image.Image, path: Path) -> float:
    """The moment before the close."""
    with path.open("wb") as file:
        picture.save(file, "PNG", compress_level=1)
        file.flush()
        return time.perf_counter()


async def watched_starts(folder: HotFolder, settings: Settings, pictures: list[Image.Image]) -> list[float]:
    """Milliseconds; the next picture is saved once the one before it was delivered."""
    started: asyncio.Queue[float] = asyncio.Queue()
    idle = asyncio.Event()

    def heard(change: JobChange) -> None:
        if isinstance(change.event, Started):
            started.put_nowait(time.perf_counter())
        if change.job.delivery == "delivered":
            idle.set()

    async with open_runtime(settings, prestart=True) as runtime:
        runtime.queue.subscribe(heard)
        async with open_watch(
            folder,
            database=runtime.database,
            queue=runtime.queue,
            locks=settings.data_dir / "locks",
            notify=lambda _: None,
        ) as watch:
            running = asyncio.create_task(watch.run())
            times: list[float] = []
            for number, picture in enumerate(pictures):
                idle.clear()
                closed = await asyncio.to_thread(save, picture, folder.source / f"{number}.png")
                times.append((await started.get() - closed) * 1000)
                await idle.wait()
            running.cancel()
            await asyncio.wait([running])
    return times
