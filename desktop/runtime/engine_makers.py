"""How each engine is made. Its module is loaded when it is first needed."""

import contextlib
import functools
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack

from desktop.engines.comfy_command import ComfyCommand
from desktop.engines.comfy_process import ComfyProcess
from desktop.engines.registry import EngineMaker
from desktop.settings import Settings
from desktop.store.job import EngineChoice
from shared.engines.base import Engine
from shared.engines.builtin.pool import ProcessPool
from shared.engines.builtin.worker import WorkerDied

__all__ = ["engine_makers", "own_comfy"]

_COMFY_PREFETCH = 2
_CLOUD_OPEN = 8


def engine_makers(settings: Settings) -> Mapping[EngineChoice, EngineMaker]:
    """The cloud is among them only when its address is set."""
    makers = {
        EngineChoice.BUILTIN: _builtin(settings),
        EngineChoice.COMFY: _comfy(settings),
    }
    if settings.cloud_url is not None:
        makers[EngineChoice.CLOUD] = _cloud(settings, settings.cloud_url)
    return makers


def _builtin(settings: Settings) -> EngineMaker:
    size = settings.processes or max(1, (os.cpu_count() or 1) - 1)
    memory_bytes = None if settings.memory_limit_mb is None else settings.memory_limit_mb << 20
    closing = AsyncExitStack()

    @functools.cache
    def pool() -> ProcessPool:
        made = ProcessPool(size=size, memory_bytes=memory_bytes)
        closing.push_async_callback(made.aclose)
        return made

    def make(_: str | None) -> Engine:
        from shared.engines.builtin.engine import BuiltinEngine

        return BuiltinEngine(state_folder=settings.paths.engine_state / "builtin", pool=pool())

    async def prestart() -> None:
        with contextlib.suppress(WorkerDied):  # the first job will say why
            await pool().prestart()

    return EngineMaker(make=make, capacity=size + 1, close=closing.aclose, prestart=prestart)


def _comfy(settings: Settings) -> EngineMaker:
    def make(address: str | None) -> Engine:
        from shared.comfy.client import ComfyClient
        from shared.engines.comfy import ComfyEngine

        return ComfyEngine(
            client=ComfyClient(address or settings.comfyui_url),
            spool_folder=settings.paths.engine_state / "comfy",
        )

    return EngineMaker(make=make, capacity=_COMFY_PREFETCH, address=settings.comfyui_url)


def own_comfy(settings: Settings) -> ComfyProcess | None:
    """The ComfyUI that the user lets us start, if any."""
    if settings.comfyui_folder is None and settings.comfyui_command is None:
        return None
    return ComfyProcess(
        command=ComfyCommand(
            folder=settings.comfyui_folder, command=settings.comfyui_command, more=settings.comfyui_options
        ),
        state_folder=settings.paths.engine_state / "comfyui",
        answers=_answers,
        start_limit_s=settings.comfyui_start_s,
    )


async def _answers(url: str) -> bool:
    from shared.comfy.client import ComfyClient
    from shared.comfy.errors import ServerFaulty, ServerUnreachable

    client = ComfyClient(url)
    try:
        await client.facts()
    except (ServerFaulty, ServerUnreachable):
        return False
    finally:
        await client.aclose()
    return True


def _cloud(settings: Settings, url: str) -> EngineMaker:
    def make(_: str | None) -> Engine:
        from desktop.engines.cloud import CloudEngine
        from desktop.secrets import find_api_key

        return CloudEngine(
            server_url=url, api_key=find_api_key(url), state_folder=settings.paths.engine_state / "cloud"
        )

    return EngineMaker(make=make, capacity=_CLOUD_OPEN, address=url)
