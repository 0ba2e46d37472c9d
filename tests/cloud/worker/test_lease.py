import asyncio

import pytest

from cloud.clients.queue import Waiter
from cloud.services.attempts import Order
from cloud.worker.lease import LeaseLost, under_lease
from cloud.worker.signals import Signals
from shared.errors import TransientError

LEASE_S = 0.4


async def _hold(work, renew, *, cancels: Waiter | None = None, lease_s: float = LEASE_S):  # type: ignore[no-untyped-def]
    return await under_lease(
        work,
        signals=Signals(),
        renew=renew,
        lease_s=lease_s,
        since=asyncio.get_running_loop().time(),
        cancels=cancels or Waiter(),
    )


async def _for_ever(_signals: Signals) -> None:
    await asyncio.Event().wait()


async def test_a_renewed_lease_outlives_itself() -> None:
    renewals = asyncio.Semaphore(0)

    async def work(_signals: Signals) -> str:
        for _ in range(8):
            await renewals.acquire()
        return "done"

    async def renew() -> Order:
        renewals.release()
        return Order.GO_ON

    assert await _hold(work, renew) == "done"


async def test_a_heartbeat_that_hangs_ends_the_work_before_the_lease_does() -> None:
    async def renew() -> Order:
        await asyncio.Event().wait()
        raise AssertionError

    clock = asyncio.get_running_loop().time
    begun = clock()
    with pytest.raises(LeaseLost):
        await _hold(_for_ever, renew)
    assert 0.7 * LEASE_S < clock() - begun < LEASE_S


async def test_an_unreachable_database_is_asked_again_until_the_fence() -> None:
    asked = 0

    async def renew() -> Order:
        nonlocal asked
        asked += 1
        raise TransientError("away")

    with pytest.raises(LeaseLost):
        await _hold(_for_ever, renew)
    assert asked >= 2


async def test_a_database_that_comes_back_in_time_is_enough() -> None:
    beats = iter([TransientError("away"), TransientError("away")])

    async def renew() -> Order:
        for failure in beats:
            raise failure
        return Order.GO_ON

    async def work(_signals: Signals) -> str:
        await asyncio.sleep(1.5 * LEASE_S)
        return "done"

    assert await _hold(work, renew) == "done"


async def test_a_lease_taken_by_another_stops_the_work_at_once() -> None:
    async def renew() -> Order:
        return Order.STOP

    cancels = Waiter()
    cancels.ring()
    with pytest.raises(LeaseLost):
        async with asyncio.timeout(5):
            await _hold(_for_ever, renew, cancels=cancels, lease_s=60)


async def test_the_bell_brings_a_cancellation_at_once() -> None:
    async def renew() -> Order:
        return Order.CANCEL

    async def work(signals: Signals) -> str:
        cancels.ring()
        await signals.wait()
        return "stopped"

    cancels = Waiter()
    async with asyncio.timeout(5):
        assert await _hold(work, renew, cancels=cancels, lease_s=60) == "stopped"


async def test_a_timeout_of_the_work_itself_is_no_lost_lease() -> None:
    async def work(_signals: Signals) -> None:
        raise TimeoutError("its own")

    async def renew() -> Order:
        return Order.GO_ON

    with pytest.raises(TimeoutError, match="its own"):
        await _hold(work, renew)
