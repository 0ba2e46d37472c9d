"""Credits: what may be spent, who settles, and whether it adds up."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cloud.errors import Conflict, InvalidRequest, NeedsCredits, PlanLimit
from cloud.repositories.credits import Balance, Reserve
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Scope
from cloud.services.credits import Credits, settle, shares
from cloud.services.periods import period_end, period_of
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from shared.api.credits import EntryKind
from shared.errors import TransientError
from shared.ids import new_id
from shared.jobs.state import JobState

LINK = "https://cloud.example/account"
GRANT = entitlements_of(Plan.FREE).credits_per_month
NOVEMBER = datetime(2026, 11, 21, 12, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC)


@dataclass
class Till:
    """One account of the plan `free`, at a time that the test sets."""

    database: Database
    now: datetime = NOVEMBER
    caller: Caller = field(
        default_factory=lambda: Caller(new_id(), "key", frozenset({Scope.READ, Scope.WRITE}), Plan.FREE)
    )

    def __post_init__(self) -> None:
        self.credits = Credits(database=self.database, link=LINK, utcnow=lambda: self.now)

    async def open(self) -> "Till":
        await self.database.write(
            lambda unit: unit.accounts.add(self.caller.account_id, "somebody", plan=self.caller.plan)
        )
        return self

    async def take(self, price: int, job_id: str | None = None) -> str:
        job_id = job_id or new_id()
        await self.database.write(lambda unit: self.credits.take(unit, self.caller, {job_id: price}))
        return job_id

    async def settle(self, job_id: str, state: JobState) -> None:
        await self.database.write(lambda unit: settle(unit, job_id, state))

    async def adjust(self, amount: int) -> None:
        await self.credits.adjust(self.caller.account_id, self.caller.plan, amount, note="a test")

    async def balance(self) -> Balance:
        found = await self.database.read(lambda unit: unit.credits.find(self.caller.account_id))
        assert found is not None
        return found

    async def parts(self) -> tuple[int, int, int]:
        balance = await self.balance()
        return balance.granted, balance.topped_up, balance.reserved

    async def kinds(self) -> list[tuple[str, int, int, int]]:
        """The entries, the oldest first."""
        page = await self.credits.entries(self.caller, cursor=None, limit=200)
        return [(entry.kind, entry.granted, entry.topped_up, entry.reserved) for entry in page.entries[::-1]]

    async def sums(self) -> tuple[int, int, int]:
        entries = await self.kinds()
        return (
            sum(entry[1] for entry in entries),
            sum(entry[2] for entry in entries),
            sum(entry[3] for entry in entries),
        )


@pytest.fixture
async def till(database: Database) -> Till:
    return await Till(database).open()


async def test_first_use_brings_the_grant_of_the_month(till: Till) -> None:
    await till.take(3)
    assert await till.parts() == (GRANT - 3, 0, 3)
    assert await till.kinds() == [("grant", GRANT, 0, 0), ("reserve", -3, 0, 3)]


async def test_completion_captures_exactly_the_price(till: Till) -> None:
    job_id = await till.take(3)
    await till.settle(job_id, JobState.COMPLETED)
    assert await till.parts() == (GRANT - 3, 0, 0)
    assert (await till.kinds())[-1] == ("capture", 0, 0, -3)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED])
async def test_any_other_end_releases_once(till: Till, state: JobState) -> None:
    """However often, and at once."""
    job_id = await till.take(3)
    await asyncio.gather(*(till.settle(job_id, state) for _ in range(10)))
    await till.settle(job_id, JobState.COMPLETED)
    assert await till.parts() == (GRANT, 0, 0)
    assert [kind for kind, *_ in await till.kinds()] == ["grant", "reserve", "release"]
    assert await till.sums() == await till.parts()


async def test_grant_is_spent_before_top_ups(till: Till) -> None:
    await till.credits.top_up(till.caller.account_id, Plan.FREE, 20, note="paid")
    first = await till.take(GRANT - 1)
    second = await till.take(5)
    assert await till.parts() == (0, 16, GRANT + 4)
    await till.settle(first, JobState.COMPLETED)
    await till.settle(second, JobState.FAILED)
    assert await till.parts() == (1, 20, 0)


async def test_what_is_not_there_is_not_taken(till: Till) -> None:
    with pytest.raises(NeedsCredits) as raised:
        await till.take(GRANT + 1)
    assert raised.value.details == {"balance": GRANT, "price": GRANT + 1, "link": LINK}
    assert await till.take(GRANT)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [200 if os.environ.get("SWEEP") else 4])
async def test_fifty_at_once_spend_the_last_credit_once(till: Till, rounds: int) -> None:
    await till.take(GRANT - 1)
    for _ in range(rounds):
        results = await asyncio.gather(*(till.take(1) for _ in range(50)), return_exceptions=True)
        taken = [result for result in results if isinstance(result, str)]
        refused = [result for result in results if isinstance(result, NeedsCredits | TransientError)]
        assert (len(taken), len(refused)) == (1, 49)
        assert (await till.balance()).available == 0
        await till.settle(taken[0], JobState.CANCELLED)
        assert (await till.balance()).available == 1
    assert await till.sums() == await till.parts()


async def test_jobs_of_the_month_are_limited_by_plan(till: Till) -> None:
    most = entitlements_of(Plan.FREE).jobs_per_month
    assert most is not None
    prices = {new_id(): 0 for _ in range(most - 1)}
    await till.database.write(lambda unit: till.credits.take(unit, till.caller, prices))

    results = await asyncio.gather(*(till.take(0) for _ in range(20)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, PlanLimit)]
    assert (len(results) - len(refused), len(refused)) == (1, 19)
    assert refused[0].details == {
        "limit": "jobs_per_month",
        "plan": "free",
        "max": most,
        "used": most,
        "resets_at": "2026-12-01T00:00:00+00:00",
        "link": LINK,
    }
    till.now = DECEMBER
    await till.take(0)
    assert (await till.balance()).jobs == 1


async def test_grant_lapses_and_top_ups_do_not(till: Till) -> None:
    await till.credits.top_up(till.caller.account_id, Plan.FREE, 20, note="paid")
    await till.take(GRANT - 10)
    till.now = DECEMBER
    await till.take(1)
    assert await till.parts() == (GRANT - 1, 20, GRANT - 9)
    assert [kind for kind, *_ in await till.kinds()] == [
        "grant", "top_up", "reserve", "lapse", "grant", "reserve",
    ]  # fmt: skip
    assert await till.sums() == await till.parts()


async def test_grant_released_after_its_month_lapses(till: Till) -> None:
    await till.adjust(-GRANT + 2)
    await till.credits.top_up(till.caller.account_id, Plan.FREE, 10, note="paid")
    job_id = await till.take(5)
    till.now = DECEMBER
    await till.take(0)
    await till.settle(job_id, JobState.FAILED)
    assert await till.parts() == (GRANT, 10, 0)
    assert (await till.kinds())[-2:] == [("release", 2, 3, -5), ("lapse", -2, 0, 0)]
    assert await till.sums() == await till.parts()


async def test_month_begins_once_for_everybody_at_once(till: Till) -> None:
    await till.take(1)
    till.now = DECEMBER
    await asyncio.gather(*(till.take(1) for _ in range(20)), till.credits.begin_periods())
    assert [kind for kind, *_ in await till.kinds()].count("grant") == 2
    assert await till.sums() == await till.parts()
    assert await till.credits.begin_periods() == 0


async def test_chore_begins_the_month(till: Till) -> None:
    await till.take(0)
    till.now = DECEMBER
    assert await till.credits.begin_periods() == 1
    assert (await till.balance()).period == "2026-12"


async def test_clock_that_lags_does_not_bring_the_old_month_back(till: Till) -> None:
    till.now = DECEMBER
    await till.take(1)
    till.now = NOVEMBER
    await till.take(1)
    assert (await till.balance()).period == "2026-12"
    assert await till.parts() == (GRANT - 2, 0, 2)


async def test_larger_plan_grants_the_difference_at_once(till: Till) -> None:
    await till.take(10)

    await till.database.write(
        lambda unit: till.credits.change_plan(unit, till.caller.account_id, Plan.FREE, Plan.CREATOR)
    )
    creator = entitlements_of(Plan.CREATOR).credits_per_month
    assert await till.parts() == (creator - 10, 0, 10)
    await till.database.write(
        lambda unit: till.credits.change_plan(unit, till.caller.account_id, Plan.CREATOR, Plan.FREE)
    )
    assert await till.parts() == (creator - 10, 0, 10)
    assert await till.sums() == await till.parts()


async def test_plans_that_go_to_and_fro_grant_no_more_than_the_largest(till: Till) -> None:
    def to(old: Plan, new: Plan) -> Callable[[Unit], None]:
        return lambda unit: till.credits.change_plan(unit, till.caller.account_id, old, new)

    for _ in range(3):
        await till.database.write(to(Plan.FREE, Plan.CREATOR))
        await till.database.write(to(Plan.CREATOR, Plan.FREE))
    await till.database.write(to(Plan.FREE, Plan.STUDIO))
    assert (await till.balance()).granted == entitlements_of(Plan.STUDIO).credits_per_month
    assert await till.sums() == await till.parts()


async def test_adjustment_takes_no_more_than_is_there(till: Till) -> None:
    await till.credits.top_up(till.caller.account_id, Plan.FREE, 5, note="paid")
    await till.adjust(-10)
    assert await till.parts() == (GRANT - 5, 0, 0)
    with pytest.raises(InvalidRequest, match="only 45 credits"):
        await till.adjust(-GRANT)
    assert await till.sums() == await till.parts()


async def test_refund_comes_once_and_only_for_what_was_charged(till: Till) -> None:
    charged, released = await till.take(3), await till.take(2)
    await till.settle(charged, JobState.COMPLETED)
    await till.settle(released, JobState.FAILED)
    results = await asyncio.gather(
        *(till.credits.refund(charged, note="a bad picture") for _ in range(5)), return_exceptions=True
    )
    assert sorted(map(type, results), key=repr) == sorted([int, *[Conflict] * 4], key=repr)
    with pytest.raises(InvalidRequest, match="nothing was charged"):
        await till.credits.refund(released, note="no")
    assert await till.parts() == (GRANT - 3, 3, 0)
    assert await till.sums() == await till.parts()


async def test_entries_are_never_changed(till: Till) -> None:
    await till.take(1)
    with pytest.raises(DBAPIError, match="never changed"):
        await till.database.write(
            lambda unit: unit.connection.execute(text("UPDATE credit_entries SET granted = 1"))
        )


async def test_settling_twice_is_refused_by_the_database(till: Till) -> None:
    """Whoever writes past the service."""
    job_id = await till.take(3)
    await till.settle(job_id, JobState.FAILED)
    for kind in (EntryKind.CAPTURE, EntryKind.RELEASE, EntryKind.RESERVE):
        with pytest.raises(DBAPIError):
            await till.database.write(
                lambda unit, kind=kind: unit.credits.add(
                    till.caller.account_id, kind, period="2026-11", job_id=job_id
                )
            )


async def test_entries_come_in_pages(till: Till) -> None:
    for _ in range(4):
        await till.take(1)
    first = await till.credits.entries(till.caller, cursor=None, limit=3)
    second = await till.credits.entries(till.caller, cursor=first.next_cursor, limit=3)
    assert [len(first.entries), len(second.entries), second.next_cursor] == [3, 2, None]
    assert second.entries[-1].kind == "grant"


def test_shares_of_the_grant_go_to_the_first() -> None:
    assert shares({"a": 2, "b": 0, "c": 3, "d": 1}, 4) == (
        Reserve("a", 2, 0),
        Reserve("c", 2, 1),
        Reserve("d", 0, 1),
    )


def test_periods_are_months_in_utc() -> None:
    assert period_of(NOVEMBER) == "2026-11"
    assert period_end("2026-11") == datetime(2026, 12, 1, tzinfo=UTC)
    assert period_end("2026-12") == datetime(2027, 1, 1, tzinfo=UTC)
