"""An engine that does nothing, as slowly as a test wants it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable

from shared.engines.base import Ticket
from shared.jobs.events import JobEvent
from tests.support.null_worker import NullEngine

__all__ = ["HeldEngine"]


class HeldEngine(NullEngine):
    """Each run ends when the test lets it. `started` are the jobs, in their order; `forgotten` those
    whose runs were tidied, which `forgetting` may be in the way of."""

    def __init__(self, *, forgetting: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__()
        self.started: list[str] = []
        self.forgotten: list[str] = []
        self._ends: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._forgetting = forgetting

    def let_end(self, *job_ids: str) -> None:
        for job_id in job_ids:
            self._ends[job_id].set()

    async def start(self, ticket: Ticket) -> None:
        self.started.append(ticket.job_id)

    async def follow(self, ticket: Ticket) -> AsyncIterator[JobEvent]:
        async for event in super().follow(ticket):
            yield event
            await self._ends[ticket.job_id].wait()

    async def forget(self, ticket: Ticket) -> None:
        if self._forgetting is not None:
            await self._forgetting()
        self.forgotten.append(ticket.job_id)
