"""The engines that a worker has by itself, without any server: the built-in one."""

import contextlib
from collections.abc import AsyncIterator
from importlib import metadata

from cloud.services.presets import BUILTIN_POOL
from cloud.settings import Settings
from cloud.worker.seat import Seat
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool

__all__ = ["open_seats"]


@contextlib.asynccontextmanager
async def open_seats(settings: Settings) -> AsyncIterator[tuple[Seat, ...]]:
    """The built-in engine in child processes."""
    async with contextlib.AsyncExitStack() as stack:
        pool = ProcessPool()
        stack.push_async_callback(pool.aclose)
        await pool.prestart()
        engine = BuiltinEngine(state_folder=settings.data_dir / "engines" / "builtin", pool=pool)
        stack.push_async_callback(engine.aclose)
        seat = Seat(
            engine=engine,
            pools=frozenset({BUILTIN_POOL}),
            runs_at_once=pool.size,
            version=metadata.version("safelight"),
        )
        yield (seat,)
