"""Claims, leases, fences, crashes: on both databases."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from cloud.clients.queue import Bell
from cloud.errors import Fenced
from cloud.repositories.attempt import AttemptRef, NewTicket
from cloud.repositories.database import Database
from cloud.services.attempt_rules import AttemptRules
from cloud.services.attempts import Made, Order, Place
from shared.engines.base import Ticket
from shared.jobs.events import (
    Cancelled,
    Completed,
    Failed,
    Requeued,
    Stage,
    StageName,
    Started,
)
from shared.jobs.state import JobState
from tests.cloud.services.desk import PICTURE, POOL, Desk


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_one_job_from_claim_to_completion(desk: Desk) -> None:
    account = await desk.account()
    [job_id] = await desk.jobs(account)

    claim = await desk.claim()
    ref = AttemptRef(job_id, 1)
    assert (claim.ref, claim.values, claim.alone, claim.previous) == (ref, {"amount": 3}, False, ())
    assert claim.inputs["photo"][0].name == "Ölbild\x00.png"
    ticket = Ticket(engine="builtin", run_id="r", job_id=job_id, attempt=1)
    await desk.attempts.store_ticket(ref, ticket)
    await desk.attempts.mark_running(ref, engine="builtin")
    await desk.attempts.set_stage(ref, StageName.LOADING_MODEL)
    assert await desk.attempts.heartbeat(ref) is Order.GO_ON
    await desk.attempts.begin_saving(ref)
    await desk.attempts.begin_saving(ref)
    await desk.attempts.complete(ref, [PICTURE])

    job = await desk.job(account, job_id)
    assert (job.state, job.attempt, job.outputs, job.stage) == (JobState.COMPLETED, 1, (PICTURE,), None)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert await desk.lanes() == ()
    kinds = [type(event) for event in await desk.events(account)]
    assert kinds == [Started, Stage, Completed]


async def test_jobs_of_a_lane_are_claimed_oldest_first(desk: Desk) -> None:
    ids = await desk.jobs(await desk.account(), 5)

    assert [(await desk.claim()).ref.job_id for _ in ids] == ids


async def test_lane_counts_what_waits_and_since_when(desk: Desk) -> None:
    account = await desk.account()
    first, *_ = await desk.jobs(account, 3)
    [before] = await desk.lanes()
    await desk.claim()
    [after] = await desk.lanes()

    assert (before.waiting, after.waiting) == (3, 2)
    assert before.oldest_at <= after.oldest_at
    await desk.attempts.release(AttemptRef(first, 1), reason="drained")
    [again] = await desk.lanes()
    assert again.waiting == 3
    assert (await desk.claim()).ref == AttemptRef(first, 2)  # its place was kept


async def test_backlog_says_what_each_account_has_running(desk: Desk) -> None:
    busy, idle = await desk.account(), await desk.account()
    await desk.jobs(busy, 2)
    await desk.claim()
    await desk.jobs(idle)

    backlog = await desk.claiming.backlog((POOL,))

    assert {lane.account_id for lane in backlog.lanes} == {busy, idle}
    assert dict(backlog.running) == {busy: 1}
    assert set(backlog.served_at) == {busy}
    assert (await desk.claiming.backlog(("other",))).lanes == ()


async def test_eight_workers_claim_a_hundred_jobs_once_each(desk: Desk) -> None:
    ids = await desk.jobs(await desk.account(), 100)

    async def worker(name: str) -> list[AttemptRef]:
        mine: list[AttemptRef] = []
        while lanes := await desk.lanes():
            claim = await desk.claiming.claim(lanes[0], worker=name)
            if claim is not None:
                mine.append(claim.ref)
        return mine

    claimed = await asyncio.gather(*(worker(f"w{number}") for number in range(8)))

    refs = Counter(ref for mine in claimed for ref in mine)
    assert refs == Counter(AttemptRef(job_id, 1) for job_id in ids)
    assert await desk.lanes() == ()


async def test_claim_of_an_emptied_lane_is_nothing(desk: Desk) -> None:
    await desk.jobs(await desk.account())
    [lane] = await desk.lanes()
    await desk.claim()

    assert await desk.claiming.claim(lane, worker="late") is None


async def test_zombie_can_do_nothing(desk: Desk) -> None:
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    zombie = (await desk.claim("w1")).ref
    desk.let_leases_run_out()
    assert await desk.reaping.reap() == 1
    live = (await desk.claim("w2")).ref
    events = await desk.events(account)

    assert await desk.attempts.heartbeat(zombie) is Order.STOP
    ticket = Ticket(engine="builtin", run_id="r", job_id=job_id, attempt=1)
    for step in (
        desk.attempts.store_ticket(zombie, ticket),
        desk.attempts.mark_running(zombie, engine="builtin"),
        desk.attempts.set_stage(zombie, StageName.RUNNING),
        desk.attempts.begin_saving(zombie),
        desk.attempts.complete(zombie, [PICTURE]),
        desk.attempts.fail(zombie, code="x", message="x", retryable=True),
        desk.attempts.cancelled(zombie),
        desk.attempts.release(zombie, reason="x"),
    ):
        with pytest.raises(Fenced):
            await step

    assert (await desk.job(account, job_id)).state is JobState.PROCESSING
    assert await desk.events(account) == events
    assert await desk.attempts.heartbeat(live) is Order.GO_ON


async def test_zombie_among_others_is_the_only_one_that_can_do_nothing(desk: Desk) -> None:
    account = await desk.account()
    lost, *rest = await desk.jobs(account, 3)
    zombie = (await desk.claim("w1")).ref
    desk.let_leases_run_out()
    await desk.reaping.reap()
    [lane] = await desk.lanes()
    live = {claim.ref for claim in await desk.claiming.claim_some(lane, 3, worker="w2")}
    mine = {ref for ref in live if ref.job_id in rest}
    together = [*mine, zombie]

    tickets = [NewTicket(ref=ref, engine="builtin", server=None, ticket="t") for ref in together]
    assert set(await desk.attempts.store_tickets(tickets)) == mine
    place = Place("builtin", None)
    assert set(await desk.attempts.mark_all_running(dict.fromkeys(together, place))) == mine
    assert set(await desk.attempts.begin_saving_all(dict.fromkeys(together, ()))) == mine
    assert set(await desk.attempts.complete_all(dict.fromkeys(together, Made((PICTURE,), None)))) == mine

    jobs = {job_id: await desk.job(account, job_id) for job_id in (lost, *rest)}
    assert {job_id: job.state for job_id, job in jobs.items()} == {
        lost: JobState.PROCESSING,
        **dict.fromkeys(rest, JobState.COMPLETED),
    }
    told = Counter((type(event), event.job_id) for event in await desk.events(account))
    assert {told[Completed, job_id] for job_id in rest} == {1}
    assert told[Started, lost] == 0


async def test_a_suspect_is_claimed_alone(desk: Desk) -> None:
    account = await desk.account()
    await desk.jobs(account, 5)
    [lane] = await desk.lanes()
    for ref in [claim.ref for claim in await desk.claiming.claim_some(lane, 2, worker="w1")]:
        await desk.attempts.mark_running(ref, engine="builtin")
    desk.let_leases_run_out()
    assert await desk.reaping.reap() == 2

    [suspect] = await desk.claiming.claim_some(lane, 5, worker="w2")
    assert suspect.alone
    assert await desk.claiming.claim_some(lane, 5, worker="w2") == ()
    [other] = await desk.claiming.claim_some(lane, 5, worker="w3")
    assert other.alone
    rest = await desk.claiming.claim_some(lane, 5, worker="w4")
    assert [claim.alone for claim in rest] == [False] * 3
    assert await desk.lanes() == ()


async def test_heartbeats_keep_the_reaper_away(desk: Desk) -> None:
    await desk.jobs(await desk.account())
    ref = (await desk.claim()).ref
    for _ in range(3):
        desk.database.clock_offset += desk.rules.lease * 0.8
        assert await desk.attempts.heartbeat(ref) is Order.GO_ON
    assert await desk.reaping.reap() == 0


async def test_next_attempt_is_told_the_ticket_of_the_last(desk: Desk) -> None:
    [job_id] = await desk.jobs(await desk.account())
    ref = (await desk.claim("w1")).ref
    ticket = Ticket(engine="comfy", run_id="r7", job_id=job_id, attempt=1, details={"client": "c"})
    await desk.attempts.store_ticket(ref, ticket, server="http://gpu")
    desk.let_leases_run_out()
    await desk.reaping.reap()

    [previous] = (await desk.claim("w2")).previous
    assert (previous.number, previous.worker, previous.server) == (1, "w1", "http://gpu")
    assert previous.ticket is not None
    assert Ticket.from_json(previous.ticket) == ticket


async def test_reaping_at_once_takes_back_once(desk: Desk) -> None:
    """And blames each worker's death once."""
    account = await desk.account()
    await desk.jobs(account, 10)
    for number in range(10):
        await desk.attempts.mark_running((await desk.claim(f"w{number}")).ref, engine="builtin")
    desk.let_leases_run_out()

    counts = await asyncio.gather(*(desk.reaping.reap() for _ in range(3)))

    assert sum(counts) == 10
    [lane] = await desk.lanes()
    assert lane.waiting == 10
    assert Counter(type(event) for event in await desk.events(account)) == {Started: 10, Requeued: 10}
    rows = await desk.database.read(
        lambda unit: unit.connection.exec_driver_sql("SELECT crashes, attempt FROM jobs").all()
    )
    assert {tuple(row) for row in rows} == {(1, 1)}


