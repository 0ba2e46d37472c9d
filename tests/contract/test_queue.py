"""What every bell promises, whoever carries it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from cloud.clients.queue import Bell, LocalQueue, Queue, RedisQueue
from cloud.clients.redis_link import RedisLink
from tests.support.redis import RedisServer


@pytest.fixture(params=["local", "redis"])
async def queues(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Queue, Queue]]:
    """Two ends of one bell: two processes, as far as a carrier between processes is concerned."""
    if request.param == "local":
        queue = LocalQueue()
        yield queue, queue
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    async with AsyncExitStack() as stack:
        ends = []
        for _ in range(2):
            link = RedisLink(url=server.url)
            stack.push_async_callback(link.aclose)
            ends.append(RedisQueue(link=link))
            await link.start()
        yield ends[0], ends[1]


async def _settled(queue: Queue) -> None:
    """A subscription counts as a ring, since some may have been missed before it."""
    for bell in Bell:
        with queue.listen(bell) as waiter:
            await waiter.wait(0.05)


async def test_a_ring_wakes_every_waiter_of_its_bell(queues: tuple[Queue, Queue]) -> None:
    here, there = queues
    await _settled(there)
    with (
        there.listen(Bell.JOBS) as first,
        there.listen(Bell.JOBS) as second,
        there.listen(Bell.CANCELS) as other,
    ):
        await here.ring(Bell.JOBS)
        assert await first.wait(2)
        assert await second.wait(2)
        assert not await other.wait(0.05)


async def test_a_ring_between_two_waits_is_kept_once(queues: tuple[Queue, Queue]) -> None:
    here, there = queues
    await _settled(there)
    with there.listen(Bell.JOBS) as waiter, there.listen(Bell.JOBS) as marker:
        for _ in range(3):
            await here.ring(Bell.JOBS)
            assert await marker.wait(2)
        assert await waiter.wait(0.05)
        assert not await waiter.wait(0.05)


async def test_waking_takes_milliseconds(queues: tuple[Queue, Queue]) -> None:
    here, there = queues
    await _settled(there)
    clock = asyncio.get_running_loop().time
    delays = []
    with there.listen(Bell.JOBS) as waiter:
        for _ in range(50):
            begun = clock()
            await here.ring(Bell.JOBS)
            assert await waiter.wait(2)
            delays.append(clock() - begun)
    assert sorted(delays)[25] < 0.01


async def test_a_ring_without_redis_still_wakes_this_process(redis_server: RedisServer) -> None:
    link = RedisLink(url=redis_server.url)
    queue = RedisQueue(link=link)
    await link.start()
    await _settled(queue)
    redis_server.kill()
    with queue.listen(Bell.JOBS) as waiter:
        await queue.ring(Bell.JOBS)
        assert await waiter.wait(2)
    await link.aclose()


async def test_after_a_restart_of_redis_waiters_look_and_rings_arrive(redis_server: RedisServer) -> None:
    link, other = RedisLink(url=redis_server.url), RedisLink(url=redis_server.url)
    queue, ringer = RedisQueue(link=link), RedisQueue(link=other)
    await link.start()
    await other.start()
    await _settled(queue)
    with queue.listen(Bell.JOBS) as waiter:
        redis_server.restart()
        assert await waiter.wait(10), "who listens again must look, for rings may have been lost"
        await ringer.ring(Bell.JOBS)
        assert await waiter.wait(5)
    await link.aclose()
    await other.aclose()
