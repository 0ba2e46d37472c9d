"""Events that wait to be published: each told by one publisher, and by another where that one died."""

from datetime import timedelta

from cloud.repositories.database import Database
from cloud.repositories.events import LastingEvent
from shared.jobs.events import Queued
from tests.cloud.services.desk import Desk, utcnow


async def _numbered(database: Database) -> tuple[LastingEvent, ...]:
    return await database.write(lambda unit: unit.events.number_unpublished(10))


async def _happen(desk: Desk, account: str, job_id: str) -> None:
    event = Queued(job_id=job_id, attempt=0, at=utcnow())
    await desk.database.write(lambda unit: unit.events.add(account, event))


async def test_what_one_publisher_has_numbered_no_other_tells(database: Database) -> None:
    desk = Desk(database)
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    await _happen(desk, account, job_id)
    mine = await _numbered(database)
    await _happen(desk, account, job_id)
    others = await _numbered(database)
    assert [event.number for event in mine] == [1]
    assert [event.number for event in others] == [2]


async def test_what_a_dead_publisher_left_is_told_under_the_same_number(database: Database) -> None:
    desk = Desk(database)
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    await _happen(desk, account, job_id)
    left = await _numbered(database)
    database.clock_offset += timedelta(seconds=4)
    assert await _numbered(database) == left
    await database.write(lambda unit: unit.events.mark_published(left))
    assert await _numbered(database) == ()
