"""Streams over real databases: replay, resumption, gaps, and what passes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import text

from cloud.clients.broadcast import LocalBroadcast, Message
from cloud.clients.queue import LocalQueue
from cloud.errors import EventsGone, NotFound, TooManyRequests
from cloud.repositories.database import Database
from cloud.repositories.jobs import NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.postgres import PostgresDatabase
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Scope
from cloud.services.event_streams import EventStreams, Frame
from cloud.services.publisher import EventPublisher
from cloud.services.stream_door import StreamDoor
from shared.api.accounts import Plan
from shared.ids import new_id
from shared.jobs.events import Cancelled, JobEvent, Queued, Stage, StageName, Started
from shared.jobs.state import JobState

ACCOUNT, OTHER = new_id(), new_id()
LANE = Lane("builtin", 0, ACCOUNT, "glow")


def _at() -> datetime:
    return datetime.now(UTC)


class _Desk:
    """One process's publisher and streams over the database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.broadcast = LocalBroadcast()
        self.door = StreamDoor(per_account=3)
        self.streams = EventStreams(
            database=database, broadcast=self.broadcast, door=self.door, look_every_s=0.5
        )
        self.publisher = EventPublisher(database=database, broadcast=self.broadcast, queue=LocalQueue())

    async def add_job(self) -> str:
        job_id = new_id()
        job = NewJob(id=job_id, lane=LANE, preset_version="1", preset_digest="0" * 64, values={}, inputs={})

        def work(unit: Unit) -> None:
            unit.jobs.add(job)
            unit.lanes.enter(LANE)

        await self.database.write(work)
        await self.happen(Queued(job_id=job_id, attempt=0, at=_at()))
        return job_id

    async def happen(self, event: JobEvent, *, publish: bool = True) -> None:
        await self.database.write(lambda unit: unit.events.add(ACCOUNT, event))
        if publish:
            await self.publisher.publish()

    async def cancel(self, job_id: str) -> None:
        await self.database.write(lambda unit: unit.waiting.end(ACCOUNT, job_id, JobState.CANCELLED))
        await self.happen(Cancelled(job_id=job_id, attempt=1, at=_at()))

    async def pass_by(self, job_id: str, body: str) -> None:
        message = Message(topic=ACCOUNT, key=job_id, kind="progress", slot="progress", body=body)
        await self.broadcast.publish(message)


@pytest.fixture
async def desk(database: Database) -> _Desk:
    for account in (ACCOUNT, OTHER):
        await database.write(lambda unit, id_=account: unit.accounts.add(id_, "Test"))
    return _Desk(database)


def _started(job_id: str) -> Started:
    return Started(job_id=job_id, attempt=1, at=_at(), engine="builtin")


async def _take(frames: AsyncGenerator[Frame | None, None], count: int) -> list[Frame]:
    taken: list[Frame] = []
    async with asyncio.timeout(60):
        while len(taken) < count:
            frame = await anext(frames)
            if frame is not None:
                taken.append(frame)
    return taken


def _kinds(frames: list[Frame]) -> list[tuple[str, int | None]]:
    return [(frame.kind, frame.number) for frame in frames]


async def test_a_job_is_told_from_its_first_event_to_its_last(desk: _Desk) -> None:
    job_id = await desk.add_job()
    frames = await desk.streams.follow_job(ACCOUNT, job_id, after=None)
    assert _kinds(await _take(frames, 1)) == [("queued", 1)]
    other = await desk.add_job()
    await desk.happen(_started(job_id))
    await desk.cancel(other)
    await desk.cancel(job_id)
    rest = [frame async for frame in frames if frame is not None]
    assert _kinds(rest) == [("started", 3), ("cancelled", 5)]
    assert rest[0].text.startswith('{"number":3,"event":"started"')


async def test_a_stream_is_taken_up_after_any_number(desk: _Desk) -> None:
    job_id = await desk.add_job()
    await desk.happen(_started(job_id))
    await desk.cancel(job_id)
    for after, kinds in [(0, ["queued", "started", "cancelled"]), (2, ["cancelled"]), (3, []), (99, [])]:
        frames = await desk.streams.follow_job(ACCOUNT, job_id, after=after)
        assert [frame.kind async for frame in frames if frame is not None] == kinds


