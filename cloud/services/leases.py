"""What a process has taken to do: its own while it says so, and stopped before another may take it.

The fence stands at 0.8 of the lease and moves with each renewal. It does not rely on the heartbeat
being alive: a heartbeat that hangs or dies leaves the fence where it was. What is written of the
work is fenced once more, by the number of its attempt.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from shared.errors import TransientError

__all__ = ["LeaseLost", "under_lease"]

_log = structlog.get_logger(__name__)

_FENCE = 0.8
_BEATS_PER_LEASE = 4
_RETRY_S = 0.5


class LeaseLost(TransientError):
    """It is no longer ours: write nothing of it."""

    code = "lease_lost"


@contextlib.asynccontextmanager
async def under_lease(
    renew: Callable[[], Awaitable[bool | None]],
    *,
    lease_s: float,
    since: float,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncIterator[None]:
    """What stands in the block is cancelled, and LeaseLost raised, when the lease is gone or was not
    renewed in time.

    `renew` says whether the lease is still ours; None where the work is about to find out by itself, and
    the fence stays where it is. `since` is the loop's time before it was taken. `pause`
    lets so many seconds pass between two heartbeats, or fewer where there is a reason to look.
    """
    fence = asyncio.timeout_at(since + _FENCE * lease_s)
    try:
        async with fence:
            beating = asyncio.create_task(_beat(renew, lease_s, fence, pause), name="heartbeat")
            try:
                yield
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
    except TimeoutError as error:
        if fence.expired():
            raise LeaseLost("the lease is gone; another may have it by now") from error
        raise


async def _beat(
    renew: Callable[[], Awaitable[bool | None]],
    lease_s: float,
    fence: asyncio.Timeout,
    pause: Callable[[float], Awaitable[object]],
) -> None:
    clock = asyncio.get_running_loop().time
    every_s = pause_s = lease_s / _BEATS_PER_LEASE
    while True:
        await pause(pause_s)
        begun = clock()
        try:
            is_ours = await renew()
        except Exception as error:  # noqa: BLE001 - whatever kept the database away, the fence decides
            _log.warning("heartbeat_failed", error=repr(error))
            pause_s = min(_RETRY_S, every_s)
            continue
        if is_ours is None:
            return
        if not is_ours:
            fence.reschedule(clock())
            return
        pause_s = every_s
        fence.reschedule(begun + _FENCE * lease_s)
