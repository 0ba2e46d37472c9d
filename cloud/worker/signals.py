"""What one attempt is told while it runs: why it should stop."""

import asyncio
from collections.abc import Collection
from enum import StrEnum

from cloud.services.attempts import Order

__all__ = ["Reason", "Signals"]


class Reason(StrEnum):
    UNWANTED = "unwanted"  # the user cancelled the job
    DRAINED = "drained"  # this worker, or its server, must let go of it
    ELSEWHERE = "elsewhere"  # it waits behind another, and an idle server would take it
    LOST = "lost"  # the server does not answer any more: there is nobody to ask to stop


class Signals:
    """Reasons come in any order and are never taken back."""

    def __init__(self) -> None:
        self._given: set[Reason] = set()
        self._news = asyncio.Event()

    def __contains__(self, reason: Reason) -> bool:
        return reason in self._given

    def give(self, reason: Reason) -> None:
        if reason not in self._given:
            self._given.add(reason)
            self._news.set()

    def hear(self, order: Order) -> None:
        """What a heartbeat brought back."""
        if order is Order.CANCEL:
            self.give(Reason.UNWANTED)
        elif order is Order.HAND_BACK:
            self.give(Reason.ELSEWHERE)

    def any(self, ignored: Collection[Reason] = ()) -> bool:
        return bool(self._given.difference(ignored))

    async def wait(self, ignored: Collection[Reason] = ()) -> None:
        """Until there is a reason that is not to be ignored."""
        while not self.any(ignored):
            self._news.clear()
            await self._news.wait()
