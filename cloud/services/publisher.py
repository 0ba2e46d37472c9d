"""Publishing lasting events: numbered per account once they are committed, then told to whoever watches.

At least once: a publisher that dies between telling and noting it leaves the telling to the next,
and watchers know by the number what they have had.
"""

from functools import partial

import structlog

from cloud.clients.broadcast import Broadcast, Message
from cloud.clients.queue import Bell, Queue
from cloud.repositories.database import Database
from cloud.repositories.events import LastingEvent
from cloud.repositories.unit import Unit
from shared.api.events import TERMINAL_EVENTS
from shared.errors import TransientError
from shared.failpoints import failpoint

__all__ = ["PASSING_SLOTS", "EventPublisher"]

_log = structlog.get_logger(__name__)

PASSING_SLOTS = ("progress", "preview")
_MOST_AT_ONCE = 500
_NOTE_S = 0.5  # well before others take its publisher for dead


class EventPublisher:
    def __init__(self, *, database: Database, broadcast: Broadcast, queue: Queue) -> None:
        self._database = database
        self._broadcast = broadcast
        self._queue = queue

    async def publish(self) -> int:
        """Publish what waits; how many events that were."""
        published = 0
        told = await self._told_next(())
        while told:
            published += len(told)
            told = await self._told_next(told)
        return published

    async def run(self, *, poll_s: float = 5.0) -> None:
        """Until cancelled: publish whenever the bell rings, and now and then without it.

        What was told is noted together with what comes next, or soon where nothing does. While the
        database cannot be used nothing is told, and nothing lost.
        """
        told: tuple[LastingEvent, ...] = ()
        with self._queue.listen(Bell.EVENTS) as waiter:
            while True:
                try:
                    told = await self._told_next(told)
                    may_be_more = len(told) == _MOST_AT_ONCE
                except TransientError as error:
                    _log.warning("events_not_published", error=error.code)
                    may_be_more = False
                if not may_be_more:
                    await waiter.wait(_NOTE_S if told else poll_s)

    async def _told_next(self, before: tuple[LastingEvent, ...]) -> tuple[LastingEvent, ...]:
        """What is told now; that those `before` were told is noted with it."""
        events = await self._database.write(partial(_next, before))
        if events:
            failpoint("publisher.numbered")
            await self._tell(events)
            failpoint("publisher.told")
        return events

    async def _tell(self, events: tuple[LastingEvent, ...]) -> None:
        await self._broadcast.publish_all([_message(event) for event in events])
        ended: dict[str, list[str]] = {}
        for event in events:
            if event.kind in TERMINAL_EVENTS:
                ended.setdefault(event.account_id, []).append(event.job_id)
        for account_id, job_ids in ended.items():
            await self._broadcast.close_keys(account_id, job_ids, slots=PASSING_SLOTS)


def _message(event: LastingEvent) -> Message:
    return Message(
        topic=event.account_id, key=event.job_id, kind=event.kind, body=event.body, number=event.number
    )


def _next(told: tuple[LastingEvent, ...], unit: Unit) -> tuple[LastingEvent, ...]:
    """Notes what was told, and numbers what waits."""
    if told:
        unit.events.mark_published(told)
    return unit.events.number_unpublished(_MOST_AT_ONCE)
