"""One warm child process and the conversation with it."""

import asyncio
import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.engines.builtin.entry import DONE, READY, TOLD, begin
from shared.media import MediaLimits

__all__ = ["Worker", "WorkerDied"]

_START_BOUND_S = 60.0
_ENVIRONMENT = threading.Lock()


class WorkerDied(Exception):
    """The child process ended without having ended its run."""


class Worker:
    """Runs one folder at a time. Made by `start`; belongs to the event loop that started it."""

    def __init__(self, *, limits: MediaLimits, memory_bytes: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, self._far_end = context.Pipe()
        self._process = context.Process(
            target=begin, args=(self._far_end, limits, memory_bytes), name="safelight-engine", daemon=True
        )
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._done: asyncio.Future[None] | None = None
        self._on_event: Callable[[], None] | None = None
        self._dead = False

    async def start(self) -> None:
        """Returns when the child can take a run. Raises WorkerDied, TimeoutError."""
        starting = asyncio.create_task(asyncio.to_thread(self._start_process))
        try:
            await asyncio.shield(starting)
        finally:
            await starting  # a cancelled caller must not leave a thread that starts a process later
        threading.Thread(target=self._listen, name="safelight-engine-reader", daemon=True).start()
        async with asyncio.timeout(_START_BOUND_S):
            await self._ready

    @property
    def is_usable(self) -> bool:
        has_begun = self._ready.done() and not self._ready.cancelled()
        return has_begun and self._done is None and not self._dead

    async def run(self, folder: Path, on_event: Callable[[], None]) -> None:
        """Until the run in this folder has written its terminal event. Raises WorkerDied.

        `on_event` is called on the loop after each event that the child wrote.
        """
        if self._dead:
            raise WorkerDied
        self._done, self._on_event = self._loop.create_future(), on_event
        try:
            self._connection.send_bytes(os.fsencode(folder))
        except OSError as error:
            raise WorkerDied from error
        await self._done
        self._done = self._on_event = None

    async def kill(self) -> None:
        """Returns when the process is gone."""
        self._dead = True
        if self._process.pid is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.join)
        self._connection.close()

    def _start_process(self) -> None:
        with _one_blas_thread():
            self._process.start()
        self._far_end.close()

    def _listen(self) -> None:
        """In a thread of its own: pipes cannot be awaited on every system."""
        try:
            while True:
                self._tell(self._heard, self._connection.recv_bytes())
        except (EOFError, OSError):
            self._tell(self._lost)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _heard(self, message: bytes) -> None:
        if message == READY and not self._ready.done():
            self._ready.set_result(None)
        elif message == TOLD and self._on_event is not None:
            self._on_event()
        elif message == DONE and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _lost(self) -> None:
        self._dead = True
        for waiting in (self._ready, self._done):
            if waiting is not None and not waiting.done():
                waiting.set_exception(WorkerDied())


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """numpy's linear algebra reads this from the environment, once, when it is loaded.

    Several threads gain little on our small products, and lose much on a busy machine.
    """
    name = "OPENBLAS_NUM_THREADS"
    with _ENVIRONMENT:
        before = os.environ.get(name)
        os.environ[name] = before or "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
