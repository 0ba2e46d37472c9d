"""The stand-in ComfyUI in a thread of this process, for tests that have no event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

from tests.support.comfy_server import ComfyServer

__all__ = ["ComfyThread", "comfy_thread"]


class ComfyThread:
    """`server.faults` may be set from outside: it reads them as it goes."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="comfy")
        self._thread.start()
        self.server = self._do(_made())

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        self._do(self.server.start())

    def stop(self) -> None:
        """As a killed process."""
        self._do(self.server.stop())

    def start_empty(self) -> None:
        """As a process that is begun anew: it remembers nothing."""
        self._do(self.server.restart())

    def freeze(self) -> None:
        """It takes connections and answers nothing; what runs goes on."""
        self._loop.call_soon_threadsafe(self.server.faults.frozen.clear)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self.server.faults.frozen.set)

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


async def _made() -> ComfyServer:
    server = ComfyServer(jobs_api=False, version="0.3.64")
    await server.start()
    return server


@contextlib.contextmanager
def comfy_thread() -> Iterator[ComfyThread]:
    thread = ComfyThread()
    try:
        yield thread
    finally:
        thread.close()