async def test_only_process_takes_everything_back_at_its_start(desk: Desk) -> None:
    account = await desk.account()
    ids = await desk.jobs(account, 3)
    for _ in ids:
        await desk.claim("before the crash")

    assert await desk.reaping.reap_all() == 3

    assert [(await desk.claim("after it")).ref for _ in ids] == [AttemptRef(job_id, 2) for job_id in ids]


async def test_poison_is_failed_with_the_third_crash(desk: Desk) -> None:
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    for crash in range(3):
        ref = (await desk.claim(f"w{crash}")).ref
        await desk.attempts.mark_running(ref, engine="builtin")
        desk.let_leases_run_out()
        assert await desk.reaping.reap() == 1

    job = await desk.job(account, job_id)
    assert (job.state, job.failure_code, job.failure_retryable) == (JobState.FAILED, "poison", False)
    assert await desk.lanes() == ()
    assert isinstance((await desk.events(account))[-1], Failed)


async def test_crash_before_execution_counts_for_nothing(desk: Desk) -> None:
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    for crash in range(5):
        await desk.claim(f"w{crash}")
        desk.let_leases_run_out()
        await desk.reaping.reap()
    assert (await desk.job(account, job_id)).state is JobState.QUEUED


async def test_after_an_ambiguous_crash_each_suspect_runs_alone(desk: Desk) -> None:
    account = await desk.account()
    await desk.jobs(account, 2)
    for _ in range(2):
        await desk.attempts.mark_running((await desk.claim("w1")).ref, engine="builtin")
    desk.let_leases_run_out()
    assert await desk.reaping.reap() == 2
    await desk.jobs(account, 1)

    [lane] = await desk.lanes()
    first = await desk.claiming.claim(lane, worker="w2")
    assert first is not None
    assert first.alone
    assert await desk.claiming.claim(lane, worker="w2") is None  # nothing beside a suspect
    other = await desk.claiming.claim(lane, worker="w3")
    assert other is not None
    assert other.alone
    innocent = await desk.claiming.claim(lane, worker="w4")
    assert innocent is not None
    assert not innocent.alone


