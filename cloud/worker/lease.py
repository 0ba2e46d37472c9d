"""Work done under a lease: renewed while it lasts, stopped before another may take the job.

The fence stands at 0.8 of the lease and moves with each renewal. It does not rely on the
heartbeat being alive: a heartbeat that hangs or dies leaves the fence where it was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, assert_never

import structlog

from cloud.clients.queue import Waiter
from cloud.services.attempts import Order
from cloud.worker.signals import Reason, Signals
from shared.errors import TransientError

__all__ = ["LeaseLost", "under_lease"]

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

_FENCE = 0.8
_BEATS_PER_LEASE = 4
_RETRY_S = 0.5


class LeaseLost(TransientError):
    """This attempt is no longer ours: write nothing more."""

    code = "lease_lost"


async def under_lease(
    work: Callable[[Signals], Awaitable[_T]],
    *,
    signals: Signals,
    renew: Callable[[], Awaitable[Order]],
    lease_s: float,
    since: float,
    cancels: Waiter,
    is_ending: Callable[[], bool] = lambda: False,
) -> _T:
    """The result of `work`, which is told by the signals what the database wants of it.

    `since` is the loop's time before the lease was taken. While `work` writes its end, that may be why
    the lease is gone, and the write itself finds out. Raises LeaseLost, after `work` was
    cancelled, when the lease is gone or was not renewed in time.
    """
    fence = asyncio.timeout_at(since + _FENCE * lease_s)
    try:
        async with fence:
            beating = asyncio.create_task(
                _beat(renew, lease_s, cancels, fence, signals, is_ending), name="heartbeat"
            )
            try:
                return await work(signals)
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
    except TimeoutError as error:
        if fence.expired():
            raise LeaseLost("the lease of this attempt is gone") from error
        raise


async def _beat(
    renew: Callable[[], Awaitable[Order]],
    lease_s: float,
    cancels: Waiter,
    fence: asyncio.Timeout,
    signals: Signals,
    is_ending: Callable[[], bool],
) -> None:
    clock = asyncio.get_running_loop().time
    pause_s = lease_s / _BEATS_PER_LEASE
    while True:
        await cancels.wait(pause_s)
        begun = clock()
        try:
            order = await renew()
        except Exception as error:  # noqa: BLE001 - whatever kept the database away, the fence decides
            _log.warning("heartbeat_failed", error=repr(error))
            pause_s = min(_RETRY_S, lease_s / _BEATS_PER_LEASE)
            continue
        pause_s = lease_s / _BEATS_PER_LEASE
        match order:
            case Order.STOP:
                if not is_ending():
                    fence.reschedule(clock())
                return
            case Order.CANCEL:
                signals.give(Reason.UNWANTED)
            case Order.HAND_BACK:
                signals.give(Reason.ELSEWHERE)
            case Order.GO_ON:
                pass
            case _:
                assert_never(order)
        fence.reschedule(begun + _FENCE * lease_s)
