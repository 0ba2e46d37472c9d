"""Both ways of counting keep to the same limits."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.clients.rate_counter import WINDOW_S, LocalRateCounter, RateCounter, RedisRateCounter, taken
from cloud.clients.redis_link import RedisLink
from shared.ids import new_id
from tests.support.redis import RedisServer


class _Clock:
    def __init__(self) -> None:
        self.time = 1_000_000 * WINDOW_S

    def __call__(self) -> float:
        return self.time


class _Counters(Protocol):
    def __call__(self, clock: _Clock) -> RateCounter: ...


@pytest.fixture(params=["local", "redis"])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[_Counters]:
    if request.param == "local":
        yield lambda clock: LocalRateCounter(now=clock)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    link, prefix = RedisLink(url=server.url), new_id()
    yield lambda clock: RedisRateCounter(link=link, prefix=prefix, now=clock)
    await link.aclose()


async def test_no_more_than_the_limit_in_a_minute(counters: _Counters) -> None:
    clock = _Clock()
    counter = counters(clock)
    had = [await counter.take("a", 3) for _ in range(5)]
    other = await counter.take("b", 3)

    assert [one.allowed for one in had] == [True, True, True, False, False]
    assert [one.remaining for one in had] == [2, 1, 0, 0, 0]
    assert other.remaining == 2
    assert had[3].retry_after_s == had[4].retry_after_s  # what was refused was not counted
    clock.time += had[4].retry_after_s - 1
    assert not (await counter.take("a", 3)).allowed
    clock.time += 1
    assert (await counter.take("a", 3)).allowed


async def test_the_minute_slides(counters: _Counters) -> None:
    clock = _Clock()
    counter = counters(clock)
    clock.time += 59
    assert all([(await counter.take("a", 60)).allowed for _ in range(60)])
    clock.time += 2
    late = await counter.take("a", 60)
    assert (late.allowed, late.remaining) == (True, 0)
    clock.time += 2 * WINDOW_S
    assert (await counter.take("a", 60)).remaining == 59


async def test_processes_count_together_and_alone_without_redis() -> None:
    server = RedisServer()
    link = RedisLink(url=server.url)
    try:
        one, two = (RedisRateCounter(link=link, prefix="p") for _ in range(2))
        assert (await one.take("a", 2)).allowed
        assert (await two.take("a", 2)).allowed
        assert not (await one.take("a", 2)).allowed
        server.kill()
        assert [(await one.take("a", 2)).allowed for _ in range(3)] == [True, True, False]
    finally:
        await link.aclose()
        server.close()


@given(
    limit=st.integers(1, 1000),
    before=st.integers(0, 1000),
    now=st.integers(1, 1001),
    elapsed_s=st.floats(0, WINDOW_S, exclude_max=True),
)
def test_who_comes_back_when_told_is_let_in(limit: int, before: int, now: int, elapsed_s: float) -> None:
    found = taken(limit, before=before, now=now, elapsed_s=elapsed_s)
    assert 0 <= found.remaining <= limit
    if found.allowed:
        return
    later_s = elapsed_s + found.retry_after_s
    if later_s < WINDOW_S:
        assert taken(limit, before=before, now=now, elapsed_s=later_s).allowed
    elif later_s < 2 * WINDOW_S:
        assert taken(limit, before=now - 1, now=1, elapsed_s=later_s - WINDOW_S).allowed
