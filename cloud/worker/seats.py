"""The engines of a worker process, as the settings name them."""

import contextlib
from collections.abc import AsyncIterator
from hashlib import sha256

from cloud.settings import Settings
from cloud.worker.seat import Seat
from shared.comfy.address import parse_address
from shared.comfy.client import ComfyClient
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.engines.comfy import ComfyEngine

__all__ = ["open_seats"]

_BEHIND_THE_RUNNING = 1  # one more than can run, so that no engine waits for us
_COMFY_SWITCH_S = 5.0


@contextlib.asynccontextmanager
async def open_seats(settings: Settings) -> AsyncIterator[tuple[Seat, ...]]:
    """The built-in engine in child processes, and each ComfyUI server of the settings."""
    async with contextlib.AsyncExitStack() as stack:
        builtin = await _builtin(settings, stack)
        yield (builtin, *[_comfy(settings, url, stack) for url in settings.comfyui_urls])


async def _builtin(settings: Settings, stack: contextlib.AsyncExitStack) -> Seat:
    pool = ProcessPool()
    stack.push_async_callback(pool.aclose)
    await pool.prestart()
    engine = BuiltinEngine(state_folder=settings.data_dir / "engines" / "builtin", pool=pool)
    stack.push_async_callback(engine.aclose)
    return Seat(engine=engine, pools=frozenset({"builtin"}), capacity=pool.size + _BEHIND_THE_RUNNING)


def _comfy(settings: Settings, url: str, stack: contextlib.AsyncExitStack) -> Seat:
    server = parse_address(url).url  # without its password, since events tell it
    folder = settings.data_dir / "engines" / f"comfy-{sha256(server.encode()).hexdigest()[:12]}"
    engine = ComfyEngine(client=ComfyClient(url), spool_folder=folder)
    stack.push_async_callback(engine.aclose)
    return Seat(
        engine=engine,
        server=server,
        pools=frozenset({"comfy"}),
        capacity=1 + _BEHIND_THE_RUNNING,
        switch_cost_s=_COMFY_SWITCH_S,
    )
