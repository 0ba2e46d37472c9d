"""Fixtures of hot folders."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from desktop.jobs.bell import Bell
from desktop.jobs.queue import JobQueue
from desktop.store.database import Database
from desktop.store.holder import Holder
from shared.presets.bundle import Preset, load_preset, shipped_presets_folder
from tests.desktop.watching.bench import Bench


@pytest.fixture(scope="session")
def preset() -> Preset:
    return load_preset(shipped_presets_folder() / "noir")


@pytest.fixture
async def bench(tmp_path: Path, preset: Preset) -> AsyncIterator[Bench]:
    (tmp_path / "source").mkdir()
    async with AsyncExitStack() as stack:
        holder = stack.enter_context(Holder(tmp_path / "holders"))
        database = await stack.enter_async_context(Database(tmp_path / "journal.sqlite3"))
        queue = JobQueue(database=database, holder=holder, bell=Bell())
        yield Bench(tmp_path, preset, database, queue)
