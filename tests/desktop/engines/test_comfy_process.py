"""A ComfyUI of the user's: started when it is needed, shared, started again, ended with its last user."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from desktop.engines.comfy_command import ComfyCommand, ComfyNotFound
from desktop.engines.comfy_process import ComfyProcess, ComfyStarting
from desktop.engines.comfy_users import ComfyPlace
from shared.engines.base import EngineUnavailable
from tests.support.comfy_process import make_comfy_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in's Python is a shell script")
_BOUND_S = 60.0


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            return (await http.get(f"{url}/system_stats")).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def _used(folder: Path, state: Path, *, start_limit_s: float = _BOUND_S) -> AsyncIterator[ComfyProcess]:
    comfy = ComfyProcess(
        command=ComfyCommand(folder=folder), state_folder=state, answers=_answers, start_limit_s=start_limit_s
    )
    try:
        yield comfy
    finally:
        await comfy.aclose()


async def _address(comfy: ComfyProcess) -> str:
    async with asyncio.timeout(_BOUND_S):
        while True:
            try:
                return await comfy.address()
            except ComfyStarting:
                await comfy.started()


async def _refusal(comfy: ComfyProcess) -> str:
    """What it says between two starts, of which the next may have begun."""
    async with asyncio.timeout(_BOUND_S):
        while True:
            try:
                await comfy.address()
            except ComfyStarting:
                with contextlib.suppress(EngineUnavailable):
                    await comfy.started()
            except EngineUnavailable as error:
                return error.message


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_BOUND_S):
        while not holds():  # noqa: ASYNC110 - other processes tell nobody
            await asyncio.sleep(0.05)


def _pids(folder: Path) -> list[int]:
    """The processes of the stand-in in this folder, by what they were started with."""
    found = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    port = json.loads((folder / "running.json").read_text())["url"].rpartition(":")[2]
    lines = [line.split(None, 1) for line in found.splitlines()[1:]]
    return [int(pid) for pid, line in lines if f"main.py --listen 127.0.0.1 --port {port}" in line]


def _crashed(folder: Path) -> bool:
    """Its keeper has noticed."""
    for pid in _pids(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not ComfyPlace(folder).is_kept()


async def test_it_is_started_when_needed_and_ended_with_its_user(tmp_path: Path) -> None:
    folder, state = make_comfy_folder(tmp_path / "ComfyUI"), tmp_path / "state"
    async with _used(folder, state) as comfy:
        assert await comfy.running() is None
        with pytest.raises(ComfyStarting, match="being started"):
            await comfy.address()
        url = await _address(comfy)
        assert await _answers(url)
        assert await comfy.running() == url
    assert not await _answers(url)
    assert _pids(state) == []


async def test_two_processes_share_one_and_the_last_one_ends_it(tmp_path: Path) -> None:
    folder, state = make_comfy_folder(tmp_path / "ComfyUI"), tmp_path / "state"
    async with _used(folder, state) as second:
        async with _used(folder, state) as first:
            url = await _address(first)
            assert await _address(second) == url
        assert await _answers(url)
    assert not await _answers(url)


async def test_it_is_started_again_after_a_crash_but_not_at_once(tmp_path: Path) -> None:
    folder, state = make_comfy_folder(tmp_path / "ComfyUI"), tmp_path / "state"
    async with _used(folder, state) as comfy:
        url = await _address(comfy)
        await _until(lambda: _crashed(state))
        with pytest.raises(EngineUnavailable, match=r"ended with code -9.*started again in 2 s"):
            await comfy.address()
        async with asyncio.timeout(_BOUND_S):
            while True:
                try:
                    again = await _address(comfy)
                    break
                except EngineUnavailable:
                    await asyncio.sleep(0.1)
        assert await _answers(again)
        assert comfy.trouble is None
    assert not await _answers(url)


async def test_no_orphan_is_left_when_its_user_is_killed(tmp_path: Path) -> None:
    folder, state = make_comfy_folder(tmp_path / "ComfyUI"), tmp_path / "state"
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.desktop.engines.test_comfy_process import _address, _used\n"
        "async def main():\n"
        "    async with _used(Path(sys.argv[1]), Path(sys.argv[2])) as comfy:\n"
        "        print(await _address(comfy), flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, str(folder), str(state)]
    user = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert user.stdout is not None
    url = (await user.stdout.readline()).decode().strip()
    assert await _answers(url)
    user.kill()
    await user.wait()
    await _until(lambda: not ComfyPlace(state).is_kept())
    assert _pids(state) == []


async def test_one_that_dies_at_its_start_says_why(tmp_path: Path) -> None:
    folder = make_comfy_folder(tmp_path / "ComfyUI", before="sys.exit('No module named torch')")
    async with _used(folder, tmp_path / "state") as comfy:
        with pytest.raises(EngineUnavailable, match="ended with code 1: No module named torch"):
            await _address(comfy)
        assert comfy.trouble is not None
        assert "it is started again in" in await _refusal(comfy)


async def test_one_that_never_answers_is_ended(tmp_path: Path) -> None:
    folder = make_comfy_folder(tmp_path / "ComfyUI", before="import time; time.sleep(600)")
    async with _used(folder, tmp_path / "state", start_limit_s=2.0) as comfy:
        with pytest.raises(EngineUnavailable, match="did not answer within 2 s"):
            await _address(comfy)
        assert await comfy.running() is None


async def test_a_folder_that_is_no_comfyui_is_named(tmp_path: Path) -> None:
    async with _used(tmp_path, tmp_path / "state") as comfy:
        with pytest.raises(ComfyNotFound, match="holds no main"):
            await _address(comfy)
    (tmp_path / "main.py").touch()
    with pytest.raises(ComfyNotFound, match="SAFELIGHT_COMFYUI_COMMAND"):
        ComfyCommand(folder=tmp_path).line(8188)
    line = ComfyCommand(folder=tmp_path, command="conda run -n comfy python main.py", more="--cpu").line(1)
    assert line[:6] == ("conda", "run", "-n", "comfy", "python", "main.py")
    assert line[-4:] == ("--port", "1", "--disable-auto-launch", "--cpu")
