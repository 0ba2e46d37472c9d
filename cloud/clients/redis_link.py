"""This process's Redis: one subscribed connection for everything it hears, and its commands.

Nothing that must not be lost is in Redis, so a command that fails is logged and answered with
"nothing"; those who rely on it poll the database beside it.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

__all__ = ["REDIS_AWAY", "Heard", "RedisLink"]

REDIS_AWAY = (RedisError, OSError)
"""What a command raises when Redis cannot be asked."""

_log = structlog.get_logger(__name__)

_SILENCE_S = 15.0  # then a ping; a second silence means that the connection is dead
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0
_COMMAND_TIMEOUT_S = 2.0
_SPARED_S = 5.0  # after one command in vain: a Redis that stands still holds up one request, not all
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Heard:
    """What to call with each message of a channel, and after a time in which some may be missing."""

    message: Callable[[bytes], None]
    gap: Callable[[], None]


class RedisLink:
    """Hand `on` every channel first, then `start`; `aclose` ends it."""

    def __init__(self, *, url: str) -> None:
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=_COMMAND_TIMEOUT_S, socket_connect_timeout=_COMMAND_TIMEOUT_S
        )
        self._ears: Redis = Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=_COMMAND_TIMEOUT_S
        )
        self._spared_until = 0.0
        self._heard: dict[str, Heard] = {}
        self._subscribed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    def on(self, channel: str, heard: Heard) -> None:
        self._heard[channel] = heard

    async def start(self) -> None:
        """Begin to listen; returns when Redis listens to us, or after a moment if it is away."""
        if self._heard and self._reader is None:
            self._reader = asyncio.create_task(self._listen_for_ever(), name="redis-ears")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._subscribed.wait(), _COMMAND_TIMEOUT_S)

    async def publish(self, channel: str, data: bytes) -> bool:
        """True if Redis took the message."""

        async def work() -> bool:
            await self._redis.publish(channel, data)
            return True

        return await self._asked("publish", work, otherwise=False)

    async def publish_all(self, channel: str, messages: Sequence[bytes]) -> bool:
        """In this order; true if Redis took them. After a failure it may have taken some."""

        async def work() -> bool:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for data in messages:
                    pipeline.publish(channel, data)
                await pipeline.execute()
            return True

        return await self._asked("publish", work, otherwise=False)

    async def publish_remembered(
        self, channel: str, data: bytes, key: str, field: str, *, seconds: int
    ) -> bool:
        """Publish, and keep as the newest value of a field, on one way; the whole key goes `seconds`
        after its last change."""

        async def work() -> bool:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hset(key, mapping={field: data})
                pipeline.expire(key, seconds)
                pipeline.publish(channel, data)
                await pipeline.execute()
            return True

        return await self._asked("publish", work, otherwise=False)

    async def recall(self, key: str) -> Mapping[str, bytes]:
        async def work() -> Mapping[str, bytes]:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hgetall(key)
                [fields] = await pipeline.execute()
            return {name.decode(): data for name, data in fields.items()}

        return await self._asked("recall", work, otherwise={})

    async def forget(self, key: str, *fields: str) -> None:
        async def work() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hdel(key, *fields)
                await pipeline.execute()

        await self._asked("forget", work, otherwise=None)

    async def count(self, key: str, *, beside: str, seconds: int) -> tuple[int, int] | None:
        """One more at `key`, which goes `seconds` later, and what stands at `beside`; None without Redis."""

        async def work() -> tuple[int, int] | None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.incr(key)
                pipeline.expire(key, seconds)
                pipeline.get(beside)
                now, _, before = await pipeline.execute()
            return int(now), int(before or 0)

        return await self._asked("count", work, otherwise=None)

    async def uncount(self, key: str) -> None:
        async def work() -> None:
            await self._redis.decr(key)

        await self._asked("uncount", work, otherwise=None)

    async def ping(self) -> bool:
        async def work() -> bool:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.ping()
                await pipeline.execute()
            return True

        return await self._asked("ping", work, otherwise=False)

    async def _asked(self, command: str, work: Callable[[], Awaitable[_T]], *, otherwise: _T) -> _T:
        """`otherwise` where Redis cannot be asked, or has just let somebody wait in vain.

        Redis-py loses a cancellation that comes while it connects, so it is made good here.
        """
        if monotonic() < self._spared_until:
            return otherwise
        cancels, value = _cancels(), otherwise
        try:
            value = await work()
        except REDIS_AWAY as error:
            if isinstance(error, TimeoutError | RedisTimeout):
                self._spared_until = monotonic() + _SPARED_S
            _log.warning("redis_unreachable", command=command, error=type(error).__name__)
        if _cancels() > cancels:
            raise asyncio.CancelledError
        return value

    async def aclose(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self._ears.aclose()
        await self._redis.aclose()

    async def _listen_for_ever(self) -> None:
        delay_s = _FIRST_DELAY_S
        while not _cancels():
            try:
                async with self._ears.pubsub() as pubsub:
                    await pubsub.subscribe(*self._heard)
                    delay_s = _FIRST_DELAY_S
                    await self._listen(pubsub)
            except REDIS_AWAY as error:
                _log.warning("redis_deaf", error=type(error).__name__, again_in_s=delay_s)
            self._subscribed.clear()
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

    async def _listen(self, pubsub: PubSub) -> None:
        """Returns when the connection has been silent through a ping."""
        silences = 0
        while silences < 2 and not _cancels():
            message = await pubsub.get_message(timeout=_SILENCE_S)
            if message is None:
                silences += 1
                await pubsub.ping()
                continue
            silences = 0
            self._handle(message["type"], message["channel"], message["data"])

    def _handle(self, kind: str, channel: bytes | None, data: bytes) -> None:
        heard = self._heard.get(channel.decode()) if channel else None
        if heard is None:
            return
        if kind == "subscribe":
            self._subscribed.set()
            heard.gap()
        elif kind == "message":
            heard.message(data)


def _cancels() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
