"""A whole cloud on one box, in a thread: the API on a real port, SQLite, and a worker."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cloud.cli.server import ApiServer, listening_socket
from cloud.context import ProcessContext, open_context
from cloud.factory import Factory
from cloud.migrations.upgrade import migrate_sqlite, newest_version
from cloud.services.callers import Scope
from cloud.settings import Settings
from cloud.tasks.housekeeping import keep_house
from cloud.worker.process import run_worker, worker_name
from cloud.worker.seat import Seat
from cloud.worker.server_watch import WatchRules
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.media import MediaLimits
from shared.presets.bundle import Preset

__all__ = ["CloudServer", "cloud_server"]

_START_S = 60.0


class CloudServer:
    """`key` may do everything for one account."""

    def __init__(self, folder: Path, presets: Mapping[str, Preset], output_limits: MediaLimits) -> None:
        self.url = ""
        self.key = ""
        self.database = folder / "safelight.db"
        self._folder = folder
        self._presets = presets
        self._limits = output_limits
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="cloud-server")

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(_START_S), "the cloud did not start"
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        migrate_sqlite(self.database)
        with listening_socket("127.0.0.1", 0) as listening:
            settings = Settings(
                data_dir=self._folder,
                database_url=f"sqlite:///{self.database}",
                port=listening.getsockname()[1],
            )
            async with open_context(settings, schema_version=newest_version()) as opened:
                context = replace(opened, presets={**opened.presets, **self._presets})
                await context.inspector.start()
                await Factory(context).users().ensure_one()
                made = (
                    await Factory(context)
                    .keys()
                    .create(email=None, name="tests", scopes=list(Scope), valid_for=None)
                )
                self.url, self.key = settings.base_url, made.text
                server = ApiServer(context, announce=self._ready.set)
                await self._live(context, server, asyncio.create_task(server.serve(sockets=[listening])))

    async def _live(self, context: ProcessContext, server: ApiServer, serving: asyncio.Task[None]) -> None:
        assert self._stop is not None
        beside = [
            asyncio.create_task(Factory(context).publisher().run()),
            asyncio.create_task(keep_house(context)),
            asyncio.create_task(self._work(context, self._stop)),
        ]
        await self._stop.wait()
        server.should_exit = True
        for task in beside:
            task.cancel()
        await asyncio.gather(serving, *beside, return_exceptions=True)

    async def _work(self, context: ProcessContext, stop: asyncio.Event) -> None:
        factory = Factory(context)
        pool = ProcessPool(size=1, output_limits=self._limits)
        engine = BuiltinEngine(state_folder=self._folder / "engine", pool=pool)
        try:
            await run_worker(
                name=worker_name(),
                seats=[Seat(engine=engine, pools=frozenset({"builtin"}), runs_at_once=1)],
                claiming=factory.claiming(),
                attempts=factory.attempts(),
                waiting=factory.waiting(),
                leading=factory.leading(),
                rules=factory.attempt_rules(),
                watch_rules=WatchRules(),
                queue=context.queue,
                broadcast=context.broadcast,
                blobs=context.blobs,
                presets=context.presets,
                folder=self._folder / "engines",
                stop=stop,
                grace_s=0,
            )
        finally:
            await engine.aclose()
            await pool.aclose()


@contextmanager
def cloud_server(
    folder: Path, *, presets: Mapping[str, Preset], output_limits: MediaLimits
) -> Iterator[CloudServer]:
    server = CloudServer(folder, presets, output_limits)
    server.start()
    try:
        yield server
    finally:
        server.close()
