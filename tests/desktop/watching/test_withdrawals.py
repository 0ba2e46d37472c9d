"""Runs whose file went or changed before they began: nothing fails, nothing is lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from desktop.cli.session import open_journal
from desktop.jobs.queue import JobQueue
from desktop.runtime import Runtime, open_runtime
from desktop.settings import Settings
from desktop.store.database import Database
from desktop.watching.hot_folder import HotFolder, set_up_hot_folder
from desktop.watching.settle import Patience
from desktop.watching.tally import Tally
from desktop.watching.watch import FolderWatch, open_watch
from shared.jobs.state import JobState
from shared.presets.bundle import Preset
from shared.presets.values import resolve_values
from tests.desktop.watching.bench import WAIT_S, png


class _Shop:
    """A hot folder that may be watched with and without anything that runs its jobs."""

    def __init__(self, root: Path, preset: Preset) -> None:
        self.settings = Settings(data_dir=root / "data", comfyui_url="http://127.0.0.1:9", processes=1)
        self.source, self.away, self.out = root / "source", root / "away", root / "out"
        self.source.mkdir()
        self._preset = preset

    @property
    def folder(self) -> HotFolder:
        return set_up_hot_folder(
            source=self.source,
            out=self.out,
            preset=self._preset,
            values=resolve_values(self._preset.manifest, {}),
            patience=Patience(undecodable_s=0.3, writer_s=0.05),
        )

    @asynccontextmanager
    async def watching(
        self, folder: HotFolder, database: Database, queue: JobQueue, *, accept_new_source: bool = False
    ) -> AsyncIterator[FolderWatch]:
        async with open_watch(
            folder,
            database=database,
            queue=queue,
            locks=self.settings.paths.holders,
            notify=lambda _: None,
            accept_new_source=accept_new_source,
        ) as watch:
            yield watch

    async def submit_all(self, count: int) -> None:
        """Journal the jobs of all files, and leave before one is run."""
        async with (
            asyncio.timeout(WAIT_S),
            Database(self.settings.paths.journal) as database,
            open_journal(self.settings) as queue,
            self.watching(self.folder, database, queue) as watch,
        ):
            once = asyncio.create_task(watch.run_once())
            while len(await queue.latest(100)) < count:  # noqa: ASYNC110 - the journal tells nobody
                await asyncio.sleep(0.01)
            once.cancel()

    async def pass_over(self, runtime: Runtime, *, accept_new_source: bool = False) -> Tally:
        async with (
            asyncio.timeout(WAIT_S),
            self.watching(
                self.folder, runtime.database, runtime.queue, accept_new_source=accept_new_source
            ) as watch,
        ):
            return await watch.run_once()


@pytest.fixture
def shop(tmp_path: Path, preset: Preset) -> _Shop:
    return _Shop(tmp_path, preset)


async def _until_held(queue: JobQueue, count: int) -> None:
    """The runner has said of so many jobs that their folder is away."""
    held: set[str] = set()
    unsubscribe = queue.subscribe(
        lambda change: held.add(change.job.id) if "is away" in (change.waits_for or "") else None
    )
    async with asyncio.timeout(WAIT_S):
        while len(held) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    unsubscribe()


async def _states(queue: JobQueue) -> list[JobState]:
    return sorted(job.state for job in await queue.latest(100))


async def test_jobs_of_a_missing_source_are_held_until_it_is_back(shop: _Shop) -> None:
    for number in range(3):
        (shop.source / f"{number}.png").write_bytes(png(number))
    await shop.submit_all(3)

    shop.source.rename(shop.away)
    async with open_runtime(shop.settings, adopt=True) as runtime:
        await _until_held(runtime.queue, 3)
        assert await _states(runtime.queue) == [JobState.QUEUED] * 3

    shop.away.rename(shop.source)
    async with open_runtime(shop.settings) as runtime:
        tally = await shop.pass_over(runtime)
        again = await shop.pass_over(runtime)
        assert await _states(runtime.queue) == [JobState.COMPLETED] * 3

    assert tally == again == Tally(done=3)
    assert sorted(path.name for path in shop.out.iterdir()) == ["0.png", "1.png", "2.png"]


async def test_a_strangers_file_in_the_place_of_the_source_is_not_taken(shop: _Shop) -> None:
    (shop.source / "a.png").write_bytes(png(1))
    await shop.submit_all(1)
    shop.source.rename(shop.away)
    shop.source.mkdir()
    (shop.source / "a.png").write_bytes(png(2))
    async with open_runtime(shop.settings, adopt=True) as runtime:
        await _until_held(runtime.queue, 1)
        tally = await shop.pass_over(runtime)
        assert await _states(runtime.queue) == [JobState.QUEUED]
        assert tally == Tally(waiting=1)

        shop.source.rename(shop.source.with_name("strangers"))
        shop.away.rename(shop.source)
        assert await shop.pass_over(runtime) == Tally(done=1)
        assert await _states(runtime.queue) == [JobState.COMPLETED]


async def test_another_folder_becomes_the_source_where_that_is_accepted(shop: _Shop) -> None:
    (shop.source / "a.png").write_bytes(png(1))
    await shop.submit_all(1)
    shop.source.rename(shop.away)
    shop.source.mkdir()
    (shop.source / "b.png").write_bytes(png(2))
    async with open_runtime(shop.settings, adopt=True) as runtime:
        refused = await shop.pass_over(runtime)
        accepted = await shop.pass_over(runtime, accept_new_source=True)
        later = await shop.pass_over(runtime)
        states = {job.order.source_name: job.state for job in await runtime.queue.latest(100)}

    assert refused == Tally(waiting=1)
    assert accepted == later == Tally(done=1)
    assert states == {"a.png": JobState.CANCELLED, "b.png": JobState.COMPLETED}


async def test_a_single_pass_ends_when_its_source_goes_away(shop: _Shop) -> None:
    for number in range(3):
        (shop.source / f"{number}.png").write_bytes(png(number))
    async with (
        asyncio.timeout(WAIT_S),
        Database(shop.settings.paths.journal) as database,
        open_journal(shop.settings) as queue,
        shop.watching(shop.folder, database, queue) as watch,
    ):
        once = asyncio.create_task(watch.run_once())
        while len(await queue.latest(100)) < 3:  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.01)
        shop.source.rename(shop.away)
        tally = await once
        assert await _states(queue) == [JobState.QUEUED] * 3

    assert (tally.done, tally.failed) == (0, 0)
    assert tally.waiting


@pytest.mark.parametrize("shows_in_its_stamp", [True, False])
async def test_a_file_replaced_before_its_run_is_taken_as_it_is_now(
    shop: _Shop, shows_in_its_stamp: bool
) -> None:
    path = shop.source / "a.png"
    path.write_bytes(png(1) + b"1")
    before = path.stat()
    await shop.submit_all(1)
    path.write_bytes(png(2, size=20) if shows_in_its_stamp else png(1) + b"2")
    if not shows_in_its_stamp:
        assert path.stat().st_size == before.st_size
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    async with open_runtime(shop.settings) as runtime:
        tally = await shop.pass_over(runtime)
        states = await _states(runtime.queue)

    assert states == [JobState.CANCELLED, JobState.COMPLETED]
    assert tally == Tally(done=1)
    assert [path.name for path in shop.out.iterdir()] == ["a.png"]


async def test_what_the_user_cancels_is_not_taken_again(shop: _Shop) -> None:
    (shop.source / "a.png").write_bytes(png(1))
    await shop.submit_all(1)
    async with open_journal(shop.settings) as queue:
        [job] = await queue.latest(1)
        await queue.cancel(job.id)
    async with open_runtime(shop.settings) as runtime:
        tally = await shop.pass_over(runtime)
        assert await _states(runtime.queue) == [JobState.CANCELLED]

    assert tally == Tally(failed=1)
