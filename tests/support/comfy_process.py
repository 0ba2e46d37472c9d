"""The stand-in ComfyUI in a process of its own, so that it does not share the client's loop."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.comfy_server.server import ComfyServer

__all__ = ["comfy_process"]


@contextlib.contextmanager
def comfy_process() -> Iterator[str]:
    """Gives the URL of the running stand-in."""
    command = [sys.executable, "-m", "tests.support.comfy_process"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _serve() -> None:
    server = ComfyServer(jobs_api=False, version="0.3.64")
    await server.start()
    print(server.url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
