"""A hot folder with its journal, watched for real; no engine runs, so that jobs stay as journalled."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from desktop.jobs.queue import JobQueue
from desktop.store.database import Database
from desktop.store.job import Job
from desktop.watching.hot_folder import set_up_hot_folder
from desktop.watching.notices import Notice
from desktop.watching.settle import Patience
from desktop.watching.sleep import Moment
from desktop.watching.tally import Tally
from desktop.watching.watch import FolderWatch, open_watch
from shared.presets.bundle import Preset

__all__ = ["Bench", "finish_jobs", "png", "until"]

WAIT_S = 60.0


def png(seed: int = 0, size: int = 8) -> bytes:
    """A small picture, another one for each seed."""
    buffer = BytesIO()
    Image.new("RGB", (size, size), (seed % 256, seed // 256 % 256, seed // 65536)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Bench:
    """Folders, a journal that outlives a watch, and what the watch said."""

    root: Path
    preset: Preset
    database: Database
    queue: JobQueue
    notices: list[Notice] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def put(self, name: str, content: bytes) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    @asynccontextmanager
    async def opened(
        self, *, now: Callable[[], Moment] = Moment.now, **options: Any
    ) -> AsyncIterator[FolderWatch]:
        options.setdefault("patience", Patience(undecodable_s=0.3, writer_s=0.05))
        folder = set_up_hot_folder(source=self.source, out=self.out, preset=self.preset, values={}, **options)
        async with open_watch(
            folder,
            database=self.database,
            queue=self.queue,
            locks=self.root / "locks",
            notify=self.notices.append,
            now=now,
        ) as watch:
            yield watch

    @asynccontextmanager
    async def watching(self, **options: Any) -> AsyncIterator[FolderWatch]:
        async with self.opened(**options) as watch:
            task = asyncio.create_task(watch.run())
            try:
                await until(lambda: watch.is_idle)
                yield watch
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def jobs(self) -> list[Job]:
        """In the order of submission."""
        return list(reversed(await self.queue.latest(100_000)))

    async def complete_all(self) -> None:
        """As if an engine had delivered everything that is queued."""
        await self.database.write(_complete_all)

    async def submitted(self) -> list[str]:
        return [os.fsdecode(job.order.relative_path) for job in await self.jobs()]

    async def until_jobs(self, holds: Callable[[list[Job]], bool]) -> list[Job]:
        async with asyncio.timeout(WAIT_S):
            while not holds(jobs := await self.jobs()):  # noqa: ASYNC110 - the journal tells nobody
                await asyncio.sleep(0.01 + len(jobs) / 5000)
        return jobs


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def finish_jobs(bench: Bench, *, watch_once: Coroutine[None, None, Tally]) -> Tally:
    """Let a single pass end while every job it submits counts as delivered."""
    task = asyncio.create_task(watch_once)
    while not task.done():
        await bench.complete_all()
        await asyncio.sleep(0.01)
    return task.result()


def _complete_all(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE jobs SET state = 'completed', delivery = 'delivered' WHERE state = 'queued'")
