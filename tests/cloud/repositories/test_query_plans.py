"""With a hundred thousand jobs, what workers ask all the time is answered by indexes alone."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from cloud.repositories.attempt import AttemptRef
from cloud.repositories.database import Database
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from shared.ids import new_id
from tests.support.databases import open_database
from tests.support.query_plans import many_jobs, plans_of

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

LEASE = timedelta(seconds=30)
ACCOUNT = new_id()
LANE = Lane("comfy", 0, ACCOUNT, "p10")
REF = AttemptRef("ffffffff", 1)


@pytest.fixture
async def full(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as database:
        await database.write(lambda unit: unit.accounts.add(ACCOUNT, "busy"))
        await many_jobs(database, ACCOUNT, 1, 100_000)
        yield database


ASKED: dict[str, Callable[[Unit], object]] = {
    "backlog": lambda unit: unit.lanes.backlog(["comfy"]),
    "standing": lambda unit: unit.standing.of_pools(["comfy"]),
    "behind": lambda unit: unit.standing.behind(["comfy"], "one"),
    "claim": lambda unit: unit.claims.claim_oldest(LANE, "w", LEASE),
    "claim several": lambda unit: unit.claims.claim_oldest(LANE, "w", LEASE, most=5),
    "claim for a server": lambda unit: unit.claims.claim_oldest(LANE, "w", LEASE, server="one"),
    "claim what was left": lambda unit: unit.claims.claim_left("one", "w", LEASE),
    "leave": lambda unit: unit.lanes.leave(LANE),
    "renew": lambda unit: unit.claims.renew(REF, LEASE),
    "suspects": lambda unit: unit.claims.suspects(["comfy"], LEASE),
    "held up": lambda unit: unit.claims.held_up([ACCOUNT]),
    "lost": lambda unit: unit.claims.lost(100),
    "at work": lambda unit: unit.claims.at_work(ACCOUNT),
}


async def test_no_question_of_the_workers_reads_all_jobs(full: Database) -> None:
    plans = {name: await plans_of(full, ask) for name, ask in ASKED.items()}
    assert all(plans.values())
    read_all = {name: plan for name, found in plans.items() for plan in found if "Seq Scan on jobs" in plan}
    assert not read_all
    assert "ix_jobs_lane" in plans["claim"][0]
    assert "ix_jobs_lane" in plans["claim for a server"][0]
    assert "ix_jobs_left" in plans["claim what was left"][0]
