"""How much was had of something in the last minute: counted in Redis for all processes, or in memory.

A sliding window of two counts: the one that goes on, and as much of the one before as the last minute
still covers. What was refused is not counted.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cloud.clients.redis_link import RedisLink

__all__ = ["WINDOW_S", "LocalRateCounter", "RateCounter", "RedisRateCounter", "Taken", "taken"]

WINDOW_S = 60
_REDIS_REST_S = 2.0  # how long one that is away is not asked


@dataclass(frozen=True, slots=True)
class Taken:
    """`remaining` may be had at once; a minute's count ends in `reset_s`. What was refused may be had
    after `retry_after_s`."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int = 0


class RateCounter(Protocol):
    async def take(self, name: str, limit: int) -> Taken:
        """Have one more of `name`, unless `limit` were had in the last minute. Never fails."""
        ...


class LocalRateCounter:
    """For one process. It forgets what is older than two minutes, so many names do no harm."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._window = 0
        self._counts: Counter[str] = Counter()
        self._before: Counter[str] = Counter()

    async def take(self, name: str, limit: int) -> Taken:
        window, elapsed_s = divmod(self._now(), WINDOW_S)
        self._turn_to(int(window))
        found = taken(limit, before=self._before[name], now=self._counts[name] + 1, elapsed_s=elapsed_s)
        if found.allowed:
            self._counts[name] += 1
        return found

    def _turn_to(self, window: int) -> None:
        if window == self._window:
            return
        self._before = self._counts if window == self._window + 1 else Counter()
        self._counts = Counter()
        self._window = window


class RedisRateCounter:
    """For all processes with the same Redis; while it is away, each counts by itself."""

    def __init__(
        self, *, link: RedisLink, prefix: str = "safelight", now: Callable[[], float] = time.time
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._now = now
        self._here = LocalRateCounter(now=now)
        self._rests_until = 0.0

    async def take(self, name: str, limit: int) -> Taken:
        if time.monotonic() < self._rests_until:
            return await self._here.take(name, limit)
        window, elapsed_s = divmod(self._now(), WINDOW_S)
        key, key_before = self._key(name, int(window)), self._key(name, int(window) - 1)
        counts = await self._link.count(key, beside=key_before, seconds=2 * WINDOW_S)
        if counts is None:
            self._rests_until = time.monotonic() + _REDIS_REST_S
            return await self._here.take(name, limit)
        now, before = counts
        found = taken(limit, before=before, now=now, elapsed_s=elapsed_s)
        if not found.allowed:
            await self._link.uncount(key)
        return found

    def _key(self, name: str, window: int) -> str:
        return f"{self._prefix}:rate:{name}:{window}"


def taken(limit: int, *, before: int, now: int, elapsed_s: float) -> Taken:
    """`now` counts what is asked for as well."""
    covered = before * (1 - elapsed_s / WINDOW_S)
    left_s = WINDOW_S - elapsed_s
    allowed = covered + now <= limit
    return Taken(
        allowed=allowed,
        limit=limit,
        remaining=max(0, math.floor(limit - covered - (now if allowed else now - 1))),
        reset_s=max(1, math.ceil(left_s)),
        retry_after_s=0 if allowed else _free_after_s(limit, before, now - 1, elapsed_s),
    )


def _free_after_s(limit: int, before: int, had: int, elapsed_s: float) -> int:
    """Until one more fits: as the earlier count fades in this window, or this one's in the next."""
    room = limit - 1 - had
    if room >= 0:
        fades_at_s = WINDOW_S * (1 - room / before)
        return max(1, math.ceil(fades_at_s - elapsed_s))
    fades_in_next_s = WINDOW_S * (1 - (limit - 1) / had)
    return max(1, math.ceil(WINDOW_S - elapsed_s + fades_in_next_s))