async def test_the_account_hears_all_its_jobs_from_now_on(desk: _Desk) -> None:
    first = await desk.add_job()
    async with aclosing(await desk.streams.follow_account(ACCOUNT, after=None)) as frames:
        reading = asyncio.create_task(_take(frames, 2))
        await asyncio.sleep(0)
        second = await desk.add_job()
        await desk.happen(_started(first))
        taken = await reading
    assert _kinds(taken) == [("queued", 2), ("started", 3)]
    assert second in taken[0].text


async def test_what_the_broadcast_lost_is_read_from_the_database(desk: _Desk) -> None:
    """The publisher of another process numbered events that this one's broadcast never carried."""
    job_id = await desk.add_job()
    async with aclosing(await desk.streams.follow_account(ACCOUNT, after=0)) as frames:
        await _take(frames, 1)
        for name in (StageName.PREPARING, StageName.RUNNING):
            await desk.happen(Stage(job_id=job_id, attempt=1, at=_at(), name=name), publish=False)
        await desk.database.write(lambda unit: unit.events.mark_published(unit.events.number_unpublished(9)))
        await desk.happen(_started(job_id))
        assert _kinds(await _take(frames, 3)) == [("stage", 2), ("stage", 3), ("started", 4)]


async def test_a_dead_broadcast_only_makes_it_slower(desk: _Desk) -> None:
    job_id = await desk.add_job()
    deaf = EventStreams(database=desk.database, broadcast=LocalBroadcast(), door=desk.door, look_every_s=0.2)
    async with aclosing(await deaf.follow_job(ACCOUNT, job_id, after=None)) as frames:
        await _take(frames, 1)
        await desk.cancel(job_id)
        assert _kinds(await _take(frames, 1)) == [("cancelled", 2)]


async def test_published_twice_is_told_once(desk: _Desk) -> None:
    job_id = await desk.add_job()
    async with aclosing(await desk.streams.follow_account(ACCOUNT, after=0)) as frames:
        await _take(frames, 1)
        await desk.happen(_started(job_id), publish=False)
        again = await desk.database.write(lambda unit: unit.events.number_unpublished(9))
        await desk.publisher.publish()
        for event in again:
            message = Message(
                topic=ACCOUNT, key=job_id, kind=event.kind, body=event.body, number=event.number
            )
            await desk.broadcast.publish(message)
        await desk.cancel(job_id)
        assert _kinds(await _take(frames, 2)) == [("started", 2), ("cancelled", 3)]


async def test_a_new_stream_gets_the_latest_of_what_passes_while_the_job_lasts(desk: _Desk) -> None:
    job_id = await desk.add_job()
    await desk.pass_by(job_id, '{"event":"progress","fraction":0.1}')
    await desk.pass_by(job_id, '{"event":"progress","fraction":0.2}')
    async with aclosing(await desk.streams.follow_job(ACCOUNT, job_id, after=None)) as frames:
        queued, progress = await _take(frames, 2)
    assert (queued.kind, progress.text) == ("queued", '{"event":"progress","fraction":0.2}')
    await desk.cancel(job_id)
    ended = await desk.streams.follow_job(ACCOUNT, job_id, after=None)
    assert [frame.kind async for frame in ended if frame is not None] == ["queued", "cancelled"]


async def test_another_account_sees_nothing(desk: _Desk) -> None:
    job_id = await desk.add_job()
    with pytest.raises(NotFound):
        await desk.streams.follow_job(OTHER, job_id, after=None)
    async with aclosing(await desk.streams.follow_account(OTHER, after=0)) as frames:
        await desk.pass_by(job_id, "{}")
        assert await anext(frames) is None


async def test_events_that_are_no_longer_kept_are_gone(desk: _Desk) -> None:
    job_id = await desk.add_job()
    await desk.cancel(job_id)
    desk.database.clock_offset = timedelta(days=8)
    await desk.database.write(lambda unit: unit.events.forget_older(timedelta(days=7)))
    later = await desk.add_job()
    with pytest.raises(EventsGone):
        await desk.streams.follow_account(ACCOUNT, after=1)
    with pytest.raises(EventsGone):
        await desk.streams.follow_job(ACCOUNT, job_id, after=None)
    async with aclosing(await desk.streams.follow_account(ACCOUNT, after=2)) as frames:
        assert later in (await _take(frames, 1))[0].text


