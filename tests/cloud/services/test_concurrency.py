"""How many jobs of an account are at work at once, by its plan."""

import asyncio

from cloud.clients.queue import Bell
from cloud.repositories.database import Database
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from tests.cloud.services.desk import POOL, Desk

MOST = entitlements_of(Plan.FREE).concurrency


async def _account(desk: Desk, plan: Plan) -> str:
    account_id = await desk.account()
    await desk.database.write(lambda unit: unit.accounts.set_plan(account_id, plan))
    return account_id


async def test_many_claims_at_once_stay_within_the_plan(database: Database) -> None:
    desk = Desk(database)
    account = await _account(desk, Plan.FREE)
    await desk.jobs(account, 20)
    [lane] = await desk.lanes()

    claims = await asyncio.gather(*(desk.claiming.claim(lane, worker=f"w{n}") for n in range(16)))
    taken = [claim for claim in claims if claim is not None]

    assert len(taken) == MOST
    assert await desk.lanes() == ()  # nothing more is offered
    jobs = [await desk.job(account, claim.ref.job_id) for claim in taken]
    assert {job.attempt for job in jobs} == {1}


async def test_where_not_all_have_room_one_is_taken(database: Database) -> None:
    desk = Desk(database)
    account = await _account(desk, Plan.FREE)
    await desk.jobs(account, MOST + 5)
    [lane] = await desk.lanes()

    [first] = await desk.claiming.claim_some(lane, MOST + 1, worker="w1")
    assert first.ref.number == 1
    rest = await desk.claiming.claim_some(lane, MOST - 1, worker="w1")
    assert len(rest) == MOST - 1
    assert await desk.claiming.claim_some(lane, 2, worker="w1") == ()


async def test_end_of_one_makes_room_for_the_next(database: Database) -> None:
    desk = Desk(database)
    account = await _account(desk, Plan.FREE)
    await desk.jobs(account, MOST + 1)
    claims = [await desk.claim() for _ in range(MOST)]
    assert await desk.lanes() == ()

    await desk.attempts.fail(claims[0].ref, code="x", message="x", retryable=False)

    [lane] = await desk.lanes()
    assert lane.waiting == 1
    assert (await desk.claim()).ref.number == 1


async def test_end_of_one_calls_those_who_could_take_none(database: Database) -> None:
    desk = Desk(database)
    account = await _account(desk, Plan.FREE)
    await desk.jobs(account, MOST + 1)
    *others, full = [(await desk.claim()).ref for _ in range(MOST)]

    with desk.queue.listen(Bell.JOBS) as bell:
        await desk.attempts.fail(full, code="x", message="x", retryable=False)
        assert await bell.wait(0)
        await desk.claim()
        for ref in others:  # nothing waits any more
            await desk.attempts.fail(ref, code="x", message="x", retryable=False)
        assert not await bell.wait(0)


async def test_account_at_its_limit_holds_up_nobody(database: Database) -> None:
    desk = Desk(database)
    full, other = await _account(desk, Plan.FREE), await _account(desk, Plan.STUDIO)
    await desk.jobs(full, MOST + 5)
    for _ in range(MOST):
        await desk.claim()
    await desk.jobs(other, 1)

    lanes = (await desk.claiming.backlog((POOL,))).lanes
    assert [lane.account_id for lane in lanes] == [other]
