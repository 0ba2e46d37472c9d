"""The composition root of the core."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

from desktop.catalog import Catalog
from desktop.engines.registry import EngineRegistry
from desktop.jobs.bell import Bell
from desktop.jobs.closing import Closing
from desktop.jobs.course import Course
from desktop.jobs.delivery import Deliverer
from desktop.jobs.queue import JobQueue
from desktop.jobs.runner import JobRunner
from desktop.runtime.engine_makers import engine_makers, own_comfy
from desktop.runtime.runtime import Runtime
from desktop.settings import Settings
from desktop.store import jobs as rows
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.store.job import EngineChoice
from shared.engines.builtin.sweep import sweep
from shared.presets.bundle import shipped_presets_folder

__all__ = ["open_runtime"]

_ADOPT_EVERY_S = 10.0


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    *,
    patience_s: float | None = None,
    adopt: bool = False,
    prestart: bool = False,
) -> AsyncIterator[Runtime]:
    """The core, running its jobs while inside; what is open at the end stays in the journal.

    `adopt` takes over whatever dead processes left, now and while it runs: for the window.
    `prestart` has the built-in engine ready before the first job, for whoever waits for arrivals.
    `patience_s` is how long a job waits for an engine that does not answer; None: for ever.
    """
    with Holder(settings.paths.holders) as holder:
        async with Database(settings.paths.journal) as database, _engines(settings) as engines:
            bell = Bell()
            queue = JobQueue(database=database, holder=holder, bell=bell)
            catalog = Catalog((shipped_presets_folder(), settings.paths.presets))
            deliverer = Deliverer(database=database, default_quality=settings.jpeg_quality)
            closing = Closing(database=database, queue=queue, deliverer=deliverer)
            course = Course(
                database=database, queue=queue, catalog=catalog, deliverer=deliverer, closing=closing
            )
            runner = JobRunner(
                database=database,
                holder=holder,
                queue=queue,
                engines=engines,
                course=course,
                closing=closing,
                bell=bell,
                patience_s=patience_s,
            )
            runtime = Runtime(
                settings=settings,
                database=database,
                holder=holder,
                queue=queue,
                catalog=catalog,
                engines=engines,
            )
            work = [runner.run(), _sweep(database, settings)]
            work += [_adopt_for_ever(queue)] if adopt else []
            work += [engines.prestart()] if prestart else []
            async with _at_work(work):
                yield runtime


@asynccontextmanager
async def _at_work(coroutines: Sequence[Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """They run while inside; if one breaks, so does the inside, with its error."""
    inside = asyncio.current_task()
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]

    def check(task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None and inside is not None:
            inside.cancel()

    for task in tasks:
        task.add_done_callback(check)
    try:
        yield
    except asyncio.CancelledError:
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _adopt_for_ever(queue: JobQueue) -> None:
    while True:
        await queue.adopt()
        await asyncio.sleep(_ADOPT_EVERY_S)


async def _sweep(database: Database, settings: Settings) -> None:
    """Remove what dead processes left of the built-in engine's runs."""
    in_use = await database.read(rows.runs_in_use)
    await asyncio.to_thread(sweep, settings.paths.engine_state / "builtin", keep=in_use)


@asynccontextmanager
async def _engines(settings: Settings) -> AsyncIterator[EngineRegistry]:
    registry = EngineRegistry(
        makers=engine_makers(settings),
        default=EngineChoice(settings.engine),
        allow_plain_http=settings.allow_plain_http,
        own_comfy=own_comfy(settings),
    )
    try:
        yield registry
    finally:
        await registry.aclose()
