"""The ComfyUI engine keeps the promises of every engine, on the stand-in and on a real server."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contract.engine_suite import EngineSuite
from tests.shared.engines.comfy.rig import RealRig, StandInRig
from tests.support.comfy_server import comfy_server


class TestOnTheStandIn(EngineSuite):
    @pytest.fixture(params=["0.3.64", "newer"])
    async def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StandInRig]:
        is_newer = request.param == "newer"
        async with (
            comfy_server(jobs_api=is_newer, version="0.38.1" if is_newer else "0.3.64") as server,
            AsyncExitStack() as stack,
        ):
            yield StandInRig(server, tmp_path / "spool", stack)


@pytest.mark.real_comfyui
@pytest.mark.skipif("COMFYUI_URL" not in os.environ, reason="needs COMFYUI_URL")
class TestOnARealServer(EngineSuite):
    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[RealRig]:
        async with AsyncExitStack() as stack:
            yield RealRig(os.environ["COMFYUI_URL"], tmp_path / "spool", stack)