async def test_suspects_that_are_reaped_one_by_one_stay_ambiguous(desk: Desk) -> None:
    """No crash is counted against the second only because the first was taken back earlier."""
    account = await desk.account()
    ids = await desk.jobs(account, 2)
    first = (await desk.claim("w1")).ref
    await desk.attempts.mark_running(first, engine="builtin")
    desk.database.clock_offset += desk.rules.lease * 0.5
    second = (await desk.claim("w1")).ref
    await desk.attempts.mark_running(second, engine="builtin")
    for _ in range(2):
        desk.database.clock_offset += desk.rules.lease * 0.6
        assert await desk.reaping.reap() == 1
    # Two crashes alone are then still allowed to each.
    for job_id in ids:
        for crash in range(2):
            ref = (await desk.claim(f"{job_id}-{crash}")).ref
            await desk.attempts.mark_running(ref, engine="builtin")
            desk.let_leases_run_out()
            await desk.reaping.reap()
        assert (await desk.job(account, job_id)).state is JobState.QUEUED
        await desk.attempts.fail((await desk.claim("end")).ref, code="x", message="x", retryable=False)


async def test_heartbeat_brings_the_cancel(desk: Desk) -> None:
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    ref = (await desk.claim()).ref
    assert await desk.database.write(lambda unit: unit.claims.request_cancel(account, job_id))

    assert await desk.attempts.heartbeat(ref) is Order.CANCEL
    await desk.attempts.cancelled(ref)

    assert (await desk.job(account, job_id)).state is JobState.CANCELLED
    assert [type(event) for event in await desk.events(account)] == [Cancelled]


