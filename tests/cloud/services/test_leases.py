import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cloud.clients.queue import Waiter
from cloud.services.leases import LeaseLost, under_lease
from shared.errors import TransientError
from tests.support.jumping_loop import run_without_waiting

LEASE_S = 30.0
LONG_S = 10 * LEASE_S


def _stopped_after(renew: Callable[[], Awaitable[bool | None]]) -> float | None:
    """When work of ten leases was stopped; None if it got to its end."""

    async def work() -> float | None:
        now = asyncio.get_running_loop().time
        begun = now()
        try:
            async with under_lease(renew, lease_s=LEASE_S, since=begun):
                await asyncio.sleep(LONG_S)
        except LeaseLost:
            return now() - begun
        return None

    return run_without_waiting(work())


def test_what_is_renewed_outlives_its_lease() -> None:
    async def renew() -> bool:
        return True

    assert _stopped_after(renew) is None


def test_what_another_has_is_stopped_as_soon_as_that_is_known() -> None:
    answers = [True, True, False]

    async def renew() -> bool:
        return answers.pop(0)

    assert _stopped_after(renew) == pytest.approx(0.75 * LEASE_S)


def test_what_cannot_be_renewed_is_stopped_before_the_lease_ends() -> None:
    async def renew() -> bool:
        await asyncio.Event().wait()
        raise AssertionError

    assert _stopped_after(renew) == pytest.approx(0.8 * LEASE_S)


def test_database_that_is_away_is_asked_again_meanwhile() -> None:
    async def renew() -> bool:
        """Away for half of each lease."""
        now = asyncio.get_running_loop().time()
        if now % LEASE_S < LEASE_S / 2:
            raise TransientError("away")
        return True

    assert _stopped_after(renew) is None


def test_time_limits_of_the_work_are_its_own() -> None:
    async def renew() -> bool:
        return True

    async def work() -> None:
        async with under_lease(renew, lease_s=LEASE_S, since=0.0), asyncio.timeout(1):
            await asyncio.sleep(LONG_S)

    with pytest.raises(TimeoutError):
        run_without_waiting(work())


def test_a_fault_of_ours_costs_no_lease_that_is_renewed_in_time() -> None:
    beats = iter([RuntimeError("a fault"), TransientError("away")])

    async def renew() -> bool:
        for failure in beats:
            raise failure
        return True

    assert _stopped_after(renew) is None


def test_there_may_be_a_reason_to_look_at_once() -> None:
    async def renew() -> bool:
        return False

    async def work() -> float:
        bell = Waiter()
        bell.ring()
        with pytest.raises(LeaseLost):
            async with under_lease(renew, lease_s=LEASE_S, since=0.0, pause=bell.wait):
                await asyncio.sleep(LONG_S)
        return asyncio.get_running_loop().time()

    assert run_without_waiting(work()) == 0


def test_an_end_that_the_heartbeat_sees_first_is_an_end_all_the_same() -> None:
    async def work() -> bool:
        seen = asyncio.Event()

        async def renew() -> None:
            seen.set()

        async with under_lease(renew, lease_s=LEASE_S, since=0.0):
            await seen.wait()
            await asyncio.sleep(0.1 * LEASE_S)  # the database's answer is on its way
            return True

    assert run_without_waiting(work())


def test_an_end_that_is_not_heard_of_in_time_is_left_to_others() -> None:
    async def renew() -> None:
        return None

    assert _stopped_after(renew) == pytest.approx(0.8 * LEASE_S)
