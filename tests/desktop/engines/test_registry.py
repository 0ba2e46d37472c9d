"""Which engine a job gets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from desktop.engines.comfy_process import ComfyStarting
from desktop.engines.registry import EngineRegistry
from desktop.runtime.engine_makers import engine_makers, own_comfy
from desktop.settings import Settings
from desktop.store.job import EngineChoice
from shared.comfy.graph import parse_graph
from shared.engines.base import EngineUnavailable
from shared.errors import UsageError
from shared.presets.bundle import load_preset, shipped_presets_folder
from tests.support.comfy_process import make_comfy_folder

INSTANT = load_preset(shipped_presets_folder() / "noir")
AI = load_preset(shipped_presets_folder() / "portrait-pro")


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[EngineRegistry]:
    settings = Settings(data_dir=tmp_path, comfyui_url="http://127.0.0.1:9")
    registry = EngineRegistry(
        makers=engine_makers(settings), default=EngineChoice.AUTO, allow_plain_http=settings.allow_plain_http
    )
    yield registry
    await registry.aclose()


async def test_auto_takes_the_built_in_engine_for_what_it_can_run(registry: EngineRegistry) -> None:
    seat = await registry.choose(EngineChoice.AUTO, server=None, preset=INSTANT, graph=None)
    assert (seat.engine.name, seat.key) == ("builtin", "builtin")
    graph = parse_graph({"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}})
    assert await registry.choose(EngineChoice.AUTO, server=None, preset=None, graph=graph) is seat


async def test_auto_says_what_is_needed_when_no_comfyui_answers(registry: EngineRegistry) -> None:
    with pytest.raises(EngineUnavailable, match=r"KSampler.*none answers at http://127\.0\.0\.1:9"):
        await registry.choose(EngineChoice.AUTO, server=None, preset=AI, graph=None)


async def test_a_server_that_is_named_is_taken(registry: EngineRegistry) -> None:
    seat = await registry.choose(EngineChoice.AUTO, server="localhost:8199", preset=INSTANT, graph=None)
    assert seat.key == "comfy http://127.0.0.1:8199"
    same = await registry.choose(EngineChoice.COMFY, server="http://127.0.0.1:8199/", preset=None, graph=None)
    assert same is seat
    assert seat.capacity == 2


@pytest.mark.parametrize("server", ["http://192.168.1.20:8188", "gpu.lan", "ftp://127.0.0.1", "http://"])
async def test_a_server_that_anyone_may_listen_to_is_refused(registry: EngineRegistry, server: str) -> None:
    with pytest.raises(UsageError):
        await registry.choose(EngineChoice.COMFY, server=server, preset=INSTANT, graph=None)


async def test_https_and_a_confirmed_network_are_fine(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, comfyui_url="http://gpu.lan:8188", allow_plain_http=True)
    registry = EngineRegistry(
        makers=engine_makers(settings), default=EngineChoice.COMFY, allow_plain_http=settings.allow_plain_http
    )
    seat = await registry.choose(EngineChoice.AUTO, server=None, preset=INSTANT, graph=None)
    assert seat.key == "comfy http://gpu.lan:8188"
    await registry.aclose()


async def test_the_cloud_is_there_once_it_has_an_address(registry: EngineRegistry) -> None:
    with pytest.raises(EngineUnavailable, match="SAFELIGHT_CLOUD_URL"):
        await registry.choose(EngineChoice.CLOUD, server=None, preset=INSTANT, graph=None)


async def test_a_comfyui_of_the_users_is_started_for_what_needs_it(tmp_path: Path) -> None:
    folder = make_comfy_folder(tmp_path / "ComfyUI")
    settings = Settings(data_dir=tmp_path / "data", comfyui_url="http://127.0.0.1:9", comfyui_folder=folder)
    registry = EngineRegistry(
        makers=engine_makers(settings),
        default=EngineChoice.AUTO,
        allow_plain_http=settings.allow_plain_http,
        own_comfy=own_comfy(settings),
    )
    before = {view.name: view for view in await registry.views()}["comfy"]
    assert (before.reachable, before.detail) == (False, f"is started from {folder} when a preset needs it")
    unused = await registry.choose(EngineChoice.COMFY, server=None, preset=AI, graph=None, start=False)
    assert unused.key == "comfy http://127.0.0.1:9"

    with pytest.raises(ComfyStarting):
        await registry.choose(EngineChoice.AUTO, server=None, preset=AI, graph=None)
    await registry.comfy_started()
    seat = await registry.choose(EngineChoice.AUTO, server=None, preset=AI, graph=None)
    assert (await registry.capabilities(seat)).version == "0.3.64"
    after = {view.name: view for view in await registry.views()}["comfy"]
    assert after.reachable
    assert f"started from {folder}" in after.detail
    await registry.aclose()
