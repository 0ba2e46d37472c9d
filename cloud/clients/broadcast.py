"""Events to whoever watches now: one feed per process, a small buffer for each watcher.

Broadcast is a convenience: a message may be lost, and then the watcher is told that there is a
gap. Lasting messages carry their number; passing ones go into a slot, where a newer one replaces
an older one that was not yet read.
"""

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cloud.clients.redis_link import Heard, RedisLink

__all__ = ["AtOnce", "Broadcast", "Heap", "LocalBroadcast", "Message", "RedisBroadcast", "Watcher"]

_FIELDS = ("topic", "key", "kind", "body", "number", "slot")
_MOST_UNREAD = 1000
_MOST_REMEMBERED = 10_000
_REMEMBERED_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`topic` is an account, `key` one of its jobs, `body` one event of kind `kind` as JSON text.

    A lasting event has a `number`, a passing one a `slot`.
    """

    topic: str
    key: str
    kind: str
    body: str
    number: int | None = None
    slot: str | None = None


@dataclass(frozen=True, slots=True)
class Heap:
    """What came since the last look, in order. With `gap`, something may be missing."""

    messages: tuple[Message, ...]
    gap: bool


AtOnce = Callable[[Message], bool]
"""Passes a message on now; false if it cannot."""


class Watcher:
    """Buffers one subscriber's messages. A passing one goes `at_once` where nothing waits before it."""

    def __init__(self, *, key: str | None, at_once: AtOnce | None = None) -> None:
        self._key = key
        self._at_once = at_once
        self._is_waited_for = False
        self._unread: OrderedDict[tuple[str, str | int | None], Message] = OrderedDict()
        self._gap = False
        self._some = asyncio.Event()

    def put(self, message: Message) -> None:
        if self._key is not None and message.key != self._key:
            return
        if message.slot is not None and self._is_passed_on(message):
            return
        place = (message.key, message.slot or message.number)
        self._unread.pop(place, None)
        self._unread[place] = message
        if len(self._unread) > _MOST_UNREAD:
            self._unread.clear()
            self._gap = True
        self._some.set()

    def _is_passed_on(self, message: Message) -> bool:
        """Not while the subscriber is still busy with what came before."""
        if self._at_once is None or not self._is_waited_for or self._some.is_set():
            return False
        return self._at_once(message)

    def miss(self) -> None:
        self._gap = True
        self._some.set()

    async def take(self, timeout_s: float) -> Heap:
        """Wait for messages; an empty heap after `timeout_s`."""
        if not self._some.is_set():
            self._is_waited_for = True
            try:
                async with asyncio.timeout(timeout_s):
                    await self._some.wait()
            except TimeoutError:
                pass
            finally:
                self._is_waited_for = False
        heap = Heap(tuple(self._unread.values()), self._gap)
        self._unread.clear()
        self._gap = False
        self._some.clear()
        return heap


class Broadcast(Protocol):
    async def publish(self, message: Message) -> None:
        """Never fails: what matters is in the database."""
        ...

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Lasting ones, in this order. Never fails either."""
        ...

    def watch(
        self, topic: str, *, key: str | None = None, at_once: AtOnce | None = None
    ) -> contextlib.AbstractContextManager[Watcher]:
        """Messages from now on, of one job only with `key`."""
        ...

    async def latest(self, topic: str, *, key: str | None = None) -> tuple[Message, ...]:
        """The newest passing message of each slot of each job that has not been closed."""
        ...

    async def close_keys(self, topic: str, keys: Sequence[str], *, slots: tuple[str, ...]) -> None:
        """These jobs are over: forget their passing messages."""
        ...


class LocalBroadcast:
    """For one process."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}
        self._latest: OrderedDict[tuple[str, str, str], Message] = OrderedDict()

    async def publish(self, message: Message) -> None:
        if message.slot is not None:
            self._latest[message.topic, message.key, message.slot] = message
            while len(self._latest) > _MOST_REMEMBERED:
                self._latest.popitem(last=False)
        self.publish_here(message)

    async def publish_all(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.publish_here(message)

    def publish_here(self, message: Message) -> None:
        for watcher in self._watchers.get(message.topic, ()):
            watcher.put(message)

    def miss_here(self) -> None:
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.miss()

    @contextlib.contextmanager
    def watch(
        self, topic: str, *, key: str | None = None, at_once: AtOnce | None = None
    ) -> Iterator[Watcher]:
        watcher = Watcher(key=key, at_once=at_once)
        watchers = self._watchers.setdefault(topic, set())
        watchers.add(watcher)
        try:
            yield watcher
        finally:
            watchers.discard(watcher)
            if not watchers:
                self._watchers.pop(topic, None)

    async def latest(self, topic: str, *, key: str | None = None) -> tuple[Message, ...]:
        return tuple(
            message
            for message in self._latest.values()
            if message.topic == topic and key in (None, message.key)
        )

    async def close_keys(self, topic: str, keys: Sequence[str], *, slots: tuple[str, ...]) -> None:
        for key in keys:
            for slot in slots:
                self._latest.pop((topic, key, slot), None)


class RedisBroadcast:
    """Every process hears every message on one channel and hands it to its own watchers."""

    def __init__(self, *, link: RedisLink, prefix: str = "safelight") -> None:
        self._link = link
        self._prefix = prefix
        self._here = LocalBroadcast()
        link.on(f"{prefix}:events", Heard(message=self._hear, gap=self._here.miss_here))

    async def publish(self, message: Message) -> None:
        channel, data = f"{self._prefix}:events", _data(message)
        if message.slot is None:
            taken = await self._link.publish(channel, data)
        else:
            place = (self._memory(message.topic), f"{message.key} {message.slot}")
            taken = await self._link.publish_remembered(channel, data, *place, seconds=_REMEMBERED_S)
        if not taken:
            self._here.publish_here(message)

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """On one way to Redis and back."""
        taken = await self._link.publish_all(f"{self._prefix}:events", [_data(one) for one in messages])
        for message in () if taken else messages:
            self._here.publish_here(message)

    def watch(
        self, topic: str, *, key: str | None = None, at_once: AtOnce | None = None
    ) -> contextlib.AbstractContextManager[Watcher]:
        return self._here.watch(topic, key=key, at_once=at_once)

    async def latest(self, topic: str, *, key: str | None = None) -> tuple[Message, ...]:
        found = await self._link.recall(self._memory(topic))
        messages = map(_message, found.values())
        return tuple(message for message in messages if message is not None and key in (None, message.key))

    async def close_keys(self, topic: str, keys: Sequence[str], *, slots: tuple[str, ...]) -> None:
        await self._link.forget(self._memory(topic), *(f"{key} {slot}" for key in keys for slot in slots))

    def _memory(self, topic: str) -> str:
        return f"{self._prefix}:latest:{topic}"

    def _hear(self, data: bytes) -> None:
        message = _message(data)
        if message is None:
            self._here.miss_here()
        else:
            self._here.publish_here(message)


def _message(data: bytes) -> Message | None:
    """None for what this version of us cannot read: others may speak a newer one."""
    try:
        fields = json.loads(data)
        return Message(**{name: fields[name] for name in _FIELDS})
    except (ValueError, KeyError, TypeError):
        return None


def _data(message: Message) -> bytes:
    return json.dumps({name: getattr(message, name) for name in _FIELDS}).encode()
