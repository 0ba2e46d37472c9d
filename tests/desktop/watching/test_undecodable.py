"""Pictures whole to look at that do not decode: their runs find it out, and the files get time to change."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from desktop.jobs.queue import JobChange
from desktop.runtime import Runtime, open_runtime
from desktop.settings import Settings
from desktop.store.job import EngineChoice, Job
from desktop.watching.hot_folder import set_up_hot_folder
from desktop.watching.notices import Notice, NoticeKind
from desktop.watching.settle import Patience
from desktop.watching.watch import FolderWatch, open_watch
from shared.jobs.events import JobEvent, Progress
from shared.presets.bundle import Preset
from shared.presets.values import resolve_values
from tests.desktop.watching.bench import png
from tests.support.comfy_server import comfy_server

BOUND_S = 60.0


def damaged(seed: int = 0) -> bytes:
    """Header and end are in place; the pixels in between are not."""
    whole = png(seed, size=64)
    data = whole.index(b"IDAT") + 4
    return whole[:data] + bytes(255 - byte for byte in whole[data:-16]) + whole[-16:]


@dataclass
class Diary:
    """What was told of the jobs, as it came."""

    told: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, change: JobChange) -> None:
        self.jobs[change.job.id] = change.job
        if isinstance(change.event, JobEvent) and not isinstance(change.event, Progress):
            self.told.setdefault(change.job.id, []).append(type(change.event).__name__)
        self.changed.set()

    def noticed(self, notice: Notice) -> None:
        self.notices.append(notice)
        self.changed.set()

    @property
    def endings(self) -> list[str]:
        return [events[-1] for events in self.told.values()]

    @property
    def waits(self) -> bool:
        return any(notice.kind is NoticeKind.WAITING for notice in self.notices)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


@dataclass(frozen=True)
class Road:
    """A hot folder on the whole core."""

    root: Path
    preset: Preset
    comfyui_url: str = "http://127.0.0.1:9"  # nothing answers there

    @property
    def source(self) -> Path:
        return self.root / "source"

    def move_in(self, name: str, content: bytes) -> None:
        """With a time that is still to come, so that none of its patience is used up before it is read."""
        path = self.root / name
        path.write_bytes(content)
        os.utime(path, (time.time() + 3600,) * 2)
        path.rename(self.source / name)

    @asynccontextmanager
    async def open(
        self, *, undecodable_s: float, engine: EngineChoice = EngineChoice.AUTO
    ) -> AsyncIterator[tuple[FolderWatch, Runtime, Diary]]:
        settings = Settings(data_dir=self.root / "data", comfyui_url=self.comfyui_url, processes=1)
        folder = set_up_hot_folder(
            source=self.source,
            out=self.root / "out",
            preset=self.preset,
            values=resolve_values(self.preset.manifest, {}),
            engine=engine,
            patience=Patience(undecodable_s=undecodable_s),
        )
        diary = Diary()
        async with open_runtime(settings) as runtime:
            runtime.queue.subscribe(diary.heard)
            async with open_watch(
                folder,
                database=runtime.database,
                queue=runtime.queue,
                locks=settings.data_dir / "locks",
                notify=diary.noticed,
            ) as watch:
                yield watch, runtime, diary


@pytest.fixture
def road(tmp_path: Path, preset: Preset) -> Road:
    (tmp_path / "source").mkdir()
    return Road(tmp_path, preset)


@asynccontextmanager
async def running(watch: FolderWatch) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_it_fails_once_its_time_is_over(road: Road) -> None:
    async with road.open(undecodable_s=0.3) as (watch, _, diary), running(watch):
        road.move_in("a.png", damaged())
        await diary.until(lambda: diary.endings == ["Failed"])

    [events], [job] = diary.told.values(), diary.jobs.values()
    assert events == ["Queued", "Stage", "Started", "Failed"]
    assert diary.waits
    assert job.error is not None
    assert job.error.code == "broken_media"
    assert job.error.message.startswith("a.png is damaged")


async def test_the_finished_file_replaces_the_run_that_found_it_broken(road: Road) -> None:
    async with road.open(undecodable_s=BOUND_S) as (watch, _, diary), running(watch):
        path = road.source / "a.png"
        path.write_bytes(damaged())
        await diary.until(lambda: diary.waits)
        path.write_bytes(png(7, size=64))
        await diary.until(lambda: sorted(diary.endings) == ["Cancelled", "Completed"])

    assert (road.root / "out" / "a.png").is_file()


async def test_what_stays_broken_is_not_submitted_again(road: Road) -> None:
    async with road.open(undecodable_s=BOUND_S) as (watch, _, diary), running(watch):
        path = road.source / "a.png"
        path.write_bytes(damaged(1))
        await diary.until(lambda: diary.waits)
        path.write_bytes(damaged(2))
        await diary.until(lambda: len(diary.notices) == 3)

    assert len(diary.told) == 1


async def test_a_file_taken_away_calls_its_run_off(road: Road) -> None:
    async with road.open(undecodable_s=BOUND_S) as (watch, _, diary), running(watch):
        path = road.source / "a.png"
        path.write_bytes(damaged())
        await diary.until(lambda: diary.waits)
        path.unlink()
        await diary.until(lambda: diary.endings == ["Cancelled"])


async def test_the_user_may_cancel_it_meanwhile(road: Road) -> None:
    async with road.open(undecodable_s=BOUND_S) as (watch, runtime, diary), running(watch):
        (road.source / "a.png").write_bytes(damaged())
        await diary.until(lambda: diary.waits)
        await runtime.queue.cancel(next(iter(diary.jobs)))
        await diary.until(lambda: diary.endings == ["Cancelled"])


async def test_others_are_not_held_up(road: Road) -> None:
    async with road.open(undecodable_s=BOUND_S) as (watch, _, diary), running(watch):
        for number in range(4):
            (road.source / f"bad{number}.png").write_bytes(damaged(number))
        await diary.until(lambda: len(diary.notices) == 5)
        (road.source / "good.png").write_bytes(png(9, size=64))
        await diary.until(lambda: "Completed" in diary.endings)


async def test_a_single_pass_does_not_wait_for_it(road: Road) -> None:
    (road.source / "bad.png").write_bytes(damaged())
    (road.source / "good.png").write_bytes(png(3, size=64))
    async with road.open(undecodable_s=BOUND_S) as (watch, _, diary):
        tally = await watch.run_once()

    assert (tally.done, tally.failed, tally.waiting) == (1, 1, 0)
    assert sorted(diary.endings) == ["Completed", "Failed"]


async def test_the_next_process_goes_on_waiting(road: Road) -> None:
    async with road.open(undecodable_s=BOUND_S) as (watch, _, diary), running(watch):
        (road.source / "a.png").write_bytes(damaged())
        await diary.until(lambda: diary.waits)
    async with road.open(undecodable_s=0.1) as (watch, _, again), running(watch):
        await again.until(lambda: again.endings == ["Failed"])

    assert again.jobs.keys() == diary.jobs.keys()


async def test_it_is_never_sent_to_another_engine(road: Road) -> None:
    async with comfy_server() as server:
        road = Road(road.root, road.preset, server.url)
        async with (
            road.open(undecodable_s=0.3, engine=EngineChoice.COMFY) as (watch, _, diary),
            running(watch),
        ):
            (road.source / "a.png").write_bytes(damaged())
            await diary.until(lambda: diary.endings == ["Failed"])

        assert server.begun == []
    assert list(diary.told.values()) == [["Queued", "Stage", "Failed"]]
