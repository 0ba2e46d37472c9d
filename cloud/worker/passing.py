"""Passing events of one job, thinned out: the newest of each kind, a few times a second."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from shared.jobs.events import Preview, Progress

__all__ = ["PassingEvent", "PassingEvents", "thinned"]

_INTERVAL_S = 0.1

PassingEvent = Progress | Preview


class PassingEvents:
    """Takes events as fast as they come; the newest of each kind goes on after each interval."""

    def __init__(self, publish: Callable[[PassingEvent], Awaitable[None]]) -> None:
        self._publish = publish
        self._newest: dict[type[PassingEvent], PassingEvent] = {}
        self._some = asyncio.Event()

    def put(self, event: PassingEvent) -> None:
        self._newest[type(event)] = event
        self._some.set()

    async def flush(self) -> None:
        events = tuple(self._newest.values())
        self._newest.clear()
        self._some.clear()
        for event in events:
            await self._publish(event)

    async def run(self, interval_s: float) -> None:
        """The first event goes on at once, those that follow wait for the interval."""
        while True:
            await self._some.wait()
            await self.flush()
            await asyncio.sleep(interval_s)


@contextlib.asynccontextmanager
async def thinned(
    publish: Callable[[PassingEvent], Awaitable[None]], *, interval_s: float = _INTERVAL_S
) -> AsyncIterator[PassingEvents]:
    """On leaving, what was not yet published is dropped: flush before what must come after it."""
    events = PassingEvents(publish)
    task = asyncio.create_task(events.run(interval_s), name="passing-events")
    try:
        yield events
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
