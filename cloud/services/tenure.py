"""What a process has taken to do: its own for as long as it says so, and stopped before another may take it.

What is written of it afterwards is fenced by the number of its try, as a job's is by its attempt's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from shared.errors import TransientError

__all__ = ["TakenAway", "while_ours"]

_log = structlog.get_logger(__name__)

_FENCE = 0.8
_BEATS_PER_LEASE = 4
_RETRY_S = 0.5


class TakenAway(TransientError):
    """It is no longer ours: write nothing of it."""

    code = "taken_away"


@contextlib.asynccontextmanager
async def while_ours(
    renew: Callable[[], Awaitable[bool]], *, lease_s: float, since: float
) -> AsyncIterator[None]:
    """What stands in the block is cancelled, and TakenAway raised, when the lease is gone or was not renewed
    in time. `since` is the loop's time before it was taken."""
    fence = asyncio.timeout_at(since + _FENCE * lease_s)
    try:
        async with fence:
            beating = asyncio.create_task(_beat(renew, lease_s, fence), name="tenure")
            try:
                yield
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
    except TimeoutError as error:
        if fence.expired():
            raise TakenAway("another may have it by now") from error
        raise


async def _beat(renew: Callable[[], Awaitable[bool]], lease_s: float, fence: asyncio.Timeout) -> None:
    clock = asyncio.get_running_loop().time
    every_s = lease_s / _BEATS_PER_LEASE
    pause_s = every_s
    while True:
        await asyncio.sleep(pause_s)
        begun = clock()
        try:
            is_ours = await renew()
        except TransientError as error:
            _log.warning("tenure_not_renewed", error=error.code)
            pause_s = min(_RETRY_S, every_s)
            continue
        if not is_ours:
            fence.reschedule(clock())
            return
        pause_s = every_s
        fence.reschedule(begun + _FENCE * lease_s)
