"""However a job ends, and however often that is tried: its price is settled once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from cloud.clients.queue import LocalQueue
from cloud.errors import Fenced
from cloud.repositories.attempt import Claim
from cloud.repositories.database import Database
from cloud.repositories.jobs import NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from cloud.services.callers import Caller, Scope
from cloud.services.credit_audit import CreditAudit
from cloud.services.credits import Credits
from cloud.services.endings import Ending, Endings
from cloud.services.plans import entitlements_of
from cloud.services.waiting import Waiting
from shared.api.accounts import Plan
from shared.api.credits import EntryKind
from shared.ids import new_id
from shared.jobs.events import Cancelled, Output, OutputKind
from shared.jobs.state import JobState
from tests.cloud.services.desk import POOL, Desk, utcnow

GRANT = entitlements_of(Plan.FREE).credits_per_month
OUTPUT = Output("9", 0, OutputKind.IMAGE, "a.png", "image/png", 10, "b" * 64, 4, 4)
PRICE = 3


class Till:
    """One account with one job that was paid for."""

    def __init__(self, database: Database) -> None:
        self.desk = Desk(database, AttemptRules(max_crashes=2, max_attempts=3))
        self.database = database
        self.credits = Credits(database=database, link="https://cloud.example", utcnow=utcnow)
        self.job_id = new_id()
        self.account = ""

    async def open(self) -> "Till":
        self.account = await self.desk.account()
        caller = Caller(self.account, "key", frozenset(Scope), Plan.FREE)
        lane = Lane(POOL, 0, self.account, "noir")
        job = NewJob(
            id=self.job_id,
            lane=lane,
            preset_version="1",
            preset_digest="d" * 64,
            values={},
            inputs={},
            price=PRICE,
            expires_in=timedelta(hours=1),
        )

        def work(unit: Unit) -> None:
            unit.jobs.add(job)
            unit.lanes.enter(lane)
            self.credits.take(unit, caller, {job.id: PRICE})

        await self.database.write(work)
        return self

    @property
    def waiting(self) -> Waiting:
        return Waiting(
            database=self.database,
            queue=LocalQueue(),
            endings=Endings(),
            presets={},
            longest=timedelta(hours=9),
            utcnow=utcnow,
        )

    async def begun(self, worker: str = "w1") -> Claim:
        claim = await self.desk.claim(worker)
        await self.desk.attempts.mark_running(claim.ref, engine="builtin")
        return claim

    async def cancel_while_it_waits(self) -> None:
        def work(unit: Unit) -> None:
            ended = unit.waiting.end(self.account, self.job_id, JobState.CANCELLED)
            if ended is not None:
                event = Cancelled(job_id=self.job_id, attempt=0, at=utcnow())
                Endings().note(unit, Ending.of(ended, event))

        await self.database.write(work)


async def _completed(till: Till) -> None:
    claim = await till.begun()
    await till.desk.attempts.begin_saving(claim.ref)
    await _again(lambda: till.desk.attempts.complete(claim.ref, [OUTPUT]))


async def _failed(till: Till) -> None:
    claim = await till.begun()
    await _again(lambda: till.desk.attempts.fail(claim.ref, code="x", message="x", retryable=False))


async def _cancelled(till: Till) -> None:
    claim = await till.begun()
    await _again(lambda: till.desk.attempts.cancelled(claim.ref))


async def _cancelled_while_it_waits(till: Till) -> None:
    await asyncio.gather(*(till.cancel_while_it_waits() for _ in range(5)))


async def _expired(till: Till) -> None:
    till.database.clock_offset += timedelta(hours=2)
    await asyncio.gather(*(till.waiting.expire() for _ in range(5)))


async def _poison(till: Till) -> None:
    for worker in ("w1", "w2"):
        await till.begun(worker)
        till.desk.let_leases_run_out()
        await asyncio.gather(*(till.desk.reaping.reap() for _ in range(3)))


async def _cancelled_and_lost(till: Till) -> None:
    """Asked to stop when its worker went."""
    await till.begun()
    await till.database.write(lambda unit: unit.claims.request_cancel(till.account, till.job_id))
    till.desk.let_leases_run_out()
    await asyncio.gather(*(till.desk.reaping.reap() for _ in range(3)))


async def _again(end: Callable[[], Awaitable[None]]) -> None:
    """Five times at once, of which one counts."""
    results = await asyncio.gather(*(end() for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [Fenced] * 4


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (_completed, JobState.COMPLETED),
        (_failed, JobState.FAILED),
        (_cancelled, JobState.CANCELLED),
        (_cancelled_while_it_waits, JobState.CANCELLED),
        (_expired, JobState.EXPIRED),
        (_poison, JobState.FAILED),
        (_cancelled_and_lost, JobState.CANCELLED),
    ],
)
async def test_price_is_settled_once(
    database: Database, end: Callable[[Till], Awaitable[None]], state: JobState
) -> None:
    till = await Till(database).open()
    await end(till)
    await till.cancel_while_it_waits()
    assert await till.waiting.expire() == 0
    assert await till.desk.reaping.reap() == 0

    assert (await till.desk.job(till.account, till.job_id)).state is state
    kinds = [entry.kind for entry in await database.read(lambda unit: unit.credits.of_job(till.job_id))]
    kept = state is JobState.COMPLETED
    assert kinds == [EntryKind.RESERVE, EntryKind.CAPTURE if kept else EntryKind.RELEASE]
    balance = await database.read(lambda unit: unit.credits.find(till.account))
    assert balance is not None
    assert (balance.available, balance.reserved) == (GRANT - (PRICE if kept else 0), 0)
    assert await CreditAudit(database=database).findings() == ()


async def test_lost_attempts_settle_nothing(database: Database) -> None:
    till = await Till(database).open()
    await till.desk.claim()
    till.desk.let_leases_run_out()
    assert await till.desk.reaping.reap() == 1
    kinds = [entry.kind for entry in await database.read(lambda unit: unit.credits.of_job(till.job_id))]
    assert kinds == [EntryKind.RESERVE]
    await _completed(till)
    assert await CreditAudit(database=database).findings() == ()
