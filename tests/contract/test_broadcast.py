"""What every broadcast promises, whoever carries it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from cloud.clients.broadcast import Broadcast, Heap, LocalBroadcast, Message, RedisBroadcast, Watcher
from cloud.clients.redis_link import RedisLink
from tests.support.redis import RedisServer

Ends = tuple[Broadcast, Broadcast]


@pytest.fixture(params=["local", "redis"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    if request.param == "local":
        broadcast = LocalBroadcast()
        yield broadcast, broadcast
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            link = RedisLink(url=server.url)
            stack.push_async_callback(link.aclose)
            made.append(RedisBroadcast(link=link))
            await link.start()
        yield made[0], made[1]


def _lasting(number: int, *, topic: str = "a", key: str = "job") -> Message:
    return Message(topic=topic, key=key, kind="stage", body=f'{{"n": {number}}}', number=number)


def _passing(body: str, *, topic: str = "a", key: str = "job", slot: str = "progress") -> Message:
    return Message(topic=topic, key=key, kind=slot, body=body, slot=slot)


async def _take_until(watcher: Watcher, enough: Callable[[list[Message]], bool]) -> list[Message]:
    messages: list[Message] = []
    for _ in range(100):
        heap: Heap = await watcher.take(0.1)
        messages.extend(heap.messages)
        if enough(messages):
            return messages
    raise AssertionError(f"not enough: {messages}")


async def test_watchers_get_their_topic_in_order(ends: Ends) -> None:
    here, there = ends
    with there.watch("a") as watcher, there.watch("b") as stranger:
        for number in range(5):
            await here.publish(_lasting(number))
        await here.publish(_lasting(9, topic="b"))
        assert await _take_until(watcher, lambda got: len(got) == 5) == [_lasting(n) for n in range(5)]
        assert await _take_until(stranger, bool) == [_lasting(9, topic="b")]


async def test_a_watcher_of_one_job_gets_that_job_alone(ends: Ends) -> None:
    here, there = ends
    with there.watch("a", key="mine") as watcher:
        await here.publish(_lasting(1, key="other"))
        await here.publish(_lasting(2, key="mine"))
        assert await _take_until(watcher, bool) == [_lasting(2, key="mine")]


async def test_of_passing_messages_the_newest_is_kept(ends: Ends) -> None:
    here, there = ends
    with there.watch("a") as watcher, there.watch("a") as marker:
        for body in ("1", "2", "3"):
            await here.publish(_passing(body))
        await here.publish(_lasting(1))
        await _take_until(marker, lambda got: any(message.number for message in got))
        assert (await watcher.take(1)).messages == (_passing("3"), _lasting(1))


async def test_the_latest_passing_messages_are_remembered_until_the_job_is_closed(ends: Ends) -> None:
    here, there = ends
    await here.publish(_passing("1"))
    await here.publish(_passing("2"))
    await here.publish(_passing("p", slot="preview"))
    await here.publish(_passing("x", key="other"))
    await here.publish(_lasting(1))
    assert set(await there.latest("a")) == {
        _passing("2"),
        _passing("p", slot="preview"),
        _passing("x", key="other"),
    }
    assert await there.latest("a", key="other") == (_passing("x", key="other"),)
    await here.close_keys("a", ["job"], slots=("progress", "preview"))
    assert await there.latest("a") == (_passing("x", key="other"),)


async def test_who_reads_too_slowly_is_told_of_a_gap(ends: Ends) -> None:
    here, there = ends
    with there.watch("a", key="job") as slow, there.watch("a", key="end") as marker:
        for number in range(1001):
            await here.publish(_lasting(number))
        await here.publish(_lasting(1001, key="end"))
        await _take_until(marker, bool)
        assert (await slow.take(1)).gap


async def test_passing_messages_go_at_once_to_who_waits(ends: Ends) -> None:
    here, there = ends
    gone: list[Message] = []
    told = asyncio.Event()

    def pass_on(message: Message) -> bool:
        gone.append(message)
        told.set()
        return message.body != "refused"

    with there.watch("a", key="job", at_once=pass_on) as watcher, there.watch("a") as marker:
        await here.publish(_passing("nobody waits"))
        await _take_until(marker, bool)
        assert (await watcher.take(1)).messages == (_passing("nobody waits"),)
        taking = asyncio.create_task(watcher.take(10))
        await asyncio.wait({taking}, timeout=0)
        await here.publish(_passing("at once"))
        await asyncio.wait_for(told.wait(), 10)
        assert not taking.done()
        await here.publish(_passing("refused"))
        await here.publish(_passing("behind it", slot="preview"))
        assert (await taking).messages[0] == _passing("refused")
        await _take_until(marker, lambda got: any(message.slot == "preview" for message in got))
    assert gone == [_passing("at once"), _passing("refused")]


async def test_a_restart_of_redis_is_a_gap(redis_server: RedisServer) -> None:
    link = RedisLink(url=redis_server.url)
    broadcast = RedisBroadcast(link=link)
    await link.start()
    with broadcast.watch("a") as watcher:
        await watcher.take(0)
        redis_server.restart()
        assert (await watcher.take(10)).gap
        await broadcast.publish(_lasting(1))
        assert await _take_until(watcher, bool) == [_lasting(1)]
    await link.aclose()


@pytest.mark.parametrize("garbage", [b"\xff", b"[]", b'{"topic": "a"}'])
async def test_what_another_version_says_is_a_gap_and_no_end(
    redis_server: RedisServer, garbage: bytes
) -> None:
    async with AsyncExitStack() as stack:
        link = RedisLink(url=redis_server.url)
        stack.push_async_callback(link.aclose)
        broadcast = RedisBroadcast(link=link)
        await link.start()
        with broadcast.watch("a") as watcher:
            await link.publish("safelight:events", garbage)
            await link.publish_remembered("safelight:other", b"", "safelight:latest:a", "job x", seconds=60)
            newer = {"topic": "a", "key": "job", "kind": "stage", "body": "{}", "number": 2, "slot": None}
            await link.publish("safelight:events", json.dumps(newer | {"added": "later"}).encode())
            heaps = []
            async with asyncio.timeout(30):
                while not any(heap.messages for heap in heaps):
                    heaps.append(await watcher.take(10))
        assert any(heap.gap for heap in heaps)
        assert [message.number for heap in heaps for message in heap.messages] == [2]
        assert await broadcast.latest("a") == ()


async def test_a_cancellation_is_never_lost_in_a_command(redis_server: RedisServer) -> None:
    """Redis-py swallows one that comes at a certain moment of its connecting."""

    async def publish_for_ever(broadcast: RedisBroadcast) -> None:
        while True:
            await broadcast.publish(_passing("1"))
            await asyncio.sleep(0.01)

    for step in range(40):
        link = RedisLink(url=redis_server.url)
        task = asyncio.create_task(publish_for_ever(RedisBroadcast(link=link)))
        await asyncio.sleep(step * 0.0001)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=60)
        assert done, f"lost after {step / 10} ms"
        await link.aclose()
