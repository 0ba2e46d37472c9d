import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cloud.clients.queue import Waiter
from cloud.services.attempts import Order
from cloud.worker.lease import LeaseLost, under_lease
from cloud.worker.signals import Signals
from shared.errors import TransientError
from tests.support.jumping_loop import run_without_waiting

LEASE_S = 30.0


def _held(
    work: Callable[[Signals], Awaitable[Any]],
    renew: Callable[[], Awaitable[Order]],
    *,
    cancels: Waiter | None = None,
    is_ending: Callable[[], bool] = lambda: False,
) -> Any:
    async def hold() -> Any:
        begun = asyncio.get_running_loop().time()
        return await under_lease(
            work,
            signals=Signals(),
            renew=renew,
            lease_s=LEASE_S,
            since=begun,
            cancels=cancels or Waiter(),
            is_ending=is_ending,
        )

    return run_without_waiting(hold())


class _Stopped:
    """Work without an end; notes when it was stopped."""

    at: float | None = None

    async def __call__(self, _signals: Signals) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.at = asyncio.get_running_loop().time()


def test_a_renewed_lease_outlives_itself() -> None:
    async def work(_signals: Signals) -> str:
        await asyncio.sleep(10 * LEASE_S)
        return "done"

    async def renew() -> Order:
        return Order.GO_ON

    assert _held(work, renew) == "done"


def test_a_heartbeat_that_hangs_ends_the_work_before_the_lease_does() -> None:
    async def renew() -> Order:
        await asyncio.Event().wait()
        raise AssertionError

    work = _Stopped()
    with pytest.raises(LeaseLost):
        _held(work, renew)
    assert work.at == pytest.approx(0.8 * LEASE_S)


def test_an_unreachable_database_is_asked_again_until_the_fence() -> None:
    asked = 0

    async def renew() -> Order:
        nonlocal asked
        asked += 1
        raise TransientError("away")

    with pytest.raises(LeaseLost):
        _held(_Stopped(), renew)
    assert asked >= 10


def test_a_database_that_comes_back_in_time_is_enough() -> None:
    beats = iter([TransientError("away"), TransientError("away")])

    async def renew() -> Order:
        for failure in beats:
            raise failure
        return Order.GO_ON

    async def work(_signals: Signals) -> str:
        await asyncio.sleep(1.5 * LEASE_S)
        return "done"

    assert _held(work, renew) == "done"


def test_a_lease_taken_by_another_stops_the_work_at_once() -> None:
    async def renew() -> Order:
        return Order.STOP

    work, cancels = _Stopped(), Waiter()
    cancels.ring()
    with pytest.raises(LeaseLost):
        _held(work, renew, cancels=cancels)
    assert work.at == 0


def test_the_bell_brings_a_cancellation_at_once() -> None:
    async def renew() -> Order:
        return Order.CANCEL

    async def work(signals: Signals) -> float:
        cancels.ring()
        await signals.wait()
        return asyncio.get_running_loop().time()

    cancels = Waiter()
    assert _held(work, renew, cancels=cancels) == 0


def test_a_timeout_of_the_work_itself_is_no_lost_lease() -> None:
    async def work(_signals: Signals) -> None:
        raise TimeoutError("its own")

    async def renew() -> Order:
        return Order.GO_ON

    with pytest.raises(TimeoutError, match="its own"):
        _held(work, renew)


def test_an_end_that_the_heartbeat_sees_first_is_an_end_all_the_same() -> None:
    seen = asyncio.Event()

    async def renew() -> Order:
        seen.set()
        return Order.STOP

    async def work(_signals: Signals) -> str:
        await seen.wait()
        await asyncio.sleep(0.1 * LEASE_S)  # the database's answer is on its way
        return "ended"

    assert _held(work, renew, is_ending=lambda: True) == "ended"


def test_an_end_that_is_not_heard_of_in_time_is_left_to_others() -> None:
    async def renew() -> Order:
        return Order.STOP

    work = _Stopped()
    with pytest.raises(LeaseLost):
        _held(work, renew, is_ending=lambda: True)
    assert work.at is not None
    assert work.at < LEASE_S
