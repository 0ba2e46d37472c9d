"""The stand-in ComfyUI in a process of its own, so that it does not share the client's loop."""

import argparse
import asyncio
import contextlib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.comfy_server.server import ComfyServer
from tests.support.ports import free_port

__all__ = ["ComfyProcess", "comfy_process", "make_comfy_folder"]

_TOP = Path(__file__).parents[2]


@contextlib.contextmanager
def comfy_process(*, timeline: Path | None = None) -> Iterator[str]:
    """Gives the URL of the running stand-in. A line of `timeline` is when a prompt began and ended, in
    seconds since the epoch."""
    command = [sys.executable, "-m", "tests.support.comfy_process"]
    command += [] if timeline is None else ["--timeline", str(timeline)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_TOP) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class ComfyProcess:
    """A stand-in that may be killed, and started again at the same address. What it runs stays at its
    step while `held_while` exists."""

    def __init__(self, *, held_while: Path) -> None:
        self._port = free_port()
        self._held_while = held_while
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.comfy_process", "--port", str(self._port)]
        command += ["--held-while", str(self._held_while)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_TOP)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.kill()
        self.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def make_comfy_folder(folder: Path, *, before: str = "") -> Path:
    """A folder as of a ComfyUI of the user's, with its own Python; `before` is code run at its start."""
    python = folder / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (folder / "main.py").write_text(
        f"import runpy, sys\n{before}\nsys.path.insert(0, {str(_TOP)!r})\n"
        "runpy.run_module('tests.support.comfy_process', run_name='__main__')\n"
    )
    return folder


async def _serve(port: int, timeline: Path | None, held_while: Path | None) -> None:
    server = ComfyServer(jobs_api=False, version="0.3.64")
    server.port = port
    server.execution.timeline, server.execution.held_while = timeline, held_while
    await server.start()
    print(server.url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--timeline", type=Path)
    options.add_argument("--held-while", type=Path)
    given = options.parse_known_args()[0]
    asyncio.run(_serve(given.port, given.timeline, given.held_while))
