"""Warm child processes, and how runs take turns at them and share the memory."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator

from shared.engines.builtin.worker import Worker, WorkerDied
from shared.media import DEFAULT_OUTPUT_LIMITS, MediaLimits

__all__ = ["ProcessPool"]

_ROOM_FOR_LIBRARIES = 2 << 30  # address space that a child has before it holds any picture


class ProcessPool:
    """At most `size` children (default: cores - 1, at least 1), started when first needed.

    `memory_bytes` (default: half of the machine's) bounds what the runs at work may need
    together; a run that alone needs more runs alone.
    """

    def __init__(
        self,
        *,
        size: int | None = None,
        memory_bytes: int | None = None,
        output_limits: MediaLimits = DEFAULT_OUTPUT_LIMITS,
    ) -> None:
        self._size = size or max(1, (os.cpu_count() or 1) - 1)
        self._memory_bytes = memory_bytes or _half_of_memory()
        self._limits = output_limits
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._at_work = 0
        self._reserved_bytes = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._replacements: set[asyncio.Task[None]] = set()

    @property
    def size(self) -> int:
        return self._size

    async def prestart(self) -> None:
        """Have one child ready, so that the first run need not wait for it; a machine with too much to do
        gets there later, with that run."""
        if not self._all:
            with contextlib.suppress(WorkerDied, TimeoutError):
                self._idle.append(await self._started())

    @contextlib.asynccontextmanager
    async def worker(self, memory_bytes: int) -> AsyncIterator[Worker]:
        """A ready child for one run that may need this much memory, in the order of asking.

        A child that is not usable afterwards is replaced. Raises WorkerDied, TimeoutError if none can start.
        """
        await self._admitted(memory_bytes)
        try:
            worker = self._idle.pop() if self._idle else await self._started()
            try:
                yield worker
            finally:
                await self._given_back(worker)
        finally:
            self._at_work -= 1
            self._reserved_bytes -= memory_bytes
            self._admit()

    async def aclose(self) -> None:
        """End all children, whatever they do."""
        for task in self._replacements:
            task.cancel()
        await asyncio.gather(*self._replacements, return_exceptions=True)
        await asyncio.gather(*(worker.kill() for worker in self._all))
        self._all.clear()
        self._idle.clear()

    async def _admitted(self, memory_bytes: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (memory_bytes, turn)
        self._queue.append(entry)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._at_work -= 1
                self._reserved_bytes -= memory_bytes
            else:
                self._queue.remove(entry)
            self._admit()
            raise

    def _admit(self) -> None:
        while self._queue and self._at_work < self._size:
            memory_bytes, turn = self._queue[0]
            if not self._fits(memory_bytes):
                return
            self._queue.popleft()
            self._at_work += 1
            self._reserved_bytes += memory_bytes
            turn.set_result(None)

    def _fits(self, memory_bytes: int) -> bool:
        if self._at_work == 0 or self._memory_bytes is None:
            return True
        return self._reserved_bytes + memory_bytes <= self._memory_bytes

    async def _started(self) -> Worker:
        address_space = None if self._memory_bytes is None else self._memory_bytes + _ROOM_FOR_LIBRARIES
        worker = Worker(limits=self._limits, memory_bytes=address_space)
        self._all.add(worker)
        try:
            await worker.start()
        finally:
            if not worker.is_usable:
                await self._discarded(worker)
        return worker

    async def _given_back(self, worker: Worker) -> None:
        if worker.is_usable:
            self._idle.append(worker)
            return
        await self._discarded(worker)
        task = asyncio.create_task(self._replaced())
        self._replacements.add(task)
        task.add_done_callback(self._replacements.discard)

    async def _discarded(self, worker: Worker) -> None:
        self._all.discard(worker)
        await asyncio.shield(worker.kill())

    async def _replaced(self) -> None:
        with contextlib.suppress(WorkerDied, TimeoutError, OSError):  # the next run starts one itself
            self._idle.append(await self._started())


def _half_of_memory() -> int | None:
    """None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return None
