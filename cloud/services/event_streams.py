"""The events of an account or of one job, from any point in the last days on to the present.

The database is what a stream replays and what fills its gaps; broadcast only says sooner what
came. Passing events are not replayed: a new stream gets the latest of each.
"""

import contextlib
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from time import monotonic

from cloud.clients.broadcast import AtOnce, Broadcast, Heap, Message, Watcher
from cloud.errors import EventsGone, NotFound
from cloud.repositories.database import Database
from cloud.repositories.events import LastingEvent
from cloud.services.callers import Caller
from cloud.services.stream_door import StreamDoor
from shared.api.events import TERMINAL_EVENTS
from shared.errors import TransientError
from shared.jobs.state import is_terminal

__all__ = ["EventStreams", "Frame", "TextAtOnce", "no_frames"]

_LOOK_EVERY_S = 5.0
_SPREAD = (0.7, 1.0)  # so that streams which heard the same do not look at the same moment
_PAGE = 500

TextAtOnce = Callable[[str], bool]
"""Sends an event's text now; false if it cannot."""


@dataclass(frozen=True, slots=True)
class Frame:
    """`text` is the event as JSON on one line; a lasting one has its `number`, in the text too."""

    kind: str
    text: str
    number: int | None = None


class EventStreams:
    def __init__(
        self,
        *,
        database: Database,
        broadcast: Broadcast,
        door: StreamDoor,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._database = database
        self._door = door
        self._broadcast = broadcast
        self._look_every_s = look_every_s

    async def follow_account(
        self, account_id: str, *, after: int | None
    ) -> AsyncGenerator[Frame | None, None]:
        """Without end; from now on, or from after event number `after`. None marks a quiet while.

        Raises EventsGone, TooManyRequests.
        """
        self._door.check(account_id)
        first, last = await self._database.read(lambda unit: unit.events.span(account_id))
        _check_kept(after, first, last)
        return self._follow(account_id, None, last if after is None else after, None)

    async def follow_job(
        self, account_id: str, job_id: str, *, after: int | None, at_once: TextAtOnce | None = None
    ) -> AsyncGenerator[Frame | None, None]:
        """From the job's first event, or from after number `after`, to its last. With `at_once`, a
        passing event goes that way, and not by a frame, where all before it were taken.

        Raises NotFound, EventsGone, TooManyRequests.
        """
        self._door.check(account_id)
        job = await self._database.read(lambda unit: unit.jobs.find(account_id, job_id))
        if job is None:
            raise NotFound("there is no such job", job=job_id)
        first, last = await self._database.read(lambda unit: unit.events.span(account_id))
        _check_kept(after, first, last)
        after = after or 0
        if is_terminal(job.state) and await self._is_past_the_end(account_id, job_id, after):
            return no_frames()
        return self._to_the_end(account_id, job_id, after, at_once)

    def follow_new(self, account_id: str, job_id: str) -> AsyncGenerator[Frame | None, None]:
        """The same of a job that was taken in just now. Raises TooManyRequests."""
        self._door.check(account_id)
        return self._to_the_end(account_id, job_id, 0, None)

    async def while_usable(
        self, caller: Caller, frames: AsyncGenerator[Frame | None, None]
    ) -> AsyncGenerator[Frame | None, None]:
        """The frames, until the key by which they were asked for is revoked or expires, or we stop."""
        looked_at = monotonic()
        with self._door.held_open(caller.account_id):
            async with contextlib.aclosing(frames):
                async for frame in frames:
                    if self._door.is_closing:
                        return
                    if monotonic() - looked_at >= self._look_every_s * _SPREAD[0]:
                        looked_at = monotonic()
                        if not await self._is_usable(caller.key_id):
                            return
                    yield frame

    async def _is_usable(self, key_id: str) -> bool:
        async def ask() -> bool:
            return await self._database.read(lambda unit: unit.keys.is_usable(key_id))

        try:
            return await self._door.usable_keys.get(key_id, ask, fresh_s=self._look_every_s / 2)
        except TransientError:
            return True  # until the database can be asked

    async def _to_the_end(
        self, account_id: str, job_id: str, after: int, at_once: TextAtOnce | None
    ) -> AsyncGenerator[Frame | None, None]:
        async with contextlib.aclosing(self._follow(account_id, job_id, after, at_once)) as frames:
            async for frame in frames:
                yield frame
                if frame is not None and frame.kind in TERMINAL_EVENTS:
                    return

    async def _is_past_the_end(self, account_id: str, job_id: str, after: int) -> bool:
        events = await self._database.read(
            lambda unit: unit.events.after(account_id, 0, job_id=job_id, limit=_PAGE)
        )
        if not events:
            raise EventsGone("the events of this job are no longer kept; ask for the job itself", job=job_id)
        return events[-1].kind in TERMINAL_EVENTS and events[-1].number <= after

    async def _follow(
        self, account_id: str, job_id: str | None, after: int, at_once: TextAtOnce | None
    ) -> AsyncGenerator[Frame | None, None]:
        with self._broadcast.watch(account_id, key=job_id, at_once=_passing(at_once)) as watcher:
            reader = _Reader(self._database, account_id, job_id, after)
            try:
                async for frame in reader.read():
                    yield frame
            except TransientError:
                watcher.miss()
            for message in await self._broadcast.latest(account_id, key=job_id):
                if message.key not in reader.ended:
                    yield Frame(message.kind, message.body)
            async for live in self._live(reader, watcher):
                yield live

    async def _live(self, reader: "_Reader", watcher: Watcher) -> AsyncGenerator[Frame | None, None]:
        """While the database cannot be asked, what came is not lost: it is read later."""
        is_behind = False
        while True:
            heap = await watcher.take(self._look_every_s * random.uniform(*_SPREAD))
            try:
                async for frame in self._told(reader, heap, is_behind=is_behind):
                    yield frame
                is_behind = False
            except TransientError:  # which the publisher logs too, once for all streams
                is_behind = True
            if not heap.messages:
                yield None

    async def _told(self, reader: "_Reader", heap: Heap, *, is_behind: bool) -> AsyncGenerator[Frame, None]:
        if is_behind or heap.gap or (not heap.messages and await self._has_news(reader)):
            async for frame in reader.read():
                yield frame
        for message in heap.messages:
            async for frame in _frames_of(message, reader):
                yield frame

    async def _has_news(self, reader: "_Reader") -> bool:
        """Whether the account has events that this reader never asked for."""
        account_id = reader.account_id

        async def ask() -> int:
            return (await self._database.read(lambda unit: unit.events.span(account_id)))[1]

        last = await self._door.last_numbers.get(account_id, ask, fresh_s=self._look_every_s / 2)
        is_news, reader.asked_to = last > reader.asked_to, last
        return is_news


class _Reader:
    """Reads lasting events in their order, and knows how far it has come."""

    def __init__(self, database: Database, account_id: str, job_id: str | None, after: int) -> None:
        self._database = database
        self._job_id = job_id
        self.account_id = account_id
        self.after = after
        self.asked_to = after  # of the whole account
        self.ended: set[str] = set()

    async def read(self) -> AsyncGenerator[Frame, None]:
        """What comes after the last page is told by the watcher, which is older than this look."""
        page = await self._page()
        while page:
            for event in page:
                yield self.passed(event.job_id, event.kind, event.body, event.number)
            page = await self._page() if len(page) == _PAGE else ()

    def follows(self, number: int) -> bool:
        """True if nothing can be missing before this number: of one job, that is never known."""
        return self._job_id is None and number == self.after + 1

    def passed(self, job_id: str, kind: str, body: str, number: int) -> Frame:
        self.after = number
        if kind in TERMINAL_EVENTS:
            self.ended.add(job_id)
        return Frame(kind, f'{{"number":{number},{body[1:]}', number)

    async def _page(self) -> tuple[LastingEvent, ...]:
        return await self._database.read(
            lambda unit: unit.events.after(self.account_id, self.after, job_id=self._job_id, limit=_PAGE)
        )


async def _frames_of(message: Message, reader: _Reader) -> AsyncGenerator[Frame, None]:
    if message.number is None:
        if message.key not in reader.ended:
            yield Frame(message.kind, message.body)
    elif reader.follows(message.number):
        yield reader.passed(message.key, message.kind, message.body, message.number)
    elif message.number > reader.after:
        async for frame in reader.read():
            yield frame


def _passing(at_once: TextAtOnce | None) -> AtOnce | None:
    return None if at_once is None else lambda message: at_once(message.body)


async def no_frames() -> AsyncGenerator[Frame | None, None]:
    return
    yield


def _check_kept(after: int | None, first: int, last: int) -> None:
    if after is not None and after < min(first - 1, last):
        raise EventsGone(
            "the events after this number are no longer kept; ask for the jobs themselves", after=after
        )