@pytest.mark.parametrize("way", ["reap", "release"])
async def test_job_no_longer_wanted_is_not_tried_again(desk: Desk, way: str) -> None:
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    ref = (await desk.claim()).ref
    await desk.database.write(lambda unit: unit.claims.request_cancel(account, job_id))
    if way == "reap":
        desk.let_leases_run_out()
        await desk.reaping.reap()
    else:
        await desk.attempts.release(ref, reason="drained")

    assert (await desk.job(account, job_id)).state is JobState.CANCELLED
    assert await desk.lanes() == ()


async def test_attempts_come_to_an_end(database: Database) -> None:
    desk = Desk(database, AttemptRules(lease=timedelta(seconds=30), max_attempts=3))
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    for _ in range(3):
        ref = (await desk.claim()).ref
        await desk.attempts.break_off(ref, code="away", reason="the engine is away")

    job = await desk.job(account, job_id)
    assert (job.state, job.failure_code, job.failure_retryable) == (
        JobState.FAILED,
        "too_many_attempts",
        True,
    )


async def test_bells_ring_after_what_they_announce(desk: Desk) -> None:
    await desk.jobs(await desk.account())
    ref = (await desk.claim()).ref
    with desk.queue.listen(Bell.JOBS) as jobs, desk.queue.listen(Bell.EVENTS) as events:
        await desk.attempts.release(ref, reason="drained")
        assert await jobs.wait(0)
        assert await events.wait(0)


async def test_what_is_given_back_whole_does_not_count(database: Database) -> None:
    desk = Desk(database, AttemptRules(lease=timedelta(seconds=30), max_attempts=3))
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    for _ in range(5):
        await desk.attempts.release((await desk.claim()).ref, reason="the worker was stopped")
    for _ in range(2):
        ref = (await desk.claim()).ref
        await desk.attempts.break_off(ref, code="away", reason="the engine is away")
        assert (await desk.job(account, job_id)).state is JobState.QUEUED
    claim = await desk.claim()
    assert [attempt.reason for attempt in claim.previous] == ["away", "away", *[None] * 5]
    await desk.attempts.break_off(claim.ref, code="away", reason="the engine is away")
    assert (await desk.job(account, job_id)).failure_code == "too_many_attempts"
