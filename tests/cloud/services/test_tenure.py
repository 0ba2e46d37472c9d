import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cloud.services.tenure import TakenAway, while_ours
from shared.errors import TransientError
from tests.support.jumping_loop import run_without_waiting

LEASE_S = 30.0
LONG_S = 10 * LEASE_S


def _stopped_after(renew: Callable[[], Awaitable[bool]]) -> float | None:
    """When work of ten leases was stopped; None if it got to its end."""

    async def work() -> float | None:
        now = asyncio.get_running_loop().time
        begun = now()
        try:
            async with while_ours(renew, lease_s=LEASE_S, since=begun):
                await asyncio.sleep(LONG_S)
        except TakenAway:
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
        async with while_ours(renew, lease_s=LEASE_S, since=0.0), asyncio.timeout(1):
            await asyncio.sleep(LONG_S)

    with pytest.raises(TimeoutError):
        run_without_waiting(work())
