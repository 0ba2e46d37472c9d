"""The bell: wakes whoever waits for work. The work itself is in the database.

A ring may be lost, so every waiter also looks by itself now and then; a ring too many costs one
look. Both twins pass the same suite.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

from cloud.clients.redis_link import Heard, RedisLink

__all__ = ["Bell", "LocalQueue", "Queue", "RedisQueue", "Waiter"]


class Bell(StrEnum):
    JOBS = "jobs"  # a job waits
    CANCELS = "cancels"  # a running job is no longer wanted
    EVENTS = "events"  # lasting events wait for the publisher
    FETCHES = "fetches"  # files are to be fetched for jobs
    SERVERS = "servers"  # an operator changed a server


class Waiter:
    """Hears one bell. A ring while nobody waits is kept, so that no ring falls between two waits."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_s: float) -> bool:
        """True if the bell rang, False after `timeout_s` without one."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        finally:
            self._rung.clear()
        return True


class Queue(Protocol):
    async def ring(self, bell: Bell) -> None:
        """Wake every waiter of every process. Never fails: a lost ring is found by looking."""
        ...

    def listen(self, bell: Bell) -> contextlib.AbstractContextManager[Waiter]: ...


class LocalQueue:
    """For one process."""

    def __init__(self) -> None:
        self._waiters: dict[Bell, set[Waiter]] = {bell: set() for bell in Bell}

    async def ring(self, bell: Bell) -> None:
        self.ring_here(bell)

    def ring_here(self, bell: Bell) -> None:
        for waiter in self._waiters[bell]:
            waiter.ring()

    @contextlib.contextmanager
    def listen(self, bell: Bell) -> Iterator[Waiter]:
        waiter = Waiter()
        self._waiters[bell].add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[bell].discard(waiter)


class RedisQueue:
    """One publish per ring; one subscription per process, shared by its waiters."""

    def __init__(self, *, link: RedisLink, prefix: str = "safelight") -> None:
        self._link = link
        self._here = LocalQueue()
        self._channels = {bell: f"{prefix}:bell:{bell}" for bell in Bell}
        for bell, channel in self._channels.items():
            link.on(channel, self._heard(bell))

    async def ring(self, bell: Bell) -> None:
        if not await self._link.publish(self._channels[bell], b""):
            self._here.ring_here(bell)

    def listen(self, bell: Bell) -> contextlib.AbstractContextManager[Waiter]:
        return self._here.listen(bell)

    def _heard(self, bell: Bell) -> Heard:
        return Heard(message=lambda _data: self._here.ring_here(bell), gap=lambda: self._here.ring_here(bell))