async def test_two_publishers_number_every_event_once(desk: _Desk) -> None:
    job_id = await desk.add_job()
    for _ in range(20):
        await desk.happen(_started(job_id), publish=False)
    other = EventPublisher(database=desk.database, broadcast=desk.broadcast, queue=LocalQueue())
    await asyncio.gather(*(publisher.publish() for publisher in (desk.publisher, other) * 3))
    await desk.publisher.publish()
    events = await desk.database.read(lambda unit: unit.events.after(ACCOUNT, 0, job_id=None, limit=100))
    assert [event.number for event in events] == list(range(1, 22))


async def test_stream_ends_soon_after_its_key_is_revoked(desk: _Desk) -> None:
    await desk.add_job()
    keys = [new_id(), new_id()]

    def add(unit: Unit) -> None:
        for key in keys:
            unit.keys.add(
                key_id=key,
                account_id=ACCOUNT,
                name="",
                prefix="",
                digest=key,
                scopes=["read"],
                valid_for=timedelta(hours=1),
            )

    await desk.database.write(add)
    followed = [await desk.streams.follow_account(ACCOUNT, after=0) for _ in keys]
    callers = [Caller(ACCOUNT, key, frozenset({Scope.READ}), Plan.FREE) for key in keys]
    streams = [
        desk.streams.while_usable(caller, frames) for caller, frames in zip(callers, followed, strict=True)
    ]
    async with asyncio.timeout(60), aclosing(streams[0]), aclosing(streams[1]):
        first = [await anext(stream) for stream in streams]
        assert [frame.kind for frame in first if frame] == ["queued", "queued"]
        await desk.database.write(lambda unit: unit.keys.revoke(keys[0]))
        assert [frame async for frame in streams[0]] == []
        assert await anext(streams[1]) is None  # the other key's goes on
        desk.database.clock_offset += timedelta(hours=2)
        assert [frame async for frame in streams[1] if frame is not None] == []


async def test_account_has_only_so_many_streams_open(desk: _Desk) -> None:
    await desk.add_job()
    caller = Caller(ACCOUNT, new_id(), frozenset({Scope.READ}), Plan.FREE)
    async with AsyncExitStack() as opened:
        for _ in range(3):
            frames = await desk.streams.follow_account(ACCOUNT, after=0)
            stream = await opened.enter_async_context(aclosing(desk.streams.while_usable(caller, frames)))
            await anext(stream)
        with pytest.raises(TooManyRequests):
            await desk.streams.follow_account(ACCOUNT, after=0)
        assert desk.door.open == 3
    assert desk.door.open == 0
    await desk.streams.follow_account(ACCOUNT, after=0)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_stream_outlives_a_database_that_is_busy(desk: _Desk, database_url: str) -> None:
    job_id = await desk.add_job()
    async with AsyncExitStack() as stack:
        narrow = await stack.enter_async_context(aclosing(PostgresDatabase(url=database_url, connections=1)))
        streams = EventStreams(
            database=narrow, broadcast=desk.broadcast, door=StreamDoor(per_account=3), look_every_s=0.5
        )
        frames = await stack.enter_async_context(
            aclosing(await streams.follow_job(ACCOUNT, job_id, after=None))
        )
        assert _kinds(await _take(frames, 1)) == [("queued", 1)]
        async with _all_connections_taken(database_url, narrow):
            assert await anext(frames) is None
        await desk.cancel(job_id)
        assert _kinds(await _take(frames, 1)) == [("cancelled", 2)]


@asynccontextmanager
async def _all_connections_taken(database_url: str, narrow: Database) -> AsyncIterator[None]:
    """By a statement that waits for a lock."""
    holder = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await holder.execute("SELECT pg_advisory_lock(1)")

    def wait_for_it(unit: Unit) -> None:
        unit.connection.execute(text("SELECT pg_advisory_lock(1), pg_advisory_unlock(1)"))

    waiting = asyncio.create_task(narrow.read(wait_for_it))
    try:
        async with asyncio.timeout(60):
            while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield
    finally:
        await holder.close()
        await waiting
